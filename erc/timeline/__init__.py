"""A long recording → turns of speech with an answer each.

    voice activity → turns → windows → Recognizer.predict_many → one answer a turn → Timeline

The recording is read twice, block by block, and never held: once to find the turns, once to cut
them out. So every turn is known, and its transcript with it, before the first answer is computed.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.audio import SAMPLE_RATE, Source
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError, did_you_mean
from erc.recognizer.prediction import Failure, Prediction, table
from erc.timeline.averages import mean, smoothed, vector
from erc.timeline.files import save, write
from erc.timeline.recording import Envelope, Recording, cut
from erc.timeline.subtitles import Segment, read
from erc.timeline.turns import Piece, Turn, find, pieces, with_text
from erc.timeline.vad import Rule

if TYPE_CHECKING:
    import pandas as pd

    from erc.recognizer import Recognizer

__all__ = ["Timeline", "TurnFailure", "timeline", "write"]

VAD = ("silero", "none", "text")
SEARCH = 0.1  # share of the work that finding the turns is, for the time left
AHEAD = 240.0  # s of audio that wait for the model at most
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class TurnFailure(Failure):
    """A turn that could not be answered; it keeps its place."""

    start: float = 0.0
    end: float = 0.0
    text: str | None = None


@dataclass(frozen=True, repr=False)
class Timeline:
    """What the model says of each turn of a recording.

    Attributes:
        file: path of the recording, or what stands for it.
        duration: s.
        turns: in order, each a `Prediction` with `start`, `end` (s) and `text`, or a `TurnFailure`.
        envelope: [bins, 2] least and greatest sample, to draw the recording without having it.
        bin: s, length of a bin.
        unspoken: segments of the transcript in which no speech was found; they were not used.
        settings: what the turns and answers were made with.
    """

    file: str
    duration: float
    turns: list[Any]
    envelope: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    bin: float = 0.01
    unspoken: list[Segment] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def predictions(self) -> list[Any]:
        """The turns that were answered."""
        return [turn for turn in self.turns if isinstance(turn, Prediction)]

    def __repr__(self) -> str:
        spoken = sum(t.end - t.start for t in self.turns)
        failed = len(self.turns) - len(self.predictions)
        shares = self.shares()
        most = ", ".join(f"{e} {s:.0%}".replace("%", " %") for e, s in shares[:3])
        return (
            f"Timeline({self.file}: {self.duration:.1f} s, {len(self.turns)} turns, "
            f"{spoken:.1f} s of speech{f': {most}' if most else ''}"
            f"{f'; {failed} turns failed' if failed else ''})"
        )

    def shares(self) -> list[tuple[str, float]]:
        """Emotions and their share of the time spoken: Σ duration × probability, most first."""
        weights = [p.end - p.start for p in self.predictions]
        if not sum(weights):
            return []
        mean = np.average([vector(p)[:-2] for p in self.predictions], axis=0, weights=weights)
        return sorted(zip(EMOTIONS, map(float, mean)), key=lambda item: -item[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        low, high = np.round(self.envelope.T.astype(float), 4).tolist()
        return {
            "file": self.file,
            "duration": self.duration,
            "settings": self.settings,
            "turns": [turn.to_dict() for turn in self.turns],
            "unspoken": [segment._asdict() for segment in self.unspoken],
            "envelope": {"seconds": self.bin, "low": low, "high": high},
        }

    def table(self) -> pd.DataFrame:
        """A turn a row, with the index of an audformat segmented table: file, start, end."""
        import pandas as pd

        rows = table(self.turns)
        for column in ("start", "end"):
            seconds = rows[column] if column in rows else pd.Series(dtype=float)
            rows[column] = pd.to_timedelta(seconds, unit="s").dt.round("ms")
        rows["text"] = rows.get("text")
        return rows.set_index(["file", "start", "end"])

    def curves(self, step: float = 1.0) -> pd.DataFrame:
        """Probabilities, valence and arousal every `step` s: of the turn at that time, else nan.

        Returns:
            columns time (s, middle of a step), valence, arousal, p_surprise … p_disgust.
        """
        import pandas as pd

        time = (np.arange(math.ceil(self.duration / step)) + 0.5) * step
        values = np.full((len(time), len(EMOTIONS) + 2), np.nan)
        for turn in self.predictions:
            values[(time >= turn.start) & (time < turn.end)] = vector(turn)
        names = [*(f"p_{e}" for e in EMOTIONS), "valence", "arousal"]
        found = pd.DataFrame(values, columns=names)
        return found.assign(time=time)[["time", "valence", "arousal", *names[:-2]]]

    def save(self, path: str | Path) -> Path:
        """Write .csv, .json, .vtt, .eaf, .png or .svg; see `erc.timeline.files`."""
        return save(self, path)


def timeline(
    recognizer: Recognizer,
    audio: Source,
    text: str | Path | Iterable[Any] | None = None,
    sampling_rate: int | None = None,
    *,
    vad: str = "silero",
    rule: Rule | None = None,
    max_turn: float = 15.0,
    overlap: float = 2.0,
    smooth: float = 0.0,
    progress: Progress | None = None,
) -> Timeline:
    """Answer for every turn of a recording of any length.

    Args:
        audio: path, bytes, open file, or samples with `sampling_rate`; any rate, any channels.
        text: transcript with times: a .srt, .vtt or .json file, or segments {start, end, text}.
            Each goes to the turn that it overlaps longest (`erc.timeline.subtitles.align`).
        vad: "silero" finds speech; "none": windows of `max_turn`, one after the other, silence
            too; "text": each segment of the transcript is a turn.
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
    _check(recognizer, text, vad, max_turn, overlap, smooth)
    recording, envelope = Recording(audio, sampling_rate), Envelope()
    segments, rule = [] if text is None else read(text), rule or Rule()
    window = min(max_turn, (recognizer.max_samples or math.inf) / SAMPLE_RATE)
    overlap = min(overlap, window / 2)
    tell = progress or (lambda done, total: None)

    spans = find(_watched(recording, envelope, tell), segments, vad, rule, window)
    turns, unspoken = with_text(spans, segments, vad)
    plan = [piece for i, turn in enumerate(turns) for piece in pieces(i, turn, window, overlap)]
    answers = _answers(recognizer, recording, plan, window, tell)
    made = [_made(recognizer, recording.name, turn, answers[i]) for i, turn in enumerate(turns)]
    return Timeline(
        file=recording.name,
        duration=recording.duration,
        turns=smoothed(made, smooth, recognizer) if smooth else made,
        envelope=envelope.bins(),
        bin=envelope.seconds,
        unspoken=unspoken,
        settings={"vad": vad, "max_turn": max_turn, "window": window, "overlap": overlap}
        | {"smooth": smooth, "runtime": recognizer.runtime.name}
        | (asdict(rule) if vad == "silero" else {}),
    )


