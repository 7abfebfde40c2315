"""Who rates well: Dawid–Skene, reliability weights, and the labels that follow from them.

Tables are [raters, items] with nan where a rater did not rate, as in `erc.labels.ratings`. Everything is
learned by `learn` from some utterances (the training sessions) and applied to any by `Panel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from erc.base.errors import LabelError, did_you_mean
from erc.base.space import KEMDY, Space
from erc.corpora.utterance import Utterance
from erc.labels.agreement import pairwise_kappa
from erc.labels.ratings import RatingTable, rating_matrix

RULES = ("reliability", "dawid_skene")
TINY = 1e-300  # log of a probability that is 0


@dataclass(frozen=True)
class DawidSkene:
    """What EM found: how often each emotion is true, and what each rater says when it is."""

    prior: np.ndarray  # [K]
    confusion: np.ndarray  # [R, K true, K said]; rows sum to 1
    iterations: int

    def posterior(self, emotion: Any) -> np.ndarray:
        """P(truth | what the raters said), [R, N] class numbers → [N, K]; nan where nobody rated."""
        said = _one_hot(emotion, len(self.prior))
        # log P(k, ratings of n) = log π_k + Σ_r log confusion[r, k, what r said of n]
        joint = np.log(np.maximum(self.prior, TINY)) + np.einsum(
            "rnj,rkj->nk", said, np.log(np.maximum(self.confusion, TINY)), optimize=True
        )
        p = np.exp(joint - joint.max(-1, keepdims=True))
        p /= p.sum(-1, keepdims=True)
        p[~said.any((0, 2))] = np.nan
        return p


def dawid_skene(
    emotion: Any,
    classes: int = len(KEMDY.emotions),
    smoothing: float = 1.0,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> DawidSkene:
    """EM for the true class and every rater's confusion matrix (Dawid & Skene 1979).

    Starts at the share of votes. M: prior and confusion are the means of posterior and ratings.
    E: `DawidSkene.posterior`. Raters err independently given the truth, or so the model says, which
    makes its posteriors of ten raters nearly one-hot.

    Args:
        emotion: [R, N] class numbers, nan: missing.
        smoothing: ratings' worth of the group's mean confusion added to each row of each rater's, so
            that someone seen twice is not called infallible; 0 is the paper.
        iterations, tolerance: stop when no posterior moves by more than `tolerance`.

    Raises:
        LabelError: nobody rated anything.
    """
    said = _one_hot(emotion, classes)
    votes = said.sum(0)
    rated = votes.any(-1)
    if not rated.any():
        raise LabelError("Dawid–Skene needs ratings; the table holds none")
    said, votes, emotion = said[:, rated], votes[rated], np.asarray(emotion, float)[:, rated]
    posterior = votes / votes.sum(-1, keepdims=True)
    for step in range(1, iterations + 1):
        counts = np.einsum("nk,rnj->rkj", posterior, said, optimize=True)
        mean = _rows(counts.sum(0) + smoothing / classes)
        model = DawidSkene(posterior.mean(0), _rows(counts + smoothing * mean), step)
        before, posterior = posterior, model.posterior(emotion)
        if abs(posterior - before).max() < tolerance:
            break
    return model


def emotion_reliability(emotion: Any) -> np.ndarray:
    """Weights [R] ≥ 0: mean Cohen's kappa with the other raters, nobody below 0."""
    kappa = pairwise_kappa(emotion)
    np.fill_diagonal(kappa, np.nan)
    return _weights(_nanmean(kappa))


def value_reliability(values: Any) -> np.ndarray:
    """Weights [R] ≥ 0 of the evaluator weighted estimator (Grimm & Kroschel 2005).

    A rater's weight is the correlation with the mean of the others, nobody below 0. (The paper's mean
    holds the rater's own rating too, which flatters small groups.)
    """
    values = np.asarray(values, float)
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(0), known.sum(0)
    correlation = np.full(len(values), np.nan)
    for r, own in enumerate(values):
        both = known[r] & (count > 1)
        x, y = own[both], (total[both] - own[both]) / (count[both] - 1)
        if len(x) > 1 and np.ptp(x) > 0 and np.ptp(y) > 0:
            correlation[r] = np.corrcoef(x, y)[0, 1]
    return _weights(correlation)


def weighted_votes(emotion: Any, weights: Any, classes: int = len(KEMDY.emotions)) -> np.ndarray:
    """Share of the weight behind each emotion, [R, N], [R] → [N, K]; nan: nobody with weight rated.

    >>> weighted_votes([[0], [3]], [3.0, 1.0])[0, [0, 3]].tolist()
    [0.75, 0.25]
    """
    votes = np.einsum("rnk,r->nk", _one_hot(emotion, classes), np.asarray(weights, float))
    total = votes.sum(-1, keepdims=True)
    return np.divide(votes, total, out=np.full_like(votes, np.nan), where=total > 0)


