"""Files that are either complete or not there, and names derived from content."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import ErcError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from filelock import FileLock

UNFINISHED = (
    ".erc-part"  # ends the names of folders in which something is being written; ours alone
)
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2)


def cache_dir() -> Path:
    """Where built datasets and features live: `$ERC_CACHE`, else `~/.cache/erc`."""
    return Path(os.environ.get("ERC_CACHE") or Path.home() / ".cache" / "erc")


@contextmanager
def atomic(path: str | Path, folder: bool = False) -> Iterator[Path]:
    """Write to the yielded temporary path; it takes the name `path` only if the block succeeds.

    Whatever fails, and whenever the process is killed, `path` is then the old one or the new one,
    whole; see `replace`. The temporary file lies beside `path`, so that renaming never crosses a file
    system. With `folder=True` the yielded path is an empty folder.

    >>> with tempfile.TemporaryDirectory() as d:
    ...     with atomic(Path(d) / "a.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(d) / "a.txt").read_text()
    'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), _holder(path) as holder:
        temporary = holder / path.name
        if folder:
            temporary.mkdir()
        yield temporary
        replace(temporary, path)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of writing name the file: that of a full disk has no name, or a passing one."""
    try:
        yield
    except OSError as error:
        if error.filename is None or UNFINISHED in str(error.filename):
            error.filename = str(path)
        raise


@contextmanager
def _holder(path: Path) -> Iterator[Path]:
    """A folder beside `path`, locked as long as this process lives; those of the dead are removed.

    The kernel forgets a lock with the process that held it. Folders are made and locked under a lock of
    their parent, so that nobody takes one for left over that is not locked yet.
    """
    with _held(path.parent, wait=True):
        _sweep(path.parent)
        holder = Path(tempfile.mkdtemp(UNFINISHED, f".{path.name[:20]}.", path.parent))
        ours = _held(holder)
        ours.__enter__()
    try:
        yield holder
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        ours.__exit__(None, None, None)


def sweep(folder: Path) -> None:
    """Remove what killed programs left in a folder; for whoever may find its work done there already."""
    if folder.is_dir():
        with _held(folder, wait=True):
            _sweep(folder)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f".*{UNFINISHED}"):
        with _held(left) as dead:
            if dead:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _held(folder: Path, wait: bool = False) -> Iterator[bool]:
    """A lock on a folder; False: somebody else has it, or there are no such locks here."""
    if fcntl is None:
        yield False
        return
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        got = True
    except OSError:
        got = False
    try:
        yield got
    finally:
        if handle is not None:
            os.close(handle)


def replace(new: Path, path: Path) -> None:
    """Give a complete file or folder the name `path`, on disk when this returns.

    A file takes the place of a file in one step, as POSIX has it. A folder does where the kernel can
    swap two names (Linux). Elsewhere the old one steps aside first, and `recover` puts it back if the
    process is killed before the new one stands.

    Args:
        new: on the file system of `path`; gone afterwards.
        path: a file, a folder, or nothing yet.
    """
    recover(path)
    _to_disk(new)
    if not new.is_dir() or not os.path.lexists(path):
        os.replace(new, path)
    elif _swap(new, path):
        _remove(new)
    else:
        with lock(_aside(path)):
            os.replace(path, _aside(path))
            try:
                os.replace(new, path)
            except BaseException:
                os.replace(_aside(path), path)
                raise
            _remove(_aside(path))
    _to_disk(path.parent, deep=False)


def recover(path: Path) -> None:
    """Put back what a killed `replace` left aside; for whoever opens a folder that may be replaced."""
    if os.path.lexists(_aside(path)):
        with lock(_aside(path)):
            if not os.path.lexists(path):
                os.replace(_aside(path), path)
            elif os.path.lexists(_aside(path)):
                _remove(_aside(path))


def lock(path: str | Path) -> FileLock:
    """A lock between processes, held while writing `path`: `with lock(path): …`."""
    from filelock import FileLock  # and asyncio with it: .1 s

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f".{path.name}.lock"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, atomically. nan is written as null, which JSON has."""
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n", "utf-8"
        )


def read_json(path: str | Path, error: type[ErcError]) -> dict[str, Any]:
    """The JSON object in a file; raises `error` where there is none. nan and infinity are no JSON."""
    if not Path(path).is_file():
        raise error(f"there is no file '{path}'")
    try:
        value = json.loads(Path(path).read_text("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as found:  # nested too deep
        raise error(f"{path} is not JSON: {found}") from found
    if not isinstance(value, dict):
        raise error(f"{path} is not a JSON object")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def fingerprint(value: Any) -> str:
    """Sixteen hex digits that name a JSON-like value (or bytes): equal values, equal names.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    if not isinstance(value, bytes | memoryview):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()
    return hashlib.blake2b(value, digest_size=8).hexdigest()


def sha256(path: Path) -> str:
    """Of a file's bytes, in hex; about a second for each 1.5 GB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.replaced")


def _swap(a: Path, b: Path) -> bool:
    """Exchange two names in one step; False: this system or file system cannot, nothing happened."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(a), os.fsencode(b)
    return renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0


def _remove(path: Path) -> None:
    """A folder, a file, or the link to one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _to_disk(path: Path, deep: bool = True) -> None:
    """fsync, of a folder with all that is in it: a rename may reach the disk before what it names."""
    if os.name != "posix":
        return  # folders cannot be opened there
    inside = [p for p in path.rglob("*") if not p.is_symlink()] if deep and path.is_dir() else []
    with ThreadPoolExecutor(16) as pool:  # the disk takes 16 in the time of one
        list(pool.map(_fsync, [*inside, path]))


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def bucket(key: str, buckets: int = 1000) -> int:
    """A number below `buckets` that depends on the key alone, the same on every machine.

    >>> bucket("yes"), bucket("no")
    (82, 647)
    """
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % buckets


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return None
    return value
