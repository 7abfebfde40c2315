"""Scored utterances and results whose truth is known: so many right, valence and arousal so far off."""

from __future__ import annotations

from typing import Any

import numpy as np

from erc.corpora.utterance import Rating, Utterance
from erc.scores.alignment import Mapped
from erc.scores.results import Human, Results, System
from erc.scores.scored import Scored


def answers(
    n: int = 60,
    right: int = 45,
    seed: int = 0,
    system: str = "speech + text",
    fold: int = 0,
    speakers: int = 6,
    **changed: Any,
) -> Scored:
    """N utterances of which exactly `right` get their label, the others the next emotion.

    Labels go round the seven emotions, truth depends on `fold` alone, so that two calls with
    different `seed` or `right` are two systems on the same utterances. Predicted valence and arousal
    are the rated ones + 0.5, or − 0.5 where that leaves the scale.
    """
    truth, own = np.random.default_rng([fold, 7]), np.random.default_rng([seed, fold])
    label = truth.permutation(np.arange(n) % 7)
    wrong = own.permutation(n) >= right
    guess = np.where(wrong, (label + 1) % 7, label)
    rated = truth.uniform(1, 5, (n, 2))
    columns = {
        "id": [f"{fold}-{i:03d}" for i in range(n)],
        "corpus": ["planted"] * n,
        "speaker": [f"{fold}{i % speakers}" for i in range(n)],
        "session": [f"S{i % 3}" for i in range(n)],
        "gender": ["FM"[i % 2] for i in range(n)],
        "seconds": truth.uniform(0.5, 9, n),
        "probabilities": 0.5 * np.eye(7)[guess] + 0.5 * own.dirichlet(np.ones(7), n),
        "dimensions": rated + np.where(rated > 4.5, -0.5, 0.5),
        "votes": 0.6 * np.eye(7)[label] + 0.4 * truth.dirichlet(np.ones(7), n),
        "label": label,
        "ratings": rated,
        "tie": np.arange(n) % 10 == 0,
    }
    return Scored(system, **columns | changed)  # type: ignore[arg-type]


def results(*systems: Scored, human: dict[str, float] | None = None, **changed: Any) -> Results:
    """What a run would write of these systems, with everything else made up."""
    fields: dict[str, Any] = {
        "protocol": "strict", "fold": 4, "folds": 5, "n": len(systems[0]),
        "speakers": len(set(systems[0].speaker)), "sessions": ("S0", "S1", "S2"),
        "simulated": True, "corpus": "/data/planted", "store": "planted-1", "seed": 0,
        "temperature": 1.25, "command": "python train.py dataset.paths=/data/planted",
        "versions": {"python": "3.11"}, "precision": "32-true",
    }  # fmt: skip
    measured = {one.system: System.of(one) for one in systems}
    return Results(measured, Human(human or {}), **fields | changed)


CENTRES = np.array([[2.6, 3.9], [1.8, 3.7], [1.5, 4.2], [3, 2.8], [4.4, 3.9], [1.7, 2.0], [1.4, 3]])


def space(kind: str, n: int = 210, seed: int = 0) -> Mapped:
    """A feature space that is ("planted") or is not ("random") a linear map of the ratings."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 7
    va = CENTRES[label] + rng.normal(0, 0.3, (n, 2))
    planted = (va - 3) @ rng.normal(size=(2, 40)) + rng.normal(0, 0.2, (n, 40))
    x = planted if kind == "planted" else rng.normal(size=(n, 40))
    speaker = rng.integers(0, 8, n).astype(str)
    return Mapped(x, va, label, speaker, np.arange(n).astype(str))


def rated(rng, items, raters=4, group="A", speakers=6, missing=0.1):
    """Utterances of one rater group; every rater skips some, and knows the truth of 6 in 10."""
    found = []
    for i in range(items):
        truth = rng.integers(7)
        ratings = tuple(
            Rating(
                f"E{r}",
                int(truth if rng.random() < 0.6 else rng.integers(7)),
                tuple(map(float, rng.integers(1, 6, 2))),
            )
            for r in range(raters)
            if rng.random() > missing
        )
        speaker = f"{group}{i % speakers}"
        found.append(
            Utterance(f"{group}{i}", "c", None, "t", speaker, speaker, None,
                      ratings=ratings, rater_group=group)
        )  # fmt: skip
    return found
