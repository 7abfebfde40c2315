from __future__ import annotations

import os
import pickle
import shutil
import threading
import tracemalloc
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import CorpusError
from erc.datasets import shards
from erc.datasets.store import Store


@pytest.fixture
def tree(kemdy19, tmp_path):
    return shutil.copytree(kemdy19, tmp_path / "KEMDy19")


def build(root, cache, **options):
    return shards.build(corpora.load("kemdy19", root), cache, **options)


def test_every_recording_comes_back_to_the_sample(kemdy19, tmp_path):
    built = build(kemdy19, tmp_path)
    assert len(built) == 40
    for row, name in enumerate(built.column("id")):
        [path] = kemdy19.glob(f"wav/*/*/{name}.wav")
        assert np.array_equal(built.pcm(row), soundfile.read(path, dtype="int16")[0])


def test_labels_and_single_ratings_come_back(kemdy19, tmp_path):
    raw = {u.id: u for u in corpora.load("kemdy19", kemdy19).utterances}
    built = build(kemdy19, tmp_path)
    for u in built.utterances(np.arange(len(built))):
        assert (u.votes, u.ratings, u.text, u.speaker) == (
            raw[u.id].votes, raw[u.id].ratings, raw[u.id].text, raw[u.id].speaker,
        )  # fmt: skip
        assert u.dimensions == raw[u.id].dimensions
    assert np.array_equal(built.votes()[0], raw[built.column("id")[0]].votes)


def test_it_is_loaded_when_nothing_changed_and_rebuilt_where_something_did(tree, tmp_path):
    cache = tmp_path / "cache"
    assert not build(tree, cache).loaded
    before = {p.name for p in (cache / "shards").glob("*.arrow")}
    assert build(tree, cache).loaded
    wav = next(tree.glob("wav/Session03/*/*.wav"))
    samples, rate = soundfile.read(wav)
    soundfile.write(wav, samples[:-1000], rate)
    again = build(tree, cache)
    after = {p.name for p in (cache / "shards").glob("*.arrow")}
    assert not again.loaded
    assert len(after - before) == 1  # the session of that file and nothing else
    row = list(again.column("id")).index(wav.stem)
    assert len(again.pcm(row)) == len(samples) - 1000


def test_a_changed_transcript_changes_the_name_a_changed_time_does_not(tree, tmp_path):
    first = build(tree, tmp_path / "c").path
    os.utime(next(tree.glob("wav/Session02/*/*.wav")), (0, 0))
    assert build(tree, tmp_path / "c").path == first
    txt = next(tree.glob("wav/Session01/*/*.txt"))
    txt.write_text("다른 말", "utf-8")
    assert build(tree, tmp_path / "c").path != first


def test_a_copy_and_another_way_to_the_corpus_have_the_same_store(tree, tmp_path, monkeypatch):
    first = build(tree, tmp_path / "c")
    copy = tmp_path / "elsewhere" / "KEMDy19"
    shutil.copytree(tree, copy, copy_function=shutil.copyfile)  # with times of its own
    monkeypatch.chdir(tree.parent)
    for root in (copy, Path("KEMDy19")):
        again = build(root, tmp_path / "c")
        assert again.loaded
        assert again.path == first.path


