"""Recordings of any length, block by block: mono float32 at 16 kHz in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from erc.base import audio
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError
from erc.base.sources import Source, is_pipe, name_of, named, read_pipe

BINS = 4000  # of an envelope, at most; more than a page has pixels


class Recording:
    """A recording that can be read again and again without ever being held as a whole.

    Args:
        source: path, encoded bytes, open binary file that can seek, or samples with
            `sampling_rate`, as `erc.base.audio.load` takes them.

    Attributes:
        name: what to call it.
        duration: s, as the file's header has it, or measured where it has none; exact after the
            blocks were read once.

    Raises:
        AudioError: missing, unreadable, empty.
    """

    def __init__(self, source: Source, sampling_rate: int | None = None):
        self.source: Any = source
        self.rate = sampling_rate
        self.name = name_of(source)
        if is_pipe(source):  # it can be read once only
            self.source = named(read_pipe(self.name), self.name)
        if hasattr(source, "read") and not self.source.seekable():
            raise AudioError(f"{self.name}: cannot be read twice; save it to a file first")
        self.duration = audio.seconds(self.source, sampling_rate)

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [T] pieces at 16 kHz, whose sum is the recording; resampled as one stream.

        Raises:
            AudioError: cannot be decoded on the way, or has samples that are no sound.
        """
        length = 0
        for piece in audio.blocks(self.source, self.rate):
            length += len(piece)
            yield piece
        self.duration = length / SAMPLE_RATE


def cut(blocks: Iterable[np.ndarray], spans: Iterable[tuple[int, int]]) -> Iterator[np.ndarray]:
    """The samples of each span; no more of the recording is held than the span needs.

    Args:
        blocks: of the recording.
        spans: (start, end) in samples; starts never fall, spans may overlap.

    >>> [x.tolist() for x in cut([np.arange(3), np.arange(3, 6)], [(1, 4), (2, 6)])]
    [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0, 5.0]]
    """
    coming = iter(blocks)
    held, first = np.zeros(0, np.float32), 0  # samples, and where the first of them lies
    for start, end in spans:
        pieces, last = [held], first + len(held)
        while last < end and (block := next(coming, None)) is not None:
            last += len(block)
            if last > start:
                pieces.append(block)
        held = np.concatenate(pieces)
        held = held[max(0, start - (last - len(held))) :]
        first = last - len(held)
        yield held[start - first : end - first].copy()


class Envelope:
    """Least and greatest sample of up to `BINS` stretches of equal length, of any recording.

    A bin begins as 10 ms; whenever all are used, neighbours are joined and bins are twice as long.

    Attributes:
        seconds: length of a bin.
    """

    def __init__(self) -> None:
        self.size = SAMPLE_RATE // 100  # samples
        self._bins = np.zeros((0, 2), np.float32)
        self._rest = np.zeros(0, np.float32)

    @property
    def seconds(self) -> float:
        return self.size / SAMPLE_RATE

    def add(self, samples: np.ndarray) -> None:
        """The next samples of the recording."""
        self._rest = np.concatenate([self._rest, samples])
        whole = len(self._rest) // self.size
        ready, self._rest = np.split(self._rest, [whole * self.size])
        ready = ready.reshape(whole, self.size)
        if whole:
            new = np.stack([ready.min(1), ready.max(1)], 1)
            self._bins = np.concatenate([self._bins, new])
        while len(self._bins) > BINS:
            self._join()

    def bins(self) -> np.ndarray:
        """float32 [bins, 2]: least and greatest."""
        if not len(self._rest):
            return self._bins
        last = np.array([[self._rest.min(), self._rest.max()]], np.float32)
        return np.concatenate([self._bins, last])

    def _join(self) -> None:
        if len(self._bins) % 2:  # the last one goes back to the samples that wait for a bin
            last = np.resize(self._bins[-1], self.size)  # low, high, low, …
            self._rest, self._bins = np.concatenate([last, self._rest]), self._bins[:-1]
        two = self._bins.reshape(-1, 2, 2)
        self._bins = np.stack([two[:, :, 0].min(1), two[:, :, 1].max(1)], 1)
        self.size *= 2
