"""Files at an address that fsspec knows: `s3://`, `gs://`, `https://`, `file://`, `memory://` …

    s3://bucket/takes            a folder: every file below
    s3://bucket/takes/**/*.wav   a pattern
    s3://bucket/takes/a.wav      a file

Which package opens an address, fsspec says itself (`s3://` needs s3fs, `gs://` gcsfs).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, BinaryIO

from erc.base.errors import AudioError, ConfigError, optional
from erc.base.sources import MAX_PIPE, named

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: c:// is a drive
MAGIC = re.compile(r"[*?\[]")
VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "LastModified",
    "last_modified",
    "mtime",
    "updated",
    "created",
)

Stamp = tuple[Any, ...]


def is_url(name: object) -> bool:
    """Whether it is an address, and not a path.

    >>> [is_url(name) for name in ("s3://bucket/a.wav", "takes/a.wav", "C:\\\\a.wav", None)]
    [True, False, False, False]
    """
    return isinstance(name, str) and bool(ADDRESS.match(name))


def files(url: str) -> dict[str, Stamp] | None:
    """Address → stamp of every file below a folder, or that matches a pattern, sorted by address.

    A stamp changes if the file does: its size, and its version or time where the place knows them.

    Returns:
        None: neither a folder nor a pattern.

    Raises:
        ConfigError: the place cannot be opened or listed.
    """
    fs, path = place(url)
    try:
        if MAGIC.search(path):
            found = fs.glob(path, detail=True)
        elif fs.isdir(path):
            found = fs.find(path, detail=True)
        else:
            return None
    except Exception as error:  # each place has its own kinds
        raise ConfigError(f"{url}: cannot be listed: {_reason(error)}") from error
    return {
        _address(url, fs, name): _stamp(entry)
        for name, entry in sorted(found.items())
        if entry["type"] == "file"
    }


def stamps(urls: Collection[str]) -> dict[str, Stamp]:
    """The stamps of files whose addresses are known; () where there is none. Asks once a folder."""
    found: dict[str, Stamp] = {}
    for folder in sorted({url.rpartition("/")[0] for url in urls}):
        fs, path = place(folder)
        try:
            entries = fs.ls(path, detail=True)
        except Exception:  # whoever reads the file says what is wrong with it
            continue
        found |= {_address(folder, fs, entry["name"]): _stamp(entry) for entry in entries}
    return {url: found.get(url, ()) for url in urls}


def read(url: str) -> BinaryIO:
    """A file, whole and in memory; raises AudioError: it is not there, or too large for a recording."""
    try:
        fs, path = place(url)
        with fs.open(path, "rb") as file:
            data = file.read(MAX_PIPE + 1)
    except Exception as error:  # each place has its own kinds
        raise AudioError(f"{url}: {_reason(error)}") from None
    if len(data) > MAX_PIPE:
        raise AudioError(f"{url}: more than {MAX_PIPE / 1e9:g} GB; cut it")
    return named(data, url)


def place(url: str) -> tuple[Any, str]:
    """The file system of fsspec that opens an address or a path, and the path in it.

    Raises:
        ConfigError: no such kind of address, or a package for it is missing.
    """
    with optional(url):
        import fsspec.core
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise ConfigError(f"{url}: {_reason(error)}") from None


def is_local(fs: Any) -> bool:
    """Whether a file system of fsspec is that of this machine."""
    return "file" in ([fs.protocol] if isinstance(fs.protocol, str) else fs.protocol)


def _address(url: str, fs: Any, name: str) -> str:
    """What the place calls a file → its address, written as the one that was given."""
    kind = url.partition("://")[0]
    bare = name.partition("://")[2] if is_url(name) else name
    if is_local(fs):
        return f"{kind}://{bare}"
    return f"{kind}://{bare.lstrip('/')}"


def _stamp(entry: dict[str, Any]) -> Stamp:
    versions = (str(entry[key]) for key in VERSIONS if entry.get(key) is not None)
    return (entry.get("size"), next(versions, None))


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (said.strip() or type(error).__name__).splitlines()[0][:300]
