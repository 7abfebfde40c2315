"""What is told of every corpus: `erc corpora`, and the configuration that names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from erc import corpora
from erc.base.errors import CorpusError
from erc.cli.program import main

CONFIG = Path(__file__).resolve().parents[2] / "config" / "dataset"


def test_every_corpus_tells_what_it_is():
    for name, row in corpora.facts().items():
        assert all(row[key] for key in ("title", "language", "raters", "licence", "how")), name
        assert row["source"].startswith(("https://", "http://", "docs/")), name
        assert row["utterances"] is None or row["utterances"] > 0


def test_every_corpus_can_be_trained_on():
    """A file of config/dataset names it, or is one of several (`hf` of both KEMDys)."""
    named = set()
    for file in CONFIG.glob("*.yaml"):
        named.add(yaml.safe_load(file.read_text("utf-8")).get("dataset_name"))
    assert set(corpora.readers()) - named <= {"kemdy19", "kemdy20"}


def test_the_list_has_a_row_for_each(capsys):
    assert main(["corpora"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = {row[0]: " ".join(row) for row in rows if row and row[0] in corpora.readers()}
    assert list(shown) == list(corpora.readers())
    assert "13,462" in shown["kemdy20"]
    assert "ETRI agreement" in shown["kemdy20"]


def test_one_in_full(capsys):
    assert main(["corpora", "kemdy20"]) == 0
    said = capsys.readouterr().out
    assert "13,462" in said
    assert "surprise, fear, angry, neutral, happy, sad, disgust" in said
    assert "valence 1–5, arousal 1–5" in said


def test_for_programs(capsys):
    assert main(["corpora", "aihub", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["aihub"]
    assert found["aihub"]["files"] == "[45]*.csv"
    assert len(found["aihub"]["emotions"]) == 7


def test_an_unknown_one_is_named(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["corpora", "kemdy21"])
    assert ended.value.code == 2
    assert "corpus 'kemdy21' is not one of" in capsys.readouterr().err


def test_a_folder_that_is_none_of_them_says_where_they_are_listed(tmp_path):
    with pytest.raises(CorpusError, match=r"is not a corpus.* ravdess, .*`erc corpora NAME` says"):
        corpora.find(tmp_path)
