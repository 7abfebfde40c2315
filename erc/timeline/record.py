"""What a timeline holds: a recording's turns, each with its answer. Knows no file and no picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.errors import optional
from erc.base.space import KEMDY, Space
from erc.recognizer.prediction import NO_SPEECH, Failure, Prediction, table
from erc.timeline.averages import vector
from erc.timeline.subtitles import Segment

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TurnFailure(Failure):
    """A turn that could not be answered; it keeps its place."""

    start: float = 0.0
    end: float = 0.0
    text: str | None = None
    speaker: str | None = None


@dataclass(frozen=True, repr=False)
class Record:
    """What the model says of each turn of a recording.

    Attributes:
        file: path of the recording, or what stands for it.
        duration: s.
        turns: in order, each a `Prediction` with `start`, `end` (s), `text` and `speaker`, or a
            `TurnFailure`.
        envelope: [bins, 2] least and greatest sample, to draw the recording without having it.
        bin: s, length of a bin.
        unspoken: segments of the transcript in which no speech was found; they were not used.
        settings: what the turns and answers were made with.
        simulated: the model was trained on simulated speech; it knows nothing of real voices.
        space: the emotions and dimensions of the model's answers.
    """

    file: str
    duration: float
    turns: list[Any]
    envelope: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    bin: float = 0.01
    unspoken: list[Segment] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    simulated: bool = False
    space: Space = KEMDY

    @property
    def predictions(self) -> list[Any]:
        """The turns with an answer."""
        return [t for t in self.turns if isinstance(t, Prediction) and t.answered]

    def __repr__(self) -> str:
        if not self.turns:
            return f"{type(self).__name__}({self.file}: {self.duration:.1f} s, {NO_SPEECH})"
        spoken = sum(t.end - t.start for t in self.turns)
        failed = sum(isinstance(turn, Failure) for turn in self.turns)
        shares = self.shares()
        most = ", ".join(f"{e} {s:.0%}".replace("%", " %") for e, s in shares[:3])
        return (
            f"{type(self).__name__}({self.file}: {self.duration:.1f} s, {len(self.turns)} turns, "
            f"{spoken:.1f} s of speech{f': {most}' if most else ''}"
            f"{f'; {failed} turns failed' if failed else ''}{'; SIMULATED model' * self.simulated})"
        )

    def shares(self) -> list[tuple[str, float]]:
        """Emotions and their share of the time spoken: Σ duration × probability, most first."""
        named = [p for p in self.predictions if p.label]
        weights = [p.end - p.start for p in named]
        if not sum(weights):
            return []
        mean = np.average([vector(p) for p in named], axis=0, weights=weights)
        return sorted(zip(self.space.emotions, mean.tolist()), key=lambda item: -item[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        low, high = np.round(self.envelope.T.astype(float), 4).tolist()
        return {
            "file": self.file,
            "duration": self.duration,
            "simulated": self.simulated,
            **self.space.to_json(),
            "settings": self.settings,
            "turns": [turn.to_dict() for turn in self.turns],
            "unspoken": [segment._asdict() for segment in self.unspoken],
            "envelope": {"seconds": self.bin, "low": low, "high": high},
        }

    def table(self) -> pd.DataFrame:
        """A turn a row, with the index of an audformat segmented table: file, start, end."""
        with optional("a table"):
            import pandas as pd

        rows = table(self.turns, self.space)
        for column in ("start", "end"):
            seconds = rows[column] if column in rows else pd.Series(dtype=float)
            rows[column] = pd.to_timedelta(seconds, unit="s").dt.round("ms")
        for column in ("speaker", "text"):
            rows[column] = rows.get(column)
        return rows.set_index(["file", "start", "end"])

    def curves(self, step: float = 1.0) -> pd.DataFrame:
        """Dimensions and probabilities every `step` s: of the turn at that time, else nan.

        Returns:
            columns time (s, middle of a step), valence, arousal, p_surprise … p_disgust: those of the
            model's space.
        """
        with optional("a table"):
            import pandas as pd

        time = (np.arange(math.ceil(self.duration / step)) + 0.5) * step
        names = [*(f"p_{e}" for e in self.space.emotions), *self.space.names]
        values = np.full((len(time), len(names)), np.nan)
        for turn in self.predictions:
            values[(time >= turn.start) & (time < turn.end)] = vector(turn)
        found = pd.DataFrame(values, columns=names)
        k = len(self.space.emotions)
        return found.assign(time=time)[["time", *names[k:], *names[:k]]]
