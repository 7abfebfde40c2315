"""Files that are either complete or not there, and names derived from content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock


def cache_dir() -> Path:
    """Where built datasets and features live: `$ERC_CACHE`, else `~/.cache/erc`."""
    return Path(os.environ.get("ERC_CACHE") or Path.home() / ".cache" / "erc")


@contextmanager
def atomic(path: str | Path, folder: bool = False) -> Iterator[Path]:
    """Write to the yielded temporary path; it takes the name `path` only if the block succeeds.

    The temporary file lies beside `path`, so the rename never crosses a file system. With
    `folder=True` the yielded path is an empty folder and an existing `path` is replaced.

    >>> with tempfile.TemporaryDirectory() as d:
    ...     with atomic(Path(d) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(d) / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    temporary = holder / path.name
    try:
        if folder:
            temporary.mkdir()
        yield temporary
        if folder and path.exists():
            path.rename(holder / "replaced")
        os.replace(temporary, path)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def lock(path: str | Path) -> FileLock:
    """A lock between processes, held while writing `path`: `with lock(path): …`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically. nan is written as null, which JSON has."""
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )


def fingerprint(value: Any) -> str:
    """Sixteen hex digits that name a JSON-like value (or bytes): equal values, equal names.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    if not isinstance(value, bytes | memoryview):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()
    return hashlib.blake2b(value, digest_size=8).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
