"""How sure is what one rater reaches: intervals over speakers, from sums and not from utterances."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.space import KEMDY, Space
from erc.labels import tied
from erc.labels.ratings import group_of, has_counts, rating_matrix, vote_matrix
from erc.scores.metrics import accuracy, f1, limits, uar
from erc.scores.one_rater import against_others, leave_vote
from erc.scores.statistics import Interval, interval

if TYPE_CHECKING:
    from erc.corpora.utterance import Utterance


def sums_of(space: Space) -> int:
    """How many sums there are: cells of the confusion matrix, six moments of each dimension."""
    return len(space.emotions) ** 2 + 6 * len(space.dimensions)


def one_rater_intervals(
    utterances: Iterable[Utterance], space: Space = KEMDY, level: float = 0.95
) -> dict[str, Interval]:
    """`one_rater` with its intervals over speakers, metric → `Interval`.

    Everything that a rater is scored by is a sum over utterances (of the confusion matrix, of
    moments), so leaving out a speaker takes his sums away instead of scoring all utterances again.
    """
    utterances = list(utterances)
    speaker = np.unique([f"{u.corpus}/{u.speaker}" for u in utterances], return_inverse=True)[1]
    units = int(speaker.max(initial=-1)) + 1
    sums = []
    for group, table in rating_matrix(utterances, space).items():
        rows = [i for i, u in enumerate(utterances) if u.ratings and group_of(u) == group]
        for rater in range(len(table.raters)):
            sums.append(_sums(*against_others(table, rater), space, speaker[rows], units))
    votes = vote_matrix(utterances)
    if votes and not sums:
        rows = [
            i
            for corpus in votes
            for i, u in enumerate(utterances)
            if u.corpus == corpus and has_counts(u)
        ]
        utterance, weights, judged = leave_vote(np.concatenate(list(votes.values())), space)
        sums = [_sums(*judged, space, speaker[rows][utterance], units, weights)]
    if not sums or units < 1:
        return {}
    scores = partial(_scores_of_sums, space=space)
    return interval(scores, sums, level=level, limits=limits(space))


def _sums(
    label: np.ndarray,
    soft: np.ndarray,
    said: np.ndarray,
    rated: np.ndarray,
    space: Space,
    cluster: np.ndarray,
    units: int,
    weights: Any = None,
) -> np.ndarray:
    """What scores are made of, added up by cluster: [C, `sums_of`]."""
    k, known = len(space.emotions), ~np.isnan(soft).any(-1)
    truth = np.where(known[:, None], np.nan_to_num(soft), 1 / k)
    cell = truth.argmax(-1) * k + label.argmax(-1)
    confusions = np.eye(k**2)[cell] * (known & ~tied(truth))[:, None]
    rows = np.concatenate([confusions, moments(rated, said, space)], 1)
    total = np.zeros((units, sums_of(space)))
    np.add.at(total, cluster, rows * (1 if weights is None else np.asarray(weights)[:, None]))
    return total


def moments(truth: np.ndarray, said: np.ndarray, space: Space) -> np.ndarray:
    """[N, D] and [N, D] ratings → [N, 6 D], whose sums hold CCC; nan: not counted."""
    parts = [np.zeros((len(truth), 0))]
    for x, y, middle in zip(truth.T, said.T, space.middle, strict=True):
        rated = ~np.isnan(x + y)
        x, y = np.where(rated, x - middle, 0), np.where(rated, y - middle, 0)  # near 0: exact sums
        parts.append(np.stack([rated, x, y, x * x, y * y, x * y], -1))
    return np.concatenate(parts, -1)


def _scores_of_sums(*sums: np.ndarray, weights: np.ndarray, space: Space) -> dict[str, Any]:
    """Metric → mean over raters of the score, [C, `sums_of`] each and [S, C] → [S]."""
    found = [scores_of_sums(weights @ s, space) for s in sums]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no rater has this score: nan it stays
        return {k: np.nanmean([f[k] for f in found], 0) for k in found[0]}


def scores_of_sums(total: np.ndarray, space: Space) -> dict[str, Any]:
    """Metric → […] scores, from confusions and `moments` added up, […, `sums_of`]."""
    k = len(space.emotions)
    cells, rated = np.split(total, [k * k], -1)
    pairs = np.divmod(np.arange(k * k), k)  # each cell is an utterance that counts so often
    scores = {
        "accuracy": accuracy(*pairs, k, weights=cells),
        "uar": uar(*pairs, k, weights=cells),
        **{f"f1_{a}": f1(*pairs, a, k, weights=cells) for a in ("weighted", "macro", "micro")},
    }
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, m in zip(space.names, np.split(rated, len(space.names) or 1, -1)):
            x, y, xx, yy, xy = np.moveaxis(m[..., 1:] / m[..., :1], -1, 0)
            spread = xx - x**2 + yy - y**2 + (x - y) ** 2
            scores[f"ccc_{name}"] = np.where(spread > 1e-12, 2 * (xy - x * y) / spread, np.nan)
    return scores
