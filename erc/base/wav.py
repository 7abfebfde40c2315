"""What the header of a WAV file promises, read before libsndfile sees the file.

libsndfile 1.2 can loop for ever on a LIST chunk whose entries run past its end (libsndfile #1118),
and reads a truncated file as if it were whole.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from erc.base.errors import AudioError

OPEN_END = (0, 0x7FFFF000, 0xFFFFFFFF)  # sizes that a recorder writes before it knows better
MAX_CHUNKS = 1000


REMEDY = "write it again, e.g. `ffmpeg -i in.wav -map_metadata -1 out.wav`"


@dataclass(frozen=True)
class Header:
    """What the header says of the samples.

    Attributes:
        promised, present: their bytes as announced, and as they are there.
        end: where the file may be cut, behind the samples, because what follows is broken;
            None: all of it can be read.
    """

    promised: int
    present: int
    end: int | None = None

    @property
    def truncated(self) -> bool:
        """The file ends before its samples do. A stream of unknown length does not count."""
        return self.present < self.promised and self.promised not in OPEN_END


def read_header(file: BinaryIO, name: str) -> Header | None:
    """Walk the chunks, with a few small reads; the position is left as it was.

    Args:
        file: seekable, at its start; name: for messages.

    Returns:
        None for what is not RIFF/WAVE, and for a WAVE file without samples (libsndfile says so).

    Raises:
        AudioError: a LIST chunk before the samples that libsndfile might never come back from.
    """
    start = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(start)
        return _walk(file, start, size, name)
    finally:
        file.seek(start)


def _walk(file: BinaryIO, start: int, size: int, name: str) -> Header | None:
    head = file.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    at, header = start + 12, None
    for _ in range(MAX_CHUNKS):
        file.seek(at)
        chunk = file.read(8)
        if len(chunk) < 8:
            return header
        kind, length = struct.unpack("<4sI", chunk)
        after = at + 8 + length + length % 2
        if kind == b"data" and header is None:
            header = Header(length, min(length, size - at - 8))
            end = after - start
        elif kind == b"LIST" and not _whole(file, length, size):
            if header is None:
                raise AudioError(f"{name}: its LIST chunk (title, artist …) is broken; {REMEDY}")
            return replace(header, end=end)
        at = after
    raise AudioError(f"{name}: more than {MAX_CHUNKS} chunks; {REMEDY}")


def _whole(file: BinaryIO, length: int, size: int) -> bool:
    """Does every entry of a LIST chunk, after its type, lie inside it, and it inside the file?"""
    at, stop = file.tell() + 4, file.tell() + length
    if stop > size:
        return False
    for _ in range(MAX_CHUNKS):
        if at + 8 > stop:
            return at <= stop + 1
        file.seek(at)
        entry = struct.unpack("<4sI", file.read(8))[1]
        at += 8 + entry + entry % 2
    return False