def test_a_recording_that_changes_and_keeps_size_and_time_is_seen(tree, tmp_path, monkeypatch):
    monkeypatch.setattr("erc.datasets.contents.FRESH", -1)  # believed at once
    first = build(tree, tmp_path / "c")
    wav = next(tree.glob("wav/Session02/*/*.wav"))
    stat, data = wav.stat(), bytearray(wav.read_bytes())
    data[-2] ^= 1
    wav.write_bytes(data)
    os.utime(wav, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert build(tree, tmp_path / "c").path != first.path


def damage(path, random) -> None:
    data = bytearray(path.read_bytes())
    place = random.randrange(len(data))
    if random.random() < 0.5:
        data[place] ^= 1 << random.randrange(8)
    else:
        del data[place:]
    path.write_bytes(data)


def test_damaged_files_of_a_store_are_built_again(kemdy19, tmp_path, capsys):
    whole = build(kemdy19, tmp_path)
    table, random = whole.table.to_pylist(), Random(0)
    files = [p for p in tmp_path.rglob("*") if p.suffix in (".arrow", ".json")]
    assert len(files) >= 2 * 5 + 2
    before = {p: p.read_bytes() for p in files}
    for file in files * 2:
        damage(file, random)
        again = build(kemdy19, tmp_path)
        assert again.table.to_pylist() == table
        assert again.report == whole.report
        assert ("damaged" in capsys.readouterr().err) == (file.parent.name == "shards")
        del again
        if file.suffix == ".arrow":
            assert file.read_bytes() == before[file]


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_do_not_change_the_result(kemdy19, tmp_path, workers):
    one = build(kemdy19, tmp_path / "one", num_proc=1)
    many = build(kemdy19, tmp_path / "many", num_proc=workers)
    assert one.table.equals(many.table)
    assert one.path.name == many.path.name


def test_two_builds_at_once_make_one_store(kemdy19, tmp_path):
    found: list[Store] = []
    threads = [
        threading.Thread(target=lambda: found.append(build(kemdy19, tmp_path, num_proc=2)))
        for _ in range(3)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert len(found) == 3
    assert len({s.path for s in found}) == 1
    assert all(s.table.equals(found[0].table) for s in found)


def test_one_bad_recording_never_loses_the_others(tree, tmp_path):
    bad = sorted(tree.glob("wav/Session01/*/*.wav"))[:3]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(b"RIFF....")
    soundfile.write(bad[2], np.zeros(100), 16_000)
    for _ in range(2):  # reported when built and when loaded
        built = build(tree, tmp_path / "c")
        assert len(built) == 37
        assert built.report.dropped["recording unusable"] == 3
        assert bad[0].name in str(built.report.examples["recording unusable"])


def test_nothing_usable_is_an_error(tree, tmp_path):
    for wav in tree.glob("wav/*/*/*.wav"):
        wav.write_bytes(b"")
    with pytest.raises(CorpusError, match="no usable utterance"):
        build(tree, tmp_path / "c")


def test_the_folder_opens_with_the_datasets_library(kemdy19, tmp_path):
    datasets = pytest.importorskip("datasets")
    built = build(kemdy19, tmp_path)
    theirs = datasets.load_from_disk(str(built.path))
    assert theirs["id"][:] == list(built.column("id"))
    assert np.array_equal(np.frombuffer(theirs[5]["audio"], np.int16), built.pcm(5))


def test_reading_does_not_copy_the_audio(kemdy19, tmp_path):
    built = build(kemdy19, tmp_path)
    total = sum(built.pcm(row).nbytes for row in range(len(built)))
    tracemalloc.start()
    views = [built.pcm(row) for row in range(len(built))]
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(views) == 40
    assert held < total / 10


def test_a_worker_process_maps_the_files_instead_of_receiving_them(kemdy19, tmp_path):
    built = build(kemdy19, tmp_path)
    total = sum(built.pcm(row).nbytes for row in range(len(built)))
    sent = pickle.dumps(built)
    assert len(sent) < total / 100
    there = pickle.loads(sent)
    assert there.table.equals(built.table)
    assert np.array_equal(there.pcm(39), built.pcm(39))


@pytest.mark.parametrize(("limit", "batches"), [(1, 40), (1 << 40, 5)])  # 5 sessions
def test_record_batches_of_any_size_hold_the_same(kemdy19, tmp_path, monkeypatch, limit, batches):
    whole = build(kemdy19, tmp_path / "a")
    monkeypatch.setattr(shards, "RECORD_BATCH", limit)
    cut = build(kemdy19, tmp_path / "b")
    assert len(cut.table["audio"].chunks) == batches
    assert cut.table.equals(whole.table)
    for row in range(40):
        assert cut.pcm(row).tobytes() == cut.table["audio"][row].as_py()


def test_utterances_without_a_recording_have_no_samples(tmp_path):
    lines = [f"{i},s,S{i // 2},happy,text {i}" for i in range(4)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,speaker,session,emotion,text", *lines]))
    built = shards.build(corpora.load("manifest", tmp_path), tmp_path / "cache")
    assert [len(built.pcm(row)) for row in range(4)] == [0] * 4


def test_what_a_build_holds_does_not_grow_with_the_corpus(tmp_path):
    def peak(size: int) -> int:
        table = tmp_path / f"{size}.csv"
        rows = (f"u{i},말 {i},S{i // 250},S{i // 250},happy\n" for i in range(size))
        table.write_text("id,text,speaker,session,emotion\n" + "".join(rows), "utf-8")
        tracemalloc.start()
        shards.build(corpora.load("manifest", table), tmp_path / f"cache-{size}")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(250)  # what is imported and compiled by the first
    few, many = peak(500), peak(2000)
    assert (many - few) / 1500 < 200  # bytes an utterance; as Python objects it was 3,000
