"""How sure is what one rater reaches: intervals over speakers, from sums and not from utterances."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.emotions import EMOTIONS
from erc.labels import tied
from erc.labels.ratings import group_of, has_counts, rating_matrix, vote_matrix
from erc.scores.metrics import LIMITS, accuracy, f1, uar
from erc.scores.one_rater import against_others, leave_vote
from erc.scores.statistics import Interval, interval

if TYPE_CHECKING:
    from erc.corpora.utterance import Utterance

SUMS = len(EMOTIONS) ** 2 + 2 * 6  # cells of the confusion matrix, moments of valence and arousal


def one_rater_intervals(
    utterances: Iterable[Utterance], level: float = 0.95
) -> dict[str, Interval]:
    """`one_rater` with its intervals over speakers, metric → `Interval`.

    Everything that a rater is scored by is a sum over utterances (of the confusion matrix, of
    moments), so leaving out a speaker takes his sums away instead of scoring all utterances again.
    """
    utterances = list(utterances)
    speaker = np.unique([u.speaker for u in utterances], return_inverse=True)[1]
    units = int(speaker.max(initial=-1)) + 1
    sums = []
    for group, table in rating_matrix(utterances).items():
        rows = [i for i, u in enumerate(utterances) if u.ratings and group_of(u) == group]
        for rater in range(len(table.raters)):
            sums.append(_sums(*against_others(table, rater), speaker[rows], units))
    votes = vote_matrix(utterances)
    if votes and not sums:
        rows = [
            i
            for corpus in votes
            for i, u in enumerate(utterances)
            if u.corpus == corpus and has_counts(u)
        ]
        utterance, weights, judged = leave_vote(np.concatenate(list(votes.values())))
        sums = [_sums(*judged, speaker[rows][utterance], units, weights)]
    if not sums or units < 1:
        return {}
    return interval(_scores_of_sums, sums, level=level, limits=LIMITS)


def _sums(
    label: np.ndarray,
    soft: np.ndarray,
    va: np.ndarray,
    va_truth: np.ndarray,
    cluster: np.ndarray,
    units: int,
    weights: Any = None,
) -> np.ndarray:
    """What scores are made of, added up by cluster: [C, `SUMS`]."""
    known = ~np.isnan(soft).any(-1)
    truth = np.where(known[:, None], np.nan_to_num(soft), 1 / len(EMOTIONS))
    cell = truth.argmax(-1) * len(EMOTIONS) + label.argmax(-1)
    confusions = np.eye(len(EMOTIONS) ** 2)[cell] * (known & ~tied(truth))[:, None]
    rows = np.concatenate([confusions, moments(va_truth, va)], 1)
    total = np.zeros((units, SUMS))
    np.add.at(total, cluster, rows * (1 if weights is None else np.asarray(weights)[:, None]))
    return total


def moments(truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """[N, 2] and [N, 2] valence and arousal → [N, 12], whose sums hold CCC; nan: not counted."""
    parts = []
    for x, y in zip(truth.T, said.T, strict=True):
        rated = ~np.isnan(x + y)
        x, y = np.where(rated, x, 0) - 3 * rated, np.where(rated, y, 0) - 3 * rated
        parts.append(np.stack([rated, x, y, x * x, y * y, x * y], -1))
    return np.concatenate(parts, -1)


def _scores_of_sums(*sums: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Metric → mean over raters of the score, [C, `SUMS`] each and [S, C] → [S]."""
    found = [scores_of_sums(weights @ s) for s in sums]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no rater has this score: nan it stays
        return {k: np.nanmean([f[k] for f in found], 0) for k in found[0]}


def scores_of_sums(total: np.ndarray) -> dict[str, Any]:
    """Metric → […] scores, from confusions and `moments` added up, […, `SUMS`]."""
    k = len(EMOTIONS)
    cells, va = total[..., : k * k], total[..., k * k :]
    pairs = np.divmod(np.arange(k * k), k)  # each cell is an utterance that counts so often
    scores = {
        "accuracy": accuracy(*pairs, weights=cells),
        "uar": uar(*pairs, weights=cells),
        **{f"f1_{a}": f1(*pairs, a, weights=cells) for a in ("weighted", "macro", "micro")},
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, m in (("valence", va[..., :6]), ("arousal", va[..., 6:])):
            x, y, xx, yy, xy = np.moveaxis(m[..., 1:] / m[..., :1], -1, 0)
            spread = xx - x**2 + yy - y**2 + (x - y) ** 2
            scores[f"ccc_{name}"] = np.where(spread > 1e-12, 2 * (xy - x * y) / spread, np.nan)
    return scores
