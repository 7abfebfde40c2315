"""Rows of features on disk under the hash of what they were computed from, shared by everything.

A table is a folder of part files that are added and never changed: keys and features of up to `ROWS`
rows, their checksum, and the time they took. A part is written under another name first, so it is
whole or not there; readers map the union of all parts. Writers need no order among themselves: a key
that comes twice holds the same features.

    cache/features/speech-<identity>/table.json            what the features are of, for people
                                     part-<hash>.bin       see `Part`

Features are kept in float32: in float16 the largest states of some encoders overflow, and reading
them is no part of the time of anything.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout

from erc.base.errors import ConfigError
from erc.base.files import atomic, fingerprint, lock, write_json
from erc.base.progress import clock, progress

Encode = Callable[[np.ndarray, Callable[[int], None]], np.ndarray]

ROWS = 256  # of a part at most
BYTES = 1 << 26  # of a part at most, unless a single row is larger: what a writer holds in memory
HEAD = ("rows", "checksum", "work", "seconds")
FEW = 64  # rows below which nothing is forecast


@dataclass
class Part:
    """A mapped part file: float64 `HEAD`, uint64 keys, float32 features, one after the other.

    Nothing of the features is read before it is asked for.
    """

    file: Path
    keys: np.ndarray  # uint64 [n]
    values: np.ndarray  # float32 [n, *shape], a view into the file
    checksum: float
    work: float  # what was encoded, in seconds of audio or characters
    seconds: float  # how long that took

    @classmethod
    def open(cls, file: Path, shape: tuple[int, ...]) -> Part:
        """Raises ValueError: not a whole part of rows of this shape."""
        head = np.fromfile(file, np.float64, len(HEAD))
        if len(head) < len(HEAD) or not np.isfinite(head).all():
            raise ValueError("it has no head")
        rows, *about = head.tolist()
        keys_end = head.nbytes + 8 * int(rows)
        size, found = keys_end + int(rows) * 4 * math.prod(shape), file.stat().st_size
        if size != found or rows < 1 or rows != int(rows):
            raise ValueError(f"it has {found} bytes instead of {size}")
        keys = np.memmap(file, np.uint64, "r", head.nbytes, int(rows))
        values = np.memmap(file, np.float32, "r", keys_end, (int(rows), *shape))
        return cls(file, keys, values, *about)

    def sound(self) -> bool:
        """Whether the bytes are those that were written."""
        about = np.array([self.work, self.seconds])
        return checksum(about, self.keys, self.values) == self.checksum


def checksum(*arrays: np.ndarray) -> int:
    """CRC-32 of arrays, one after the other."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(array.data.cast("B"), crc)
    return crc


