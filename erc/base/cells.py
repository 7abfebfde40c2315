"""Cells of CSV files: read at any length, written so that no spreadsheet runs them."""

from __future__ import annotations

import csv
import io
from typing import Any, TextIO

FORMULA = tuple("=+-@\t\r")  # a cell that starts so is executed by spreadsheets
LONGEST = 1 << 30  # characters; a transcript may be longer than csv's 131,072


def reader(text: str | TextIO, **options: Any) -> Any:
    """`csv.reader` of the text of a file, or of a file that was opened with newline=""."""
    csv.field_size_limit(LONGEST)
    return csv.reader(io.StringIO(text, newline="") if isinstance(text, str) else text, **options)


def guard(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula; `unguard` gives the text back.

    >>> guard("=1+1"), guard("'=1+1"), guard("plain"), guard("'tis")
    ("'=1+1", "''=1+1", 'plain', "'tis")
    """
    return f"'{text}" if text.lstrip("'").startswith(FORMULA) else text


def unguard(cell: str) -> str:
    """The text that `guard` was given."""
    return cell[1:] if cell[:1] == "'" and cell.lstrip("'").startswith(FORMULA) else cell


def guarded(row: dict[str, Any]) -> dict[str, Any]:
    """`guard` of every text of a row; numbers stay as they are."""
    return {k: guard(v) if isinstance(v, str) else v for k, v in row.items()}
