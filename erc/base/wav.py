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

import numpy as np

from erc.base.errors import AudioError

OPEN_END = 0x7FFF0000  # sizes from here on were written by those who did not know it yet, as was 0
WIDEST = 0xFFFFFFFF  # what 32 bits hold; RF64 writes it where ds64 has the size
MAX_CHUNKS = 1000
MAX_TAGS = 100
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # format tags
GUID = bytes.fromhex("000000001000800000aa00389b71")  # behind the tag in an extensible format
NEEDED = (b"fmt ", b"fact")  # chunks that decoding needs besides the samples


@dataclass(frozen=True)
class Layout:
    """Samples as plain numbers.

    Attributes:
        rate: Hz.
        channels: of each frame.
        kind: "u1", "i2", "i3", "i4", "f4" or "f8", integer or float and its bytes.
        order: of those bytes, "<" or ">".
    """

    rate: int
    channels: int
    kind: str
    order: str

    @property
    def frame(self) -> int:
        """Bytes of a frame."""
        return self.channels * int(self.kind[1])

    def samples(self, data: bytes) -> np.ndarray:
        """Whole frames → float32 [T, channels] in [−1, 1]."""
        if self.kind == "i3":
            three = np.frombuffer(data, np.uint8).reshape(-1, 3)[
                :, :: 1 if self.order == "<" else -1
            ]
            four = np.zeros((len(three), 4), np.uint8)
            four[:, 1:] = three
            numbers = four.view("<i4").ravel()
        else:
            numbers = np.frombuffer(data, self.order + self.kind)
        with np.errstate(over="ignore"):  # what is infinite then, is named by who reads it
            found = numbers.astype(np.float32)
        if self.kind == "u1":
            found -= 128
        if self.kind[0] != "f":
            found *= np.float32(2.0 ** -{"u1": 7, "i2": 15}.get(self.kind, 31))
        return found.reshape(-1, self.channels)


@dataclass(frozen=True)
class Header:
    """What the header says of the samples.

    Attributes:
        promised, present: their bytes as announced, and as they are there.
        start: where they lie in the file.
        byte_rate: bytes a second.
        layout: how they lie there, if they are numbers that need no decoder.
        head: what is to stand before them when a decoder reads them; b"": the file as it is.
    """

    promised: int
    present: int
    start: int
    byte_rate: int
    layout: Layout | None = None
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
    for _ in range(MAX_TAGS):
        file.seek(at)
        head = file.read(10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        size = 0
        for byte in head[6:]:  # 7 bits of each
            size = size << 7 | byte & 0x7F
        at += 10 + size + 10 * bool(head[5] & 0x10)  # a footer
    return at


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
            rate, layout = _format(kept, order)
            header = Header(promised, present, inside, rate, layout)
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


def _format(kept: bytes, order: str) -> tuple[int, Layout | None]:
    """Bytes a second, and how the samples lie, of a chunk "fmt "."""
    at = kept.find(b"fmt ")
    if not 0 <= at <= len(kept) - 24:
        return 0, None
    tag, channels, rate, byte_rate, frame, bits = struct.unpack_from(order + "HHIIHH", kept, at + 8)
    if tag == EXTENSIBLE and len(kept) >= at + 48 and kept[at + 34 : at + 48] == GUID:
        valid, _, tag = struct.unpack_from(order + "HIH", kept, at + 26)
        bits = bits if valid == bits else 0
    kind = {(PCM, 8): "u1", (FLOAT, 32): "f4", (FLOAT, 64): "f8"}.get((tag, bits))
    if tag == PCM and bits in (16, 24, 32):
        kind = f"i{bits // 8}"
    layout = Layout(rate, channels, kind, order) if kind else None
    return byte_rate, layout if layout and channels and layout.frame == frame else None


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
