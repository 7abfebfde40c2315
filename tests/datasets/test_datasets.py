from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from erc import corpora, labels
from erc.base.errors import ConfigError, CorpusError
from erc.datasets import HF_KEMD, KEMDy19Dataset, KEMDy20Dataset, SyntheticKEMD, read_once
from erc.labels import ties


@pytest.fixture(scope="module")
def train(kemdy19):
    return HF_KEMD(str(kemdy19), mode="train", validation_fold=3)


def test_an_example_carries_the_votes_and_their_sharpened_forms(train):
    votes = train.store.votes()
    for i in range(len(train)):
        e = train[i]
        assert e.soft == pytest.approx(votes[e.row] / 10)
        assert e.peakl == pytest.approx(labels.peakl(e.soft))
        assert e.hard.sum() == 1
        assert e.soft[e.hard.argmax()] == e.soft.max()
        assert e.speech.dtype == np.int16
        assert len(e.speech) == train.lengths[i]


def test_sides_share_nothing_and_leave_nothing_out(train):
    seen = [set(train.side(side).rows) for side in ("train", "test")]
    assert not seen[0] & seen[1]
    assert len(seen[0] | seen[1]) == len(train.side("all")) == 40
    speakers = [set(train.store.column("speaker")[list(rows)]) for rows in seen]
    assert not speakers[0] & speakers[1]
    assert list(train.side("valid").rows) == list(train.side("test").rows)  # the paper's protocol


def test_a_study_reads_its_corpus_once(kemdy19, monkeypatch):
    read = []
    original = corpora.find
    monkeypatch.setattr(corpora, "find", lambda *a, **k: read.append(a) or original(*a, **k))
    with read_once():
        one, two = (HF_KEMD(str(kemdy19), validation_fold=fold) for fold in (1, 2))
        assert one.store is two.store
        assert set(one.side("test").rows) != set(two.side("test").rows)
        assert HF_KEMD(str(kemdy19), reference_rows=True).store is not one.store  # other options
    assert len(read) == 2
    assert HF_KEMD(str(kemdy19)).store is not one.store  # its files may have changed since
    assert len(read) == 3


def test_strict_never_stops_on_the_held_out_fold(kemdy19):
    data = HF_KEMD(str(kemdy19), protocol="strict", validation_fold=0)
    rows = [set(data.side(side).rows) for side in ("train", "valid", "test")]
    assert all(rows)
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


def test_ties_are_broken_by_centroids_of_the_training_side_only(kemdy19, monkeypatch):
    asked = []
    original = ties.va_centroids
    monkeypatch.setattr(
        ties, "va_centroids", lambda soft, va: asked.append(len(soft)) or original(soft, va)
    )
    data = HF_KEMD(str(kemdy19), validation_fold=1)
    assert asked == [len(data)]
    assert asked[0] < len(data.store)


def test_cut_and_selection(kemdy19):
    data = HF_KEMD(str(kemdy19), wav_max_length=8000, num_data=7)
    assert len(data) == 7
    assert max(data.lengths) == 8000 == max(len(data[i].speech) for i in range(7))
    assert len(data.side("all")) == 40
    majority, votes = (HF_KEMD(str(kemdy19), multilabel=m).labels for m in (False, True))
    assert np.array_equal(majority.target, votes.hard)
    assert np.array_equal(majority.soft, votes.soft)  # scores are against the votes either way
    untied = HF_KEMD(str(kemdy19), remove_deuce=True)
    assert not untied.labels.tied[untied.rows].any()


def test_both_corpora_found_in_one_folder(kemdy19, kemdy20, tmp_path):
    (tmp_path / "KEMDy19").symlink_to(kemdy19)
    (tmp_path / "KEMDy20_v1_1").symlink_to(kemdy20)
    both = HF_KEMD(str(tmp_path), mode="all")
    assert len(both) == 80
    assert len(HF_KEMD(str(tmp_path), mode="all", dataset_name="kemdy20")) == 40
    fold = {c: set(both.store.column("session")[both.side("test").rows]) for c in ("x",)}
    assert len(fold["x"]) >= 1
    assert len(KEMDy19Dataset(str(kemdy19), mode="all")) == 40
    assert len(KEMDy20Dataset(str(kemdy20), mode="all")) == 40


