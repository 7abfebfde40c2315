"""`Stream`s → mono float32 at 16 kHz, in this process; `erc.base.apart` does it in another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import BinaryIO

import numpy as np

from erc.base.arrays import LOUDEST, MAX_CHANNELS
from erc.base.decoders import Stream, streams
from erc.base.errors import AudioError, AudioWarning

SAMPLE_RATE = 16_000  # Hz; what every speech encoder here was trained on
RATES = (1000, 400_000)  # Hz; below there is no speech, above no recorder
BLOCK = 1 << 16  # samples decoded at once, all channels together
CANCELLED = 0.1  # of the power of its loudest channel is left of a sum that cancels (−10 dB) …
AUDIBLE = 1e-6  # … where that channel has this power at least (−60 dB of full scale)


def blocks_here(file: BinaryIO, name: str) -> Generator[np.ndarray]:
    """`blocks` of a file that needs a decoder, in this process; see `erc.base.apart`."""
    return blocks_of(streams(file, name), name)


def blocks_of(found: Iterable[Stream], name: str) -> Generator[np.ndarray]:
    length = 0
    for stream in found:
        check(stream, name)
        mono, read, stretch = _Mono(name), 0, None
        if stream.rate != SAMPLE_RATE:
            import soxr

            stretch = soxr.ResampleStream(stream.rate, SAMPLE_RATE, 1)
        most = BLOCK // stream.channels
        if stream.frames is not None:
            most = min(most, stream.frames + 1)  # one more: the end is met at once
        while len(samples := stream.read(most, "float32")):
            low, high = samples.min(), samples.max()
            if not (low >= -LOUDEST and high <= LOUDEST):  # nan neither
                raise AudioError(
                    f"{name}: {_absurd(samples)} near {length / SAMPLE_RATE:.1f} s; "
                    "export it again as PCM"
                )
            read += len(samples)
            piece = mono(samples)
            piece = stretch.resample_chunk(piece) if stretch else piece
            length += len(piece)
            yield piece
        if stretch:
            piece = stretch.resample_chunk(np.zeros(0, np.float32), last=True)
            length += len(piece)
            yield piece
        say_missing(stream, name, read, length)
    if not length:
        raise AudioError(f"{name}: holds no samples; record it again or leave it out")


def say_missing(stream: Stream, name: str, read: int, length: int) -> None:
    if (less := stream.missing(read)) > 0:
        say(f"{name}: ends after {length / SAMPLE_RATE:.2f} s, {less:.2f} s before it should")


def seconds_here(
    file: BinaryIO, name: str, most: float, step: Callable[[], None] = lambda: None
) -> float:
    """`seconds` of a file that needs a decoder, in this process; `step` is called on the way."""
    return seconds_of(streams(file, name), name, most, step)


def seconds_of(
    found: Iterable[Stream], name: str, most: float, step: Callable[[], None] = lambda: None
) -> float:
    total = 0.0
    for stream in found:
        check(stream, name)
        if stream.frames is not None:
            total += stream.frames / stream.rate
            continue
        while total <= most and len(samples := stream.read(BLOCK // stream.channels, "float32")):
            total += len(samples) / stream.rate
            step()
    if not total:
        raise AudioError(f"{name}: holds no samples; record it again or leave it out")
    return total


def recorded_here(
    file: BinaryIO, name: str, keep: Callable[[np.ndarray], None], stream: Stream | None = None
) -> tuple[int, int, float]:
    """`recorded` in this process, piece by piece; rate, channels, and s that are missing."""
    with closing(streams(file, name)) as others:
        stream, read = stream or next(others), 0
        check(stream, name)
        while len(piece := stream.read(BLOCK // stream.channels, "float32")):
            read += len(piece)
            keep(piece)
        return stream.rate, stream.channels, stream.missing(read)


def say(what: str) -> None:
    """Something that a person should know of a recording that can be used all the same."""
    warnings.warn(what, AudioWarning, stacklevel=3)


def check(stream: Stream, name: str) -> None:
    """Judge what a header claims before memory is taken for it."""
    if not RATES[0] <= stream.rate <= RATES[1]:
        raise AudioError(
            f"{name}: its rate is {stream.rate} Hz; {RATES[0]} to {RATES[1]} Hz are taken"
        )
    if not 1 <= stream.channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: {stream.channels} channels; at most {MAX_CHANNELS} are taken")


def _absurd(samples: np.ndarray) -> str:
    if not np.isfinite(samples).all():
        return "has nan or infinite samples"
    return f"has samples of {np.abs(samples).max():.0e} times full scale"


class _Mono:
    """[T, channels] → [T]: the mean; from where channels cancel each other on, the loudest of them."""

    def __init__(self, name: str):
        self.name = name
        self.channel: int | None = None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        if samples.shape[1] == 1:
            return np.ascontiguousarray(samples[:, 0])
        if self.channel is None:
            mean = samples.mean(1)
            power = np.einsum("tc,tc->c", samples, samples) / len(samples)
            left = np.einsum("t,t", mean, mean) / len(samples) * samples.shape[1] ** 2
            if left >= CANCELLED * power.max() or power.max() < AUDIBLE:
                return mean
            self.channel = int(power.argmax())
            say(
                f"{self.name}: its channels cancel each other (one is out of phase); "
                f"channel {self.channel + 1} of {samples.shape[1]} is heard"
            )
        return np.ascontiguousarray(samples[:, self.channel])
