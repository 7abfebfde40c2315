"""How many raters is a model worth? Panels of k people against all others, on the model's own terms.

A panel of k raters answers with its majority (a tie: each tied emotion in equal parts, as a coin would)
and with its mean on each dimension. The truth is the majority and the mean of the raters outside the
panel; the model is scored against the same truth on the same utterances. Who is on the panel goes round:
raters in random order, then that order rotated, so that everybody sits at every place equally often.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.space import KEMDY, Space
from erc.labels.ratings import group_of, has_counts, rating_matrix, vote_matrix
from erc.scores.metrics import limits
from erc.scores.one_rater_intervals import moments, scores_of_sums, sums_of
from erc.scores.statistics import Interval, interval, paired

if TYPE_CHECKING:
    from erc.corpora.utterance import Utterance
    from erc.scores.scored import Scored

ORDERS = 3  # random orders of the raters, each rotated …
ROTATIONS = 10  # … about so often


@dataclass(frozen=True)
class Worth:
    """The size of the panel that does as well as a system.

    >>> print(Worth(2.5, 1.8, math.inf, 9))
    2.5 (1.8 – more than 9)
    """

    value: float  # interpolated between sizes; 0: one rater does better, inf: no panel does as well
    low: float  # from here on panels may do as well …
    high: float  # … and from here on they do better, at 95 %
    most: int  # the largest panel that was tried

    def __str__(self) -> str:
        value, low, high = map(self._size, (self.value, self.low, self.high))
        return value if value == low == high else f"{value} ({low} – {high})"

    def _size(self, k: float) -> str:
        return f"more than {self.most}" if math.isinf(k) else f"{k:.1f}" if k else "less than 1"


@dataclass(frozen=True)
class Panels:
    """What panels of each size reach, and how many raters each system is worth."""

    sizes: Mapping[int, Mapping[str, Interval]] = field(default_factory=dict)  # raters → metric
    worth: Mapping[str, Mapping[str, Worth]] = field(default_factory=dict)  # system → metric

    def to_json(self) -> dict[str, Any]:
        """`sizes[raters][metric] = [score, low, high]` and `worth[system][metric]`; null: no panel."""
        sizes = {
            str(k): {m: list(x[:3]) for m, x in scores.items()} for k, scores in self.sizes.items()
        }
        worth = {
            system: {m: {k: None if math.isinf(x) else x for k, x in vars(w).items()}
                     for m, w in found.items()}
            for system, found in self.worth.items()
        }  # fmt: skip
        return {"sizes": sizes, "worth": worth}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Panels:
        """What `to_json` gave."""

        def number(x: float | None, missing: float) -> float:
            return missing if x is None else x

        sizes = {
            int(k): {
                m: Interval(number(value, math.nan), number(low, math.nan), number(high, math.nan))
                for m, (value, low, high) in scores.items()
            }
            for k, scores in found.get("sizes", {}).items()
        }
        worth = {
            system: {
                m: Worth(
                    number(w["value"], math.inf),
                    number(w["low"], math.inf),
                    number(w["high"], math.inf),
                    w["most"],
                )
                for m, w in metrics.items()
            }
            for system, metrics in found.get("worth", {}).items()
        }
        return cls(sizes, worth)


def panels(
    utterances: Iterable[Utterance], systems: Sequence[Scored], space: Space = KEMDY
) -> Panels:
    """Panels of 1, 2, … raters against the others, beside systems on the same utterances.

    Sizes go as far as half of the utterances have a rater left for the truth.

    Args:
        utterances: of the split; systems: what was answered, in the same order.

    Returns:
        scores averaged over the panels of a size (accuracy, UAR, the F1s, CCC of each dimension);
        intervals over speakers. Empty where nobody was rated twice.
    """
    utterances = list(utterances)
    speaker = np.unique([f"{u.corpus}/{u.speaker}" for u in utterances], return_inverse=True)[1]
    speakers = int(speaker.max(initial=-1)) + 1
    drawn = list(_drawn(utterances, space))
    sizes: dict[int, dict[str, Interval]] = {}
    ahead: dict[str, list[dict[str, Any]]] = {s.system: [] for s in systems}
    score = partial(_mean_score, space=space)
    for k in range(1, max((d.most for d in drawn), default=0) + 1):
        seats = [_Seats(d, k, space, speaker, speakers) for d in drawn if d.most >= k]
        people = np.stack([s.panel() for s in seats], 1)
        sizes[k] = interval(score, [people], limits=limits(space))
        for system in systems:
            model = np.stack([s.of(system.predicted, system.dimensions) for s in seats], 1)
            ahead[system.system].append(paired(score, [model], [people]))
    worth = {name: _worth(found) for name, found in ahead.items() if found}
    return Panels(sizes, worth)


@dataclass(frozen=True)
class _Drawn:
    """Utterances whose raters were put in some order: R places, the last ones empty (−1, nan)."""

    rows: np.ndarray  # [M] of the split
    emotion: np.ndarray  # [M, R] index of the emotion
    rated: np.ndarray  # [M, R, D]

    @property
    def most(self) -> int:
        """The largest panel: half of the utterances still have somebody outside it."""
        both = (self.emotion >= 0) | ((~np.isnan(self.rated)).all(-1) & bool(self.rated.shape[-1]))
        raters = both.sum(1)
        return int(np.median(raters)) - 1 if len(raters) else 0


def _drawn(utterances: list[Utterance], space: Space) -> Iterator[_Drawn]:
    rng = np.random.default_rng(0)
    tables = rating_matrix(utterances, space)
    for group, table in tables.items():
        rows = np.array([i for i, u in enumerate(utterances) if u.ratings and group_of(u) == group])
        raters = len(table.raters)
        said = np.stack([table.emotion, *table.dimensions], -1).swapaxes(0, 1)
        for _ in range(ORDERS):
            order = rng.permutation(raters)
            for first in range(0, raters, max(1, raters // ROTATIONS)):
                columns = np.moveaxis(said[:, np.roll(order, -first)], -1, 0)
                own, *rated = map(_forward, columns)
                emotion = np.where(np.isnan(own), -1, own).astype(int)
                yield _Drawn(
                    rows,
                    emotion,
                    np.moveaxis(np.array(rated), 0, -1).reshape(*own.shape, len(space.dimensions)),
                )
    votes = vote_matrix(utterances)
    if not votes or tables:
        return
    rows = np.array([i for i, u in enumerate(utterances) if has_counts(u) and u.corpus in votes])
    counts = np.array([utterances[i].votes for i in rows], int)
    number = counts.sum(1)
    place = np.arange(number.max())
    kinds = np.repeat(np.tile(np.arange(len(space.emotions)), len(rows)), counts.ravel())
    filled = place < number[:, None]
    emotion = np.full(filled.shape, -1)
    emotion[filled] = kinds
    for _ in range(ORDERS * ROTATIONS):  # nobody knows whose vote it was: each utterance by itself
        order = np.where(filled, rng.random(filled.shape), 2).argsort(1)
        shuffled = np.take_along_axis(emotion, order, 1)
        yield _Drawn(rows, shuffled, np.full((*filled.shape, len(space.dimensions)), np.nan))


def _forward(values: np.ndarray) -> np.ndarray:
    """[M, R] → the same with nan moved to the end of each row."""
    return np.take_along_axis(values, np.isnan(values).argsort(1, kind="stable"), 1)


class _Seats:
    """The first k raters of each utterance against the others, as sums over speakers.

    Args:
        speaker: [N] of all utterances of the split, 0 … speakers − 1.
    """

    def __init__(self, drawn: _Drawn, k: int, space: Space, speaker: np.ndarray, speakers: int):
        self.space, kinds = space, np.arange(len(space.emotions))
        self.rows, self.cluster, self.speakers = drawn.rows, speaker[drawn.rows], speakers
        chose = (drawn.emotion[..., None] == kinds).astype(float)  # [M, R, K]
        self.seated, others = chose[:, :k].sum(1), chose[:, k:].sum(1)
        best = others.max(1, keepdims=True)
        self.known = (best[:, 0] > 0) & ((others == best).sum(1) == 1)  # nobody there, or a tie
        self.truth = others.argmax(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # nobody: nan it is
            self.mean, self.rest = (
                np.nanmean(drawn.rated[:, part], 1) for part in (slice(k), slice(k, None))
            )
        self.mean[np.isnan(self.rest)] = np.nan
        self.rated = ~np.isnan(self.mean + self.rest)

    def panel(self) -> np.ndarray:
        """What the panel said, [speakers, `sums_of`]."""
        top = self.seated == self.seated.max(1, keepdims=True)
        return self._sums(top / top.sum(1, keepdims=True), self.mean)

    def of(self, predicted: np.ndarray, dimensions: np.ndarray) -> np.ndarray:
        """What a system said, [N] and [N, D] of the whole split, where the panel was scored."""
        placed = np.where(self.rated, dimensions[self.rows], np.nan)
        return self._sums(np.eye(len(self.space.emotions))[predicted[self.rows]], placed)

    def _sums(self, said: np.ndarray, placed: np.ndarray) -> np.ndarray:
        k = len(self.space.emotions)
        counts = np.zeros((self.speakers, k, k))
        np.add.at(counts, (self.cluster[self.known], self.truth[self.known]), said[self.known])
        rated = np.zeros((self.speakers, sums_of(self.space) - k**2))
        np.add.at(rated, self.cluster, moments(self.rest, placed, self.space))
        return np.concatenate([counts.reshape(self.speakers, -1), rated], 1)


def _mean_score(sums: np.ndarray, weights: np.ndarray, space: Space) -> dict[str, Any]:
    """Metric → mean over panels, [speakers, panels, `sums_of`] under [(S,) speakers] → [(S)]."""
    found = scores_of_sums(np.tensordot(weights, sums, 1), space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no panel has this score: nan it stays
        return {k: np.nanmean(v, -1) for k, v in found.items()}


def _worth(ahead: list[dict[str, Any]]) -> dict[str, Worth]:
    """Differences model − panel of 1, 2, … raters → where they pass 0."""
    most, worth = len(ahead), {}
    for metric in ahead[0]:
        ends = np.array([found[metric][:3] for found in ahead])  # value, low, high
        if not np.isnan(ends).any():
            value, low, high = map(_crossing, ends.T)
            worth[metric] = Worth(value, low, high, most)
    return worth


def _crossing(ahead: np.ndarray) -> float:
    """The first k, from 1 on and interpolated, at which [K] falls to 0; 0: at once, inf: never.

    >>> _crossing(np.array([0.2, 0.1, -0.1])), _crossing(np.array([-1.0])), _crossing(np.ones(3))
    (2.5, 0.0, inf)
    """
    behind = np.flatnonzero(ahead <= 0)
    if not len(behind):
        return math.inf
    k = int(behind[0])
    if not k:
        return 0.0
    return float(k + ahead[k - 1] / (ahead[k - 1] - ahead[k]))
