"""How like its training data is what a model hears: a distance of pooled features, as a percentile.

Numpy alone, on what any runtime encodes: all of them say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AXES = 64  # along which training data have a variance each
MOST = 1000  # utterances that a covariance is estimated from, and distances that are kept
ENOUGH = 20  # distances, of which the tail is known at all
TAIL = 5  # of them, or a tenth, whichever is more
PARTS = 10  # in which training speakers are held out in turn


@dataclass(frozen=True, eq=False)
class Normal:
    """A normal distribution of features x, standardised to z = (x − mean) / scale.

    Its covariance is V diag(v) Vᵀ + r (I − V Vᵀ): a variance along each of K axes, one for all other
    directions.

    Attributes:
        mean, scale: [D]; a feature that does not vary has scale 1.
        axes: [D, K], columns V, orthonormal.
        variances: [K], v > 0.
        rest: r > 0.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float

    @classmethod
    def fit(cls, features: np.ndarray, most: int | None = None) -> Normal:
        """Of features [N, D], N > 0: the axes of most variance, at most `most` or `AXES`, under the
        shrinkage of Ledoit & Wolf (2004), S' = (1 − δ) S + δ tr(S)/D · I, which has S's own
        eigenvectors."""
        from scipy.linalg import eigh  # who asks how typical something is does not need it

        x = spread(np.asarray(features, np.float64))
        n, d = x.shape
        mean, scale = x.mean(0), x.std(0)
        scale = np.where(scale > 1e-12 * np.abs(mean), scale, 1.0)
        z = (x - mean) / scale
        wide = d > n
        gram = (z @ z.T if wide else z.T @ z) / n
        # Of what is no axis the sum and that of the squares are enough: no other vector is computed.
        first = max(0, len(gram) - (most or AXES))
        values, vectors = eigh(gram, subset_by_index=[first, len(gram) - 1])
        total, squares = np.trace(gram), (gram**2).sum()
        kept = np.flatnonzero(values > d * np.finfo(float).eps * max(values[-1], 0))
        axes = z.T @ vectors[:, kept] / np.sqrt(n * values[kept]) if wide else vectors[:, kept]
        middle = total / d  # tr(S)/D
        if not middle:  # one utterance, or all alike
            return cls(mean, scale, axes, values[kept], 1.0)
        uneven = squares - d * middle**2  # ‖S − tr(S)/D I‖²
        noise = ((z**2).sum(1) ** 2).mean() - squares  # n · E‖S − Σ‖², as far as n tells
        delta = min(1.0, noise / n / uneven) if uneven > 0 else 1.0
        shrunk = (1 - delta) * values[kept] + delta * middle
        left = (total - values[kept].sum()) / max(1, d - len(kept))
        return cls(mean, scale, axes, shrunk, (1 - delta) * left + delta * middle or middle)

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance of features [B, D], [B] ≥ 0; about D on average."""
        z = (np.asarray(features, np.float64) - self.mean) / self.scale
        along = z @ self.axes
        beside = np.maximum((z**2).sum(1) - (along**2).sum(1), 0)
        return (along**2 / self.variances).sum(1) + beside / self.rest


@dataclass(frozen=True, eq=False)
class Typicality:
    """Where recordings of speakers that no model was fitted to lie, and so how usual another is.

    Attributes:
        normal: of the training side.
        distances: [M] > 0 of them, of those recordings, ascending.
    """

    normal: Normal
    distances: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        groups: np.ndarray,
        others: np.ndarray | None = None,
        most: int | None = None,
    ) -> Typicality | None:
        """None: nothing is there, or nobody is left to be held out.

        Args:
            features: [N, D] of training utterances; groups: [N], their speakers.
            others: [M, D] of other speakers. None: training speakers are held out in turn, which is
                fair only where the features were not trained on them.
            most: axes with a variance of their own.
        """
        if not len(features):
            return None
        if others is None:
            part = np.unique(groups, return_inverse=True)[1] % PARTS
            parts = np.unique(part).tolist() if part.any() else []
            held = [(features[part != k], features[part == k]) for k in parts]
            found = [Normal.fit(rest, most).distance(own) for rest, own in held]
            distances = np.concatenate([*found, []])
        else:
            distances = Normal.fit(features, most).distance(others)
        return (
            cls(Normal.fit(features, most), spread(np.sort(distances))) if len(distances) else None
        )

    def of(self, features: np.ndarray) -> np.ndarray:
        """Share of held-out recordings that lie at least as far away as features [B, D], [B].

        (1 + #{dᵢ ≥ d}) / (M + 1), in 0 … 1: the conformal p-value of "like the training data" (Bates et
        al. 2023, Annals of Statistics 51). Uniform for a recording like them. It cannot fall below
        1 / (M + 1), so beyond the farthest of `ENOUGH` or more it goes on falling as the tail of an
        exponential, whose mean is that of the largest distances' excess (peaks over a threshold,
        Pickands 1975; the squared distances of normal features have such a tail): nearly 0 for a
        stranger, however few were held out.
        """
        d, known = self.normal.distance(features), self.distances
        nearer = np.searchsorted(known, d, "left")
        share = (1 + len(known) - nearer) / (1 + len(known))
        if len(known) < ENOUGH:
            return share
        peaks = known[-max(TAIL, len(known) // 10) - 1 :]
        excess = max(float((peaks[1:] - peaks[0]).mean()), 1e-9)
        return share * np.exp(-np.maximum(d - known[-1], 0) / excess)


def summary(pooled: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One vector for each utterance, and whether there is one.

    Args:
        pooled: [B, *shape], of a sequence [B, N, *shape], whose present steps are averaged.
        present: bool [B], of a sequence [B, N].

    Returns:
        [B, D] float64 and bool [B].
    """
    x = np.asarray(pooled, np.float64)
    if present.ndim == 2:
        weight = present / np.maximum(present.sum(1, keepdims=True), 1)
        x, present = np.einsum("bn,bn...->b...", weight, x), weight.sum(1) > 0
    return x.reshape(len(x), -1), present


def spread(rows: np.ndarray) -> np.ndarray:
    """At most `MOST` of them, evenly spaced, the first and the last among them."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, MOST).round().astype(int))]
