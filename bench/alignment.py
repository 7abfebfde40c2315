"""Is the p of the feature map honest? How often p ≤ .05 where there is no map to find.

    python -m bench.alignment [SIMULATIONS] [NULL …]

Four kinds of nothing: no structure; speakers who differ in features and, unrelated, in ratings; emotions
that are clusters in both, laid out unrelatedly; both together. Emotions are as unevenly frequent as in
real corpora. Permuting utterances freely calls .73 (RSA, speakers) and .95 (RSA, emotions) significant.
"""

from __future__ import annotations

import sys

import numpy as np

from erc.scores.alignment import Mapped, align

NULLS = ("nothing", "speakers", "emotions", "both")
PRIOR = (0.05, 0.05, 0.15, 0.4, 0.2, 0.1, 0.05)
SPEAKERS, EACH, WIDTH = 8, 14, 12  # speakers, utterances of each, features


def draw(rng: np.random.Generator, null: str) -> Mapped:
    """Features and ratings whose maps have nothing to do with each other."""
    who = np.repeat(np.arange(SPEAKERS), EACH)
    n, normal = len(who), rng.standard_normal
    label = rng.choice(7, n, p=PRIOR)
    features, rated = normal((n, WIDTH)), 3 + 0.6 * normal((n, 2))
    if null in ("speakers", "both"):
        features += normal((SPEAKERS, WIDTH))[who]
        rated += 0.6 * normal((SPEAKERS, 2))[who]
    if null in ("emotions", "both"):
        features += 1.5 * normal((7, WIDTH))[label]
        rated += normal((7, 2))[label]
    return Mapped(features, rated, label, who.astype(str), np.arange(n).astype(str))


def simulate(
    null: str, simulations: int, permutations: int = 39, seed: int = 0
) -> dict[str, float]:
    """Share of p ≤ .05 of either statistic."""
    rng = np.random.default_rng(seed)
    found = [align(draw(rng, null), permutations, k) for k in range(simulations)]
    return {
        name: float(np.mean([f[name]["p"] <= 0.05 for f in found]))
        for name in ("procrustes_r2", "rsa")
    }


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    for kind in sys.argv[2:] or NULLS:
        sizes = simulate(kind, number)
        print(
            f"{kind:9} p <= .05: {', '.join(f'{k} {v:.3f}' for k, v in sizes.items())}", flush=True
        )
