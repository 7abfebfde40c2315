"""How sure is a score: bootstrap intervals and paired tests between two systems.

The bootstrap draws whole clusters (speakers): utterances of one speaker are not independent, and
intervals that pretend so are too narrow (Bisani & Ney 2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from erc.base.errors import ConfigError

BLOCK = 100  # samples weighted at once: 100 × 20,000 utterances × 8 byte = 16 MB


class Interval(NamedTuple):
    """A score and its percentile interval."""

    value: float
    low: float
    high: float
    clusters: int = 0  # units drawn; under about 10 the interval is itself rough, and too narrow
    undefined: int = 0  # samples in which the metric was nan; they are left out

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
    undefined: int

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
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Any:
    """Percentile bootstrap interval of a metric (Efron 1979).

    Args:
        metric: `metric(*arrays, weights=[S, N])` → [S] scores, or a dict of them: any metric of
            `erc.scores.metrics`, `functools.partial(f1, average="macro")`, or `evaluate` itself.
        arrays: what the metric takes, each [N, …].
        clusters: [N] speaker (or session) of each utterance; None: utterances are drawn one by one.

    Returns:
        `Interval`, or name → `Interval` where the metric returns a dict. With fewer than two
        clusters low and high are nan.

    >>> from erc.scores.metrics import accuracy
    >>> truth = np.arange(100) % 2
    >>> print(interval(accuracy, (truth, truth * (np.arange(100) < 80))))
    0.900 [0.840, 0.960]
    """
    units, index = _units(arrays, clusters)
    value = _named(metric(*arrays, weights=np.ones(len(index))))
    draws = _bootstrap(lambda w: metric(*arrays, weights=w), units, index, samples, seed)
    return _unname(
        {
            name: Interval(
                value[name], *_percentiles(draws[name], level), units, _nans(draws[name])
            )
            for name in value
        }
    )


def paired_bootstrap(
    metric: Callable[..., Any],
    a: Sequence[Any],
    b: Sequence[Any],
    clusters: Any = None,
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Any:
    """Difference a − b of two systems on the same utterances; both see the same samples.

    `p = 2 · min(P(d ≤ 0), P(d ≥ 0))` over the samples d, with one added to either count, so never 0.

    Args:
        metric: as in `interval`; a, b: its arrays for either system, in the same order of utterances.

    Returns:
        `Difference`, or name → `Difference`.

    >>> from erc.scores.metrics import accuracy
    >>> truth = np.arange(100) % 2
    >>> paired_bootstrap(accuracy, (truth, truth), (truth, 1 - truth)).within_noise
    False
    """
    units, index = _units([*a, *b], clusters)

    def difference(w: np.ndarray) -> dict[str, Any]:
        first, second = _named(metric(*a, weights=w)), _named(metric(*b, weights=w))
        return {name: first[name] - second[name] for name in first}

    value = difference(np.ones(len(index)))
    draws = _bootstrap(difference, units, index, samples, seed)
    return _unname({name: _difference(value[name], draws[name], units, level) for name in value})


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


def _weights(units: int, index: np.ndarray, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks [≤ BLOCK, N]: how often each utterance is drawn, clusters with replacement."""
    rng = np.random.default_rng(seed)
    for start in range(0, samples, BLOCK):
        rows = min(BLOCK, samples - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        yield counts[:, index].astype(float)


def _bootstrap(
    score: Callable[[np.ndarray], Any], units: int, index: np.ndarray, samples: int, seed: int
) -> dict[str, np.ndarray]:
    """name → [samples] scores; one column of nan where there is nothing to draw from."""
    if units < 2:
        return {name: np.empty(0) for name in _named(score(np.ones((1, len(index)))))}
    blocks = [_named(score(w)) for w in _weights(units, index, samples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _difference(value: float, draws: np.ndarray, units: int, level: float) -> Difference:
    low, high = _percentiles(draws, level)
    known = draws[~np.isnan(draws)]
    tail = min((known <= 0).sum(), (known >= 0).sum())
    p = min(1.0, 2 * (tail + 1) / (len(known) + 1)) if len(known) else math.nan
    return Difference(value, low, high, float(p), not (low > 0 or high < 0), units, _nans(draws))


def _percentiles(draws: np.ndarray, level: float) -> tuple[float, float]:
    known = draws[~np.isnan(draws)]
    if not len(known):
        return math.nan, math.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _nans(draws: np.ndarray) -> int:
    return int(np.isnan(draws).sum())


def _named(scores: Any) -> dict[str, Any]:
    return scores if isinstance(scores, dict) else {"": scores}


def _unname(results: dict[str, Any]) -> Any:
    return results.get("", results)
