"""Bytes of a recording → `Stream`s of float samples, read to where they really end.

How long a container says it is, is a hint: a pipe leaves it empty, an encoder guesses it, files are
joined, a copy breaks off. So decoders are read until they give no more; where bytes are left that
none has looked at, another goes on from there; and what is promised but not there is said.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from erc.base.errors import AudioError
from erc.base.wav import read_header, skip_id3

if TYPE_CHECKING:
    from soundfile import SoundFile

UNKNOWN = 1 << 40  # frames; libsndfile says 2^63 − 1 where the header says nothing
TAGS = 3000  # bytes; so little behind an mp3 is a tag, or frames of its padding
GENEROUS = 64  # between the least and the greatest bit rate of an mp3 lies a factor of 40

LIBSNDFILE = {  # what people have of what it reads: name → how files begin
    "wav": rb"(RIFF|RIFX|RF64)....WAVE",
    "flac": rb"fLaC",
    "ogg": rb"OggS",
    "mp3": rb"\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]",  # not layer 0, which is aac
}
AV = {  # what PyAV reads: name → (demuxer, how files begin)
    "mp4, m4a, 3gp": ("mov", rb"....ftyp|....moov|....mdat|....wide|....free"),
    "webm, mka": ("matroska", rb"\x1a\x45\xdf\xa3"),
    "aac": ("aac", rb"\xff[\xf0\xf1\xf8\xf9]"),
    "wma": ("asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    "amr": ("amr", rb"#!AMR"),
}


@dataclass(frozen=True)
class Stream:
    """One encoded stream; most files hold one.

    Attributes:
        rate: Hz.
        channels: of each frame.
        frames: as the header has it; None: only reading to the end can tell.
        read: (most frames, dtype) → [T, channels]; dtype "float32" or, where `pcm16`, "int16";
            empty at the end.
        missing: seconds that were promised and are not there, given how many frames were read.
        pcm16: samples are 16-bit integers.
    """

    rate: int
    channels: int
    frames: int | None
    read: Callable[[int, str], np.ndarray]
    missing: Callable[[int], float] = lambda read: 0.0
    pcm16: bool = False


def plain(file: BinaryIO, name: str) -> Stream | None:
    """The one stream of a WAV file that holds plain numbers: read by numpy, no decoder sees it.

    Raises:
        AudioError: nothing is in it, or no samples can be found.
    """
    start = file.tell()
    head = file.read(40)
    file.seek(start)
    if not head:
        raise AudioError(f"{name}: the file is empty (0 bytes)")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{name}: is a Git LFS pointer, not audio; run `git lfs pull` there first")
    header = read_header(file, name)
    if header is None or header.layout is None:
        return None
    layout, at, end = header.layout, header.start, header.start + header.present

    def read(most: int, dtype: str) -> np.ndarray:
        nonlocal at
        file.seek(at)
        data = file.read(min(most, (end - at) // layout.frame) * layout.frame)
        data = data[: len(data) // layout.frame * layout.frame]
        at += len(data)
        if dtype == "int16":
            return np.frombuffer(data, layout.order + "i2").reshape(-1, layout.channels)
        return layout.samples(data)

    frames = header.present // layout.frame
    missing = header.missing
    return Stream(
        layout.rate, layout.channels, frames, read, lambda read: missing, layout.kind == "i2"
    )


def streams(file: BinaryIO, name: str) -> Generator[Stream]:
    """The streams of an encoded file; each is to be read before the next is asked for.

    Raises:
        AudioError: not a recording, or one that cannot be decoded.
    """
    with _named(name):
        for stream in _streams(file, file.tell(), name):
            yield replace(stream, read=_named(name)(stream.read))


def warm() -> None:
    """Import what decoding needs."""
    _forward()


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What a decoder complains of → AudioError that says of which recording.

    Hostile bytes make decoders raise nearly anything, from LibsndfileError to MemoryError.
    """
    try:
        yield
    except AudioError:
        raise
    except Exception as error:
        reason = getattr(error, "error_string", None) or getattr(error, "strerror", None)
        raise _refused(name, (reason or str(error) or "damaged").strip().rstrip(".")) from None


def is_known(data: bytes) -> bool:
    """Whether it begins as `LIBSNDFILE` or `AV` say; libsndfile itself would try a dozen others."""
    head = data[skip_id3(io.BytesIO(data), 0) :][:40]
    begins = [*LIBSNDFILE.values(), *(begin for _, begin in AV.values())]
    return any(re.match(begin, head, re.S) for begin in begins)


def _refused(name: str, reason: str) -> AudioError:
    return AudioError(
        f"{name}: cannot be decoded ({reason}); wav, flac, ogg and mp3 are read, with PyAV also "
        f"{', '.join(AV)} (pip install 'erc[formats]'); convert others, "
        "e.g. `ffmpeg -i in.ape -ar 16000 out.wav`"
    )


def _streams(file: BinaryIO, start: int, name: str) -> Iterator[Stream]:
    size = file.seek(0, os.SEEK_END)
    at = skip_id3(file, start)
    file.seek(at)
    head = file.read(42)
    file.seek(start)
    if head[8:12] == b"WAVE" and (header := read_header(file, name)):
        samples = header.start, header.start + header.present
        part = Part(file, *samples, header.head) if header.head else _native(file, start, size)
        yield from _libsndfile(part, missing=lambda read: header.missing)
    elif head[:4] == b"fLaC":
        yield from _flac(file, at, size, head)
    elif head[:4] == b"OggS":
        for begin, end in _links(file, at, size):
            yield from _libsndfile(Part(file, begin, end))
    elif demuxer := next((d for d, begins in AV.values() if re.match(begins, head, re.S)), None):
        yield from _av(Part(file, at, size), name, demuxer)
    elif re.match(LIBSNDFILE["mp3"], head):
        yield from _mp3(file, at, size)
    else:
        yield from _libsndfile(_native(file, start, size))