def test_the_simulated_corpus_is_written_once_and_called_simulated(tmp_path):
    options = {"layout": "kemdy20", "sessions": 5, "utterances": 2}
    data = SyntheticKEMD(str(tmp_path / "s"), **options, mode="all")
    assert len(data) == 10
    assert data.simulated
    assert "SIMULATED" in str(data)
    assert SyntheticKEMD(str(tmp_path / "s"), **options).store.loaded


def test_a_model_that_only_reads_is_not_given_what_has_no_words(kemdy19, tmp_path):
    import shutil

    tree = shutil.copytree(kemdy19, tmp_path / "KEMDy19")
    for txt in sorted(tree.glob("wav/Session01/*/*.txt"))[:3]:
        txt.unlink()
    data = HF_KEMD(str(tree), mode="all")
    assert len(data.needing(("speech", "text"))) == 40
    reads = data.needing(("text",))
    assert len(reads) == len(reads.lengths) == 37
    assert reads.has("text").all()
    assert len(data.needing(("speech", "text"), every=True)) == 37
    assert len(data) == len(reads.side("all")) == 40  # nobody's rows changed under them
    assert (
        len(HF_KEMD(str(tree), protocol="fixed").side("valid").needing(("text",), every=True)) == 0
    )


def test_a_view_never_changes_and_its_sides_do_not_depend_on_their_order(train):
    with pytest.raises(dataclasses.FrozenInstanceError):
        train.mode = "test"
    direct = train.side("test")
    roundabout = train.side("all").needing(("speech",)).side("valid").side("test").needing(())
    assert (direct.rows == roundabout.rows).all()
    assert direct.labels is roundabout.labels
    assert train.mode == "train"


def test_an_empty_side_prints(kemdy19):
    assert "0 utterances" in str(HF_KEMD(str(kemdy19), protocol="fixed").side("valid"))


CORPUS = """
from erc.corpora.about import About
from erc.corpora.utterance import Utterance
ABOUT = About("Lines", "English", 10, "nobody", "CC0-1.0", "https://example.org", "write them")
FILES = "*.lines"
def read(root, report, *, shout=True):
    for i, line in enumerate((root / "my.lines").read_text().splitlines()):
        words = line.upper() if shout else line
        votes = tuple(float(k == i % 7) for k in range(7))
        yield Utterance(f"u{i}", "lines", None, words, f"s{i}", f"s{i}", votes)
"""


def test_a_corpus_is_one_file_and_its_options_reach_it(tmp_path, monkeypatch):
    (tmp_path / "lines.py").write_text(CORPUS)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "my.lines").write_text("\n".join("abcdefghij"))
    monkeypatch.setattr(corpora, "__path__", [*corpora.__path__, str(tmp_path)])
    corpora.readers.cache_clear()
    try:
        place = str(tmp_path / "data")
        assert HF_KEMD(place)[0].text == "A"
        assert HF_KEMD(place, shout=False)[0].text == "a"
        assert corpora.find(place).licences == {"lines": "CC0-1.0"}
        assert HF_KEMD(place, shout=None, emotion_map=None)[0].text == "A"
        with pytest.raises(ConfigError, match=r"no option 'shuot' .did you mean 'shout'"):
            HF_KEMD(place, shuot=True)
    finally:
        corpora.readers.cache_clear()
        sys.modules.pop("erc.corpora.lines", None)


def test_what_it_prints(train):
    text = str(train)
    assert "train side of fold 3" in text
    assert "listener row" in text
    assert str(train.store.path) in text


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"mode": "trian"}, ConfigError, "did you mean 'train'"),
        ({"validation_fold": 5}, ConfigError, "0–4"),
        ({"num_data": 0}, ConfigError, "num_data"),
        ({"protocol": "stric"}, ConfigError, "strict"),
        ({"dataset_name": "kemdy18"}, ConfigError, "kemdy19"),
        ({"dataset_name": "kemdy20"}, CorpusError, "Sess"),
        ({"num_folds": 6}, ConfigError, "num_folds"),
    ],
)
def test_bad_options(kemdy19, options, error, says):
    with pytest.raises(error, match=says):
        HF_KEMD(str(kemdy19), **options)


def test_an_empty_corpus_folder(tmp_path):
    with pytest.raises(CorpusError, match=r"is not a corpus.*kemdy19.*manifest\.csv"):
        HF_KEMD(str(tmp_path))
