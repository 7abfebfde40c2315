"""Which emotion an utterance counts as, ties ("deuces") included."""

from __future__ import annotations

from typing import Any

import numpy as np

from erc.base.errors import ConfigError, did_you_mean
from erc.base.space import Space
from erc.labels.distributions import floating, majority, tied

TIES = ("centroid", "first", "drop", "soft")


def choose_tie(tie: str | None, remove_deuce: bool) -> str:
    """The tie policy that `dataset.tie` and `dataset.remove_deuce` name together.

    Raises:
        ConfigError: no such policy, or the two contradict each other.
    """
    if tie is None:
        return "drop" if remove_deuce else "centroid"
    if tie not in TIES:
        raise ConfigError(
            f"dataset.tie={tie} is not one of {', '.join(TIES)}{did_you_mean(tie, TIES)}"
        )
    if remove_deuce and tie != "drop":
        raise ConfigError(
            f"dataset.remove_deuce=true drops ties, dataset.tie={tie} does not; leave one out"
        )
    return tie


def placed(dimensions: np.ndarray, space: Space) -> np.ndarray:
    """Ratings [N, D] → where on the map an utterance lies, [N, 2] or [N, D], all axes equally long.

    The map is valence × arousal where both are rated, else all there is. A fourth of a scale is the
    unit, which 1–5 has already.
    """
    unit = dimensions / ((space.high - space.low) / 4)
    return unit[:, list(space.plane)] if space.plane else unit


def resolve(
    soft: np.ndarray, valence_arousal: np.ndarray, training: Any, tie: str = "centroid"
) -> np.ndarray:
    """The label of every utterance under a tie rule, [N, K], rows sum to 1; nan: not labelled.

    Args:
        soft: [N, K]; valence_arousal: [N, 2] from `placed`, nan where unrated.
        training: rows of the training sessions; centroids are estimated on them alone.
        tie: "centroid": see `hard`. "first" in the order of the emotions. "soft": the tied share the
            label, and no score counts it as right or wrong. "drop": whoever reads the labels leaves
            ties out (`erc.datasets.view`); here they are those of "centroid".
    """
    if tie == "soft":
        return majority(soft)
    if tie == "first":
        return hard(soft)
    return hard(soft, valence_arousal, va_centroids(soft[training], valence_arousal[training]))


def hard(soft: Any, valence_arousal: Any = None, centroids: Any = None) -> Any:
    """Distribution or votes → one-hot majority; a tie goes to the emotion rated nearest.

    Tie rule: among the tied emotions the one whose (valence, arousal) centroid lies nearest to
    the utterance's own rating. Without a rating (None or nan) or centroids the first of them wins.

    Args:
        soft: [..., K] distributions or votes.
        valence_arousal: [..., 2] or any number of axes of one unit; nan where unrated.
        centroids: [K, 2] from `va_centroids` on the *training* sessions; nan rows never win.

    Returns:
        [..., K] one-hot, rows sum to 1; nan rows stay nan.

    >>> tie = np.array([0.5, 0, 0, 0, 0.5, 0, 0])
    >>> centroids = np.full((7, 2), np.nan)
    >>> centroids[[0, 4]] = [2.6, 3.6], [4.3, 3.9]  # surprise, happy
    >>> hard(tie, np.array([4.5, 4.0]), centroids).tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    """
    xp, y = floating(soft)
    # Rank: 0 for losers, 1 … 2 among the winners, higher the nearer; argmax takes the first.
    rank = xp.where(majority(y) > 0, xp.ones_like(y), xp.zeros_like(y))
    if valence_arousal is not None and centroids is not None:
        if xp is np:
            valence_arousal, centroids = np.asarray(valence_arousal), np.asarray(centroids)
        gap = xp.sqrt(((valence_arousal[..., None, :] - centroids) ** 2).sum(-1))  # [..., K]
        nearness = xp.nan_to_num(1 / (1 + gap), nan=0.0)
        rank = rank * (1 + nearness)
    one_hot = xp.zeros_like(y)
    index = rank.argmax(-1)[..., None]
    if xp is np:
        np.put_along_axis(one_hot, index, 1.0, -1)
    else:
        one_hot.scatter_(-1, index, 1.0)
    return xp.where(xp.isnan(y).any(-1)[..., None], y, one_hot)


def va_centroids(soft: Any, valence_arousal: Any) -> np.ndarray:
    """Mean rated (valence, arousal) of each emotion over the untied utterances.

    Args:
        soft: [N, K]; valence_arousal: [N, 2]. Pass the training sessions only.

    Returns:
        [K, 2] float64; nan for an emotion that never wins alone.
    """
    y, va = np.asarray(soft, float), np.asarray(valence_arousal, float)
    usable = ~tied(y) & ~np.isnan(y).any(-1) & ~np.isnan(va).any(-1)
    winner = np.where(usable, np.nan_to_num(y).argmax(-1), -1)
    return np.stack(
        [
            va[winner == k].mean(0) if (winner == k).any() else np.full(va.shape[1], np.nan)
            for k in range(y.shape[1])
        ]
    )
