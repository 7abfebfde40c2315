"""Store → `Labels`: what its utterances are scored against, and what a model learns of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erc import labels
from erc.base.errors import ConfigError
from erc.datasets.store import Store
from erc.labels.targets import Target, by_raters
from erc.labels.ties import placed, resolve


@dataclass(frozen=True, eq=False)
class Labels:
    """What was said of all N utterances of a store, and what is learned of it. nan: not labelled."""

    soft: np.ndarray  # [N, K] votes as a distribution
    hard: np.ndarray  # [N, K] their majority, ties resolved
    peakl: np.ndarray  # [N, K]
    tied: np.ndarray  # bool [N]
    dimensions: np.ndarray  # [N, D], means over raters, in the units of `Space.dimensions`
    target: np.ndarray  # [N, K] what the model learns; it is scored against those above
    target_dimensions: np.ndarray  # [N, D]


def label(store: Store, training: Sequence[int], tie: str, target: Target) -> Labels:
    """Label a store; centroids of ties and trust in raters come from its rows `training` alone.

    Raises:
        ConfigError: the corpus is rated on dimensions only.
    """
    if not store.space.emotions:
        raise ConfigError(
            f"rated on {', '.join(store.space.names)} only: training and scores need emotions too. "
            "Its ratings can be read (erc.corpora.load), or put beside emotions in a manifest"
        )
    soft = labels.soft(store.votes())
    tied = labels.tied(soft)
    rated = store.ratings()
    hard = resolve(soft, placed(rated, store.space), training, tie)
    peakl = _peaked(soft, store.offered() if store.labels else None)
    if target.name == "rater_weighted":
        everything = list(store.utterances(np.arange(len(store))))
        learned = by_raters(everything, training, target.rater_weights, soft, rated, store.space)
    else:
        learned = target.distribution(soft, hard, peakl), rated
    return Labels(soft, hard, peakl, tied, rated, *learned)


def _peaked(soft: np.ndarray, offered: np.ndarray | None) -> np.ndarray:
    """PeakL [N, K]. In a mix each row among the emotions that its corpus has: raters could choose no
    other, so their number is the K of the formula, and the label is that of the corpus by itself."""
    if offered is None:
        return labels.peakl(soft)
    found = np.where(np.isnan(soft), soft, 0.0)
    for kinds in np.unique(offered, axis=0):
        own = np.ix_((offered == kinds).all(1), kinds)
        found[own] = labels.peakl(soft[own]) if kinds.sum() > 1 else soft[own]
    return found
