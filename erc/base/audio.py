"""Recordings of any kind → mono float32 at 16 kHz in [−1, 1]."""

from __future__ import annotations

import io
import os
import select
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from erc.base.errors import AudioError
from erc.base.wav import read_header

if TYPE_CHECKING:
    from soundfile import SoundFile

SAMPLE_RATE = 16_000  # Hz; what every speech encoder here was trained on
MIN_SAMPLES = 400  # 25 ms: one analysis window; a shorter clip gives wav2vec2 not a single frame
MAX_SAMPLES = 7 * SAMPLE_RATE  # 7 s, where the published system cuts

NOBODY, PATIENCE = 3, 60  # s to wait for someone who writes to a pipe, and for what he writes
MAX_PIPE = 1_000_000_000  # bytes

Source = str | Path | bytes | BinaryIO | np.ndarray


def load(source: Source, sampling_rate: int | None = None) -> np.ndarray:
    """Decode a recording: any format libsndfile reads, any rate, channels averaged.

    Args:
        source: path, encoded bytes, open binary file, or samples [T] or [T, channels] (float in
            [−1, 1] or integer PCM; torch tensors work too). Arrays need `sampling_rate`.
        sampling_rate: rate of an array in Hz; files carry their own.

    Returns:
        float32 [T'], 16 kHz, at least `MIN_SAMPLES` long.

    Raises:
        AudioError: missing, unreadable, empty, shorter than 25 ms, or not finite.

    >>> load(np.zeros((48_000, 2), np.int16), 48_000).shape
    (16000,)
    """
    name = name_of(source)
    if isinstance(source, str | Path | bytes | bytearray) or hasattr(source, "read"):
        with _open(cast("str | Path | bytes | BinaryIO", source), name) as file:
            samples, rate = file.read(dtype="float32"), file.samplerate
    else:
        samples, rate = _from_array(source, sampling_rate, name)
    if not samples.size:
        raise AudioError(f"{name}: holds no samples; record it again or leave it out")
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: has nan or infinite samples; export it again as PCM")
    mono = samples.mean(1) if samples.ndim == 2 else samples
    if rate != SAMPLE_RATE:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    if len(mono) < MIN_SAMPLES:
        raise AudioError(
            f"{name}: {len(mono) / SAMPLE_RATE * 1000:.1f} ms long; "
            f"one frame of a speech encoder needs {MIN_SAMPLES / SAMPLE_RATE * 1000:.0f} ms"
        )
    return np.ascontiguousarray(mono, np.float32)


def load_int16(path: str | Path) -> np.ndarray:
    """`to_int16(load(path))`; a mono file of 16 bits at 16 kHz takes no way around floats."""
    with _open(path, str(path)) as file:
        if (file.samplerate, file.channels, file.subtype) == (SAMPLE_RATE, 1, "PCM_16"):
            pcm = file.read(dtype="int16")
            if len(pcm) >= MIN_SAMPLES:
                return pcm
    return to_int16(load(path))


def to_int16(samples: np.ndarray) -> np.ndarray:
    """float in [−1, 1] → int16 PCM; exact for samples that came from 16-bit files, louder clips."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def from_int16(pcm: np.ndarray) -> np.ndarray:
    """int16 PCM → float32 in [−1, 1); the inverse of `to_int16`."""
    return pcm.astype(np.float32) / 32768


def normalize(samples: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Zero mean, unit variance over the clip, as wav2vec2's feature extractor does (ε = 1e-7).

    Args:
        samples: float or int16 [T], T > 0; int16 stands for `from_int16` of it.
        out: float32 [T] to write to; None: a new array.
    """
    ε = 1e-7 * (32768**2 if samples.dtype == np.int16 else 1)
    if out is None:
        out = np.empty(len(samples), np.float32)
    out[:] = samples
    out -= out.mean()
    out *= 1 / np.sqrt(np.einsum("t,t", out, out) / len(out) + ε)
    return out


def name_of(source: Source) -> str:
    """What to call a source in a message."""
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes | bytearray):
        return f"<{len(source)} bytes>"
    return str(getattr(source, "name", "<samples>"))


def _check_path(path: Path) -> None:
    if not os.path.exists(path):  # unlike Path.exists also of a name that is too long
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not a recording")
    if not path.is_file():
        raise AudioError(f"{path}: is a device, not a recording")
    try:
        with path.open("rb") as data:
            head = data.read(40)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror or error}") from None
    if not head:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{path}: is a Git LFS pointer, not audio; run `git lfs pull` there first")


@contextmanager
def _open(source: str | Path | bytes | BinaryIO, name: str) -> Iterator[SoundFile]:
    """libsndfile on a source; it opens paths itself, which is quicker than reading through Python."""
    import soundfile

    if isinstance(source, str | Path) and is_pipe(source):
        source = io.BytesIO(read_pipe(source))
    elif isinstance(source, str | Path):
        _check_path(Path(source))
        # libsndfile takes the bytes of a name as they are; they need not be UTF-8
        source = os.fsencode(source) if os.name == "posix" else str(source)
    elif isinstance(source, bytes | bytearray):
        source = io.BytesIO(source)
    source = _guarded(source, name)
    try:
        with soundfile.SoundFile(source) as file:
            yield file
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        reason = getattr(error, "error_string", str(error))
        raise AudioError(
            f"{name}: cannot be decoded ({reason.strip().rstrip('.')}); "
            "libsndfile reads wav, flac, ogg, mp3; convert others, "
            "e.g. `ffmpeg -i in.m4a -ar 16000 out.wav`"
        ) from None


def is_pipe(path: str | Path) -> bool:
    """Whether it is a FIFO or what a shell makes of `<(…)`: to be read once, to its end."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
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
        raise AudioError(f"{path}: more than {MAX_PIPE / 1e9:g} GB came through this pipe")
    finally:
        os.close(pipe)


def _guarded(source: str | bytes | BinaryIO, name: str) -> str | bytes | BinaryIO:
    """The source, or as much of it as libsndfile can be trusted with; see `erc.base.wav`."""
    with open(source, "rb") if isinstance(source, str | bytes) else nullcontext(source) as file:
        if not file.seekable():
            return source
        header = read_header(file, name)
        if header is None or header.end is None:
            return source
        return io.BytesIO(file.read(header.end))


def _from_array(
    samples: np.ndarray, sampling_rate: int | None, name: str
) -> tuple[np.ndarray, int]:
    if sampling_rate is None or sampling_rate <= 0:
        raise AudioError(f"{name}: samples need their rate, e.g. predict(x, sampling_rate=16000)")
    samples = np.asarray(samples)
    if samples.ndim > 2:
        raise AudioError(f"{name}: shape {samples.shape}; expected [T] or [T, channels]")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min or -1)
    return samples.astype(np.float32), int(sampling_rate)
