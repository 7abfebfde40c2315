"""Risk and coverage: which errors are left if the doubtful answers are not used."""

from __future__ import annotations

import numpy as np

from erc.scores.scored import Scored

TYPICAL = 0.02  # fewer of the recordings of held-out speakers are as strange: an answer is doubted
ORACLE, CHANCE = "errors last", "at random"  # the best and the worst order that is worth having


def orders(scored: Scored) -> dict[str, np.ndarray]:
    """Ways to say which answers are used first: name → [N], the greatest first.

    By confidence, by typicality, by both as `abstain` does (what is typical first, by confidence among
    them), with the right answers first, and at random. Without those that nothing is known for.
    """
    confidence, typicality = scored.probabilities.max(-1), scored.typicality
    found = {ORACLE: (scored.predicted == scored.label).astype(float)}
    if not np.isnan(typicality).all():
        usual = np.nan_to_num(typicality, nan=1.0)  # what is not known is not held against it
        found |= {"confidence and typicality": confidence + (usual >= TYPICAL)}
        found |= {"confidence": confidence, "typicality": usual}
    else:
        found |= {"confidence": confidence}
    return found | {CHANCE: np.zeros(len(scored))}


def risk(wrong: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Share of errors among the k answers that are used first, k = 1 … N, [N].

    Among answers of equal rank their order is left to chance: what is expected of it.

    Args:
        wrong: bool [N]; first: [N], the greatest is used first.

    >>> risk(np.array([True, False, False]), np.array([0.1, 0.9, 0.5])).round(2).tolist()
    [0.0, 0.0, 0.33]
    """
    _, rank, size = np.unique(-first, return_inverse=True, return_counts=True)
    mean = np.bincount(rank, wrong) / size
    return np.cumsum(np.repeat(mean, size)) / np.arange(1, len(wrong) + 1)


def areas(scored: Scored) -> dict[str, float]:
    """Order → area under its curve of risk over coverage (AURC, Geifman et al. 2019): the mean of
    `risk`. Of the labelled utterances; {} where there is none."""
    known = scored.take(scored.labelled)
    if not len(known):
        return {}
    wrong = known.predicted != known.label
    return {name: float(risk(wrong, first).mean()) for name, first in orders(known).items()}