class FeatureTable:
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
        about = np.array([work, seconds], np.float64)
        head = np.array([len(keys), checksum(about, keys, values), *about])
        with (
            atomic(self.folder / f"part-{fingerprint(keys.tobytes())}.bin") as temporary,
            temporary.open("wb") as handle,
        ):
            for array in (head, keys, values):
                array.tofile(handle)

    def read(
        self,
        keys: np.ndarray,
        out: np.ndarray,
        rows: np.ndarray,
        layer: int | str | slice | None = None,
    ) -> None:
        """Copy the features of `keys` [N] to `out[rows]`.

        Args:
            out: float32 [≥ N, *shape], with fewer layers or without their axis as `layer` says.
            rows: [N] places in `out`.
            layer: of rows [..., layers, D]: index of one, some, or "mean" of all of them.

        Raises:
            KeyError: a row is not there.
        """
        if n := int(self.missing(keys).sum()):
            raise KeyError(f"{n} of {len(keys)} rows are not in {self.folder}")
        part, place = self._find(keys)
        opened, order = list(self.parts.values()), np.argsort(part, kind="stable")
        for at in np.split(order, np.flatnonzero(np.diff(part[order])) + 1) if len(keys) else ():
            values = opened[part[at[0]]].values
            if layer is None:
                out[rows[at]] = values[place[at]]
            elif layer == "mean":
                out[rows[at]] = values[place[at]].mean(-2)
            else:
                out[rows[at]] = values[..., layer, :][place[at]]

    def speed(self) -> float | None:
        """Work per second of the parts there are, or None."""
        seconds = sum(p.seconds for p in self.parts.values())
        return sum(p.work for p in self.parts.values()) / seconds if seconds else None

    def fill(
        self, keys: np.ndarray, work: np.ndarray, encode: Encode, what: str = "features"
    ) -> int:
        """Compute the rows that are missing, longest first, and publish them part by part.

        What was published before a kill stays. Processes that fill the same table share the work:
        each takes parts that no other has in hand, and waits only for the last ones.

        Args:
            keys: uint64 [N], each once.
            work: [N] length of each, in seconds of audio or characters.
            encode: rows (indices [n], longest first) and a function to call with the number that
                are done → float32 [n, *shape].
            what: said in the forecast.

        Returns:
            number of rows computed here.

        Raises:
            ConfigError: the disk is too small.
        """
        todo = self.missing(keys)
        if not todo.any():
            return 0
        self._forecast(todo, work, what)
        order = np.lexsort((keys, -work))
        parts = [order[i : i + self.part_rows] for i in range(0, len(order), self.part_rows)]
        parts, computed = [p for p in parts if todo[p].any()], 0
        with progress(what, int(todo.sum()), todo.sum() < FEW) as advance:
            for wait in (False, True):
                in_hand = []
                for part in parts:
                    with self._claim(keys[part], wait) as mine:
                        if not mine:
                            in_hand.append(part)
                            continue
                        rows = part[self.missing(keys[part])]
                        advance(int(todo[part].sum()) - len(rows))
                        if len(rows):
                            start = time.perf_counter()
                            values = encode(rows, advance)
                            seconds = time.perf_counter() - start
                            self.add(keys[rows], values, float(work[rows].sum()), seconds)
                            computed += len(rows)
                parts = in_hand
        return computed

    def _forecast(self, todo: np.ndarray, work: np.ndarray, what: str) -> None:
        """Say what is going to be done, unless it is little; see whether the disk can hold it."""
        size = int(todo.sum()) * self.row_bytes
        place = next(p for p in (self.folder, *self.folder.parents) if p.exists())
        if size > (free := shutil.disk_usage(place).free):
            raise ConfigError(
                f"{what}: {megabytes(size)} are needed and {megabytes(free)} free in {place}; "
                "set cache=… to another disk"
            )
        if todo.sum() < FEW:
            return
        speed = self.speed()
        time_needed = (
            f"about {clock(work[todo].sum() / speed)} (min:s)" if speed else "time unknown"
        )
        print(
            f"{what}: {todo.sum():,} of {len(todo):,} rows to encode, {time_needed}, "
            f"{megabytes(size)} → {self.folder}",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    @contextmanager
    def _claim(self, keys: np.ndarray, wait: bool) -> Iterator[bool]:
        """Tell other processes that these rows are being computed here; the kernel forgets it
        with the process.

        Args:
            wait: until whoever computes them is done.

        Yields:
            False if another process does and `wait` is False.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        claim = lock(self.folder / f"claim-{fingerprint(keys.tobytes())}")
        try:
            claim.acquire(blocking=wait)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            claim.release()
            Path(claim.lock_file).unlink(missing_ok=True)  # at worst, somebody computes twice

    def _refresh(self) -> None:
        """Open the parts that are new; say which are damaged, and remove them."""
        for file in sorted(self.folder.glob("part-*.bin")):
            if file.name not in self.parts:
                try:
                    self.parts[file.name] = Part.open(file, self.shape)
                except FileNotFoundError:  # another process has found it damaged
                    continue
                except ValueError as error:
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


def megabytes(size: int) -> str:
    """Bytes for people.

    >>> megabytes(4_600_000), megabytes(2_100_000_000)
    ('4.6 MB', '2.1 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