class Part(io.RawIOBase):
    """A `head`, and behind it the bytes from `start` to `stop` of a file, as a file.

    Args:
        claim: it says that it is so many times as long.
    """

    def __init__(self, file: BinaryIO, start: int, stop: int, head: bytes = b"", claim: int = 1):
        self.file, self.start, self.stop, self.head, self.claim = file, start, stop, head, claim
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = len(self.head) + max(0, self.stop - self.start)
        if not offset:  # not where tags are looked for before the end
            size *= self.claim
        self.at = max(0, offset + (0, self.at, size)[whence])
        return self.at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = self.head[self.at : self.at + len(view)]
        if not piece:
            where = self.start + self.at - len(self.head)
            self.file.seek(where)
            piece = self.file.read(max(0, min(len(view), self.stop - where)))
        view[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def _native(file: BinaryIO, start: int, size: int) -> Any:
    """For libsndfile to read itself where it is a whole file of the disk: Python is slower."""
    if start == 0 and isinstance(file, io.BufferedReader):
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return file.fileno()
    return Part(file, start, size)


@cache
def _forward() -> type[SoundFile]:
    import soundfile

    class Forward(soundfile.SoundFile):
        """Read once, to its end: not cut off where the header says, and never sought in."""

        def seekable(self) -> bool:
            return False

    return Forward


def _libsndfile(
    source: Any,
    missing: Callable[[int], float] = lambda read: 0.0,
    counted: bool = True,
) -> Iterator[Stream]:
    with _forward()(source, closefd=False) as file:

        def read(most: int, dtype: str) -> np.ndarray:
            return file.read(most, dtype=dtype, always_2d=True)

        frames = file.frames if counted and file.frames < UNKNOWN else None
        pcm16 = file.subtype == "PCM_16"
        yield Stream(file.samplerate, file.channels, frames, read, missing, pcm16)


def _flac(file: BinaryIO, at: int, size: int, head: bytes) -> Iterator[Stream]:
    """Shown to the decoder without its count of samples (36 bits), which it would believe."""
    promised = int.from_bytes(head[21:26], "big") & (1 << 36) - 1
    blank = head[:21] + bytes([head[21] & 0xF0]) + bytes(4) + head[26:] if len(head) == 42 else head
    part = Part(file, at + len(blank), size, blank)
    for stream in _libsndfile(part):
        rate = stream.rate

        def missing(read: int, rate: int = rate) -> float:
            return max(0, promised - read) / rate

        yield Stream(rate, stream.channels, promised or None, stream.read, missing, stream.pcm16)


def _links(file: BinaryIO, at: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of the links of a chained Ogg file: pages that begin streams begin a link."""
    begin, beginning = at, True
    while True:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        first = bool(head[5] & 2)
        if first and not beginning:
            yield begin, at
            begin = at
        beginning = first
        at += 27 + head[26] + sum(file.read(head[26]))
    yield begin, size


def _mp3(file: BinaryIO, at: int, size: int) -> Iterator[Stream]:
    """One stream after the other; where no header counts the frames, their number is a guess.

    libsndfile stops where the guess is reached. It is made of the size, so a greater size is told.
    """
    while True:
        file.seek(at)
        counted = bool(re.search(rb"Xing|Info|VBRI", file.read(4096)))
        part = Part(file, at, size, claim=1 if counted else GENEROUS)
        yield from _libsndfile(part, counted=counted)
        rest = skip_id3(file, at + part.at)
        file.seek(rest)
        if not part.at or size - rest <= TAGS or not re.match(LIBSNDFILE["mp3"], file.read(4)):
            return
        at = rest


def _av(part: Part, name: str, demuxer: str) -> Iterator[Stream]:
    """What libsndfile has no decoder for, through FFmpeg's, which PyAV carries."""
    try:
        import av
    except ModuleNotFoundError:
        raise _refused(name, f"{demuxer} needs PyAV") from None
    container: Any
    with av.open(part, format=demuxer) as container:
        if not container.streams.audio:
            raise AudioError(f"{name}: there is no sound in it")
        track: Any = container.streams.audio[0]
        if track.codec_context is None:
            raise _refused(name, "no decoder for its codec")
        pieces, rate = _pieces(container, track), track.rate
        promised = container.duration / 1e6 if container.duration else 0.0

        def read(most: int, dtype: str) -> np.ndarray:
            found, length = [], 0
            while length < most and (piece := next(pieces, None)) is not None:
                found.append(piece)
                length += len(piece)
            return np.concatenate(found) if found else np.zeros((0, track.channels), np.float32)

        def missing(read: int) -> float:  # a tenth of a second may be padding
            less = promised - read / rate
            return less if less > 0.1 + promised / 50 else 0.0

        frames = round(promised * rate) or None
        yield Stream(rate, track.channels, frames, read, missing)


def _pieces(container: Any, track: Any) -> Iterator[np.ndarray]:
    """float32 [T, channels], as its frames are decoded."""
    import av

    planar = av.AudioResampler(format="fltp")
    for packet in container.demux(track):
        for frame in packet.decode():
            for piece in planar.resample(frame):
                yield piece.to_ndarray().T
