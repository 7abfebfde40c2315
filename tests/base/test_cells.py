"""Cells of CSV files."""

from __future__ import annotations

import csv
import io

import pytest

from erc.base.cells import guard, guarded, reader, unguard


@pytest.mark.parametrize("text", ["=1+1", "'=1+1", "''@x", "-5", "\tx", "plain", "'tis", "", "'"])
def test_no_text_is_a_formula_and_every_text_comes_back(text):
    assert guard(text)[:1] not in tuple("=+-@\t\r")
    assert unguard(guard(text)) == text


def test_numbers_are_not_touched():
    assert guarded({"a": -1.5, "b": "-1.5", "c": None}) == {"a": -1.5, "b": "'-1.5", "c": None}


def test_a_cell_of_a_million_characters_is_read():
    csv.field_size_limit(131_072)
    assert next(reader("a," + "x" * 1_000_000)) == ["a", "x" * 1_000_000]


def test_what_people_open_in_a_spreadsheet_runs_nothing():
    from erc.base.space import KEMDY
    from erc.cli.predict_rows import Csv

    form = Csv(KEMDY)
    text = form.head() + form.row({"file": "=cmd|' /C calc'!A0", "error": "@x: no such file"})
    [row] = csv.DictReader(io.StringIO(text))
    assert (row["file"], row["error"]) == ("'=cmd|' /C calc'!A0", "'@x: no such file")
