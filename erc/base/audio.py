"""Recordings of any kind → mono float32 at 16 kHz in [−1, 1]."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import numpy as np

from erc.base import apart
from erc.base.arrays import LOUDEST, stream_of, to_int16
from erc.base.decoders import Stream, plain
from erc.base.decoding import (
    SAMPLE_RATE,
    blocks_here,
    blocks_of,
    recorded_here,
    say_missing,
    seconds_here,
    seconds_of,
)
from erc.base.errors import AudioError
from erc.base.sources import Source, is_encoded, name_of, opened

MIN_SAMPLES = 400  # 25 ms: one analysis window; a shorter clip gives wav2vec2 not a single frame
MAX_SAMPLES = 7 * SAMPLE_RATE  # 7 s, where the published system cuts

MAX_LOADED = 1800 * SAMPLE_RATE  # 30 min, 115 MB; longer ones are read block by block


def load(source: Source, sampling_rate: int | None = None) -> np.ndarray:
    """Decode a recording: any format libsndfile or PyAV reads, any rate, channels averaged.

    Args:
        source: path, encoded bytes, open binary file, or samples [T], [T, channels] or
            [channels, T]: float in [−1, 1] or PCM of 8, 16 or 32 bits, where half of an unsigned
            range is silence; lists and torch tensors work too. Samples need `sampling_rate`.
        sampling_rate: rate of samples in Hz; files carry their own.

    Returns:
        float32 [T'], 16 kHz, at least `MIN_SAMPLES` long and at most `MAX_LOADED`.

    Raises:
        AudioError: missing, unreadable, empty, shorter than 25 ms, longer than 30 minutes, samples
            that are no sound, or an array of which scale or shape cannot be told.

    Warns:
        AudioWarning: the file ends before it should, or channels cancel each other.

    >>> load(np.zeros((48_000, 2), np.int16), 48_000).shape
    (16000,)
    """
    return _gathered(blocks(source, sampling_rate), name_of(source))


def load_int16(path: Source) -> np.ndarray:
    """`to_int16(load(path))` of a file; a mono file of 16 bits at 16 kHz takes no way around floats."""
    return _gathered(_encoded_blocks(path, name_of(path), "int16"), name_of(path))


def blocks(source: Source, sampling_rate: int | None = None) -> Generator[np.ndarray]:
    """What `load` returns, piece by piece, in constant memory: float32 [T].

    Raises and warns as `load` does, whatever the length.
    """
    name = name_of(source)
    if is_encoded(source):
        return _encoded_blocks(source, name, "float32")
    return blocks_of([stream_of(source, sampling_rate, name)], name)


def _encoded_blocks(source: Any, name: str, dtype: str) -> Generator[np.ndarray]:
    with opened(source, name) as file:
        stream = plain(file, name)
        if stream is None and apart.POSIX:
            yield from apart.blocks(file, name, dtype)
        elif stream is None:
            yield from (_as(dtype, piece) for piece in blocks_here(file, name))
        elif dtype == "int16" and (stream.rate, stream.channels, stream.pcm16) == (
            SAMPLE_RATE, 1, True,
        ):  # fmt: skip
            yield from _plain_int16(stream, name)
        else:
            yield from (_as(dtype, piece) for piece in blocks_of([stream], name))


def _plain_int16(stream: Stream, name: str) -> Iterator[np.ndarray]:
    read = 0
    while len(samples := stream.read(MAX_LOADED + 1 - read, "int16")):
        read += len(samples)
        yield samples[:, 0].astype(np.int16, copy=False)
    say_missing(stream, name, read, read)


def _as(dtype: str, piece: np.ndarray) -> np.ndarray:
    return to_int16(piece) if dtype == "int16" else piece


def _gathered(found: Generator[np.ndarray], name: str) -> np.ndarray:
    """All pieces in one, if it is neither too short nor too long."""
    pieces, length = [], 0
    with closing(found):
        for piece in found:
            pieces.append(piece)
            length += len(piece)
            if length > MAX_LOADED:
                raise AudioError(
                    f"{name}: longer than {MAX_LOADED / SAMPLE_RATE / 60:g} min; "
                    "use `erc timeline`, which takes any length, or cut it"
                )
    if length < MIN_SAMPLES:
        raise AudioError(
            f"{name}: {length / SAMPLE_RATE * 1000:.1f} ms long; "
            f"one frame of a speech encoder needs {MIN_SAMPLES / SAMPLE_RATE * 1000:.0f} ms"
        )
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def seconds(source: Source, sampling_rate: int | None = None, most: float = np.inf) -> float:
    """How long a recording is, by its header; where that does not say, by reading it to the end.

    Args:
        most: s; it is read no further than a little beyond.

    Raises:
        AudioError: as `load`.
    """
    name = name_of(source)
    if not is_encoded(source):
        return seconds_of([stream_of(source, sampling_rate, name)], name, most)
    with opened(source, name) as file:
        stream = plain(file, name)
        if stream is None and apart.POSIX:
            return apart.seconds(file, name, most)
        return seconds_of([stream], name, most) if stream else seconds_here(file, name, most)


def recorded(source: Source) -> tuple[np.ndarray, int, float]:
    """A recording as it is: float32 [T, channels], its rate in Hz, and s that it promises and lacks.

    Raises:
        AudioError: it cannot be decoded.
    """
    name = name_of(source)
    with opened(source, name) as file:
        stream, pieces = plain(file, name), list[np.ndarray]()
        if stream is None and apart.POSIX:
            return apart.recorded(file, name)
        rate, channels, missing = recorded_here(file, name, pieces.append, stream)
        return np.concatenate([np.zeros((0, channels), np.float32), *pieces]), rate, missing


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
    if (peak := max(-out.min(), out.max())) > LOUDEST:
        out /= peak  # the result has no scale, but its way there squares it
    out -= out.mean()
    out *= 1 / np.sqrt(np.einsum("t,t", out, out) / len(out) + ε)
    return out
