"""Where a long recording is cut: turns of speech, and windows that a model can hear at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.recognizer.vad import Rule, detect
from erc.recognizer.windows import windows
from erc.timeline.subtitles import Segment, align


class Turn(NamedTuple):
    """A stretch of the recording that is answered as one."""

    start: int  # samples
    end: int
    said: list[Segment]


class Piece(NamedTuple):
    """What the model hears at once: a turn, or a window of it."""

    turn: int  # index of its turn
    start: int  # samples
    end: int
    weight: float  # in the mean over its turn
    text: str | None  # what is said in it


def find(
    blocks: Iterable[np.ndarray],
    segments: Sequence[Segment],
    vad: str,
    rule: Rule,
    window: float,
) -> list[tuple[int, int]]:
    """Turns as (start, end) in samples, in order of their start; see `erc.timeline.timeline`.

    Args:
        blocks: of the recording; all are taken.
        segments: of its transcript, for vad="text".
        window: s, for vad="none".
    """
    if vad == "silero":
        return detect(blocks, rule)
    length, size = sum(map(len, blocks)), round(window * SAMPLE_RATE)
    if vad == "text":
        ends = [(round(s.start * SAMPLE_RATE), round(s.end * SAMPLE_RATE)) for s in segments]
        return [(start, min(end, length)) for start, end in ends]
    edges = [*range(0, length, size), length]
    if len(edges) > 2 and length - edges[-2] < rule.min_speech * SAMPLE_RATE:
        del edges[-2]  # a rest too short to say anything about joins the window before
    return list(pairwise(edges))


def with_text(
    spans: list[tuple[int, int]], segments: list[Segment], vad: str
) -> tuple[list[Turn], list[Segment]]:
    """Turns with the segments said in them, and the segments said in none."""
    if vad == "text":  # a segment behind the end of the recording has no sound
        heard = [(*span, [s]) for span, s in zip(spans, segments) if span[0] < span[1]]
        rest = [s for span, s in zip(spans, segments) if span[0] >= span[1]]
        return [Turn(*turn) for turn in heard], rest
    turns = [Turn(start, end, []) for start, end in spans]
    seconds = [(start / SAMPLE_RATE, end / SAMPLE_RATE) for start, end in spans]
    unspoken: list[Segment] = []
    for segment, turn in zip(segments, align(segments, seconds), strict=True):
        (unspoken if turn is None else turns[turn].said).append(segment)
    return turns, unspoken


def pieces(index: int, turn: Turn, window: float, overlap: float) -> Iterator[Piece]:
    """A turn, or its windows if it is longer than one (s); each with the segments said in it."""
    size, shared = round(window * SAMPLE_RATE), round(overlap * SAMPLE_RATE)
    cuts = windows(turn.end - turn.start, size, shared)
    places = [((turn.start + a) / SAMPLE_RATE, (turn.start + b) / SAMPLE_RATE) for a, b, _ in cuts]
    owner = align(turn.said, places) if len(cuts) > 1 else [0] * len(turn.said)
    for i, (a, b, weight) in enumerate(cuts):
        said = " ".join(s.text for s, window_of_it in zip(turn.said, owner) if window_of_it == i)
        yield Piece(index, turn.start + a, turn.start + b, weight, said or None)
