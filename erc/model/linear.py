"""Ridge regression and shrinkage LDA: every strength, and every held-out group, from one
eigendecomposition."""

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
        self.a, self.y = z - self.middle, self.root * (y - self.level)
        self.a *= self.root
        wide = z.shape[1] >= len(z)
        values, vectors = np.linalg.eigh(self.a @ self.a.T if wide else self.a.T @ self.a)
        least = len(values) * np.finfo(float).eps * max(values[-1], 0)
        first = np.searchsorted(values, least, "right")  # they ascend
        self.values, vectors = values[first:], vectors[:, first:]
        self.u = vectors if wide else self.a @ vectors / np.sqrt(self.values)
        self.fit = self.u.T @ self.y

    @property
    def scale(self) -> float:
        """Mean squared length of a row of A: the natural unit of α."""
        return float(self.values.sum() / len(self.a)) or 1.0

    def solve(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """W [K, D] and b [K] for one strength α > 0."""
        w = (self.a.T @ (self.u @ (self.fit / (self.values + alpha)[:, None]))).T
        return w, self.level - w @ self.middle

    def held_out(self, alpha: float, groups: np.ndarray) -> np.ndarray:
        """What the regression without a group says of that group, for each of them, [n, K].

        Exact and without refitting: with H = U Λ (Λ + α)⁻¹ Uᵀ + q qᵀ, where q = √s / ‖√s‖ is the
        part of b, the residuals e of a fit to all rows become (1 − H_gg)⁻¹ e_g without group g.

        Args:
            groups: [n], at least two different ones.
        """
        return self._held_out(alpha, groups)[0]

    def _held_out(self, alpha: float, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`held_out`, and U Λ (Λ + α)⁻¹ Uᵀ Y, the fit to all rows less its mean, [n, K]."""
        root = np.sqrt(self.values / (self.values + alpha))[:, None]
        half = self.u * root.T
        q, fitted = self.root / np.linalg.norm(self.root), half @ (root * self.fit)
        left = self.y - fitted
        for group in np.unique(groups):
            g = np.flatnonzero(groups == group)
            own = half[g]  # a product with its own transpose costs half of another
            own = own @ own.T + q[g] @ q[g].T
            left[g] = np.linalg.solve(np.eye(len(g)) - own, left[g])
        return self.targets - left / self.root, fitted


class Discriminant(Ridge):
    """Linear discriminant analysis with the within-class covariance S + α/n I, as a ridge regression.

    Fitted to class memberships, ridge regression finds the discriminant directions; what lacks is a
    K × K map of its answers (Hastie, Buja and Tibshirani 1995, Annals of Statistics 23, 73–102). With
    shares π of the classes, E = Σᵢ sᵢ (yᵢ − π) f(zᵢ)ᵀ / Σᵢ sᵢ and f the answer of the ridge minus π:

    `scores = f B − diag(Π⁻¹ E B) / 2`, `B = (Π − E)⁻¹`, `Π = diag(π)`

    are the log-posteriors of Gaussian classes of equal priors, up to a constant of the row. A class
    without members has the score `UNSEEN`; where only the rest of the rows lacks it, the row's lowest.

    Args:
        features: [n, D]; targets: [n, K], rows sum to 1; weights: [n] > 0. Classes of
            unequal weight in total have unequal influence on S; their priors are equal all the same.
    """

    def solve(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        """Scores = W z + b; a class without members stays at `UNSEEN`."""
        w, b = super().solve(alpha)
        explained = self.fit.T @ (self.fit * (self.values / (self.values + alpha))[:, None])
        seen, turn, level = _scores(explained / (self.root**2).sum(), self.level)
        whole, shift = np.zeros_like(w), np.full(len(b), UNSEEN)
        whole[seen] = turn.T @ w[seen]
        shift[seen] = (b - self.level)[seen] @ turn - level
        return whole, shift

    def held_out(self, alpha: float, groups: np.ndarray) -> np.ndarray:
        """As `Ridge.held_out`; exact, for the weights that all rows together have."""
        said, fitted = self._held_out(alpha, groups)
        weights = self.root**2
        total, unexplained = weights.sum(), self.y.T @ (self.y - fitted)
        second = self.targets.T @ (weights * self.targets)
        for group in np.unique(groups):
            g = groups == group
            y, s, own = self.targets[g], weights[g], self.root[g] * (self.targets[g] - said[g])
            # The other rows' residuals without g are left + H e, e those of g; weighted by y, over them.
            rest = unexplained - (self.y[g] - fitted[g]).T @ own
            n = total - s.sum()
            share = (total * self.level - (s * y).sum(0)) / n
            explained = (second - y.T @ (s * y) - rest) / n - np.outer(share, share)
            seen, turn, level = _scores(explained, share)
            scores = (said[g] - share)[:, seen] @ turn - level
            said[g] = np.where(self.level > NO_SHARE, scores.min(1, keepdims=True), UNSEEN)
            said[np.ix_(g, seen)] = scores
        return said


UNSEEN = -1e3  # score of a class without members
NO_SHARE = 1e-9


def _scores(explained: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes with members, B and the constants of `Discriminant`."""
    seen = np.flatnonzero(share > NO_SHARE)
    e, p = explained[np.ix_(seen, seen)], share[seen]
    turn = np.linalg.inv(np.diag(p) - e)
    return seen, turn, np.diag(e / p[:, None] @ turn) / 2
