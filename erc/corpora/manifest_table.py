"""A CSV, JSONL or Parquet file → the rows of a manifest: words by column, and where each stands."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erc.base.cells import reader
from erc.base.errors import CorpusError
from erc.base.text import decode, wrong_separator

SUFFIXES = (".csv", ".jsonl", ".parquet")
RECORDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff", ".opus")  # in lower case
REQUIRED = ("id", "speaker", "session")
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


def read_table(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """Column names in lower case, and (file and row, cells); every row has every column."""
    try:
        lines = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](path)
        named = [
            (place, {str(k).strip().lower(): _cell(v) for k, v in line.items()})
            for place, line in lines
        ]
    except (csv.Error, OSError) as error:
        raise CorpusError(f"{path}: {error}") from error
    if not named:
        raise CorpusError(f"{path}: no rows below the header; write one row an utterance")
    columns = list(dict.fromkeys(column for _, row in named for column in row))
    if "audio" not in columns:
        named, columns = _with_audio(path, named, columns)
    return columns, [(place, dict.fromkeys(columns, "") | row) for place, row in named]


def _with_audio(
    path: Path, rows: list[tuple[str, Row]], columns: list[str]
) -> tuple[list[tuple[str, Row]], list[str]]:
    """Recordings under a name that `erc predict` takes as well; under any other they are no mistake
    to pass over: the corpus would be one of texts."""
    other = next((c for c in columns if c in ("path", "file")), None)
    if other is None:
        for place, row in rows:
            for column, cell in row.items():
                if cell.lower().endswith(RECORDINGS):
                    raise CorpusError(
                        f"{place}: there is no column audio, but {column} holds {cell}; "
                        "call the column audio"
                    )
        return rows, columns
    rows = [
        (place, {"audio" if k == other else k: v for k, v in row.items()}) for place, row in rows
    ]
    return rows, ["audio" if column == other else column for column in columns]


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = reader(decode(path.read_bytes(), str(path)), strict=True)
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
    for row, line in enumerate(decode(path.read_bytes(), str(path)).split("\n"), 1):
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
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise CorpusError(f"{path}: not a Parquet file ({error})") from error
    for row, value in enumerate(rows, 1):
        yield f"{path.name} row {row}", value


def _cell(value: Any) -> str:
    blank = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if blank else str(value).strip()
