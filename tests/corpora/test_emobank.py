"""EmoBank in its official layout, and the real tables where they lie beside the repository."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.datasets import HF_KEMD
from erc.preprocess import split

MEANS = "id,split,V,A,D,text"
ONE, TWO, THREE = "Story_4_47", "Story_83_354", "SemEval_1006"
ROWS = (
    f'{ONE},train,3.0,3.2,2.8,"Well, ""yes"""',
    f"{TWO},test,2.5,3.1,3.0,No.",
    f"{THREE},dev,4.2,3.9,3.1,PM:  thanks",
)


def tree(folder: Path, *rows: str, reader: str = "", writer: str = "") -> Path:
    inside = folder / "corpus"
    inside.mkdir(exist_ok=True)
    (inside / "emobank.csv").write_text("\n".join([MEANS, *(rows or ROWS), ""]), "utf-8")
    for name, lines in (("reader", reader), ("writer", writer)):
        if lines:
            (inside / f"individual_{name}_ratings.csv").write_text(f"id,V,A,D\n{lines}", "utf-8")
    return folder


def test_a_sentence(tmp_path):
    folder = tree(tmp_path, reader=f"{ONE},3,4,2\n{ONE},1,3,5\n", writer=f"{ONE},5,5,1\n")
    assert corpora.layout(folder) == "emobank"
    corpus = corpora.find(folder)
    assert corpus.space.emotions == ()
    assert corpus.space.names == ("valence", "arousal", "dominance")
    one, two, three = corpus.utterances
    assert (one.text, one.audio, one.votes) == ('Well, "yes"', None, None)
    assert one.dimensions == (3.0, 3.2, 2.8)  # as published
    assert [(r.rater, r.emotion, r.dimensions) for r in one.ratings] == [
        ("reader1", -1, (3, 4, 2)), ("reader2", -1, (1, 3, 5)), ("writer1", -1, (5, 5, 1)),
    ]  # fmt: skip
    assert (one.dialogue, two.dialogue, three.dialogue) == ("Story", "Story", THREE)
    assert (one.session, two.session, three.session) == ("train", "test", "dev")
    assert three.text == "PM: thanks"


def test_one_perspective(tmp_path):
    folder = tree(tmp_path, reader=f"{ONE},3,4,2\n{ONE},2,3,5\n", writer=f"{TWO},5,5,1\n")
    corpus = corpora.load("emobank", folder, perspective="reader")
    assert [(u.id, u.dimensions) for u in corpus.utterances] == [(ONE, (2.5, 3.5, 3.5))]
    assert corpus.report.dropped == {"no rating of a reader": 2}
    with pytest.raises(
        ConfigError, match=r"perspective 'readers' is not one of both, reader, writer"
    ):
        corpora.load("emobank", folder, perspective="readers")


def test_the_owner_s_split(tmp_path):
    """Fold 1 of the configuration tests on test, stops training by dev, and trains on train."""
    folder = tree(tmp_path)
    found = corpora.load("emobank", folder).utterances
    people, sessions = [u.speaker for u in found], [u.session for u in found]
    fold = split(sessions, people, ["emobank"] * 3, 1, "session", "strict")
    sides = {side: [found[i].id for i in rows] for side, rows in fold.sides.items()}
    assert sides == {"train": [ONE], "valid": [THREE], "test": [TWO]}


def test_training_says_what_it_lacks(tmp_path):
    with pytest.raises(ConfigError, match=r"rated on valence, arousal, dominance only: training"):
        HF_KEMD(tree(tmp_path), "train", 1, "emobank", num_folds="session", num_proc=1)


def test_what_is_left_out_is_counted(tmp_path):
    more = (ROWS[0], "a_1_2,trian,3,3,3,Text", "b_1_2,train,3,3,3, ")
    corpus = corpora.load("emobank", tree(tmp_path, *ROWS, *more))
    assert len(corpus.utterances) == 3
    assert corpus.report.dropped == {
        "id listed before": 1, "unknown side of the split": 1, "no text": 1,
    }  # fmt: skip


def test_errors_name_file_and_row(tmp_path):
    with pytest.raises(CorpusError, match=r"emobank\.csv is not there, a file of EmoBank"):
        corpora.load("emobank", tmp_path)
    with pytest.raises(LabelError, match=r"emobank\.csv row 2: valence 5.5 is outside 1–5"):
        corpora.load("emobank", tree(tmp_path, "a_1_2,train,5.5,3,3,Text"))
    with pytest.raises(LabelError, match=r"emobank\.csv row 2: A is 'NA', not a number"):
        corpora.load("emobank", tree(tmp_path, "a_1_2,train,3,NA,3,Text"))
    with pytest.raises(LabelError, match=r"individual_reader_ratings\.csv row 2: dominance 0 is"):
        corpora.load("emobank", tree(tmp_path, reader=f"{ONE},3,3,0\n"))
    with pytest.raises(CorpusError, match=r"individual_writer_ratings\.csv is not there"):
        corpora.load("emobank", tree(tmp_path, reader=f"{ONE},3,3,3\n"), perspective="writer")


def test_published_counts(shared):
    folder = shared / "labels" / "emobank"
    corpus = corpora.load("emobank", folder)
    assert Counter(u.session for u in corpus.utterances) == {
        "train": 8062,
        "dev": 1000,
        "test": 1000,
    }
    assert not corpus.report.dropped
    with (folder / "individual_reader_ratings.csv").open(encoding="utf-8") as file:
        table = [(row["id"], *(float(row[k]) for k in "VAD")) for row in csv.DictReader(file)]
    ids = {u.id for u in corpus.utterances}
    kept = [row for row in table if row[0] in ids]
    assert len(table) == 53055
    assert sum(len(u.ratings) for u in corpus.utterances) == len(kept)
    readers = corpora.load("emobank", folder, perspective="reader")
    weighted = sum(np.array(u.dimensions) * len(u.ratings) for u in readers.utterances)
    assert weighted / len(kept) == pytest.approx(np.mean([row[1:] for row in kept], axis=0))