def _check(
    recognizer: Recognizer, text: Any, vad: str, max_turn: float, overlap: float, smooth: float
) -> None:
    if vad not in VAD:
        raise ConfigError(f"vad='{vad}' is not one of {', '.join(VAD)}{did_you_mean(vad, VAD)}")
    if vad == "text" and text is None:
        raise ConfigError("vad='text' makes turns of a transcript with times; give text=…")
    if not 0.5 <= max_turn < math.inf:
        raise ConfigError(f"max_turn={max_turn}: seconds, at least 0.5")
    if not 0 <= overlap <= max_turn / 2:
        raise ConfigError(f"overlap={overlap}: seconds, 0 … half of max_turn={max_turn}")
    if not 0 <= smooth < math.inf:
        raise ConfigError(f"smooth={smooth}: seconds, 0 for none")
    if "speech" not in recognizer.spec.modalities:
        raise ConfigError("this model reads text only; a timeline needs one that hears speech")
    if recognizer.spec.needs_all and text is None and "text" in recognizer.spec.modalities:
        raise ConfigError("this model needs the transcript too; give text=… with times")


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


def _made(
    recognizer: Recognizer,
    name: str,
    turn: Turn,
    answers: list[tuple[float, Prediction | Failure]],
) -> Prediction | TurnFailure:
    """One answer of a turn; a turn of which a window failed has failed."""
    where = {"start": round(turn.start / SAMPLE_RATE, 3), "end": round(turn.end / SAMPLE_RATE, 3)}
    text = " ".join(segment.text for segment in turn.said) or None
    for _, answer in answers:
        if isinstance(answer, Failure):
            return TurnFailure(name, answer.error, **where, text=text)
    weights, predictions = zip(*answers)
    one = predictions[0] if len(answers) == 1 else mean(predictions, weights, recognizer)
    return replace(one, file=name, **where, text=text)
