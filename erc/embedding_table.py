"""Rows of features on disk under the hash of what they were computed from, shared by everything.

A table is a folder of part files that are added and never changed. A part is an Arrow file of up to
`ROWS` rows: the keys, the features, and in its metadata their checksum and the time they took. It is
written under another name first, so a part is whole or not there; readers map the union of all
parts. Writers need no order among themselves: a key that comes twice holds the same features.

    cache/features/speech-<identity>/table.json            what the features are of, for people
                                     part-<hash>.arrow     keys, features

Features are kept in float32: in float16 the largest states of some encoders overflow, and reading
them is no part of the time of anything.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from erc.files import atomic, fingerprint, write_json

ROWS = 256  # of a part at most
BYTES = 1 << 26  # of a part at most, unless a single row is larger: what a writer holds in memory


@dataclass
class Part:
    """A mapped part file; nothing of the features is read before it is asked for."""

    file: Path
    keys: np.ndarray  # uint64 [n]
    values: np.ndarray  # float32 [n, *shape], a view into the file
    checksum: int
    work: float  # what was encoded, in seconds of audio or characters
    seconds: float  # how long that took

    @classmethod
    def open(cls, file: Path, shape: tuple[int, ...]) -> Part:
        """Raises ValueError: not a whole part, or of another shape."""
        try:
            table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
            [batch] = table.to_batches()
            about = {k.decode(): float(v) for k, v in table.schema.metadata.items()}
            values = batch["features"].flatten().to_numpy(zero_copy_only=True)
            keys = batch["key"].to_numpy(zero_copy_only=True)
            values = values.reshape(len(keys), *shape)
            return cls(file, keys, values, int(about["checksum"]), about["work"], about["seconds"])
        except (pa.ArrowException, KeyError, TypeError, AttributeError) as error:
            raise ValueError(str(error).splitlines()[0]) from error

    def sound(self) -> bool:
        """Whether the bytes are those that were written."""
        return checksum(self.keys, self.values) == self.checksum


def checksum(keys: np.ndarray, values: np.ndarray) -> int:
    """CRC-32 of both arrays."""
    return zlib.crc32(values.data.cast("B"), zlib.crc32(keys.data.cast("B")))


class EmbeddingTable:
    """Features by key, in a folder that several processes may read and write at the same time.

    Args:
        folder: made by the first `add`.
        shape: of the features of one row.
        about: what identifies the table, written beside the parts for people; see `identity`.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], about: dict[str, Any] | None = None):
        self.folder, self.shape, self.about = folder, tuple(shape), about or {}
        self.parts: dict[str, Part] = {}
        self._sound: set[str] = set()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return 4 * math.prod(self.shape)

    @property
    def part_rows(self) -> int:
        """Rows of a full part."""
        return min(ROWS, max(1, BYTES // self.row_bytes))

    def missing(self, keys: np.ndarray) -> np.ndarray:
        """True where the row of a key is not there, bool [N]; damaged parts count as not there.

        Parts that have appeared since the last call are seen, and every part that holds one of the
        keys is verified once.
        """
        self._refresh()
        while True:
            part, _ = self._find(keys)
            names = list(self.parts)
            used = [names[i] for i in np.unique(part[part >= 0])]
            unsound = [n for n in used if n not in self._sound and not self.parts[n].sound()]
            if not unsound:
                self._sound.update(used)
                return part < 0
            for name in unsound:
                self._drop(self.parts.pop(name).file, "its checksum is another")

    def add(
        self, keys: np.ndarray, values: np.ndarray, work: float = 0.0, seconds: float = 0.0
    ) -> None:
        """Publish rows as one part.

        Args:
            keys: uint64 [n].
            values: float32 [n, *shape].
            work, seconds: what was done and how long it took, for `speed`.
        """
        keys = np.ascontiguousarray(keys, np.uint64)
        values = np.ascontiguousarray(values, np.float32).reshape(len(keys), *self.shape)
        if self.about and not (self.folder / "table.json").exists():
            write_json(self.folder / "table.json", self.about | {"shape": self.shape})
        size = math.prod(self.shape)
        columns = {
            "key": pa.array(keys),
            "features": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), size),
        }
        about = {"checksum": checksum(keys, values), "work": work, "seconds": round(seconds, 3)}
        table = pa.table(
            columns, metadata=pa.KeyValueMetadata({k: str(v) for k, v in about.items()})
        )
        name = f"part-{fingerprint(keys.tobytes())}.arrow"
        with atomic(self.folder / name) as temporary:
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as to:
                to.write_table(table)

    def read(self, keys: np.ndarray, out: np.ndarray, layer: int | str | None = None) -> None:
        """Copy the rows of `keys` into `out`; call `missing` first.

        Args:
            out: float32 [N, *shape], or without the axis of layers if one is chosen.
            layer: of rows [..., layers, D]: index of one, or "mean" of all of them.

        Raises:
            KeyError: a row is not there.
        """
        part, place = self._find(keys)
        if (part < 0).any():
            raise KeyError(f"{int((part < 0).sum())} rows are not in {self.folder}")
        for number, opened in enumerate(self.parts.values()):
            [to] = (part == number).nonzero()
            if not len(to):
                continue
            if layer is None:
                out[to] = opened.values[place[to]]
            elif layer == "mean":
                out[to] = opened.values[place[to]].mean(-2)
            else:
                out[to] = opened.values[..., layer, :][place[to]]

    def speed(self) -> float | None:
        """Work per second of the parts there are, or None."""
        seconds = sum(p.seconds for p in self.parts.values())
        return sum(p.work for p in self.parts.values()) / seconds if seconds else None

    @contextmanager
    def claim(self, keys: np.ndarray, wait: bool) -> Iterator[bool]:
        """Tell other processes that these rows are being computed here; the kernel forgets it
        with the process.

        Args:
            wait: until whoever computes them is done.

        Yields:
            False if another process does and `wait` is False.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        claim = FileLock(self.folder / f".claim-{fingerprint(keys.tobytes())}.lock")
        try:
            claim.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            claim.release()

    def _refresh(self) -> None:
        """Open the parts that are new; say which are damaged, and remove them."""
        for file in sorted(self.folder.glob("part-*.arrow")):
            if file.name not in self.parts:
                try:
                    self.parts[file.name] = Part.open(file, self.shape)
                except (ValueError, OSError) as error:
                    self._drop(file, str(error))

    def _find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of the part and place in it of each key, −1 where there is none."""
        parts = list(self.parts.values())
        if not parts or not len(keys):
            return np.full(len(keys), -1), np.full(len(keys), -1)
        known = np.concatenate([p.keys for p in parts])
        part = np.repeat(np.arange(len(parts)), [len(p.keys) for p in parts])
        place = np.concatenate([np.arange(len(p.keys)) for p in parts])
        order = np.argsort(known, kind="stable")
        at = order[np.searchsorted(known, keys, sorter=order).clip(max=len(known) - 1)]
        found = known[at] == keys
        return np.where(found, part[at], -1), np.where(found, place[at], -1)

    def _drop(self, file: Path, why: str) -> None:
        print(f"{file} is damaged ({why}): its rows are computed again", file=sys.stderr)
        file.unlink(missing_ok=True)


def keys_of(hashes: Sequence[str]) -> np.ndarray:
    """Fingerprints of 16 hex digits as uint64 [N].

    >>> keys_of(["00000000000000ff"]).tolist()
    [255]
    """
    return np.array([int(h, 16) for h in hashes], np.uint64)
