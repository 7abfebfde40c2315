"""A long recording → turns of speech with an answer each.

    voice activity → turns → windows → Recognizer.predict_many → one answer a turn → Timeline

A recording is read twice, block by block, and never held: once to find the turns, once to cut
them out. So every turn is known, and its transcript with it, before the first answer is computed.
`Live` does the same with a stream, turn by turn as they end.

Enters: a recording of any length, and its transcript if there is one. Leaves: `Timeline`, and files and
a picture of it. May import: base, recognizer.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.sources import Source
from erc.recognizer.prediction import Failure, Prediction
from erc.recognizer.vad import Rule
from erc.timeline.answering import check, made, settings
from erc.timeline.averages import smoothed
from erc.timeline.files import Timeline, write
from erc.timeline.live import Heard, Live
from erc.timeline.record import TurnFailure
from erc.timeline.recording import Envelope, Recording, cut
from erc.timeline.subtitles import read
from erc.timeline.turns import Piece, find, pieces, with_text

if TYPE_CHECKING:
    from erc.recognizer import Recognizer

__all__ = ["Heard", "Live", "Timeline", "TurnFailure", "timeline", "write"]

SEARCH = 0.1  # share of the work that finding the turns is, for the time left
AHEAD = 240.0  # s of audio that wait for the model at most
Progress = Callable[[float, float], None]


def timeline(
    recognizer: Recognizer,
    audio: Source,
    text: str | Path | Iterable[Any] | None = None,
    sampling_rate: int | None = None,
    *,
    vad: str | None = None,
    rule: Rule | None = None,
    max_turn: float = 15.0,
    overlap: float = 2.0,
    smooth: float = 0.0,
    progress: Progress | None = None,
) -> Timeline:
    """Answer for every turn of a recording of any length.

    Args:
        audio: path, bytes, open file, or samples with `sampling_rate`; any rate, any channels.
        text: transcript with times: a .srt, .vtt or .json file, or segments {start, end, text,
            speaker}; see `erc.timeline.subtitles.read`.
        vad: "text": each segment of the transcript is a turn; "silero" finds speech, and a segment
            goes to the turn that it overlaps longest (`erc.timeline.subtitles.align`); "none":
            windows of `max_turn`, one after the other, silence too. None: "text" where there is a
            transcript, else "silero".
        rule: when speech begins and ends.
        max_turn: s the model hears at once; it is less where the model was trained to hear less. A
            longer turn is heard in overlapping windows of that length, whose answers are averaged
            so that every moment of the turn counts the same.
        overlap: s that two windows share at least.
        smooth: s; 0: off. Neighbouring turns count with exp(−distance / smooth) × their duration.
        progress: called with (seconds done, seconds in all).

    Raises:
        AudioError: the recording cannot be used.
        ConfigError: unknown option, transcript that cannot be read, a model that hears nothing.
    """
    vad = vad or ("silero" if text is None else "text")
    check(recognizer, text, vad, max_turn, overlap, smooth)
    recording, envelope = Recording(audio, sampling_rate), Envelope()
    segments, rule = [] if text is None else read(text), rule or Rule()
    window = min(max_turn, (recognizer.max_samples or math.inf) / SAMPLE_RATE)
    overlap = min(overlap, window / 2)
    tell = progress or (lambda done, total: None)

    spans = find(_watched(recording, envelope, tell), segments, vad, rule, window)
    turns, unspoken = with_text(spans, segments, vad)
    plan = [piece for i, turn in enumerate(turns) for piece in pieces(i, turn, window, overlap)]
    answers = _answers(recognizer, recording, plan, window, tell)
    found = [made(recognizer, recording.name, turn, answers[i]) for i, turn in enumerate(turns)]
    return Timeline(
        file=recording.name,
        duration=recording.duration,
        turns=smoothed(found, smooth, recognizer) if smooth else found,
        envelope=envelope.bins(),
        bin=envelope.seconds,
        unspoken=unspoken,
        simulated=recognizer.learned.simulated,
        space=recognizer.space,
        settings=settings(recognizer, vad, max_turn, window, overlap, smooth, rule),
    )


def _watched(recording: Recording, envelope: Envelope, tell: Progress) -> Iterator[np.ndarray]:
    """The blocks of the first reading, on their way through the envelope."""
    seconds = 0.0
    for block in recording.blocks():
        envelope.add(block)
        yield block
        seconds += len(block) / SAMPLE_RATE
        tell(SEARCH * min(seconds, recording.duration), recording.duration)


def _answers(
    recognizer: Recognizer,
    recording: Recording,
    plan: list[Piece],
    window: float,
    tell: Progress,
) -> dict[int, list[tuple[float, Prediction | Failure]]]:
    """Weights and answers of the pieces of each turn; the second reading."""
    plan = sorted(plan, key=lambda piece: piece.start)
    takes_text = "text" in recognizer.spec.modalities
    inputs = (
        {
            "audio": samples,
            "sampling_rate": SAMPLE_RATE,
            "text": piece.text if takes_text else None,
            "name": recording.name,
        }
        for piece, samples in zip(plan, cut(recording.blocks(), [(p.start, p.end) for p in plan]))
    )
    found: dict[int, list[tuple[float, Prediction | Failure]]] = defaultdict(list)
    work, total = 0, sum(piece.end - piece.start for piece in plan)
    many = min(64, max(1, int(AHEAD / window)))  # pieces in memory at once, twice
    for piece, answer in zip(plan, recognizer.predict_many(inputs, window=many)):
        found[piece.turn].append((piece.weight, answer))
        work += piece.end - piece.start
        tell((SEARCH + (1 - SEARCH) * work / total) * recording.duration, recording.duration)
    tell(recording.duration, recording.duration)
    return found
