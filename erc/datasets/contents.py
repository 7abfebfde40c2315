"""What files hold, by a hash, without reading again those that have not been touched.

As git's index does it: size and times of a file stand for its content as long as they stay. A file that
was written within the last seconds may change once more in the same tick of the clock, and is not kept.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

import numpy as np

from erc.base.files import atomic

FRESH = 2_000_000_000  # ns; some file systems keep time in steps of two seconds
ROW = np.dtype(  # 48 bytes a file: of a million recordings no dict could be kept
    [("path", "<u8"), ("size", "<i8"), ("written", "<i8"), ("changed", "<i8"), ("digest", "V16")]
)
SUM = 16  # bytes of a hash behind the rows: a damaged file is known by it
RECENT = 4096  # files met in this run that are found at once, e.g. signals that a session shares


class Contents:
    """Hashes of files, kept in one file of the cache.

    A path is known by 8 bytes of its hash: of a million, two share them once in 30 million caches, and
    then size and both times would have to be equal, too.

    Args:
        file: where; one that cannot be read is begun anew.
    """

    def __init__(self, file: Path):
        self.file, self.new = file, bytearray()
        self.recent: dict[int, tuple[list[int], str]] = {}
        self.lock = threading.Lock()
        self.rows = _read(file)
        self.paths = self.rows["path"].copy()  # ascending, in one piece: a search copies no column

    def of(self, path: Path) -> str | None:
        """The hash of a file's content; None: there is no such file. Threads may ask at once."""
        try:
            stat, key = path.stat(), _key(path)
            now = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            then, digest = self._known(key)
            if then == now:
                return digest
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "blake2b").hexdigest()[:32]
        except OSError:
            return None
        if time.time_ns() - stat.st_ctime_ns > FRESH:
            with self.lock:
                self.new += np.array((key, *now, bytes.fromhex(digest)), ROW).tobytes()
                self.recent = {} if len(self.recent) >= RECENT else self.recent
                self.recent[key] = now, digest
        return digest

    def keep(self) -> None:
        """Write what is known; of two that do so at once, one has to hash its files again."""
        if not self.new:
            return
        rows = np.concatenate([self.rows, np.frombuffer(bytes(self.new), ROW)])
        rows = rows[np.argsort(rows["path"], kind="stable")]  # threads came in any order
        rows = rows[np.append(rows["path"][1:] != rows["path"][:-1], True)]  # the newest of a path
        with atomic(self.file) as temporary, temporary.open("wb") as file:
            file.write(rows.view(np.uint8))
            file.write(_sum(rows))

    def _known(self, key: int) -> tuple[list[int], str]:
        if found := self.recent.get(key):
            return found
        place = int(np.searchsorted(self.paths, np.uint64(key)))
        if place == len(self.paths) or int(self.paths[place]) != key:
            return [], ""
        _, *then, digest = self.rows[place].item()
        return then, digest.hex()


def _read(file: Path) -> np.ndarray:
    try:
        data = file.read_bytes()
    except OSError:
        return np.zeros(0, ROW)
    rows, sum_ = data[:-SUM], data[-SUM:]
    if len(rows) % ROW.itemsize:
        return np.zeros(0, ROW)
    found = np.frombuffer(rows, ROW)
    return found if _sum(found) == sum_ else np.zeros(0, ROW)


def _sum(rows: np.ndarray) -> bytes:
    return hashlib.blake2b(rows.view(np.uint8).data, digest_size=SUM).digest()


def _key(path: Path) -> int:
    name = str(path.resolve()).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
