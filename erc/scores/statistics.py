"""How sure is a score: intervals over speakers and paired tests between two systems.

Utterances of one speaker are not independent, so a score is known as well as its *speakers* say. Leave
each out in turn (jackknife) and take the spread of the scores: with G clusters and θ₍g₎ the score
without cluster g, se² = Σ (θ₍g₎ − mean θ)², and (score − truth) / se is about t with G − 1 degrees of
freedom (Tukey 1958; without his factor (G − 1)/G, as MacKinnon & White 1985 do for unequal weights: some
speakers say more than others). At five speakers such intervals hold the truth in 94 of 100 cases, those
of a percentile bootstrap in 83 (`bench/intervals.py`). Nothing is drawn: equal data, equal interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from erc.base.errors import ConfigError

GROUPS = 200  # more clusters than this are left out a random group at a time (Kott 2001)
BLOCK = 100  # scores at once: 100 × 20,000 utterances × 8 byte = 16 MB
SAME = 1e-12  # scores nearer than this are one
FEW = 10  # speakers under which readers are warned: the interval holds, but so few stand for nobody else
ANY = (-math.inf, math.inf)


class Interval(NamedTuple):
    """A score and its interval."""

    value: float
    low: float
    high: float
    clusters: int = 0  # left out one by one

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Difference(NamedTuple):
    """Score of system a − score of system b, its interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float
    within_noise: bool  # the interval holds 0, or there is none
    clusters: int

    def __str__(self) -> str:
        noise = ", within noise" if self.within_noise else ""
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], p = {self.p:.3f}{noise}"


class TTest(NamedTuple):
    """Paired t test over folds."""

    difference: float
    t: float
    p: float
    folds: int


def interval(
    metric: Callable[..., Any],
    arrays: Sequence[Any],
    clusters: Any = None,
    level: float = 0.95,
    limits: tuple[float, float] | Mapping[str, tuple[float, float]] = ANY,
    seeds: Any = None,
) -> Any:
    """Interval of a metric: score ± t · standard error, by the jackknife over clusters.

    Args:
        metric: `metric(*arrays, weights=[S, N])` → [S] scores, or a dict of them: any metric of
            `erc.scores.metrics`, `functools.partial(f1, average="macro")`, or `evaluate` itself.
        arrays: what the metric takes, each [N, …].
        clusters: [N] speaker (or session) of each utterance; None: each utterance is one.
        limits: of the metric, or metric → its limits; an interval ends there.
        seeds: [N] of the training that said each row, where several trainings say of every utterance:
            the variance of their mean is added, s² / S of the scores of S seeds alone, and the degrees
            of freedom are those of Welch (1947) and Satterthwaite (1946) for a sum of variances.

    Returns:
        `Interval`, or name → `Interval` where the metric returns a dict. low and high are nan where
        the score hangs on a single cluster: without it there is none.

    >>> from erc.scores.metrics import accuracy
    >>> truth = np.arange(100) % 2
    >>> print(interval(accuracy, (truth, truth * (np.arange(100) < 80))))
    0.900 [0.840, 0.960]
    """
    units, index = _units(arrays, clusters)
    value, without, said = _leave_out(lambda w: metric(*arrays, weights=w), units, index)
    each: dict[str, Any] = {}
    if seeds is not None and len(kinds := np.unique(seeds)) > 1:
        each = _named(metric(*arrays, weights=(seeds == kinds[:, None]).astype(float)))
    found = {}
    for name, score in value.items():
        within = limits.get(name, ANY) if isinstance(limits, Mapping) else limits
        error, degrees = _error(score, without[name], said[name])
        if each:
            error, degrees = _with_seeds(error, degrees, each[name])
        low, high = np.clip(_ends(score, error, degrees, level), *within)
        found[name] = Interval(score, float(low), float(high), units)
    return _unname(found)


def paired(
    metric: Callable[..., Any],
    a: Sequence[Any],
    b: Sequence[Any],
    clusters: Any = None,
    level: float = 0.95,
) -> Any:
    """Difference a − b of two systems on the same utterances, its interval and t test over clusters.

    Args:
        metric: as in `interval`; a, b: its arrays for either system, in the same order of utterances.

    Returns:
        `Difference`, or name → `Difference`.

    >>> from erc.scores.metrics import accuracy
    >>> truth = np.arange(100) % 2
    >>> paired(accuracy, (truth, truth), (truth, 1 - truth)).within_noise
    False
    """
    units, index = _units([*a, *b], clusters)

    def difference(w: np.ndarray) -> dict[str, Any]:
        first, second = _named(metric(*a, weights=w)), _named(metric(*b, weights=w))
        return {name: first[name] - second[name] for name in first}

    value, without, said = _leave_out(difference, units, index)
    return _unname({n: _difference(value[n], without[n], said[n], units, level) for n in value})


