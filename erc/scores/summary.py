"""Several folds → one `Summary`: mean ± standard deviation over them, and all utterances together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.files import write_json
from erc.scores.results import Human, Results, System, where
from erc.scores.scored import Scored, pool


@dataclass(frozen=True)
class Spread:
    """Scores over folds, metric → value; nan where some fold has none."""

    mean: Mapping[str, float]
    std: Mapping[str, float]  # ddof 1; nan of one fold

    @classmethod
    def over(cls, folds: Sequence[System | Human]) -> Spread:
        """Of one system (or the human reference) in several folds.

        >>> Spread.over([Human({"uar": 0.5}), Human({"uar": 0.7})]).mean
        {'uar': 0.6}
        """
        values = {k: np.array([fold.scores[k] for fold in folds], float) for k in folds[0].scores}
        return cls(
            {k: float(v.mean()) for k, v in values.items()},
            {k: float(v.std(ddof=1)) if len(v) > 1 else np.nan for k, v in values.items()},
        )


@dataclass(frozen=True)
class Summary:
    """The folds of one cross-validation."""

    systems: Mapping[str, Spread]
    human: Spread
    pooled: Mapping[str, System]  # scores of all held-out utterances; intervals over speakers
    simulated: bool
    corpus: str
    protocol: str
    folds: int
    n: int  # utterances of all folds
    speakers: int
    seed: int
    command: str  # of the last fold
    versions: Mapping[str, str]

    @classmethod
    def of(cls, results: Sequence[Results], scored: Sequence[Mapping[str, Scored]]) -> Summary:
        """Join folds.

        Args:
            results: of each fold; scored: their predictions.csv, in the same order.
        """
        last = results[-1]
        pooled = {
            name: System.of(pool([fold[name] for fold in scored])) for name in results[0].systems
        }
        return cls(
            {name: Spread.over([r.systems[name] for r in results]) for name in pooled},
            Spread.over([r.human for r in results]),
            pooled,
            last.simulated,
            last.corpus,
            last.protocol,
            last.folds,
            sum(r.n for r in results),
            len({s for fold in scored for s in next(iter(fold.values())).speaker}),
            last.seed,
            last.command,
            last.versions,
        )

    @property
    def where(self) -> str:
        """The corpus in a title; says first that it is simulated."""
        return where(self.simulated, self.corpus)

    @property
    def fullest(self) -> System:
        """All held-out utterances, as the system that sees most modalities and knows no speaker."""
        return [s for s in self.pooled.values() if not s.adapted and not s.baseline][-1]

    def to_json(self) -> dict[str, Any]:
        """What results.json of a cross-validation holds: `mean`, `std` and `pooled` by system and
        metric, `intervals` of `pooled`, `human.mean`, `human.std`, and where they come from."""
        plain = {k: v for k, v in vars(self).items() if k not in ("systems", "human", "pooled")}
        return plain | {
            "mean": {name: s.mean for name, s in self.systems.items()},
            "std": {name: s.std for name, s in self.systems.items()},
            "human": vars(self.human),
            "pooled": {name: s.scores for name, s in self.pooled.items()},
            "intervals": {name: s.intervals for name, s in self.pooled.items()},
        }

    def write(self, path: str | Path) -> None:
        """Write results.json."""
        write_json(path, self.to_json())
