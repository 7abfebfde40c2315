"""What one reaches without a network: the most frequent emotion, the sentence, how long and how loud.

A model has to earn its place against these on the same utterances. Each learns from the training side
alone and answers with a distribution of emotions and with dimensions, as a model does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from erc.base.space import KEMDY, Space

STRENGTHS = 10.0 ** np.arange(-2, 3, 2)  # of the penalty, in units of one utterance's loss
FOLDS = 5  # of the training side's speakers, to choose among them
STEPS = 100  # of Newton's method at most; ten are usual
TINY = 1e-12  # what another step would lower the loss of an utterance by, where it ends
FULL_SCALE = 32768  # int16


@dataclass(frozen=True)
class Side:
    """What a baseline sees of N utterances, and on the training side what it learns."""

    text: np.ndarray  # [N] transcript, "": none
    cues: np.ndarray  # [N, 3] from `cues`
    speaker: np.ndarray  # [N]
    votes: np.ndarray  # [N, K] rows sum to 1; nan: not labelled
    ratings: np.ndarray  # [N, D]; nan: not rated
    space: Space = KEMDY  # the K emotions and D dimensions


Answer = tuple[np.ndarray, np.ndarray]  # [N, K] and [N, D]


def cues(samples: np.ndarray) -> list[float]:
    """Log seconds, log RMS and log peak of int16 samples at any one rate; nan of none."""
    if not len(samples):
        return [np.nan] * 3
    x = np.asarray(samples, np.float32) / FULL_SCALE
    loud = np.sqrt(np.mean(x**2)), np.abs(x).max()
    return np.log([len(x), *np.maximum(loud, 1 / FULL_SCALE)]).tolist()


def most_frequent(train: Side, test: Side) -> Answer:
    """The mean distribution and the mean ratings of training, whatever is said."""
    space = train.space
    votes = _mean(train.votes, np.full(len(space.emotions), 1 / max(len(space.emotions), 1)))
    ratings = _mean(train.ratings, space.middle)
    return np.tile(votes, (len(test.text), 1)), np.tile(ratings, (len(test.text), 1))


def sentence(train: Side, test: Side) -> Answer:
    """What raters said of the same sentence in training; as `most_frequent` where it did not occur."""
    probabilities, ratings = most_frequent(train, test)
    seen: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(train.text):
        if text:
            seen[text].append(i)
    for i, text in enumerate(test.text):
        if rows := seen.get(text):
            probabilities[i] = _mean(train.votes[rows], probabilities[i])
            ratings[i] = _mean(train.ratings[rows], ratings[i])
    return probabilities, ratings


def duration_and_level(train: Side, test: Side) -> Answer:
    """Multinomial regression of emotion and ridge of ratings on `cues`, their squares and products.

    The strength of the penalty is chosen on speakers left out of the training side. Emotions weigh
    equally, as in UAR and macro F1: else the most frequent one is nearly all that is ever said.
    """
    probabilities, ratings = most_frequent(train, test)
    x, x_test = _features(train.cues, test.cues)
    known = ~np.isnan(train.votes).any(1)
    if known.any() and train.space.emotions:
        y, groups = train.votes[known], train.speaker[known]
        weight = y @ (1 / np.maximum(y.sum(0), 1e-9))
        weight *= len(y) / weight.sum()
        probabilities = _chosen(_multinomial, x[known], y, weight, groups)(x_test)
    for d, scale in enumerate(train.space.dimensions):
        known = ~np.isnan(train.ratings[:, d])
        if known.any():
            y, groups = train.ratings[known, d], train.speaker[known]
            fitted = _chosen(_ridge, x[known], y, np.ones(len(y)), groups)
            ratings[:, d] = fitted(x_test).clip(scale.low, scale.high)
    return probabilities, ratings


BASELINES: dict[str, Callable[[Side, Side], Answer]] = {
    "most frequent": most_frequent,
    "sentence look-up": sentence,
    "duration and level": duration_and_level,
}

Fitted = Callable[[np.ndarray], np.ndarray]


def _mean(rows: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    known = rows[~np.isnan(rows).any(1)]
    return known.mean(0) if len(known) else fallback


def _features(train: np.ndarray, test: np.ndarray) -> list[np.ndarray]:
    """Cues [N, 3] → [N, 10]: 1, the standardised cues, their squares and products; nan: the mean."""
    heard = train[~np.isnan(train).any(1)]
    mean, spread = (heard.mean(0), heard.std(0)) if len(heard) else (0.0, 1.0)
    found = []
    for cue in (train, test):
        z = np.nan_to_num((cue - mean) / np.where(np.asarray(spread) > 0, spread, 1)).clip(-4, 4)
        a, b = np.triu_indices(z.shape[1])
        found.append(np.concatenate([np.ones((len(z), 1)), z, z[:, a] * z[:, b]], 1))
    return found


def _chosen(
    fit: Callable[..., tuple[Fitted, Callable[..., float]]],
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    groups: np.ndarray,
) -> Fitted:
    """Fitted with the strength of least loss on held-out speakers; the middle one of one speaker."""
    fold = np.unique(groups, return_inverse=True)[1] % FOLDS
    folds: Sequence[int] = range(int(fold.max()) + 1) if fold.max() else ()

    def loss(strength: float) -> float:
        total = 0.0
        for k in folds:
            kept, out = fold != k, fold == k
            fitted, cost = fit(x[kept], y[kept], weight[kept], strength)
            total += cost(fitted(x[out]), y[out], weight[out])
        return total

    best = min(STRENGTHS, key=loss) if folds else STRENGTHS[len(STRENGTHS) // 2]
    return fit(x, y, weight, best)[0]


def _multinomial(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, strength: float
) -> tuple[Fitted, Callable[..., float]]:
    """Softmax regression of distributions y [N, K] under L2 on all but the constant, by Newton."""
    (n, f), k = x.shape, y.shape[1]
    penalty = strength * np.r_[0.0, np.ones(f - 1)][:, None]

    def loss(w: np.ndarray) -> float:
        likely = weight[:, None] * y * log_softmax(x @ w, axis=1)
        return float((penalty * w * w).sum() / 2 - likely.sum())

    w = np.zeros((f, k))
    for _ in range(STEPS):
        p = softmax(x @ w, axis=1)
        slope = x.T @ (weight[:, None] * (p - y)) + penalty * w
        # Of wₐₖ and w_bₗ: Σᵢ sᵢ xᵢₐ xᵢ_b pᵢₖ (δₖₗ − pᵢₗ), and the penalty where they are the same.
        each = (x[:, :, None] * p[:, None]).reshape(n, -1)
        curved = -(weight[:, None] * each).T @ each + np.diag(np.repeat(penalty, k))
        for one in range(k):
            curved[one::k, one::k] += x.T @ ((weight * p[:, one])[:, None] * x)
        # The same number more for every emotion's constant changes nothing: flat but for what is added.
        curved += n * TINY * np.eye(f * k)
        step = np.linalg.solve(curved, slope.ravel()).reshape(f, k)
        if (gain := float((slope * step).sum())) < n * TINY:
            break
        now, size = loss(w), 1.0
        while size > TINY and loss(w - size * step) > now - size * gain / 4:
            size /= 2
        w -= size * step
    return (
        lambda new: softmax(new @ w, axis=1),
        lambda p, y, weight: float(-(weight[:, None] * y * np.log(p + 1e-12)).sum()),
    )


def _ridge(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, strength: float
) -> tuple[Fitted, Callable[..., float]]:
    """Least squares under L2 on all but the constant."""
    penalty = strength * np.diag(np.r_[0.0, np.ones(x.shape[1] - 1)])
    w = np.linalg.solve(x.T @ x + penalty, x.T @ y)
    return (lambda new: new @ w), (lambda said, y, weight: float(((said - y) ** 2).sum()))