def paired_t(a: Any, b: Any, test_over_train: float = 0.0) -> TTest:
    """Two-sided paired t test of two systems scored on the same folds.

    Folds of a cross-validation share training data, so the plain test (`test_over_train = 0`) calls
    too many differences real. With the ratio of test to training size, 1/(k − 1) for k folds, the
    variance of the mean is that of Nadeau & Bengio 2003: `(1/k + test/train) · var`.

    Args:
        a, b: [k] scores, k ≥ 2. Pairs with nan are not dropped: the result is nan.

    Returns:
        t and p; nan with fewer than two folds or when all differences are equal.

    >>> print(round(paired_t([0.7, 0.8, 0.75], [0.6, 0.7, 0.7]).p, 4))
    0.0377
    """
    from scipy.special import stdtr  # half a second that `erc --help` should not pay

    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ConfigError(
            f"a paired test needs two lists of equal length; got {a.shape}, {b.shape}"
        )
    gap, folds = a - b, len(a)
    mean = float(gap.mean()) if folds else math.nan
    spread = float(gap.std(ddof=1)) if folds > 1 else math.nan
    if not spread > 1e-12 * abs(mean):
        return TTest(mean, math.nan, math.nan, folds)
    t = mean / (spread * math.sqrt(1 / folds + test_over_train))
    return TTest(mean, t, float(2 * stdtr(folds - 1, -abs(t))), folds)


def _units(arrays: Sequence[Any], clusters: Any) -> tuple[int, np.ndarray]:
    """Number of clusters, and the cluster of each utterance [N]."""
    lengths = {len(x) for x in arrays} | ({len(clusters)} if clusters is not None else set())
    if len(lengths) != 1:
        raise ConfigError(f"arrays and clusters must have equal lengths; got {sorted(lengths)}")
    n = lengths.pop()
    if clusters is None:
        return n, np.arange(n)
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    return len(names), index


def _leave_out(
    score: Callable[[np.ndarray], Any], units: int, index: np.ndarray
) -> tuple[dict[str, float], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What leaving clusters out (or groups of them) does to a score.

    Returns:
        name → score of all; name → [G] scores without each; name → [G] whether it has a say: without
        it the score is another one, or with other weights inside it. A cluster that has none of this
        score's utterances (a class that few speakers show, dimensions that few were rated in) fails
        both; one that is exactly average only the first.
    """
    groups = min(units, GROUPS)
    if groups < units:
        index = np.random.default_rng(0).permutation(units)[index] % groups
    value = {k: float(v) for k, v in _named(score(np.ones(len(index)))).items()}
    if units < 2:
        return (
            value,
            {n: np.full(units, np.nan) for n in value},
            {n: np.ones(units, bool) for n in value},
        )

    def scores(left_out: np.ndarray, weights: Any) -> dict[str, np.ndarray]:
        blocks = np.array_split(left_out, -(-len(left_out) // BLOCK))
        found = [_named(score(np.where(b[:, None] == index, weights, 1.0))) for b in blocks]
        return {name: np.concatenate([block[name] for block in found]) for name in value}

    def moves(scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: ~(abs(x - value[name]) <= SAME) for name, x in scores.items()}

    without = scores(np.arange(groups), 0.0)
    said = moves(without)
    still = np.flatnonzero(~np.all(list(said.values()), 0))
    if len(still):
        weights = np.random.default_rng(0).uniform(0.2, 0.8, len(index))
        for name, moved in moves(scores(still, weights)).items():
            said[name][still] |= moved
    return value, without, said


def _error(value: float, without: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """Jackknife standard error and its degrees of freedom; nan where some cluster is indispensable.

    Only clusters that have a say are degrees of freedom (`_leave_out`).
    """
    if not len(without) or np.isnan(without).any():
        return math.nan, 1
    heard = without[said]
    if len(heard) < 2 or np.all(abs(heard - value) <= SAME):  # all say the same
        return 0.0, 1
    return math.sqrt(float(((heard - heard.mean()) ** 2).sum())), len(heard) - 1


def _with_seeds(error: float, degrees: float, scores: np.ndarray) -> tuple[float, float]:
    """Standard error and degrees of freedom with the spread of S scores, one a seed, added."""
    cluster, seed = error**2, float(scores.var(ddof=1)) / len(scores)
    both = cluster + seed
    if not both > 0:
        return error, degrees
    return math.sqrt(both), both**2 / (cluster**2 / degrees + seed**2 / (len(scores) - 1))


def _ends(value: float, error: float, degrees: float, level: float) -> tuple[float, float]:
    from scipy.special import stdtrit  # half a second that `erc --help` should not pay

    half = error * float(stdtrit(degrees, (1 + level) / 2))
    return value - half, value + half


def _difference(
    value: float, without: np.ndarray, said: np.ndarray, units: int, level: float
) -> Difference:
    from scipy.special import stdtr

    error, degrees = _error(value, without, said)
    low, high = _ends(value, error, degrees, level)
    if error > 1e-12:
        p = float(2 * stdtr(degrees, -abs(value) / error))
    else:
        p = math.nan if math.isnan(error) else float(abs(value) <= 1e-12)
    return Difference(value, low, high, p, not (low > 0 or high < 0), units)


def _named(scores: Any) -> dict[str, Any]:
    return scores if isinstance(scores, dict) else {"": scores}


def _unname(results: dict[str, Any]) -> Any:
    return results.get("", results)
