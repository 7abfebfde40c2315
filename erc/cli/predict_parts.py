"""A folder of Parquet parts that survives interruption: the same command answers what is missing.

    OUT/_erc.json              what the parts are made from, and how many there will be
    OUT/part-000007.parquet    the rows of block 7; there whole, or not there

`pandas.read_parquet(OUT)`, DuckDB and Spark read the folder as one table; names that begin with `_` are
not theirs. The folder may be an address (`s3://bucket/out`): a part is one upload.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from erc.base import remote
from erc.base.errors import ConfigError, optional
from erc.base.files import atomic, fingerprint
from erc.recognizer.bulk import Part, about

RECORD = "_erc.json"
NAME = re.compile(r"part-(\d{6,})\.parquet")


def name(number: int) -> str:
    """
    >>> name(7)
    'part-000007.parquet'
    """
    return f"part-{number:06d}.parquet"


class Parts:
    """The folder, from the first part to the last.

    Args:
        place: path or address.
        settings: name → JSON value; the rows are a function of these.
        blocks: how many parts there will be.
        overwrite: forget the parts that are there.

    Attributes:
        missing: numbers of the blocks that are not answered.
        rows, failures: of those that are.

    Raises:
        ConfigError: the folder holds something else, or parts that other settings made.
    """

    def __init__(self, place: str, settings: dict[str, Any], blocks: int, overwrite: bool = False):
        self.place, self.made_from = place, fingerprint(settings)
        self.fs, self.root = remote.place(place)
        self.rows = self.failures = 0
        known = self._read(RECORD) if (there := self._names()) else None
        if strange := [n for n in there if n != RECORD and not NAME.fullmatch(n)]:
            raise ConfigError(f"{place} holds other files ({strange[0]}); give another name to -o")
        if there and known is None and not overwrite:
            raise ConfigError(f"{place} is there already; --overwrite replaces what is in it")
        if overwrite:
            for one in there:
                self.fs.rm_file(f"{self.root}/{one}")
            there = []
        elif known is not None:
            self._check(known, settings)
        numbers = range(blocks)
        self.missing = [n for n in numbers if name(n) not in there or not self._whole(n)]
        if known is None or overwrite:
            self._write(RECORD, json.dumps({"settings": settings, "parts": blocks}).encode())

    def put(self, part: Part) -> None:
        """Keep a part; when this returns, it is there whatever happens."""
        self._write(name(part.number), part.data)
        self.rows += part.rows
        self.failures += len(part.errors)

    def _check(self, known: dict[str, Any], settings: dict[str, Any]) -> None:
        old = known.get("settings", {})
        if other := [k for k in {**settings, **old} if settings.get(k) != old.get(k)]:
            raise ConfigError(
                f"{self.place} was begun with other {' and '.join(other)} (see {RECORD}); "
                "--overwrite starts anew, or give another name to -o"
            )

    def _whole(self, number: int) -> bool:
        """Whether a part is what this command makes; a cut one has lost its end and its schema."""
        with optional("--ray"):
            import pyarrow as pa
            import pyarrow.parquet as pq
        try:
            with self.fs.open(f"{self.root}/{name(number)}", "rb") as file:
                said = about(pq.read_schema(file))
        except (OSError, pa.ArrowException):
            return False
        if (said.get("made_from"), said.get("number")) != (self.made_from, number):
            return False
        self.rows += said["rows"]
        self.failures += said["failures"]
        return True

    def _names(self) -> list[str]:
        """Of files in the folder, hidden ones left out."""
        self.fs.invalidate_cache()
        if not self.fs.isdir(self.root):
            if self.fs.exists(self.root):
                raise ConfigError(f"{self.place} is a file; with --ray, -o names a folder")
            return []
        found = [entry["name"].rpartition("/")[2] for entry in self.fs.ls(self.root, detail=True)]
        return sorted(one for one in found if one and not one.startswith("."))

    def _read(self, one: str) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self.fs.cat_file(f"{self.root}/{one}")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, one: str, data: bytes) -> None:
        if remote.is_local(self.fs):
            with atomic(Path(self.root) / one) as temporary:
                temporary.write_bytes(data)
        else:
            self.fs.pipe_file(f"{self.root}/{one}", data)
