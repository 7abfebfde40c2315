"""Votes → soft → PeakL, sharpened, hard or rater-weighted labels; who rates well; how far raters agree.

Enters: votes and ratings of utterances. Leaves: distributions over emotions [N, 7], (valence,
arousal) [N, 2], weights and agreement of raters; numpy arrays, or tensors where tensors came.
May import: base, corpora (its records only).
"""

from erc.labels.distributions import entropy, majority, peakl, sharpen, soft, tied
from erc.labels.ties import hard, va_centroids

__all__ = ["entropy", "hard", "majority", "peakl", "sharpen", "soft", "tied", "va_centroids"]
