"""Labels of any kind become names that a `Space` allows."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import erc.recognizer.public
from erc.base.space import RESERVED, SPELLINGS, Space
from erc.cli.program import main
from erc.recognizer.public.known import known
from erc.recognizer.public.labels import MEANT, MORE_SPELLINGS, names


@pytest.mark.parametrize(
    "labels",
    [
        ["İSTANBUL mutlu", "happy", "Happy", "HAPPY!"],
        ["angry", *RESERVED],
        ["angry", "a" * 90, "a" * 91, "☺", "☹", "", "+", "-_-"],
        ["生气/angry", "开心/happy", "Ｆｅａｒ", "e\u0301"],
        ["angry", "angry 2", "angry", "angry 2"],
    ],
)
def test_every_label_becomes_a_name_of_its_own(labels):
    found = names(labels, "a model")
    assert len(set(found)) == len(labels)
    assert Space(found).emotions == found
    assert names(labels, "a model") == found


def test_no_word_means_two_things():
    words = [word for group in (*SPELLINGS, *MORE_SPELLINGS) for word in group[1:]]
    assert len(words) == len(set(words))
    assert {group[0] for group in MORE_SPELLINGS} <= {group[0] for group in SPELLINGS}
    assert all(MEANT[group[0]] == group[0] for group in SPELLINGS)


def test_the_list_says_where_every_row_is_from(capsys):
    rows = known()
    assert len({row.id for row in rows}) == len(rows) >= 8
    for row in rows:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.id)
        assert row.source.startswith(f"https://huggingface.co/{row.id}")
        assert row.takes in ("speech", "text")
        assert row.weights in ("safetensors", "pickle", "")
    path = Path(erc.recognizer.public.__file__).with_name("known.csv")
    assert len(list(csv.reader(path.open(encoding="utf-8")))) == len(rows) + 1
    assert main(["models", "speech"]) == 0
    shown = capsys.readouterr().out
    assert [row.id in shown for row in rows] == [row.takes == "speech" for row in rows]
