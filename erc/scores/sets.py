"""Prediction sets: the emotions among which the one that most raters chose is, so often.

Split-conformal, with 1 − p of the majority emotion as the score (Sadinle, Lei & Wasserman 2019, "least
ambiguous set-valued classifiers"): a set holds every emotion that is as probable as the true one was in
nearly all utterances of held-out speakers. For utterances that are exchangeable with those the coverage
is at least the level, whatever the model. Utterances of one speaker are alike, so only speakers are
exchangeable: the level then holds on average over many speakers, and the fewer were held out, the
further all sets together may be off it. `Sets` measures that on others, speaker by speaker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from erc.scores.metrics import accuracy
from erc.scores.scored import Scored
from erc.scores.statistics import interval

LEVEL = 0.9


def threshold(shares: np.ndarray, level: float = LEVEL) -> float:
    """The least probability of an emotion in a set: the ⌈(n + 1) level⌉-th greatest of `shares`.

    0 where n is too small for that: every emotion is in the set.

    Args:
        shares: [n], of held-out utterances: the probability that their majority emotion was given.

    >>> threshold(np.linspace(0.1, 0.9, 9), 0.9), threshold(np.linspace(0.1, 0.9, 9), 0.95)
    (0.1, 0.0)
    """
    rank = math.ceil((len(shares) + 1) * level - 1e-9)
    return float(np.sort(shares)[-rank]) if rank <= len(shares) else 0.0


def members(probabilities: np.ndarray, least: float) -> np.ndarray:
    """[…, 7] → bool […, 7]: in the set. The most probable emotion always is, one of probability 0 (the
    model never learned it) never.

    >>> members(np.array([0.6, 0.3, 0.1, 0.0]), 0.2).tolist()
    [True, True, False, False]
    """
    p = np.asarray(probabilities)
    return (p > 0) & ((p >= least) | (p == p.max(-1, keepdims=True)))


class Covered(NamedTuple):
    """What sets hold in a group of utterances."""

    kind: str  # corpus | speaker
    name: str
    n: int
    coverage: float  # share of the utterances whose majority emotion is in the set
    size: float  # emotions in a set, mean


@dataclass(frozen=True)
class Sets:
    """Prediction sets of one system on utterances that nothing was fitted to."""

    system: str
    level: float
    threshold: float
    calibrated_on: int  # utterances
    speakers: int  # that they are of
    coverage: float
    low: float  # 95 %, over speakers
    high: float
    size: float
    groups: tuple[Covered, ...] = ()

    @classmethod
    def of(
        cls, scored: Scored, shares: np.ndarray | None, speakers: int, level: float = LEVEL
    ) -> Sets | None:
        """Measured on the labelled utterances; None where there is none, or no `shares`."""
        known = scored.take(scored.labelled)
        if shares is None or not len(known):
            return None
        least = threshold(shares, level)
        chosen = members(known.probabilities, least)
        inside = chosen[np.arange(len(known)), known.label]
        hit = (np.ones(len(known), int), inside.astype(int))
        found = interval(partial(accuracy, num_classes=2), hit, known.people, limits=(0, 1))
        groups = [
            Covered(kind, str(name), int(of.sum()), inside[of].mean(), chosen[of].sum(-1).mean())
            for kind, names in (("corpus", known.corpus), ("speaker", known.named("speaker")))
            for name in np.unique(names)
            for of in [names == name]
        ]
        return cls(
            scored.system, level, least, len(shares), speakers, found.value, found.low, found.high,
            float(chosen.sum(-1).mean()), tuple(groups),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Plain values; `groups` as objects."""
        return asdict(self) | {"groups": [group._asdict() for group in self.groups]}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Sets:
        """The inverse of `to_json`."""
        return cls(**{**found, "groups": tuple(Covered(**group) for group in found["groups"])})
