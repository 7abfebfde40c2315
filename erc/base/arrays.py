"""Samples in arrays: which axis holds channels, what full scale is, and int16 and back."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from erc.base.decoders import Stream
from erc.base.errors import AudioError

MAX_CHANNELS = 64
LOUDEST = 1e6  # times full scale; what is above was never sound
LOUDEST_ARRAY = 128  # an array of floats above it was meant as integers, or scaled wrongly


def stream_of(samples: Any, sampling_rate: int | None, name: str) -> Stream:
    """An array as a stream."""
    if not isinstance(sampling_rate, Real) or not float(sampling_rate).is_integer():
        raise AudioError(f"{name}: samples need their rate in Hz, e.g. sampling_rate=16000")
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"{name}: no array of samples ({error})") from None
    array = _channels_last(array, name)
    scaled, place = _scale(array, name), 0

    def read(frames: int, dtype: str) -> np.ndarray:
        nonlocal place
        piece, place = array[place : place + frames], place + frames
        return scaled(piece)

    return Stream(int(sampling_rate), array.shape[1], len(array), read)


def _channels_last(array: np.ndarray, name: str) -> np.ndarray:
    """[T], [T, channels] or [channels, T] → [T, channels]; the shorter axis is the channels."""
    if array.ndim == 1:
        return array[:, None]
    if array.ndim == 2 and array.size:
        short, long = sorted(array.shape)
        if short == 1 or (short < long and short <= MAX_CHANNELS):
            return array if array.shape[1] == short else array.T
    if array.ndim == 2 and not array.size:
        raise AudioError(f"{name}: holds no samples (shape {array.shape})")
    raise AudioError(
        f"{name}: shape {array.shape}; expected one recording, [T], [T, channels] or [channels, T] "
        f"with at most {MAX_CHANNELS} channels"
    )


def _scale(array: np.ndarray, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Samples of this type → float32 in [−1, 1]."""
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    expected = "expected floats in −1 … 1, or PCM: uint8, int16, int32"
    if not array.size or kind == "f":
        peak = float(np.abs(array).max(initial=0))
        if LOUDEST_ARRAY < peak <= LOUDEST:
            raise AudioError(
                f"{name}: {array.dtype} samples up to {peak:.0f}; {expected}: divide by full scale "
                "(32768 for 16 bits)"
            )
        return _float32
    if kind not in "iu" or bits > 32:
        raise AudioError(f"{name}: {array.dtype} samples have no scale of their own; {expected}")
    half = float(1 << bits - 1)
    if kind == "u":
        return lambda x: _float32((x - half) / half)
    if bits == 32 and 0 < (peak := max(-int(array.min()), int(array.max()))) <= 1 << 15:
        raise AudioError(
            f"{name}: int32 samples up to {peak}, silence at 32 bits; convert them to int16 if 16 "
            "were meant"
        )
    return lambda x: _float32(x / half)


def _float32(samples: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # infinite ones are named later
        return samples.astype(np.float32)


def to_int16(samples: np.ndarray) -> np.ndarray:
    """float in [−1, 1] → int16 PCM; exact for samples that came from 16-bit files, louder clips."""
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def from_int16(pcm: np.ndarray) -> np.ndarray:
    """int16 PCM → float32 in [−1, 1); the inverse of `to_int16`."""
    return pcm.astype(np.float32) / 32768
