"""The chunks of a WAV file, read before libsndfile sees them.

libsndfile 1.2 can loop for ever on a LIST chunk whose entries run past its end (libsndfile #1118),
takes a size that a killed recorder left at 0 for the length, and a truncated file for a whole one.
So of a file that holds more than format and samples it is shown those only.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from erc.base.errors import AudioError

OPEN_END = 0x7FFF0000  # sizes from here on were written by those who did not know it yet, as was 0
WIDEST = 0xFFFFFFFF  # what 32 bits hold; RF64 writes it where ds64 has the size
MAX_CHUNKS = 1000
NEEDED = (b"fmt ", b"fact")  # chunks that decoding needs besides the samples


@dataclass(frozen=True)
class Header:
    """What the header says of the samples.

    Attributes:
        promised, present: their bytes as announced, and as they are there.
        start: where they lie in the file.
        byte_rate: bytes a second.
        head: what is to stand before them when a decoder reads them; b"": the file as it is.
    """

    promised: int
    present: int
    start: int
    byte_rate: int
    head: bytes = b""

    @property
    def truncated(self) -> bool:
        """The file ends before its samples do. A stream of unknown length does not count."""
        return self.present < self.promised and not OPEN_END <= self.promised <= WIDEST

    @property
    def missing(self) -> float:
        """Seconds that the file promises and does not have."""
        return (self.promised - self.present) / max(1, self.byte_rate) * self.truncated


def skip_id3(file: BinaryIO, at: int) -> int:
    """Where the file begins behind ID3v2 tags, which may stand before any format."""
    while True:
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            return at
        size = 0
        for byte in head[6:]:  # 7 bits of each
            size = size << 7 | byte & 0x7F
        at += 10 + size + 10 * bool(head[5] & 0x10)  # a footer


def read_header(file: BinaryIO, name: str) -> Header | None:
    """Walk the chunks, with a few small reads; the position is left as it was.

    Args:
        file: seekable, at its start, which may be an ID3 tag; name: for messages.

    Returns:
        None for what is not RIFF, RIFX or RF64 with WAVE, and for one without samples.

    Raises:
        AudioError: the samples cannot be found.
    """
    begin = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        start = skip_id3(file, begin)
        file.seek(start)
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
            return None
        return _walk(file, start + 12, size, name, head[:4], plain=start == begin)
    finally:
        file.seek(begin)


def _walk(file: BinaryIO, at: int, size: int, name: str, riff: bytes, plain: bool) -> Header | None:
    order = ">" if riff == b"RIFX" else "<"
    kept, long, header = b"", 0, None
    for _ in range(MAX_CHUNKS):
        if (chunk := _chunk(file, at, order)) is None:
            break
        kind, length = chunk
        inside = at + 8
        if kind == b"data" and header is None:
            promised = long if riff == b"RF64" and length == WIDEST else length
            rest = size - inside
            present = min(promised, rest)
            if not length and not _chunks(file, inside, size, order):
                present, plain = rest, False
            header = Header(promised, present, inside, _byte_rate(kept, order))
            length = max(promised, present)
        elif kind in NEEDED and header is None and length < 1 << 16:
            file.seek(inside)
            content = file.read(length)
            kept += struct.pack(order + "4sI", kind, length) + content + b"\0" * (length % 2)
        elif kind == b"ds64" and riff == b"RF64":
            file.seek(inside + 8)
            long = int.from_bytes(file.read(8), "little")
        else:
            plain = False
            if not _printable(kind) and header:
                break  # what stands behind the samples, and is no chunk, harms nobody
        at = inside + length + length % 2
    if header is None and not plain:
        raise AudioError(
            f"{name}: no samples are found in it, a chunk before them (title, artist …) is broken; "
            "write it again, e.g. `ffmpeg -i in.wav -map_metadata -1 out.wav`"
        )
    if header is None or plain:
        return header
    return replace(header, head=_head(kept, header.present, order))


def _chunk(file: BinaryIO, at: int, order: str) -> tuple[bytes, int] | None:
    file.seek(at)
    head = file.read(8)
    return struct.unpack(order + "4sI", head) if len(head) == 8 else None


def _chunks(file: BinaryIO, at: int, size: int, order: str) -> bool:
    """Whether whole chunks, or none, follow to the end of the file."""
    for _ in range(MAX_CHUNKS):
        if (chunk := _chunk(file, at, order)) is None:
            break
        kind, length = chunk
        at += 8 + length + length % 2
        if not _printable(kind) or at > size + 1:
            return False
    return size <= at <= size + 1


def _printable(kind: bytes) -> bool:
    return all(32 <= byte < 127 for byte in kind)


def _byte_rate(kept: bytes, order: str) -> int:
    at = kept.find(b"fmt ")
    return struct.unpack_from(order + "I", kept, at + 16)[0] if 0 <= at <= len(kept) - 20 else 0


def _head(kept: bytes, samples: int, order: str) -> bytes:
    """A header behind which nothing but samples comes."""

    def chunk(kind: bytes, length: int) -> bytes:
        return struct.pack(order + "4sI", kind, length)

    size = 12 + len(kept) + samples
    if size < WIDEST:
        riff = chunk(b"RIFX" if order == ">" else b"RIFF", size)
        return riff + b"WAVE" + kept + chunk(b"data", samples)
    long = chunk(b"ds64", 28) + struct.pack("<QQQI", size + 36, samples, 0, 0)
    return chunk(b"RF64", WIDEST) + b"WAVE" + long + kept + chunk(b"data", WIDEST)