def weighted_mean(values: Any, weights: Any) -> np.ndarray:
    """Σ wᵣ xᵣ / Σ wᵣ over who rated, [R, N], [R] → [N]; nan: nobody with weight rated."""
    values = np.asarray(values, float)
    known, weights = ~np.isnan(values), np.asarray(weights, float)
    total, mass = weights @ np.where(known, values, 0), weights @ known
    return np.divide(total, mass, out=np.full(len(total), np.nan), where=mass > 0)


@dataclass(frozen=True)
class Panel:
    """What was learned of one rater group."""

    group: str
    raters: tuple[str, ...]  # R
    space: Space  # what they rated in
    emotion: np.ndarray  # [R] weights ≥ 0
    dimensions: np.ndarray  # [D, R]
    truth: DawidSkene

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """ "emotion" and the name of each dimension → weights [R]."""
        return {"emotion": self.emotion, **dict(zip(self.space.names, self.dimensions))}

    def label(self, table: RatingTable, rule: str = "reliability") -> tuple[np.ndarray, np.ndarray]:
        """Rater-weighted distribution [N, K] and dimensions [N, D] of a table of this group.

        Raters unknown to the panel get its mean weight (or mean confusion).

        Args:
            rule: "reliability": share of the weight behind each emotion, which keeps disagreement;
                "dawid_skene": the probability that the emotion is the true one.
        """
        check_rule(rule)
        place = [self.raters.index(r) if r in self.raters else -1 for r in table.raters]

        def of(known: np.ndarray) -> np.ndarray:
            return np.concatenate([known, known.mean(0, keepdims=True)])[place]

        if rule == "dawid_skene":
            model = DawidSkene(self.truth.prior, of(self.truth.confusion), self.truth.iterations)
            distribution = model.posterior(table.emotion)
        else:
            distribution = weighted_votes(table.emotion, of(self.emotion), len(self.space.emotions))
        pairs = zip(table.dimensions, self.dimensions, strict=True)
        means = [weighted_mean(said, of(weights)) for said, weights in pairs]
        return distribution, np.array(means).reshape(-1, len(distribution)).T


def learn(utterances: Iterable[Utterance], space: Space = KEMDY) -> dict[str, Panel]:
    """Weights and confusion of every rater group, group → `Panel`.

    Give the training sessions only: test ratings must not say whom to trust.
    """
    panels = {}
    for group, table in rating_matrix(utterances, space).items():
        if np.isnan(table.emotion).all():
            continue
        panels[group] = Panel(
            group,
            table.raters,
            space,
            emotion_reliability(table.emotion),
            np.array([value_reliability(said) for said in table.dimensions]),
            dawid_skene(table.emotion, len(space.emotions)),
        )
    return panels


def check_rule(rule: str) -> None:
    """LabelError if there is no such way of weighting raters."""
    if rule not in RULES:
        raise LabelError(
            f"rater_weights '{rule}' is not one of {', '.join(RULES)}{did_you_mean(rule, RULES)}"
        )


def _one_hot(emotion: Any, classes: int) -> np.ndarray:
    """[R, N] → [R, N, K], zeros where missing."""
    emotion = np.asarray(emotion, float)
    known = ~np.isnan(emotion)
    if emotion.ndim != 2 or not np.isin(emotion[known], np.arange(classes)).all():
        raise LabelError(f"ratings must be [raters, items] of class numbers 0–{classes - 1} or nan")
    return (emotion[..., None] == np.arange(classes)).astype(float)


def _rows(counts: np.ndarray) -> np.ndarray:
    """Counts → rows that sum to 1; a class that is never true says nothing: uniform."""
    total = counts.sum(-1, keepdims=True)
    even = np.full_like(counts, 1 / counts.shape[-1])
    return np.divide(counts, total, out=even, where=total > 0)


def _nanmean(x: np.ndarray) -> np.ndarray:
    known = ~np.isnan(x)
    n = known.sum(-1)
    return np.where(n, np.where(known, x, 0).sum(-1) / np.maximum(n, 1), np.nan)


def _weights(scores: np.ndarray) -> np.ndarray:
    """Agreement [R] → weights ≥ 0: unknown agreement gets the mean; if nobody agrees, all are equal."""
    known = ~np.isnan(scores)
    weights = np.where(known, np.clip(scores, 0, None), 0)
    if not weights.any():
        return np.ones(len(scores))
    return np.where(known, weights, weights[known].mean())
