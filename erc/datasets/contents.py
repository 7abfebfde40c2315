"""What files hold, by a hash, without reading again those that have not been touched.

As git's index does it: size and times of a file stand for its content as long as they stay. A file that
was written within the last seconds may change once more in the same tick of the clock, and is not kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

from erc.base.files import write_json

FRESH = 2_000_000_000  # ns; some file systems keep time in steps of two seconds


class Contents:
    """Hashes of files, kept in one file of the cache.

    Args:
        file: where; one that cannot be read is begun anew.
    """

    def __init__(self, file: Path):
        self.file, self.changed = file, False
        self.known: dict[str, list[Any]] = {}
        try:
            found = json.loads(file.read_text("utf-8"))
            self.known = {k: [*map(int, at), str(digest)] for k, (*at, digest) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass

    def of(self, path: Path) -> str | None:
        """The hash of a file's content; None: there is no such file. Threads may ask at once."""
        try:
            stat, key = path.stat(), str(path.resolve())
            now = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
            *then, digest = self.known.get(key, [""])
            if then == now:
                return digest
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "blake2b").hexdigest()[:32]
        except OSError:
            return None
        if time.time_ns() - stat.st_ctime_ns > FRESH:
            self.known[key] = [*now, digest]
            self.changed = True
        return digest

    def keep(self) -> None:
        """Write what is known; of two that do so at once, one has to hash its files again."""
        if self.changed:
            write_json(self.file, dict(sorted(self.known.items())))  # threads came in any order
