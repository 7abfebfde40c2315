"""Scores of a whole split: emotion, dimensions, distance to the votes, calibration.

Every metric takes the arrays of the whole split (never a mean over batches) and is nan where it is
undefined. `weights` says how often each utterance counts: `[N]` gives one score, `[S, N]` gives `[S]`
scores at once, which is how `erc.scores.statistics` leaves out every speaker without a loop:

    uar(truth, predicted, weights=w) == uar(np.repeat(truth, w), np.repeat(predicted, w))
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np

from erc.base.errors import LabelError
from erc.base.space import KEMDY, Space
from erc.labels import entropy

LOWER_IS_BETTER = frozenset({"js_distance", "kl", "brier", "ece", "ece_votes"})
SHARES = (
    *("accuracy", "uar", "f1_weighted", "f1_macro", "f1_micro", "auroc"),
    *("js_distance", "ece", "ece_votes"),
)


def limits(space: Space = KEMDY) -> dict[str, tuple[float, float]]:
    """Least and greatest value of each score that `evaluate` returns."""
    correlations = ("entropy_correlation", *cccs(space))
    found = dict.fromkeys(SHARES, (0.0, 1.0)) | dict.fromkeys(correlations, (-1.0, 1.0))
    return found | {"brier": (0.0, 2.0), "kl": (0.0, np.inf)}


def cccs(space: Space) -> tuple[str, ...]:
    """Names of the scores of the dimensions, in their order."""
    return tuple(f"ccc_{name}" for name in space.names)


def is_count(name: str) -> bool:
    """Whether what `evaluate` returns under this name is a number of utterances, no score."""
    return name == "n" or name.startswith("n_")


def confusion(truth: Any, predicted: Any, num_classes: int = 7, weights: Any = None) -> np.ndarray:
    """Confusion matrix, [N], [N] → [K, K]: rows are the truth, columns the prediction.

    Raises:
        LabelError: a class number outside 0 … K−1, or unequal lengths.

    >>> confusion([0, 0, 1], [0, 1, 1], num_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    truth = _classes(truth, num_classes, "truth")
    predicted = _classes(predicted, num_classes, "predicted")
    if len(truth) != len(predicted):
        raise LabelError(f"{len(truth)} true labels against {len(predicted)} predicted ones")
    cell = truth * num_classes + predicted
    if weights is None:
        flat = np.bincount(cell, minlength=num_classes**2)
    else:
        flat = _sum(np.eye(num_classes**2)[cell], weights)
    return flat.reshape(*flat.shape[:-1], num_classes, num_classes)


def accuracy(truth: Any, predicted: Any, num_classes: int = 7, weights: Any = None) -> Any:
    """Share of utterances predicted right (weighted accuracy, WA, in the speech literature)."""
    matrix = confusion(truth, predicted, num_classes, weights)
    return _ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum((-2, -1)))


