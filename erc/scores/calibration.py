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
    z, y = np.asarray(logits[known], np.float64), soft[known]

    def cross_entropy(log_t: float) -> float:
        return float(-(y * log_softmax(z / np.exp(log_t), axis=-1)).sum(-1).mean())

    low, high = np.log(RANGE)
    found = minimize_scalar(cross_entropy, bounds=(low, high), method="bounded")
    temperature = float(np.exp(found.x))
    if not RANGE[0] * 1.01 < temperature < RANGE[1] / 1.01:
        raise CalibrationError(
            f"the temperature ended at {temperature:.3g}, the bound of the search {RANGE}: "
            f"on {known.sum()} validation utterances the answers do not fit the votes at any temperature"
        )
    return temperature
