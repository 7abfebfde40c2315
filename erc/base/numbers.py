"""Small formulas that several rooms need."""

from __future__ import annotations

import numpy as np

from erc.base.space import Space


def softmax(scores: np.ndarray) -> np.ndarray:
    """exp(z) / Σ exp(z) over the last axis, in the precision of the scores; rows sum to 1.

    >>> softmax(np.log([1.0, 3.0])).tolist()
    [0.25, 0.75]
    """
    p = np.exp(scores - scores.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def differences(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], space: Space
) -> dict[str, float]:
    """How far two say something else of the same inputs.

    Args:
        one, other: probabilities [N, K] and dimensions [N, D] in their own units.

    Returns:
        max_probability, and max_NAME of each dimension: the largest difference, as if its scale were
        1–5, so that it counts the same whatever its units.

    >>> from erc.base.space import Dimension
    >>> a, b = (np.array([[p, 1 - p]]) for p in (0.25, 0.5))
    >>> scale = Space(("joy", "boredom"), (Dimension("pain", 0, 100),))
    >>> differences((a, np.array([[50.0]])), (b, np.array([[60.0]])), scale)
    {'max_probability': 0.25, 'max_pain': 0.4}
    """
    (p, a), (q, b) = one, other
    off = np.abs(a - b) / ((space.high - space.low) / 4)
    found = {"max_probability": float(np.abs(p - q).max(initial=0))}
    return found | {f"max_{name}": float(off[:, i].max()) for i, name in enumerate(space.names)}
