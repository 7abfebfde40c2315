"""A speaker's own mean in the place of the corpus's. Numpy or torch; it imports neither."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Array = TypeVar("Array", "np.ndarray", "Tensor")

PRIOR = 10.0  # recordings the corpus mean counts as
VARIETY = 0.45  # least `variety` of a baseline, as a part of that of the training rows


def baseline(
    features: Array, mean: Array, weights: Array | None = None, prior: float = PRIOR
) -> Array:
    """Mean of one speaker, shrunk towards the corpus: `w μ + (1 − w) mean`, w = n / (n + prior).

    The deviation stays that of the corpus: a speaker who mostly sounds the same would get a small
    one, and small changes of mood would be heard as large ones.

    Args:
        features: [n, …, *shape], of one speaker's recordings; n = 0 gives the corpus.
        mean: [*shape], of the corpus.
        weights: [n] of the recordings in μ, see `even`; None: equal.

    >>> import numpy as np
    >>> baseline(np.full((30, 1), 4.0), np.zeros(1)).tolist()
    [3.0]
    """
    if not len(features):
        return mean
    w = len(features) / (len(features) + prior)
    if weights is None:
        own = features.reshape(-1, *mean.shape).mean(0)
    else:
        rows = features.reshape(len(features), -1, *mean.shape).mean(1)
        shares = (weights / weights.sum()).reshape(-1, *(1,) * len(mean.shape))
        own = (rows * shares).sum(0)
    return w * own + (1 - w) * mean


def even(emotions: Array) -> Array:
    """Weights [n] under which every emotion of a speaker's recordings counts nearly the same.

    `wᵢ = Σₖ pᵢₖ / (1 + Σⱼ pⱼₖ)`: the 1 keeps a single recording from counting as much as many.

    Args:
        emotions: [n, 7] distributions.
    """
    return (emotions / (1 + emotions.sum(0))).sum(1)


def against(features: Array, own: Array, mean: Array) -> Array:
    """Features less what is the speaker's own: `x − own + mean`; the model need not know of speakers.

    Args:
        features: [n, …, *shape].
        own, mean: of the speaker and the corpus, [*shape].
    """
    return features - own + mean


def variety(probabilities: np.ndarray) -> float:
    """Effective number of emotions in recordings: exp of the entropy of their mean distribution.

    Args:
        probabilities: [n, 7], rows sum to 1.

    >>> import numpy as np
    >>> round(variety(np.eye(7)[[0, 1, 0, 1]]), 3), variety(np.eye(7)[[2, 2]])
    (2.0, 1.0)
    """
    mean = probabilities.mean(0)
    return math.exp(-sum(p * math.log(p) for p in mean.tolist() if p > 0))
