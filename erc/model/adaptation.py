"""A speaker's own statistics in the place of the corpus's. Numpy or torch; it imports neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Array = TypeVar("Array", "np.ndarray", "Tensor")

PRIOR = 10.0  # recordings the corpus statistics count as


def statistics(
    features: Array, mean: Array, scale: Array, prior: float = PRIOR
) -> tuple[Array, Array]:
    """Mean and deviation of one speaker, shrunk towards the corpus.

    With n recordings, w = n / (n + prior), and μ, σ² the moments of the speaker's features:
    `mean_s = w μ + (1 − w) mean`, `scale_s² = w σ² + (1 − w) scale²`.

    Args:
        features: [n, …, *shape], of one speaker's recordings; n = 0 gives the corpus.
        mean, scale: [*shape], of the corpus.

    >>> import numpy as np
    >>> [x.tolist() for x in statistics(np.full((30, 1), 4.0), np.zeros(1), np.ones(1))]
    [[3.0], [0.5]]
    """
    if not len(features):
        return mean, scale
    w = len(features) / (len(features) + prior)
    flat = features.reshape(-1, *mean.shape)
    own = flat.mean(0)
    variance = w * ((flat - own) ** 2).mean(0) + (1 - w) * scale**2
    return w * own + (1 - w) * mean, variance**0.5


def against(features: Array, own: tuple[Array, Array], corpus: tuple[Array, Array]) -> Array:
    """Features which the model's corpus-wide standardisation turns into (x − mean_s) / scale_s.

    That is `x' = mean + scale · (x − mean_s) / scale_s`: the model itself need not know of speakers.

    Args:
        features: [n, …, *shape].
        own, corpus: mean and deviation, [*shape].
    """
    return corpus[0] + corpus[1] * (features - own[0]) / own[1]
