"""What the header of a WAV file promises, read before libsndfile sees the file.

libsndfile 1.2 can loop for ever on a LIST chunk whose entries run past its end (libsndfile #1118),
and reads a truncated file as if it were whole.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from erc.errors import AudioError

OPEN_END = (0, 0x7FFFF000, 0xFFFFFFFF)  # sizes that a recorder writes before it knows better
MAX_CHUNKS = 1000


@dataclass(frozen=True)
class Header:
    """Bytes of samples that the header promises, and those that are there."""

    promised: int
    present: int

    @property
    def truncated(self) -> bool:
        """The file ends before its samples do. A stream of unknown length does not count."""
        return self.present < self.promised and self.promised not in OPEN_END


def read_header(file: BinaryIO, name: str) -> Header | None:
    """Walk the chunks up to the samples, with a few small reads; the position is left as it was.

    Args:
        file: seekable, at its start; name: for messages.

    Returns:
        None for what is not RIFF/WAVE, and for a WAVE file without samples (libsndfile says so).

    Raises:
        AudioError: a LIST chunk that libsndfile might never come back from.
    """
    start = file.tell()
    try:
        end = file.seek(0, os.SEEK_END)
        file.seek(start)
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        at = start + 12
        for _ in range(MAX_CHUNKS):
            file.seek(at)
            chunk = file.read(8)
            if len(chunk) < 8:
                return None
            kind, size = struct.unpack("<4sI", chunk)
            if kind == b"data":
                _check_tail(file, at + 8 + size + size % 2, end, name)
                return Header(size, min(size, end - at - 8))
            _check_list(file, kind, size, end, name)
            at += 8 + size + size % 2
        raise AudioError(f"{name}: more than {MAX_CHUNKS} chunks before the samples; {REMEDY}")
    finally:
        file.seek(start)


REMEDY = "write it again, e.g. `ffmpeg -i in.wav -map_metadata -1 out.wav`"


def _check_tail(file: BinaryIO, at: int, end: int, name: str) -> None:
    """Metadata may also follow the samples."""
    for _ in range(MAX_CHUNKS):
        if at + 8 > end:
            return
        file.seek(at)
        kind, size = struct.unpack("<4sI", file.read(8))
        _check_list(file, kind, size, end, name)
        at += 8 + size + size % 2


def _check_list(file: BinaryIO, kind: bytes, size: int, end: int, name: str) -> None:
    """Every entry of a LIST chunk (after its type) must lie inside it, and it inside the file."""
    if kind != b"LIST":
        return
    at, stop = file.tell() + 4, file.tell() + size
    good = stop <= end
    while good and at + 8 <= stop:
        file.seek(at)
        entry = struct.unpack("<4sI", file.read(8))[1]
        at += 8 + entry + entry % 2
        good = at <= stop + 1
    if not good:
        raise AudioError(f"{name}: its LIST chunk (title, artist …) is broken; {REMEDY}")
