"""Several folds → one `Summary`: mean ± standard deviation over them, and all utterances together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.files import write_json
from erc.base.space import KEMDY, Space
from erc.scores.results import Human, Margin, Results, System, where
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
    """One cross-validation: every fold, trained once or, with several seeds, several times."""

    systems: Mapping[str, Spread]  # over all trainings
    human: Spread
    pooled: Mapping[
        str, System
    ]  # scores of all held-out utterances; intervals over speakers and seeds
    seeds: Mapping[
        int, Mapping[str, Mapping[str, float]]
    ]  # seed → system → its pooled scores alone
    margins: Mapping[str, Margin]
    simulated: bool
    corpus: str
    store: str
    protocol: str
    folds: int
    n: int  # utterances of all folds
    speakers: int
    sessions: tuple[str, ...]
    seed: int  # the first
    command: str
    precision: str
    calibrated: bool  # every model was, on other utterances than it is scored on
    versions: Mapping[str, str]
    space: Space = KEMDY  # the emotions and dimensions that scores are of

    @classmethod
    def of(
        cls,
        results: Sequence[Results],
        scored: Sequence[Mapping[str, Scored]],
        command: str = "",
        margins: Mapping[str, Margin] | None = None,
    ) -> Summary:
        """Join trainings.

        Args:
            results: of each training; scored: their predictions.csv, in the same order.
            command: that made them all; "": that of the last.
            margins: of the pooled rows over the baselines.
        """
        last, rows = results[-1], pooled(scored)
        seeds = seeds_of(results, scored)
        names = dict.fromkeys(r.seed for r in results)
        alone = {
            seed: {name: x.take(seeds == seed).evaluate() for name, x in rows.items()}
            for seed in names
        }
        first = [r for r in results if r.seed == results[0].seed]
        return cls(
            {name: Spread.over([r.systems[name] for r in results]) for name in rows},
            Spread.over([r.human for r in first]),
            {name: System.of(x, seeds) for name, x in rows.items()},
            alone,
            margins or {},
            last.simulated,
            last.corpus,
            last.store,
            last.protocol,
            last.folds,
            sum(r.n for r in first),
            len({s for fold in scored for s in next(iter(fold.values())).people}),
            tuple(sorted({s for r in first for s in r.sessions})),
            results[0].seed,
            command or last.command,
            last.precision,
            all(r.calibrated for r in results),
            last.versions,
            last.space,
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
        metric, `intervals` of `pooled`, `seeds[seed][system][metric]`, `human.mean`, `human.std`,
        and where they come from."""
        plain = {k: v for k, v in vars(self).items() if k not in ("systems", "human", "pooled")}
        return plain | {
            "space": self.space.to_json(),
            "margins": {metric: margin._asdict() for metric, margin in self.margins.items()},
            "mean": {name: s.mean for name, s in self.systems.items()},
            "std": {name: s.std for name, s in self.systems.items()},
            "human": vars(self.human),
            "pooled": {name: s.scores for name, s in self.pooled.items()},
            "intervals": {name: s.intervals for name, s in self.pooled.items()},
        }

    def write(self, path: str | Path) -> None:
        """Write results.json."""
        write_json(path, self.to_json())


def pooled(scored: Sequence[Mapping[str, Scored]]) -> dict[str, Scored]:
    """The rows of each system in all trainings, one after the other."""
    return {name: pool([rows[name] for rows in scored]) for name in scored[0]}


def seeds_of(results: Sequence[Results], scored: Sequence[Mapping[str, Scored]]) -> np.ndarray:
    """The seed of the training behind each of the `pooled` rows, [N]."""
    sizes = [len(next(iter(rows.values()))) for rows in scored]
    return np.repeat([r.seed for r in results], sizes)
