"""Recordings, folders and tables at addresses, by a file system of fsspec that lives in memory."""

from __future__ import annotations

import csv
import os

import pytest

from erc.__main__ import main
from erc.base.errors import AudioError, ConfigError
from erc.cli.predict_inputs import collect
from erc.recognizer import load


def test_folders_patterns_tables_and_files(memory):
    texts = "audio,text\nb.wav,좋아\nmemory://else/c.wav,\n,말만\n"
    contents = {"/t/b.wav": b"1", "/t/in/a.wav": b"22", "/t/n.txt": b"", "/t/z.sph": b"",
                "/t/table.csv": texts.encode(), "/else/c.wav": b"333"}  # fmt: skip
    memory.pipe(contents)
    found = collect(["memory://t"])
    assert [one.audio for one in found.found] == ["memory://t/b.wav", "memory://t/in/a.wav"]
    assert (found.unread, found.beside) == (["memory://t/z.sph"], 2)
    assert [one.audio for one in collect(["memory://t/*.wav"]).found] == ["memory://t/b.wav"]
    rows = collect(["memory://t/table.csv"]).found
    assert [one.audio for one in rows] == ["memory://t/b.wav", "memory://else/c.wav", None]
    assert [one.stamp[:1] for one in rows] == [(1,), (3,), ()]
    assert rows[0].arguments()["audio"]().read() == b"1"


def test_what_is_not_there_is_said(memory, tmp_path):
    memory.pipe("/only/n.txt", b"")
    with pytest.raises(ConfigError, match=r"no recordings in 'memory://"):
        collect(["memory://only"])
    with pytest.raises(ConfigError, match="no file matches"):
        collect(["memory://only/*.wav"])
    with pytest.raises(ConfigError, match="nosuch"):
        collect(["nosuch://x/*.wav"])
    (one,) = collect(["memory://only/gone.wav"]).found
    with pytest.raises(AudioError, match=r"memory://only/gone\.wav: no such file"):
        one.arguments()["audio"]()


def test_a_changed_file_is_another_input(tmp_path):
    path, url = tmp_path / "a.wav", f"file://{tmp_path}/a.wav"
    path.write_bytes(b"1")
    os.utime(path, (1, 1))
    before = collect([url]).found[0].identity()
    assert collect([f"file://{tmp_path}"]).found[0].identity() == before
    os.utime(path, (1, 2))
    assert collect([url]).found[0].identity() != before


def test_plain_prediction_reads_addresses_too(memory, many_clips, speech_model, tmp_path):
    memory.pipe({f"/x/{i}.wav": (many_clips / f"000{i}.wav").read_bytes() for i in range(3)})
    out = tmp_path / "out.csv"
    words = ["--model", str(speech_model), "--runtime", "torch-fp32", "-q"]
    assert main(["predict", "memory://x", "memory://x/gone.wav", "-o", str(out), *words]) == 1
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["file"] for row in rows] == [f"memory://x/{n}.wav" for n in (0, 1, 2, "gone")]
    assert [bool(row["error"]) for row in rows] == [False] * 3 + [True]
    plain = load(speech_model, runtime="torch-fp32").predict_many(
        [many_clips / f"000{i}.wav" for i in range(3)]
    )
    for row, one in zip(rows, plain):
        assert float(row["confidence"]) == pytest.approx(one.confidence, abs=1e-5)
