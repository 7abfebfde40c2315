"""Store → `Labels`: what its utterances are scored against, and what a model learns of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erc import labels
from erc.datasets.store import Store
from erc.labels.targets import Target, by_raters
from erc.labels.ties import resolve


@dataclass(frozen=True, eq=False)
class Labels:
    """What was said of all N utterances of a store, and what is learned of it. nan: not labelled."""

    soft: np.ndarray  # [N, 7] votes as a distribution
    hard: np.ndarray  # [N, 7] their majority, ties resolved
    peakl: np.ndarray  # [N, 7]
    tied: np.ndarray  # bool [N]
    dimensions: np.ndarray  # [N, 2], 1–5, means over raters
    target: np.ndarray  # [N, 7] what the model learns; it is scored against those above
    target_dimensions: np.ndarray  # [N, 2]


def label(store: Store, training: Sequence[int], tie: str, target: Target) -> Labels:
    """Label a store; centroids of ties and trust in raters come from its rows `training` alone."""
    soft = labels.soft(store.votes())
    tied = labels.tied(soft)
    rated = np.stack([store.column("valence"), store.column("arousal")], -1)
    hard = resolve(soft, rated, training, tie)
    peakl = labels.peakl(soft)
    if target.name == "rater_weighted":
        everything = list(store.utterances(np.arange(len(store))))
        learned = by_raters(everything, training, target.rater_weights, soft, rated)
    else:
        learned = target.distribution(soft, hard, peakl), rated
    return Labels(soft, hard, peakl, tied, rated, *learned)
