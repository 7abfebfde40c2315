"""A CSV, JSONL or Parquet file → the rows of a manifest: words by column, and where each stands.

The file is read twice and never held: what has to be known of all of it, before the first row is
believed, is a few words and eight bytes a row.
"""

from __future__ import annotations

import csv
import json
import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.cells import reader
from erc.base.errors import CorpusError
from erc.base.text import opened, wrong_separator

SUFFIXES = (".csv", ".jsonl", ".parquet")
RECORDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff", ".opus")  # in lower case
REQUIRED = ("id", "speaker", "session")
PARQUET = 1024  # rows decoded at once
Row = dict[str, str]


def find_table(root: Path) -> Path:
    """The table that `root` is or holds."""
    if not root.exists():
        raise CorpusError(
            f"no manifest at {root.absolute()}; give a .csv, .jsonl or .parquet file, "
            "or a folder that holds manifest.csv"
        )
    paths = [root]
    if root.is_dir():
        paths = [p for p in sorted(root.glob("manifest.*")) if p.suffix in SUFFIXES]
    if len(paths) != 1:
        found = f"{len(paths)} ({', '.join(p.name for p in paths)})" if paths else "none"
        raise CorpusError(
            f"{root.absolute()} must hold exactly one manifest.csv, manifest.jsonl or "
            f"manifest.parquet; found {found}. Name the file itself to choose"
        )
    if paths[0].suffix not in SUFFIXES:
        raise CorpusError(f"{root}: a manifest is {', '.join(SUFFIXES)}, not '{root.suffix}'")
    return paths[0]


@dataclass(frozen=True)
class Table:
    """A table that has been gone through once; every time it is iterated it is read anew.

    Attributes:
        columns: names in lower case, in the order in which they are met.
        renamed: what the file calls the column audio.
        counts: columns in which nothing stands but blanks and whole numbers.
        twice: hashes of ids that may stand in more than one row.
    """

    path: Path
    columns: list[str]
    renamed: str
    counts: frozenset[str]
    twice: frozenset[int]

    def __iter__(self) -> Iterator[tuple[str, Row]]:
        """(file and row, cells); every row has every column."""
        for place, row in _named(self.path):
            if self.renamed in row:
                row = {"audio" if k == self.renamed else k: v for k, v in row.items()}
            yield place, dict.fromkeys(self.columns, "") | row


def read_table(path: Path) -> Table:
    """Go through a table: what is in it, and that all of it can be read.

    Raises:
        CorpusError: no table, or one without rows; recordings in a column of another name than audio.
    """
    columns: dict[str, None] = {}
    others: set[str] = set()  # columns with more than whole numbers in them
    ids, recording = array("q"), ""
    for place, row in _named(path):
        columns |= dict.fromkeys(row)
        others |= {k for k, cell in row.items() if cell and not cell.isdecimal()}
        ids.append(hash(row.get("id", "")))
        for column, cell in () if recording else row.items():
            if cell.lower().endswith(RECORDINGS):
                recording = f"{place}: there is no column audio, but {column} holds {cell}"
    if not ids:
        raise CorpusError(f"{path}: no rows below the header; write one row an utterance")
    renamed = "audio"
    if "audio" not in columns:
        # under a name that `erc predict` takes as well; under any other they are no mistake to pass
        # over: the corpus would be one of texts
        renamed = next((c for c in columns if c in ("path", "file")), renamed)
        if recording and renamed == "audio":
            raise CorpusError(f"{recording}; call the column audio")
    found = ["audio" if column == renamed else column for column in columns]
    ordered = np.sort(np.frombuffer(ids, np.int64))
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    counts = frozenset(columns) - others
    return Table(path, found, renamed, counts, frozenset(np.unique(twice).tolist()))


def _named(path: Path) -> Iterator[tuple[str, Row]]:
    """(file and row, cells by column in lower case)."""
    try:
        for place, line in {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](
            path
        ):
            yield place, {str(k).strip().lower(): _cell(v) for k, v in line.items()}
    except (csv.Error, OSError) as error:
        raise CorpusError(f"{path}: {error}") from error


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with opened(path, newline="") as file:
        table = reader(file, strict=True)
        header: list[str] = next(table, [])
        if wrong := wrong_separator(header, ",", (*REQUIRED, "audio", "text")):
            raise CorpusError(f"{path}: {wrong} (and decimals by points)")
        twice = [name for name in header if name and header.count(name) > 1]
        if twice:
            raise CorpusError(f"{path}: two columns are named '{twice[0]}'; rename or delete one")
        for row, cells in enumerate(table, 2):  # as a spreadsheet counts: the header is row 1
            if len(cells) > len(header):
                raise CorpusError(
                    f"{path.name} row {row}: {len(cells)} cells, the header has {len(header)}; "
                    "quote cells that contain a comma"
                )
            if any(cells):
                yield f"{path.name} row {row}", dict(zip(header, cells, strict=False))


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with opened(path, newline="\n") as file:
        for row, line in enumerate(file, 1):
            try:
                value = json.loads(line) if line.strip() else None
            except json.JSONDecodeError as error:
                raise CorpusError(f"{path.name} row {row}: not JSON ({error})") from error
            if not isinstance(value, dict | None):
                raise CorpusError(f"{path.name} row {row}: not an object {{column: value}}")
            if value:
                yield f"{path.name} row {row}", value


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(PARQUET) for row in batch.to_pylist())
            for number, row in enumerate(rows, 1):
                yield f"{path.name} row {number}", row
    except pa.ArrowException as error:
        raise CorpusError(f"{path}: not a Parquet file ({error})") from error


def _cell(value: Any) -> str:
    blank = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if blank else str(value).strip()
