"""What a comparison is made from, `Said` of a model on a corpus, and what comes of it: `Comparison`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from erc.base.space import Space
from erc.scores.statistics import Difference, Interval


@dataclass(frozen=True)
class Model:
    """A row of the table."""

    name: str  # as it was given
    id: str = ""  # NAME@VERSION
    takes: tuple[str, ...] = ()
    parameters: int | None = None
    megabytes: float | None = None
    terms: tuple[str, ...] = ()  # see `erc.base.terms.Terms`
    trained_on: str = ""
    simulated: bool = False  # it was trained on simulated speech
    times_real: float = math.nan  # seconds of sound answered in a second, over all corpora here
    per_second: float = math.nan  # utterances answered in a second


@dataclass(frozen=True)
class Said:
    """What one model answered for the N utterances of a corpus, in their order.

    Attributes:
        space: what it answers in: K labels and D dimensions.
        probabilities: [N, K]; rows of nan: no answer.
        dimensions: [N, D] in its own units; nan: no answer.
        reasons: why there is no answer → how many.
        seconds: that answering took.
        heard: seconds of sound that it heard; 0: it only reads.
        seen: what its folder knows of having met these speakers in training; "": nothing. Such a score
            is none of the model's ear, and no other model is measured against it.
        missing: why it cannot answer for this corpus at all; "": it can.
        notes: e.g. that it heard without the text.
    """

    space: Space
    probabilities: np.ndarray
    dimensions: np.ndarray
    reasons: Mapping[str, int] = field(default_factory=dict)
    seconds: float = math.nan
    heard: float = 0.0
    seen: str = ""
    missing: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One model, or baseline, on one corpus."""

    scores: Mapping[str, Interval] = field(default_factory=dict)  # "uar", "ccc_valence" …
    against_best: Difference | None = None  # its UAR − that of the best model; None: it is the best
    labels: Mapping[str, str | None] = field(default_factory=dict)  # own label → what it counts as
    outside: float = math.nan  # mean probability on labels that do not count here
    seen: str = ""
    missing: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One corpus, and which of its utterances were scored."""

    name: str
    side: str  # "all" or "fold 4 of 5"
    simulated: bool  # no person was recorded
    utterances: int  # of the side
    speakers: int
    emotions: tuple[str, ...]  # compared; (): none
    scored: Mapping[str, int]  # score → utterances that counted
    left_out: Mapping[str, int]  # reason → utterances
    labels: Mapping[str, str | None]  # emotion of the corpus → what it counts as
    terms: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The whole table: `cells[row][column]`, rows are models, then baselines."""

    models: tuple[Model, ...]
    columns: tuple[Column, ...]
    cells: Mapping[str, tuple[Cell, ...]]  # name of the row → a cell a column
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether some of it is about no real voice."""
        return any(m.simulated for m in self.models) or any(c.simulated for c in self.columns)

    @property
    def baselines(self) -> list[str]:
        """Names of the rows that are no models."""
        return [name for name in self.cells if name not in {m.name for m in self.models}]

    def to_json(self) -> dict[str, Any]:
        """Plain values; nan is null."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, Interval | Difference):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
