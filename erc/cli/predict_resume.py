"""A file of many rows that survives interruption: the same command goes on where it stopped.

    out.csv.part       rows so far, in whole windows
    out.csv.run.json   what made them (model, inputs, options), and how many rows and bytes they are
    out.csv            the whole, once all is done; `out.csv.run.json` stays beside it

Rows are appended first and counted second, so that a kill at any moment leaves at most rows that
nobody counted; these are cut off. Nothing is mixed: other settings are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError
from erc.base.files import lock, naming, sweep, write_json

PART, RECORD = ".part", ".run.json"


class Resumable:
    """The file, from the first row to the last.

    Args:
        path: the file to make.
        settings: name → JSON value; the rows are a function of these.
        overwrite: forget what is there.

    Attributes:
        rows: how many an earlier run has left.
        failures: how many of these say that an input failed.
        complete: the file is there, whole and made with these settings.

    Raises:
        ConfigError: the file or a part of it is there and is not what these settings make.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], overwrite: bool = False):
        self.path, self.settings = Path(path), settings
        self.part = self.path.with_name(self.path.name + PART)
        self.record = self.path.with_name(self.path.name + RECORD)
        self.rows = self.failures = self.bytes = 0
        self.complete = False
        sweep(self.path.parent)
        if overwrite:
            self.part.unlink(missing_ok=True)
            self.record.unlink(missing_ok=True)
            return
        known = self._known()
        if known is None:
            if self.path.exists():
                raise ConfigError(f"{self.path} is there already; --overwrite replaces it")
            return
        other = [k for k in {**settings, **known["settings"]}
                 if settings.get(k) != known["settings"].get(k)]  # fmt: skip
        if other:
            raise ConfigError(
                f"{self.path} was begun with other {' and '.join(other)} (see {self.record.name}); "
                "--overwrite starts anew, or give another name to -o"
            )
        self._continue(known)

    def append(self, text: str, rows: int, failures: int = 0) -> None:
        """Write one window of rows; when this returns, they are kept whatever happens."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = text.encode("utf-8")
        mode = "r+b" if self.part.exists() else "wb"
        with naming(self.part), self.part.open(mode) as file:
            file.truncate(self.bytes)
            file.seek(self.bytes)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.bytes += len(data)
        self.rows += rows
        self.failures += failures
        self._note(None)

    def finish(self) -> None:
        """Give the file its name."""
        digest = _digest(self.part)
        self._note(digest)
        os.replace(self.part, self.path)
        self.complete = True

    def _known(self) -> dict[str, Any] | None:
        try:
            known = json.loads(self.record.read_text("utf-8"))
            whole = all(isinstance(known[k], int) for k in ("rows", "failures", "bytes"))
            return known if whole and isinstance(known["settings"], dict) else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _continue(self, known: dict[str, Any]) -> None:
        if known.get("digest") and self.part.exists() and _digest(self.part) == known["digest"]:
            os.replace(self.part, self.path)  # killed between the last two steps
        if known.get("digest") and self.path.exists():
            if _digest(self.path) != known["digest"]:
                raise ConfigError(
                    f"{self.path} has been changed since it was written; --overwrite replaces it"
                )
            self.complete = True
        elif not self.part.exists() or self.part.stat().st_size < known["bytes"]:
            return  # lost: from the beginning
        self.rows, self.failures, self.bytes = known["rows"], known["failures"], known["bytes"]

    def _note(self, digest: str | None) -> None:
        write_json(
            self.record,
            {"settings": self.settings, "rows": self.rows, "failures": self.failures,
             "bytes": self.bytes, "digest": digest},
        )  # fmt: skip


class Screen:
    """Standard output in the place of `Resumable`."""

    rows = failures = 0
    complete = False

    def append(self, text: str, rows: int, failures: int = 0) -> None:
        """Show them."""
        self.rows += rows
        self.failures += failures
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def finish(self) -> None:
        """Nothing is left to do."""


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Keep every other process from writing the file; raises ConfigError if one does already."""
    from filelock import Timeout

    mine = lock(path)
    try:
        mine.acquire(blocking=False)
    except Timeout:
        raise ConfigError(
            f"{path} is being written by another erc predict; wait, or give another name to -o"
        ) from None
    try:
        yield
    finally:
        Path(mine.lock_file).unlink(missing_ok=True)  # filelock sees that, and takes no such file
        mine.release()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
