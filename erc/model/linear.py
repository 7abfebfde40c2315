"""Ridge regression: every strength, and every held-out group, from one eigendecomposition."""

from __future__ import annotations

import numpy as np


class Ridge:
    """Weighted ridge regression: min over W, b of Σᵢ sᵢ ‖yᵢ − W zᵢ − b‖² + α ‖W‖².

    With A = √s ∘ (Z − z̄) and Y = √s ∘ (Y − ȳ), both centred by their weighted means, and A Aᵀ = U Λ Uᵀ:
    `W = (Aᵀ U (Λ + α)⁻¹ Uᵀ Y)ᵀ`, `b = ȳ − W z̄`, whatever α.
    The smaller of A Aᵀ and Aᵀ A is decomposed.

    Args:
        features: [n, D]; targets: [n, K]; weights: [n] > 0, None: all 1.
    """

    def __init__(
        self, features: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
    ):
        z, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
        s = np.ones(len(z)) if weights is None else np.asarray(weights, np.float64)
        if not len(z) or not (s > 0).all():
            raise ValueError(f"ridge regression of {len(z)} rows, least weight {s.min(initial=0)}")
        self.targets, self.root = y, np.sqrt(s)[:, None]
        self.middle, self.level = s @ z / s.sum(), s @ y / s.sum()
        self.a, self.y = self.root * (z - self.middle), self.root * (y - self.level)
        wide = z.shape[1] >= len(z)
        values, vectors = np.linalg.eigh(self.a @ self.a.T if wide else self.a.T @ self.a)
        kept = values > len(values) * np.finfo(float).eps * max(values[-1], 0)
        self.values, vectors = values[kept], vectors[:, kept]
        self.u = vectors if wide else self.a @ vectors / np.sqrt(self.values)

    @property
    def scale(self) -> float:
        """Mean squared length of a row of A: the natural unit of α."""
        return float(self.values.sum() / len(self.a)) or 1.0

    def solve(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """W [K, D] and b [K] for one strength α > 0."""
        inner = self.u.T @ self.y / (self.values + alpha)[:, None]
        w = (self.a.T @ (self.u @ inner)).T
        return w, self.level - w @ self.middle

    def held_out(self, alpha: float, groups: np.ndarray) -> np.ndarray:
        """What the regression without a group says of that group, for each of them, [n, K].

        Exact and without refitting: with H = U Λ (Λ + α)⁻¹ Uᵀ + q qᵀ, where q = √s / ‖√s‖ is the
        part of b, the residuals e of a fit to all rows become (1 − H_gg)⁻¹ e_g without group g.

        Args:
            groups: [n], at least two different ones.
        """
        shrunk = self.u * (self.values / (self.values + alpha))
        q = self.root / np.linalg.norm(self.root)
        left = self.y - shrunk @ (self.u.T @ self.y)
        for group in np.unique(groups):
            g = np.flatnonzero(groups == group)
            own = shrunk[g] @ self.u[g].T + q[g] @ q[g].T
            left[g] = np.linalg.solve(np.eye(len(g)) - own, left[g])
        return self.targets - left / self.root
