"""Recordings of any kind → mono float32 at 16 kHz in [−1, 1]."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from erc.errors import AudioError

SAMPLE_RATE = 16_000  # Hz; what every speech encoder here was trained on
MIN_SAMPLES = 400  # 25 ms: one analysis window; a shorter clip gives wav2vec2 not a single frame
MAX_SAMPLES = 7 * SAMPLE_RATE  # 7 s, where the published system cuts

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
    if isinstance(source, str | Path):
        samples, rate = _decode(_open(Path(source)), name)
    elif isinstance(source, bytes | bytearray):
        samples, rate = _decode(io.BytesIO(source), name)
    elif hasattr(source, "read"):
        samples, rate = _decode(source, name)
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


def to_int16(samples: np.ndarray) -> np.ndarray:
    """float in [−1, 1] → int16 PCM; exact for samples that came from 16-bit files, louder clips."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def from_int16(pcm: np.ndarray) -> np.ndarray:
    """int16 PCM → float32 in [−1, 1); the inverse of `to_int16`."""
    return pcm.astype(np.float32) / 32768


def normalize(samples: np.ndarray) -> np.ndarray:
    """Zero mean, unit variance over the clip, as wav2vec2's feature extractor does (ε = 1e-7)."""
    return (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)


def name_of(source: Source) -> str:
    """What to call a source in a message."""
    if isinstance(source, str | Path):
        return str(source)
    if isinstance(source, bytes | bytearray):
        return f"<{len(source)} bytes>"
    return str(getattr(source, "name", "<samples>"))


def _open(path: Path) -> BinaryIO:
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not a recording")
    data = path.open("rb")
    head = data.read(40)
    data.seek(0)
    if not head:
        raise AudioError(f"{path}: the file is empty (0 bytes)")
    if head.startswith(b"version https://git-lfs"):
        raise AudioError(f"{path}: is a Git LFS pointer, not audio; run `git lfs pull` there first")
    return data


def _decode(data: BinaryIO, name: str) -> tuple[np.ndarray, int]:
    import soundfile

    try:
        with data, soundfile.SoundFile(data) as file:
            return file.read(dtype="float32"), file.samplerate
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise AudioError(
            f"{name}: cannot be decoded ({reason.strip().rstrip('.')}); "
            "libsndfile reads wav, flac, ogg, mp3; convert others, "
            "e.g. `ffmpeg -i in.m4a -ar 16000 out.wav`"
        ) from None


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