def uar(truth: Any, predicted: Any, num_classes: int = 7, weights: Any = None) -> Any:
    """Unweighted average recall over the classes that occur in the truth.

    >>> uar([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    matrix = confusion(truth, predicted, num_classes, weights)
    return _nanmean(_ratio(_diagonal(matrix), matrix.sum(-1)))


def f1(
    truth: Any, predicted: Any, average: str = "macro", num_classes: int = 7, weights: Any = None
) -> Any:
    """F1 of a class is 2·TP / (true + predicted); averaged over classes.

    Args:
        average: "macro": equal weights over the classes that occur in the truth *or* the prediction
            (a class that is only predicted counts as 0, an absent one not at all);
            "weighted": weights = occurrences in the truth; "micro": pooled counts, equals accuracy.

    >>> round(f1([0, 0, 0, 1], [0, 0, 0, 0]), 4)
    0.4286
    """
    matrix = confusion(truth, predicted, num_classes, weights)
    support = matrix.sum(-1)
    per_class = _ratio(2 * _diagonal(matrix), support + matrix.sum(-2))
    if average == "macro":
        return _nanmean(per_class)
    if average == "weighted":
        return _ratio((np.nan_to_num(per_class) * support).sum(-1), support.sum(-1))
    if average == "micro":
        return _ratio(_diagonal(matrix).sum(-1), support.sum(-1))
    raise ValueError(f"average '{average}' is not one of macro, weighted, micro")


def auroc(truth: Any, probabilities: Any, weights: Any = None) -> Any:
    """Macro one-vs-rest area under the ROC curve.

    For one class it is the probability that a positive scores above a negative, ties counting half
    (Mann–Whitney). The mean runs over the classes that have positives and negatives.

    Args:
        truth: [N] class numbers; probabilities: [N, K], finite scores.
    """
    scores = np.asarray(probabilities, float)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise LabelError(f"AUROC needs finite scores [N, K]; got shape {scores.shape}")
    truth = _classes(truth, scores.shape[1], "truth")
    columns = [_auroc_of(truth == k, scores[:, k], weights) for k in range(scores.shape[1])]
    return _nanmean(np.stack(columns, -1))


def _auroc_of(positive: np.ndarray, score: np.ndarray, weights: Any) -> Any:
    """AUROC of one class, positive [N] bool, score [N]; nan without positives or negatives."""
    order = np.argsort(score)
    score, positive = score[order], positive[order]
    w = np.ones(len(score)) if weights is None else np.asarray(weights, float)[..., order]
    negatives = np.cumsum(w * ~positive, -1)
    negatives = np.concatenate([np.zeros((*w.shape[:-1], 1)), negatives], -1)  # [..., N + 1]
    below = negatives[..., np.searchsorted(score, score[positive], "left")]
    below_or_equal = negatives[..., np.searchsorted(score, score[positive], "right")]
    w = w[..., positive]
    won = (w * (below + below_or_equal) / 2).sum(-1)
    return _ratio(won, w.sum(-1) * negatives[..., -1])


def ccc(truth: Any, predicted: Any, weights: Any = None) -> Any:
    """Concordance correlation coefficient, [N], [N] → −1 … 1 (Lin 1989, population moments).

    `2·cov / (var + var + (mean − mean)²)`. 0 if one side is constant; nan if both are, even if they
    are equal (no correlation exists), which includes N < 2.

    >>> round(ccc([1, 2, 3], [1, 2, 4]), 4)
    0.8571
    """
    x, y = _pair(truth, predicted)
    # A common shift leaves CCC as it is and keeps the sums of squares free of cancellation.
    shift = x[0] if len(x) else 0.0
    mean_x, mean_y, var_x, var_y, cov = _moments(x - shift, y - shift, weights)
    undefined = (var_x == 0) & (var_y == 0)
    spread = np.where(undefined, 0, var_x + var_y + (mean_x - mean_y) ** 2)
    return _ratio(2 * cov, spread)


def pearson(x: Any, y: Any, weights: Any = None) -> Any:
    """Pearson correlation, [N], [N] → −1 … 1; nan if either side is constant or N < 2."""
    x, y = _pair(x, y)
    if len(x):
        x, y = x - x[0], y - y[0]
    _, _, var_x, var_y, cov = _moments(x, y, weights)
    return _ratio(cov, np.sqrt(var_x * var_y))


def jensen_shannon(p: Any, q: Any, weights: Any = None) -> Any:
    """Mean Jensen–Shannon distance of the rows, [N, K], [N, K] → 0 … 1.

    Distance = √(divergence to base 2), Lin 1991, Endres & Schindelin 2003.

    >>> jensen_shannon([[1, 0]], [[0, 1]])
    1.0
    """
    p, q = _distributions(p, q)
    middle = (p + q) / 2
    divergence = (_kl_rows(p, middle) + _kl_rows(q, middle)) / 2 / np.log(2)
    return _mean(np.sqrt(np.clip(divergence, 0, 1)), weights)


def kl(votes: Any, predicted: Any, weights: Any = None) -> Any:
    """Mean Kullback–Leibler divergence KL(votes ‖ predicted) in nats, [N, K], [N, K] → 0 … inf."""
    p, q = _distributions(votes, predicted)
    return _mean(_kl_rows(p, q), weights)


def brier(votes: Any, predicted: Any, weights: Any = None) -> Any:
    """Mean squared distance Σ(q − p)² of the rows, 0 … 2 (Brier 1950 where `votes` is one-hot)."""
    p, q = _distributions(votes, predicted)
    return _mean(((p - q) ** 2).sum(-1), weights)


def entropy_correlation(votes: Any, predicted: Any, weights: Any = None) -> Any:
    """Pearson correlation of the rows' entropies: is the model unsure where raters disagree?"""
    p, q = _distributions(votes, predicted)
    return pearson(entropy(p), entropy(q), weights)


