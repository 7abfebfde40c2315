"""Does a feature space have the shape of the raters' valence–arousal map? Two numbers, against chance.

Only held-out utterances count, and no number is fitted to their ratings but a rotation and a scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from erc.base.errors import ConfigError
from erc.scores.statistics import Interval, interval

MAX_UTTERANCES = 2000  # the pairs of more do not fit a laptop's memory
MAX_RANKED = 400  # … and those of more take too long to rank anew for every permutation
PERMUTATIONS = 499


@dataclass(frozen=True)
class Mapped:
    """Held-out utterances in feature space and as they were rated.

    Raises:
        ConfigError: fewer than three emotions or ten rated utterances.
    """

    features: np.ndarray  # [N, F] before the head
    valence_arousal: np.ndarray  # [N, 2] mean ratings, in one unit
    label: np.ndarray  # [N] index of the emotion, −1: none or a tie
    speaker: np.ndarray  # [N]
    id: np.ndarray  # [N]

    def __post_init__(self) -> None:
        if len(self) < 10 or len(set(self.label) - {-1}) < 3:
            raise ConfigError(
                f"an embedding needs ≥ 10 held-out utterances with valence, arousal and ≥ 3 "
                f"emotions; this split has {len(self)} and {len(set(self.label) - {-1})}"
            )

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> Mapped:
        """Some of the utterances."""
        return Mapped(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def procrustes_r2(
    features: np.ndarray, valence_arousal: np.ndarray, label: np.ndarray, weights: Any = None
) -> Any:
    """Share of the rated map's shape that the emotions' feature centroids reproduce, 0 … 1.

    The centroids [K, F] are laid in their principal plane, then moved, rotated (or mirrored) and
    scaled onto the rated centroids [K, 2] (Schönemann 1966, Gower 1975). With both centred and of
    unit norm, A and B, and σ the singular values of AᵀB, R² = (Σσ)² and the disparity is 1 − R².
    A few points in a plane fit by chance too: compare with the permutations, not with 0.

    Args:
        features: [N, F]; valence_arousal: [N, 2]; label: [N], −1 is left out.
        weights: [N] or [S, N], how often each utterance counts; see `erc.scores.metrics`.

    >>> va = np.array([[1.0, 1], [5, 1], [3, 4]])
    >>> turned = np.stack([-va[:, 1], va[:, 0]], 1) * 10
    >>> round(float(procrustes_r2(turned, va, np.arange(3))), 6)
    1.0
    """
    w = np.ones(len(label)) if weights is None else np.asarray(weights, float)
    own = (label[:, None] == np.arange(label.max(initial=0) + 1)).astype(float)
    scores = [
        _fit(one[:, None] * own, features, valence_arousal) for one in w.reshape(-1, w.shape[-1])
    ]
    return np.reshape(scores, w.shape[:-1])


def _fit(own: np.ndarray, features: np.ndarray, va: np.ndarray) -> float:
    """`procrustes_r2` for membership [N, K]; nan with fewer than three emotions or all at one place."""
    size = own.sum(0)
    share = (own[:, size > 0] / size[size > 0]).T  # [K, N]
    if len(share) < 3:
        return np.nan
    a, b = _unit(_plane(share @ features)), _unit(share @ va)
    if not np.isfinite(a).all() or not np.isfinite(b).all():
        return np.nan
    return float(np.linalg.svd(a.T @ b, compute_uv=False).sum() ** 2)


def _plane(points: np.ndarray) -> np.ndarray:
    """Principal components 1 and 2 of [K, F] → [K, 2]."""
    u, s, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    return (u * s)[:, :2]


def _unit(points: np.ndarray) -> np.ndarray:
    points = points - points.mean(0)
    norm = np.linalg.norm(points)
    return points / norm if norm > 1e-12 else np.full_like(points, np.nan)


class Distances:
    """Representational similarity analysis (Kriegeskorte et al. 2008).

    Spearman correlation of the utterances' pairwise Euclidean distances in feature space and on the
    rated map. Ranks are those of the whole split, also in bootstrap samples; an utterance drawn twice
    makes no pair with itself.
    """

    def __init__(self, features: np.ndarray, valence_arousal: np.ndarray):
        self.a, self.b = _ranks(features), _ranks(valence_arousal)
        self._ones = 1 - np.eye(len(self.a), dtype=np.float32)
        self._products = (self.a * self.b, self.a**2, self.b**2)

    def correlation(self, index: Any = None, weights: Any = None) -> Any:
        """[…] correlations under weights […, N] on utterances; a pair weighs wᵢwⱼ.

        Args:
            index: not used; stands for the utterances in `erc.scores.statistics.interval`.
        """
        w = np.ones(len(self.a)) if weights is None else weights
        w = np.asarray(w, np.float32)

        def total(matrix: np.ndarray) -> np.ndarray:
            return np.einsum("...i,...i->...", w @ matrix, w).astype(float)

        n, a, b = total(self._ones), total(self.a), total(self.b)
        ab, aa, bb = (total(product) for product in self._products)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (ab - a * b / n) / np.sqrt((aa - a**2 / n) * (bb - b**2 / n))

    def permuted(self, order: np.ndarray) -> float:
        """The correlation when utterance i gets the rating of utterance `order[i]`."""
        return self._with(self.b[order][:, order])

    def rated(self, valence_arousal: np.ndarray) -> float:
        """The correlation with other ratings [N, 2]."""
        return self._with(_ranks(valence_arousal))

    def _with(self, b: np.ndarray) -> float:
        product = np.vdot(self.a, b)  # both have mean 0 over the pairs
        return float(product / np.sqrt(np.vdot(self.a, self.a) * np.vdot(b, b)))


def _ranks(points: np.ndarray) -> np.ndarray:
    """Centred ranks of all pairwise distances, scaled to about 1, [N, N] with a diagonal of 0."""
    ranks = rankdata(pdist(points))
    return squareform((ranks - ranks.mean()) / ranks.std()).astype(np.float32)


class Rearranged:
    """Ratings of a world that is as clustered as this one, without its map: the null of `align`.

    A rating is taken as mean + what the speaker adds + what the emotion adds + a rest. Emotions swap
    what they add, speakers swap what they add, and the rests are dealt anew. Clusters by emotion and by
    speaker stay, so they alone make no alignment significant; which emotion lies where is lost. The
    additions are shrunk by the noise in them (two-way random effects by moments), since the rests bring
    it with them again.
    """

    def __init__(self, space: Mapped):
        va, n = space.valence_arousal, len(space)
        self.speaker = np.unique(space.speaker, return_inverse=True)[1]
        self.emotion = np.unique(space.label, return_inverse=True)[1]
        self.moves = np.unique(self.emotion[space.label >= 0])  # ties are no emotion: they stay
        members = [np.eye(x.max() + 1)[x] for x in (self.speaker, self.emotion)]
        self.mean = va.mean(0)
        adds = [np.zeros((m.shape[1], 2)) for m in members]
        for _ in range(20):  # backfitting; converges in a few rounds
            for k, m in enumerate(members):
                others = va - self.mean - members[1 - k] @ adds[1 - k]
                adds[k] = m.T @ others / m.sum(0)[:, None]
        rest = va - self.mean - sum(m @ x for m, x in zip(members, adds))
        free = max(1, n - sum(len(x) - 1 for x in adds) - 1)
        noise = (rest**2).sum(0) / free
        self.adds = [_shrunk(x, noise / m.sum(0)[:, None]) for x, m in zip(adds, members)]
        self.rest = va - self.mean - sum(m @ x for m, x in zip(members, self.adds))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Ratings [N, 2]."""
        speaker, emotion = self.adds
        swapped = np.arange(len(emotion))
        swapped[self.moves] = rng.permutation(self.moves)
        moved = rng.permutation(len(speaker))[self.speaker]
        rest = self.rest[rng.permutation(len(self.rest))]
        return self.mean + speaker[moved] + emotion[swapped][self.emotion] + rest


