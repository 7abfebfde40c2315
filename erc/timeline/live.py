"""A stream of samples → turns as they end, and what is heard so far of the one that has not.

Turns are found by the rule and answered by the code of `erc.timeline.timeline`, so that a stream that
is over has the timeline of its recording. Of the samples only the open turn is held.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.arrays import from_int16
from erc.base.audio import SAMPLE_RATE
from erc.base.decoding import RATES, say
from erc.base.errors import AudioError, ConfigError, ErcError
from erc.recognizer.prediction import Failure, Prediction
from erc.recognizer.vad import Detector, Finder, Rule
from erc.timeline.answering import check, made, settings
from erc.timeline.files import Timeline
from erc.timeline.record import TurnFailure
from erc.timeline.recording import Envelope
from erc.timeline.subtitles import Segment
from erc.timeline.turns import Piece, Turn, pieces

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer

EVERY = 0.5  # s of a turn between two partial answers
PAUSE = 0.16  # s of a pause after which the turn is answered as if it ended there
LONGEST = 60.0  # s of a turn that are held at most: 4 MB


@dataclass(frozen=True)
class Heard:
    """What is said of a turn of a stream.

    Attributes:
        answer: with `start` and `end`, in s since the stream began, as in a timeline.
        partial: the turn has not ended. The answer is of its last seconds up to `end`, as many as the
            model hears at once; in a pause it is of the turn as it would end there.
    """

    answer: Prediction | TurnFailure
    partial: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"type": "partial" if self.partial else "turn", "turn": self.answer.to_dict()}


class Live:
    """A stream of mono 16-bit PCM: `feed` it as it comes, then `close`.

    However it is cut into pieces, its turns and their answers are those of the timeline of the whole
    recording with the same rule, to 1e-5. Of each piece at most one partial answer is given, the
    newest: who falls behind skips some. A turn is over half a second after its last sound; its answer
    is made in the meantime, as that of the pause, and told without delay if nobody goes on.

    Args:
        rate: of the samples, in Hz.
        name: what answers call it.
        speaker: who speaks in it; stands in the answers.
        rule: when speech begins and ends; None: the usual one, with turns of 60 s at most.
        max_turn, overlap: as for `erc.timeline.timeline`.
        every: s of a turn between two partial answers; one more in each pause. 0: none.

    Attributes:
        turns: all that have ended, each with its answer.

    Raises:
        ConfigError: an option out of range, or a model that does not hear, or cannot without words.

    Example:
        live = recognizer.live(rate=8000)
        for chunk in chunks:
            for heard in live.feed(chunk):
                print(heard.partial, heard.answer)
        live.close(), live.timeline().shares()
    """

    def __init__(
        self,
        recognizer: Recognizer,
        rate: int = SAMPLE_RATE,
        *,
        name: str = "<live>",
        speaker: str | None = None,
        rule: Rule | None = None,
        max_turn: float = 15.0,
        overlap: float = 2.0,
        every: float = EVERY,
    ):
        check(recognizer, None, "silero", max_turn, overlap, 0.0)
        if not RATES[0] <= rate <= RATES[1] or rate != int(rate):
            raise ConfigError(f"rate={rate}: whole Hz, {RATES[0]} … {RATES[1]}")
        if not (every == 0 or 0.1 <= every < math.inf):
            raise ConfigError(f"every={every}: seconds, at least 0.1; 0 for no partial answers")
        self.recognizer, self.name, self.rule = recognizer, name, rule or Rule(max_speech=LONGEST)
        self.turns: list[Prediction | TurnFailure] = []
        self._window = min(max_turn, (recognizer.max_samples or math.inf) / SAMPLE_RATE)
        self._overlap = min(overlap, self._window / 2)
        self._said = [Segment(0.0, 0.0, "", speaker)] if speaker else []
        self._options = (max_turn, self._window, self._overlap, 0.0)
        self._stretch = _stretch(int(rate))
        self._half = b""  # of a sample whose other byte is still to come
        self._detector, self._finder = Detector(batch=1), Finder(self.rule)
        self._held, self._envelope = Held(), Envelope()
        self._every = round(every * SAMPLE_RATE)
        self._mark = (-1, 0)  # start of the turn that was told of last, and how many times
        self._foretold: dict[tuple[int, int], Prediction | TurnFailure] = {}  # of the open turn
        self._closed = False

    @property
    def duration(self) -> float:
        """s that were fed, and are through the resampler."""
        return self._held.end / SAMPLE_RATE

    @property
    def held(self) -> int:
        """Samples in memory, at 16 kHz."""
        return self._held.end - self._held.start

    def feed(self, pcm: bytes | np.ndarray) -> list[Heard]:
        """What the next samples make known: turns that ended, then the one that goes on, if due.

        Args:
            pcm: int16 [T], or its bytes, little-endian; a sample may come in two pieces.

        Raises:
            AudioError: other samples than 16-bit ones.
        """
        if self._closed:
            raise ConfigError("this stream is closed; begin another one")
        samples = from_int16(self._samples(pcm))
        if self._stretch:
            samples = self._stretch.resample_chunk(samples)
        ended = self._took(samples, self._detector.feed(samples))
        found = self._heard(ended, self._due())
        self._held.drop(self._finder.needed)
        return found

    def close(self) -> list[Heard]:
        """The turn that the end of the stream ends, if there is one."""
        if self._closed:
            return []
        self._closed = True
        if self._half:
            say(f"{self.name}: ends in half a sample, which is left out")
        samples = np.zeros(0, np.float32)
        if self._stretch:
            samples = self._stretch.resample_chunk(samples, last=True)
        rest = self._detector.feed(samples)
        ended = self._took(samples, np.concatenate([rest, self._detector.finish()]))
        ended += self._finder.finish()
        # the last window was filled up with silence
        ended = [(start, min(end, self._held.end)) for start, end in ended]
        found = self._heard(ended)
        self._held.drop(self._held.end)
        return found

    def timeline(self) -> Timeline:
        """All turns that have ended; of a stream that is closed, the timeline of its recording."""
        return Timeline(
            file=self.name,
            duration=self.duration,
            turns=list(self.turns),
            envelope=self._envelope.bins(),
            bin=self._envelope.seconds,
            simulated=self.recognizer.learned.simulated,
            space=self.recognizer.space,
            settings=settings(self.recognizer, "silero", *self._options, self.rule),
        )

    def _samples(self, pcm: bytes | np.ndarray) -> np.ndarray:
        if isinstance(pcm, np.ndarray):
            if pcm.dtype != np.int16 or pcm.ndim != 1:
                raise AudioError(f"{self.name}: {pcm.dtype} {pcm.shape}; mono int16 [T] is taken")
            return pcm
        data = self._half + pcm
        self._half = data[len(data) // 2 * 2 :]
        return np.frombuffer(data, "<i2", len(data) // 2)

    def _took(self, samples: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int]]:
        """Turns that end there."""
        self._envelope.add(samples)
        self._held.add(samples)
        return self._finder.feed(probabilities)

    def _due(self) -> Turn | None:
        """The open turn up to its last mark, if that was not told yet and nobody pauses."""
        if not self._finder.open or not self._every:
            return None
        start, speech = self._finder.open
        marks = (self._finder.now - start) // self._every
        told = self._mark[1] if self._mark[0] == start else 0
        self._mark = (start, marks)
        if marks == told or speech < self.rule.min_speech * SAMPLE_RATE or self._paused():
            return None
        return Turn(start, start + marks * self._every, self._said)

    def _paused(self) -> tuple[int, int] | None:
        """The open turn as the pause that goes on would end it."""
        return self._finder.ending if self._finder.pause >= PAUSE * SAMPLE_RATE else None

    def _heard(self, ended: Sequence[tuple[int, int]], due: Turn | None = None) -> list[Heard]:
        """Answers of turns that have ended and of one that goes on, asked together."""
        paused = self._paused()
        asked = [*ended, *([paused] if paused else [])]
        turns = [Turn(*one, self._said) for one in asked if one not in self._foretold]
        plan = [
            piece
            for i, turn in enumerate(turns)
            for piece in pieces(i, turn, self._window, self._overlap)
        ]
        if due:
            start = max(due.start, due.end - round(self._window * SAMPLE_RATE))
            plan.append(Piece(len(turns), start, due.end, 1.0, None))
        of = self._answered(plan)
        new = paused not in self._foretold
        known = self._foretold | {
            (turn.start, turn.end): made(self.recognizer, self.name, turn, of[i])
            for i, turn in enumerate(turns)
        }
        found = [known[one] for one in ended]
        self.turns += found
        self._foretold = {paused: known[paused]} if paused else {}
        heard = [Heard(one) for one in found]
        if paused and new and self._every:
            heard.append(Heard(known[paused], True))
        if due:
            one = made(self.recognizer, self.name, due, of[len(turns)])
            if isinstance(one, Prediction) and one.answered:  # of its last seconds only
                one = replace(one, heard=round((plan[-1].end - plan[-1].start) / SAMPLE_RATE, 3))
            heard.append(Heard(one, True))
        return heard

    def _answered(
        self, plan: Sequence[Piece]
    ) -> Mapping[int, list[tuple[float, Prediction | Failure]]]:
        """Turn of a piece → the weight and answer of each of its pieces."""
        read = [self._read(piece) for piece in plan]
        answers = iter(self.recognizer.answer([x for x in read if not isinstance(x, Failure)]))
        of = defaultdict[int, list[tuple[float, Prediction | Failure]]](list)
        for piece, clip in zip(plan, read):
            answer = clip if isinstance(clip, Failure) else next(answers)
            of[piece.turn].append((piece.weight, answer))
        return of

    def _read(self, piece: Piece) -> Clip | Failure:
        samples = self._held.cut(piece.start, piece.end)
        try:
            return self.recognizer.read(samples, None, SAMPLE_RATE, name=self.name)
        except ErcError as error:
            return Failure(self.name, str(error))


class Held:
    """The samples of a stream from `start` to `end`; adding costs what is added, however many there are.

    >>> held = Held()
    >>> held.add(np.arange(5)); held.drop(2); held.add(np.arange(5, 8))
    >>> held.cut(2, 4).tolist(), held.cut(4, 8).tolist()
    ([2.0, 3.0], [4.0, 5.0, 6.0, 7.0])
    """

    def __init__(self) -> None:
        self.start = self.end = 0
        self._room, self._first = np.zeros(0, np.float32), 0  # and where its first sample lies

    def add(self, samples: np.ndarray) -> None:
        """The next samples."""
        end = self.end + len(samples)
        if end - self._first > len(self._room):  # twice what is needed, so that it is seldom copied
            room = np.zeros(max(SAMPLE_RATE, 2 * (end - self.start)), np.float32)
            room[: self.end - self.start] = self.cut(self.start, self.end)
            self._room, self._first = room, self.start
        self._room[self.end - self._first : end - self._first] = samples
        self.end = end

    def drop(self, before: int) -> None:
        """Samples before this one are not needed any more."""
        self.start = min(max(self.start, before), self.end)

    def cut(self, start: int, end: int) -> np.ndarray:
        """float32 [end − start], a copy."""
        return self._room[start - self._first : end - self._first].copy()


def _stretch(rate: int) -> Any:
    if rate == SAMPLE_RATE:
        return None
    import soxr

    return soxr.ResampleStream(rate, SAMPLE_RATE, 1)