def ece(probabilities: Any, truth: Any, bins: int = 15, weights: Any = None) -> Any:
    """Expected calibration error against the majority, 0 … 1 (Guo et al. 2017, eq. 3).

    Confidence is the highest probability; equal-width bins, closed on the right. With B the
    utterances of a bin, Σ |B|/N · |accuracy(B) − confidence(B)| = Σ |Σ_{i∈B} hitᵢ − confidenceᵢ| / N.

    >>> round(ece([[0.8, 0.2], [0.8, 0.2]], [0, 1]), 4)
    0.3
    """
    q, _ = _distributions(probabilities, probabilities)
    return ece_votes(q, np.eye(q.shape[1])[_classes(truth, q.shape[1], "truth")], bins, weights)


def ece_votes(probabilities: Any, votes: Any, bins: int = 15, weights: Any = None) -> Any:
    """Expected calibration error against shares of votes, 0 … 1: what temperatures are fitted to.

    As `ece`, with the share of raters who chose the predicted emotion in place of right or wrong.

    >>> round(ece_votes([[0.8, 0.2]], [[0.7, 0.3]]), 4), round(ece([[0.8, 0.2]], [0]), 4)
    (0.1, 0.2)
    """
    q, shares = _distributions(probabilities, votes)
    confidence = q.max(-1, initial=0)
    hit = np.take_along_axis(shares, q.argmax(-1)[:, None], -1)[:, 0]
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    in_bin = np.eye(bins)[np.searchsorted(edges, confidence, "left")]  # [N, bins]
    gap = _sum(in_bin * (hit - confidence)[:, None], weights)
    return _ratio(abs(gap).sum(-1), _sum(np.ones(len(q)), weights))


def evaluate(
    probabilities: Any,
    dimensions: Any,
    votes: Any,
    label: Any,
    ratings: Any,
    weights: Any = None,
    only: Collection[str] | None = None,
    space: Space = KEMDY,
) -> dict[str, Any]:
    """All scores of one system on one split; `Scored.evaluate` calls it with its own arrays.

    Args:
        probabilities: [N, K] predicted distributions; rows sum to 1.
        dimensions: [N, D] predicted, in the units of their scales.
        votes: [N, K] distribution of the votes; rows of nan: not labelled.
        label: [N] index of the emotion; −1: none (not labelled, or a tie left out).
        ratings: [N, D] mean ratings; nan: not rated.
        only: names of the scores that are wanted, lest intervals compute all; None: all of them.
        space: the K emotions and D dimensions.

    Returns:
        name → score; each over the utterances that carry its label, counted in `n_hard` (accuracy …
        auroc, ece), `n_soft` (js_distance … brier, ece_votes) and `n_` + dimension (`ccc_` + dimension);
        `n` counts all.

    Raises:
        LabelError: a prediction that is no distribution (nan, negative, sum ≠ 1), a label out of
            range, or arrays of unequal length.
    """
    votes, label = np.asarray(votes, float), np.asarray(label)
    q, placed, rated = (np.asarray(x, float) for x in (probabilities, dimensions, ratings))
    n, k, d = len(q), len(space.emotions), len(space.dimensions)
    shapes = [x.shape for x in (q, placed, votes, label, rated)]
    if shapes != [(n, k), (n, d), (n, k), (n,), (n, d)]:
        raise LabelError(
            f"evaluate needs [N, {k}], [N, {d}], [N, {k}], [N], [N, {d}]; got {shapes}"
        )
    _distributions(q, q)  # also the rows that no metric looks at
    w = np.ones(n) if weights is None else np.asarray(weights, float)
    h, s = label != -1, ~np.isnan(votes).any(-1)
    known = dict(zip(space.names, ~np.isnan(rated).T))
    truth, guess, wh = label[h], q[h].argmax(-1), w[..., h]
    soft, predicted, ws = votes[s], q[s], w[..., s]
    scores: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: accuracy(truth, guess, k, wh),
        "uar": lambda: uar(truth, guess, k, wh),
        "f1_weighted": lambda: f1(truth, guess, "weighted", k, wh),
        "f1_macro": lambda: f1(truth, guess, "macro", k, wh),
        "f1_micro": lambda: f1(truth, guess, "micro", k, wh),
        "auroc": lambda: auroc(truth, q[h], weights=wh),
        **{
            f"ccc_{name}": partial(_ccc_of, rated[:, i], placed[:, i], known[name], w)
            for i, name in enumerate(space.names)
        },
        "js_distance": lambda: jensen_shannon(soft, predicted, ws),
        "kl": lambda: kl(soft, predicted, ws),
        "entropy_correlation": lambda: entropy_correlation(soft, predicted, ws),
        "brier": lambda: brier(soft, predicted, ws),
        "ece": lambda: ece(q[h], truth, weights=wh),
        "ece_votes": lambda: ece_votes(predicted, soft, weights=ws),
    }
    counted = {"n": np.ones(n, bool), "n_hard": h, "n_soft": s}
    counted |= {f"n_{name}": mask for name, mask in known.items()}
    counts = {name: (lambda m=m: _scalar(w[..., m].sum(-1))) for name, m in counted.items()}
    wanted = {name: f for name, f in (scores | counts).items() if only is None or name in only}
    return {name: score() for name, score in wanted.items()}


