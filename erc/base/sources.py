"""Where a recording comes from: path, pipe, bytes, open file, samples → its name and its bytes."""

from __future__ import annotations

import io
import os
import re
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from erc.base.errors import AudioError

NOBODY, PATIENCE = 3, 60  # s to wait for someone who writes to a pipe, and for what he writes
MAX_PIPE = 1_000_000_000  # bytes

Source = str | Path | bytes | BinaryIO | np.ndarray


def name_of(source: Any) -> str:
    """What to call a source in a message.

    >>> name_of("a.wav"), name_of(b"abc"), name_of(np.zeros(3))
    ('a.wav', '<3 bytes>', '<samples>')
    """
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return f"<{memoryview(source).nbytes} bytes>"
    name = getattr(source, "name", None)  # of a tensor it is None, of an open descriptor a number
    return name if isinstance(name, str) else "<samples>"


def named(data: bytes, name: str) -> io.BytesIO:
    """An open file that messages call by this name."""
    return _Named(data, name)


class _Named(io.BytesIO):
    def __init__(self, data: bytes, name: str):
        super().__init__(data)
        self.name = name


def is_encoded(source: Any) -> bool:
    """Whether it stands for a file, and not for samples."""
    encoded = isinstance(source, str | Path | bytes | bytearray | memoryview)
    return encoded or hasattr(source, "read")


class _Ours(io.BufferedReader):
    """A file that was opened here: nobody else minds where in it one is."""

    ours = True


@contextmanager
def opened(source: Any, name: str) -> Iterator[BinaryIO]:
    """A file that can seek; one that was given open is left where it was found.

    Raises:
        AudioError: there is no such file, or it is none: a folder, device, URL, text.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        yield io.BytesIO(source)
    elif hasattr(source, "read"):
        if isinstance(source, io.TextIOBase):
            raise AudioError(f'{name}: is open as text; open it with mode "rb"')
        if not source.seekable():
            yield io.BytesIO(_limited(source.read(MAX_PIPE + 1), name))
            return
        start = source.tell()
        try:
            yield source
        finally:
            if not source.closed:
                source.seek(start)
    elif is_pipe(source):
        yield io.BytesIO(read_pipe(source))
    else:
        _check_path(Path(source), str(source))
        try:
            with _Ours(open(source, "rb", buffering=0)) as file:
                yield file
        except OSError as error:
            raise AudioError(f"{name}: {error.strerror or error}") from None


def is_pipe(path: Any) -> bool:
    """Whether it names a FIFO or what a shell makes of `<(…)`: to be read once, to its end."""
    try:
        return isinstance(path, str | Path) and stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_pipe(path: str | Path) -> bytes:
    """All that comes through a pipe.

    Raises:
        AudioError: nobody writes to it, whoever does says nothing for `PATIENCE`, or it has no end.
    """
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    found, asked, ready = bytearray(), False, select.poll()
    ready.register(pipe, select.POLLIN)
    try:
        while len(found) <= MAX_PIPE:
            try:
                piece = os.read(pipe, 1 << 20)
            except BlockingIOError:  # someone holds it open, and has nothing to say yet
                if not ready.poll(1000 * PATIENCE):
                    raise AudioError(
                        f"{path}: nothing came through this pipe for {PATIENCE} s"
                    ) from None
                continue
            found += piece
            if not piece and (found or asked):
                return bytes(found)
            if not piece:  # nobody has opened it yet, or has gone without a word
                asked = bool(ready.poll(1000 * NOBODY))
                if not asked:
                    raise AudioError(f"{path}: nobody writes to this pipe")
        return _limited(bytes(found), str(path))
    finally:
        os.close(pipe)


def _limited(data: bytes, name: str) -> bytes:
    if len(data) > MAX_PIPE:
        raise AudioError(f"{name}: more than {MAX_PIPE / 1e9:g} GB came through this pipe")
    return data


def _check_path(path: Path, written: str) -> None:
    if not os.path.exists(path):  # unlike Path.exists also of a name that is too long
        if re.match(r"[A-Za-z][\w+.-]+://", written):
            raise AudioError(f"{written}: is a URL; download it, and give the file")
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not a recording")
    if not path.is_file():
        raise AudioError(f"{path}: is a device, not a recording")
