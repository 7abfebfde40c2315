"""How far raters agree: Fleiss' kappa, Krippendorff's alpha, raters who rate unlike the others.

Tables are [raters, items] with nan where a rater did not rate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from erc.base.errors import LabelError
from erc.labels.ratings import RatingTable, value_counts

LEVELS = ("ordinal", "interval")  # of dimensions; emotion is nominal


def fleiss_kappa(counts: Any) -> float:
    """Fleiss' kappa (Fleiss 1971): agreement of equally many raters per item, beyond chance.

    Args:
        counts: [items, classes], how many raters chose the class; every row has the same total n ≥ 2.

    Returns:
        ≤ 1; nan without items, with one rater, or if everyone always chose the same class.

    Raises:
        LabelError: rows with different totals (use `krippendorff_alpha`), or a negative count.

    >>> round(fleiss_kappa([[3, 0], [0, 3], [2, 1]]), 4)
    0.55
    """
    counts = _counts(counts)
    raters = counts.sum(1)
    if len(counts) and np.ptp(raters) > 1e-9:
        raise LabelError(
            f"Fleiss' kappa needs equally many raters for every item; got {raters.min():g} to "
            f"{raters.max():g}. Use krippendorff_alpha, which takes missing ratings"
        )
    if not len(counts) or raters[0] < 2:
        return np.nan
    n = raters[0]
    observed = ((counts * (counts - 1)).sum(1) / (n * (n - 1))).mean()
    chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    return float((observed - chance) / (1 - chance)) if chance < 1 else np.nan


def krippendorff_alpha(ratings: Any, level: str = "nominal") -> float:
    """Krippendorff's alpha of a table with missing ratings (Krippendorff 2011).

    Args:
        ratings: [raters, items], nan = missing.
        level: "nominal" for emotions; "ordinal" or "interval" for dimensions.

    Returns:
        ≤ 1; nan if no item has two ratings or all of those are the same value.

    >>> krippendorff_alpha([[1, 2, 3, np.nan], [1, 2, 3, 4]], level="ordinal")
    1.0
    """
    return alpha_from_counts(*value_counts(ratings), level)


def alpha_from_counts(counts: Any, values: Any = None, level: str = "nominal") -> float:
    """Krippendorff's alpha where only votes are known.

    Args:
        counts: [items, V], how often the item got each value; items with fewer than two are left out.
        values: [V] ascending; needed for "interval" only, 0 … V−1 by default.
    """
    counts = _counts(counts)
    counts = counts[counts.sum(1) >= 2]
    share = counts / (counts.sum(1, keepdims=True) - 1)
    # Coincidences [c, k]: pairs of ratings within items, each item weighing as many as its ratings.
    # Equal pairs (the diagonal) need no correction for self-pairs: their distance is 0.
    observed = counts.T @ share
    total = counts.sum(0)
    expected = np.outer(total, total) / max(total.sum() - 1, 1)
    distance = _distance(total, np.arange(len(total)) if values is None else values, level)
    disagreement = (expected * distance).sum()
    return float(1 - (observed * distance).sum() / disagreement) if disagreement > 0 else np.nan


def _distance(total: np.ndarray, values: Any, level: str) -> np.ndarray:
    """Squared difference function δ² [V, V]; the ordinal one depends on the totals [V]."""
    if level == "nominal":
        return 1.0 - np.eye(len(total))
    if level == "ordinal":  # ratings between c and k, both ends counting half: a mean-rank distance
        rank = np.cumsum(total) - total / 2
        return (rank[:, None] - rank) ** 2
    if level == "interval":
        values = np.asarray(values, float)
        return (values[:, None] - values) ** 2
    raise ValueError(f"level '{level}' is not one of nominal, ordinal, interval")


def pairwise_correlation(values: Any) -> np.ndarray:
    """Pearson correlation of every two raters over the items both rated, [R, N] → [R, R].

    nan where they share fewer than two items or one of them is constant on those.
    """
    values = np.asarray(values, float)
    both = ~np.isnan(values)
    count = both.sum(1, keepdims=True)
    centre = np.where(both, values, 0).sum(1, keepdims=True) / np.maximum(count, 1)
    x, m = np.where(both, values - centre, 0), both.astype(float)
    n = m @ m.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # Entry [i, j] is of rater i over the items that j rated too.
        mean, square = (x @ m.T) / n, (x**2 @ m.T) / n
        variance = square - mean**2
        variance = np.where(variance <= 1e-12 * square, np.nan, variance)
        return ((x @ x.T) / n - mean * mean.T) / np.sqrt(variance * variance.T)


def pairwise_kappa(emotion: Any) -> np.ndarray:
    """Cohen's kappa of every two raters over the items both rated, [R, N] class numbers → [R, R]."""
    emotion = np.asarray(emotion, float)
    classes = np.unique(emotion[~np.isnan(emotion)])
    chose = (emotion[..., None] == classes).astype(float)  # [R, N, K]
    rated = chose.sum(-1)
    n = rated @ rated.T
    with np.errstate(divide="ignore", invalid="ignore"):
        agreed = np.tensordot(chose, chose, ([1, 2], [1, 2])) / n
        share = np.einsum("ink,jn->ijk", chose, rated, optimize=True) / n[..., None]
        chance = (share * share.transpose(1, 0, 2)).sum(-1)
        return np.where(chance < 1 - 1e-12, (agreed - chance) / (1 - chance), np.nan)


def pairwise(table: RatingTable) -> dict[str, np.ndarray]:
    """Agreement of every two raters, "emotion" or dimension → [R, R], nan on the diagonal.

    Cohen's kappa for emotion, Pearson's correlation for dimensions.
    """
    matrices = {"emotion": pairwise_kappa(table.emotion)}
    matrices |= {
        name: pairwise_correlation(said) for name, said in zip(table.space.names, table.dimensions)
    }
    for matrix in matrices.values():
        np.fill_diagonal(matrix, np.nan)
    return matrices


def outlier_raters(table: RatingTable, threshold: float = 3.5, gap: float = 0.1) -> dict[str, Any]:
    """Raters who agree far less with the others than the group does, by dimension.

    A rater's score is the mean agreement with every other rater (`pairwise`). An outlier lies below
    the group's median by more than `threshold` scaled median absolute deviations,
    `0.6745 · (median − score) / MAD > 3.5` (Iglewicz & Hoaglin 1993), and by more than `gap`, lest a
    near-unanimous group name people for nothing. Groups under four raters name nobody: they have no
    majority to stand out from.

    Returns:
        dimension → names, in the table's order.
    """
    outliers = {}
    for dimension, agreement in pairwise(table).items():
        known = ~np.isnan(agreement).all(1)
        score = np.full(len(table.raters), np.nan)
        score[known] = np.nanmean(agreement[known], 1)
        below = (np.median(score[known]) if known.any() else np.nan) - score
        scale = np.median(abs(below[known])) if known.any() else np.nan
        far = (below > gap) & (0.6745 * below > threshold * scale) & (known.sum() >= 4)
        outliers[dimension] = tuple(
            r for r, is_far in zip(table.raters, far, strict=True) if is_far
        )
    return outliers


def _counts(counts: Any) -> np.ndarray:
    counts = np.asarray(counts, float)
    if counts.ndim != 2 or not (counts >= 0).all():
        raise LabelError(f"counts must be [items, classes] and ≥ 0; got shape {counts.shape}")
    return counts
