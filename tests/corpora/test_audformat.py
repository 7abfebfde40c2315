"""Folders that audformat itself writes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, LabelError

audformat = pytest.importorskip("audformat")
SPACE = {"emotions": ["anger", "boredom"], "dimensions": {"valence": [-1, 1]}}


def database(folder: Path, speakers: bool = True) -> Path:
    db = audformat.Database("mini", usage="research")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "boredom"])
    db.schemes["valence"] = audformat.Scheme("float", minimum=-1, maximum=1)
    db.schemes["speaker"] = audformat.Scheme(labels={"s1": {"gender": "female"}, "s2": {}})
    db.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der  Lappen"})
    index = audformat.filewise_index(["wav/a.wav", "wav/b.wav", "wav/c.wav", "wav/lost.wav"])
    table = db["labels"] = audformat.Table(index)
    columns = {"emotion": ["anger", "boredom", None, "anger"], "valence": [0.5, None, None, 0.0]}
    columns |= {"transcription": ["a01"] * 4}
    if speakers:
        columns["speaker"] = ["s1", "s2", "s1", "s2"]
    for name, values in columns.items():
        table[name] = audformat.Column(scheme_id=name)
        table[name].set(values)
    part = db["emotion.test"] = audformat.Table(index[:1])  # the same again, of a split
    part["emotion"] = audformat.Column(scheme_id="emotion")
    part["emotion"].set(["anger"])
    db.raters["second"] = audformat.Rater()
    part["second"] = audformat.Column(scheme_id="emotion", rater_id="second")
    part["second"].set(["boredom"])
    db.save(str(folder))
    (folder / "wav").mkdir(exist_ok=True)
    for name in "abc":
        soundfile.write(folder / f"wav/{name}.wav", np.zeros(1600), 16000)
    return folder


def test_the_usual_schemes_are_found(tmp_path: Path) -> None:
    corpus = corpora.find(database(tmp_path), **SPACE)
    assert (corpus.name, corpus.space.emotions) == ("audformat", ("anger", "boredom"))
    angry, bored = corpus.utterances
    assert (angry.id, angry.corpus, angry.speaker, angry.session, angry.gender, angry.text) == (
        "wav/a.wav", "mini", "s1", "s1", "F", "Der Lappen",
    )  # fmt: skip
    assert (angry.votes, angry.dimensions, angry.dialogue) == ((1, 1), (0.5,), "a01")
    assert (bored.votes, bored.gender) == ((0, 1), "")
    assert math.isnan(bored.dimensions[0])
    assert corpus.report.dropped == {"recording not found": 1, "not labelled": 1}


def test_errors_say_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"holds no db.yaml"):
        corpora.load("audformat", tmp_path)
    database(tmp_path)
    with pytest.raises(LabelError, match=r"wav/a.wav: emotion 'boredom' is not one of"):
        corpora.load("audformat", tmp_path, emotions=["anger", "neutral"], dimensions={})
    with pytest.raises(ConfigError, match=r"no table 'label'.*'labels'"):
        corpora.load("audformat", tmp_path, tables=["label"], **SPACE)
    with pytest.raises(ConfigError, match=r"no column or scheme 'emotoin'.*'emotion'"):
        corpora.load("audformat", tmp_path, emotion="emotoin", **SPACE)
    with pytest.raises(CorpusError, match=r"no column of speakers; its columns are emotion"):
        corpora.load("audformat", database(tmp_path / "two", speakers=False), **SPACE)
