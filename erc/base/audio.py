"""Recordings of any kind → mono float32 at 16 kHz in [−1, 1]."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from numbers import Real
from typing import Any, BinaryIO

import numpy as np

from erc.base import apart
from erc.base.decoders import Stream, plain, streams
from erc.base.errors import AudioError, AudioWarning
from erc.base.sources import Source, is_encoded, name_of, opened

SAMPLE_RATE = 16_000  # Hz; what every speech encoder here was trained on
MIN_SAMPLES = 400  # 25 ms: one analysis window; a shorter clip gives wav2vec2 not a single frame
MAX_SAMPLES = 7 * SAMPLE_RATE  # 7 s, where the published system cuts

RATES = (1000, 400_000)  # Hz; below there is no speech, above no recorder
MAX_CHANNELS = 64
MAX_LOADED = 1800 * SAMPLE_RATE  # 30 min, 115 MB; longer ones are read block by block
LOUDEST = 1e6  # times full scale; what is above was never sound
LOUDEST_ARRAY = 128  # an array of floats above it was meant as integers, or scaled wrongly
BLOCK = 1 << 16  # samples decoded at once, all channels together
CANCELLED = 0.1  # of the power of its loudest channel is left of a sum that cancels (−10 dB) …
AUDIBLE = 1e-6  # … where that channel has this power at least (−60 dB of full scale)


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
    return _blocks([_samples(source, sampling_rate, name)], name)


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
            yield from (_as(dtype, piece) for piece in _blocks([stream], name))


def _plain_int16(stream: Stream, name: str) -> Iterator[np.ndarray]:
    read = 0
    while len(samples := stream.read(MAX_LOADED + 1 - read, "int16")):
        read += len(samples)
        yield samples[:, 0].astype(np.int16, copy=False)
    _end(stream, name, read, read)


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


def blocks_here(file: BinaryIO, name: str) -> Generator[np.ndarray]:
    """`blocks` of a file that needs a decoder, in this process; see `erc.base.apart`."""
    return _blocks(streams(file, name), name)


def _blocks(found: Iterable[Stream], name: str) -> Generator[np.ndarray]:
    length = 0
    for stream in found:
        _check(stream, name)
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
        _end(stream, name, read, length)
    if not length:
        raise AudioError(f"{name}: holds no samples; record it again or leave it out")


def _end(stream: Stream, name: str, read: int, length: int) -> None:
    if (less := stream.missing(read)) > 0:
        say(f"{name}: ends after {length / SAMPLE_RATE:.2f} s, {less:.2f} s before it should")


def seconds(source: Source, sampling_rate: int | None = None, most: float = np.inf) -> float:
    """How long a recording is, by its header; where that does not say, by reading it to the end.

    Args:
        most: s; it is read no further than a little beyond.

    Raises:
        AudioError: as `load`.
    """
    name = name_of(source)
    if not is_encoded(source):
        return _seconds([_samples(source, sampling_rate, name)], name, most)
    with opened(source, name) as file:
        stream = plain(file, name)
        if stream is None and apart.POSIX:
            return apart.seconds(file, name, most)
        return _seconds([stream], name, most) if stream else seconds_here(file, name, most)


def seconds_here(
    file: BinaryIO, name: str, most: float, step: Callable[[], None] = lambda: None
) -> float:
    """`seconds` of a file that needs a decoder, in this process; `step` is called on the way."""
    return _seconds(streams(file, name), name, most, step)


def _seconds(
    found: Iterable[Stream], name: str, most: float, step: Callable[[], None] = lambda: None
) -> float:
    total = 0.0
    for stream in found:
        _check(stream, name)
        if stream.frames is not None:
            total += stream.frames / stream.rate
            continue
        while total <= most and len(samples := stream.read(BLOCK // stream.channels, "float32")):
            total += len(samples) / stream.rate
            step()
    if not total:
        raise AudioError(f"{name}: holds no samples; record it again or leave it out")
    return total


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


def recorded_here(
    file: BinaryIO, name: str, keep: Callable[[np.ndarray], None], stream: Stream | None = None
) -> tuple[int, int, float]:
    """`recorded` in this process, piece by piece; rate, channels, and s that are missing."""
    with closing(streams(file, name)) as others:
        stream, read = stream or next(others), 0
        _check(stream, name)
        while len(piece := stream.read(BLOCK // stream.channels, "float32")):
            read += len(piece)
            keep(piece)
        return stream.rate, stream.channels, stream.missing(read)


def say(what: str) -> None:
    """Something that a person should know of a recording that can be used all the same."""
    warnings.warn(what, AudioWarning, stacklevel=3)


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
    if (peak := max(-out.min(), out.max())) > LOUDEST:
        out /= peak  # the result has no scale, but its way there squares it
    out -= out.mean()
    out *= 1 / np.sqrt(np.einsum("t,t", out, out) / len(out) + ε)
    return out


def _check(stream: Stream, name: str) -> None:
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


def _samples(samples: Any, sampling_rate: int | None, name: str) -> Stream:
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
