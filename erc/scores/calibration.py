"""Temperature scaling: one number that makes probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from erc.base.errors import CalibrationError

RANGE = (0.05, 20.0)  # temperatures that are tried


def fit_temperature(logits: np.ndarray, soft: np.ndarray) -> float:
    """T that minimises the cross-entropy of `softmax(logits / T)` to the votes (Guo et al. 2017).

    Fitted to the distribution of votes, not to their majority: probabilities estimate the share of
    raters who would choose each emotion.

    Args:
        logits: [N, 7] of utterances that were not trained on.
        soft: [N, 7] votes as distributions; rows of nan are left out.

    Returns:
        T > 0.

    Raises:
        CalibrationError: nothing is labelled, or the best temperature is a bound of `RANGE`: the
            answers tell nothing of the votes (20), or of nothing else (0.05).

    >>> logits = np.log([[0.9, 0.1, *[1e-9] * 5]])
    >>> round(fit_temperature(3 * logits, np.exp(logits)), 2)  # three times too sure
    3.0
    """
    known = ~np.isnan(soft).any(-1)
    if not known.any():
        raise CalibrationError("no utterance of the validation side has votes")
    temperature, _ = least_cross_entropy(logits[known], soft[known])
    if not RANGE[0] * 1.01 < temperature < RANGE[1] / 1.01:
        raise CalibrationError(
            f"the temperature ended at {temperature:.3g}, the bound of the search {RANGE}: "
            f"on {known.sum()} validation utterances the answers do not fit the votes at any temperature"
        )
    return temperature


def least_cross_entropy(
    logits: np.ndarray, soft: np.ndarray, weights: np.ndarray | None = None
) -> tuple[float, float]:
    """The temperature in `RANGE` with the least mean cross-entropy of `softmax(logits / T)`, and that.

    Args:
        logits, soft: [N, 7]; weights: [N], None: all 1.
    """
    z, y = np.asarray(logits, np.float64), soft

    def cross_entropy(log_t: float) -> float:
        each = -(y * log_softmax(z / np.exp(log_t), axis=-1)).sum(-1)
        return float(np.average(each, weights=weights))

    low, high = np.log(RANGE)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