def _shrunk(means: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """[K, 2] means whose own noise has variance [K, 2] → their best linear guess."""
    spread = ((means**2 - noise).sum(0) / max(1, len(means) - 1)).clip(0)
    return means * spread / np.maximum(spread + noise, 1e-12)


def align(space: Mapped, permutations: int = PERMUTATIONS, seed: int = 0) -> dict[str, Any]:
    """Both alignments, their 95 % intervals over speakers, and permutation p.

    p = (1 + k) / (1 + permutations), k being how many permutations reach the observed value. There are
    two kinds, and the larger p counts: ratings dealt anew within each speaker (are features and ratings
    related at all?) and `Rearranged` (is it the map that matches, or only that emotions and speakers are
    clusters in both?). `bench/alignment.py` shows that p ≤ .05 is rare under four kinds of nothing.

    Returns:
        `procrustes_r2` and `rsa`, each {value, low, high, p, chance} (chance: mean of the permutations
        of the kind that decides), `disparity` = 1 − R², and `n`, `speakers`, `emotions`,
        `permutations`, `seed`.
    """
    rng = np.random.default_rng(seed)
    if len(space) > MAX_UTTERANCES:
        space = space.take(np.sort(rng.choice(len(space), MAX_UTTERANCES, replace=False)))
    x, va, label = space.features.astype(float), space.valence_arousal, space.label
    every = np.arange(len(space))
    spreads = {
        "procrustes_r2": interval(procrustes_r2, (x, va, label), space.speaker, limits=(0, 1)),
        "rsa": interval(Distances(x, va).correlation, (every,), space.speaker, limits=(-1, 1)),
    }
    found: dict[str, Any] = {k: _summary(s, *nulls) for (k, s), nulls in zip(
        spreads.items(), _permuted(space, permutations, rng), strict=True
    )}  # fmt: skip
    return found | {
        "disparity": 1 - found["procrustes_r2"]["value"],
        "n": len(space),
        "speakers": len(set(space.speaker)),
        "emotions": len(set(label) - {-1}),
        "permutations": permutations,
        "seed": seed,
    }


def _permuted(
    space: Mapped, permutations: int, rng: np.random.Generator
) -> tuple[tuple[float, np.ndarray], tuple[float, np.ndarray]]:
    """Procrustes R² and RSA: the observed value, and those of the permutations [2 kinds, …]."""
    some = space
    if len(space) > MAX_RANKED:
        some = space.take(np.sort(rng.choice(len(space), MAX_RANKED, replace=False)))
    distances = Distances(some.features.astype(float), some.valence_arousal)
    nulls = np.empty((2, 2, permutations))  # statistic, kind
    for part, measured in enumerate((space, some)):
        world = Rearranged(measured)
        x, label = measured.features.astype(float), measured.label
        for k in range(permutations):
            within = rng.permutation(len(measured))
            home = np.argsort(world.speaker, kind="stable")
            dealt = np.empty(len(measured), int)
            dealt[home] = within[np.argsort(world.speaker[within], kind="stable")]
            if part:
                nulls[part, :, k] = distances.permuted(dealt), distances.rated(world.draw(rng))
            else:
                two = measured.valence_arousal[dealt], world.draw(rng)
                nulls[part, :, k] = [procrustes_r2(x, va, label) for va in two]
    observed = float(
        procrustes_r2(space.features.astype(float), space.valence_arousal, space.label)
    )
    return (observed, nulls[0]), (distances.permuted(np.arange(len(some))), nulls[1])


def _summary(spread: Interval, observed: float, nulls: np.ndarray) -> dict[str, float]:
    reached = (nulls >= observed - 1e-9).sum(1)
    kind = int(reached.argmax())
    p = float((1 + reached[kind]) / (1 + nulls.shape[1]))
    chance = round(float(nulls[kind].mean()), 3) + 0.0  # no −0.000
    return {"value": spread.value, "low": spread.low, "high": spread.high, "p": p, "chance": chance}