def _ccc_of(truth: np.ndarray, said: np.ndarray, known: np.ndarray, weights: np.ndarray) -> Any:
    return ccc(truth[known], said[known], weights[..., known])


def _classes(x: Any, num_classes: int, what: str) -> np.ndarray:
    x = np.asarray(x)
    bad = ~np.isin(x, np.arange(num_classes))
    if x.ndim != 1 or bad.any():
        got = f"shape {x.shape}" if x.ndim != 1 else f"{x[bad][0]} at row {int(bad.argmax())}"
        raise LabelError(f"{what}: class numbers 0–{num_classes - 1}, shape [N]; got {got}")
    return x.astype(np.int64)


def _distributions(p: Any, q: Any) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.asarray(p, float), np.asarray(q, float)
    if p.ndim != 2 or p.shape != q.shape or not p.shape[1]:
        raise LabelError(f"distributions must be two arrays [N, K]; got {p.shape} and {q.shape}")
    for x in (p, q):
        good = (x >= 0).all(-1) & (abs(x.sum(-1) - 1) <= 1e-3)  # False for nan
        if not good.all():
            row = int(good.argmin())
            raise LabelError(f"row {row} is no distribution (≥ 0, sums to 1): {x[row].tolist()}")
    return p, q


def _pair(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise LabelError(f"correlations need two arrays [N]; got {x.shape} and {y.shape}")
    return x, y


def _kl_rows(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0).sum(-1)


def _moments(x: np.ndarray, y: np.ndarray, weights: Any) -> tuple[np.ndarray, ...]:
    """Means, variances, covariance; rounding noise of a constant counts as variance 0."""
    with np.errstate(invalid="ignore"):  # inf − inf → nan
        columns = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], -1)
        total = _sum(columns, weights)
        _, mean_x, mean_y, xx, yy, xy = np.moveaxis(_ratio(total, total[..., :1]), -1, 0)
        var_x, var_y = xx - mean_x**2, yy - mean_y**2
        var_x = np.where(var_x <= 1e-12 * xx, 0, var_x)
        var_y = np.where(var_y <= 1e-12 * yy, 0, var_y)
        cov = np.where((var_x == 0) | (var_y == 0), 0, xy - mean_x * mean_y)
    return mean_x, mean_y, var_x, var_y, cov


def _sum(rows: np.ndarray, weights: Any) -> np.ndarray:
    """Σ over utterances, rows [N, …] → […], or [S, …] under weights [S, N]."""
    if weights is None:
        return rows.sum(0)
    w = np.asarray(weights, float)
    endless = np.isinf(rows)
    total = w @ np.where(endless, 0, rows)
    for end in (np.inf, -np.inf) if endless.any() else ():  # a row left out counts 0, not 0 · ∞
        with np.errstate(invalid="ignore"):  # ∞ − ∞ → nan
            total = total + np.where((w > 0).astype(float) @ (rows == end) > 0, end, 0)
    return total


def _mean(rows: np.ndarray, weights: Any) -> Any:
    return _ratio(_sum(rows, weights), _sum(np.ones(len(rows)), weights))


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _nanmean(x: np.ndarray) -> Any:
    return _ratio(np.nansum(x, -1), (~np.isnan(x)).sum(-1))


def _ratio(a: Any, b: Any) -> Any:
    """a / b, nan where b is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _scalar(np.where(np.asarray(b) == 0, np.nan, np.true_divide(a, b)))


def _scalar(x: np.ndarray) -> Any:
    return float(x) if np.ndim(x) == 0 else x
