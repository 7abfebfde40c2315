"""erc.scores.ceiling_intervals against scoring every resampled utterance again."""

from __future__ import annotations

import numpy as np
import pytest

from erc.corpora.utterance import Rating, Utterance
from erc.scores.ceiling import human_ceiling, value_ceiling
from erc.scores.ceiling_intervals import ceiling_intervals
from erc.scores.metrics import ccc


def rated(rng, items, raters=4, group="A", speakers=6, missing=0.15):
    found = []
    for i in range(items):
        truth = rng.integers(7)
        ratings = tuple(
            Rating(
                f"E{r}",
                int(truth if rng.random() < 0.6 else rng.integers(7)),
                *map(float, rng.integers(1, 6, 2)),
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


def test_values_are_the_human_ceiling():
    rng = np.random.default_rng(0)
    utterances = rated(rng, 80) + rated(rng, 50, 3, "B")
    rng.shuffle(utterances)
    found, expected = ceiling_intervals(utterances, samples=50), human_ceiling(utterances)
    assert set(found) >= {"accuracy", "uar", "f1_macro", "ccc_valence", "js_distance", "brier"}
    for name, x in found.items():
        assert x.value == pytest.approx(expected[name], abs=1e-9), name
        assert x.low < x.value < x.high
        assert x.clusters == 12


def test_intervals_are_those_of_resampled_speakers():
    rng = np.random.default_rng(1)
    utterances = rated(rng, 60, speakers=8)
    found = ceiling_intervals(utterances, samples=200, seed=3)
    names = sorted({u.speaker for u in utterances})
    drawn = np.random.default_rng(3).integers(8, size=(100, 8))  # as erc.scores.statistics draws
    scores = []
    for sample in np.concatenate([drawn]):
        again = [u for k in sample for u in utterances if u.speaker == names[k]]
        scores.append(human_ceiling(again))
    once = ceiling_intervals(utterances, samples=100, seed=3)
    for name in ("accuracy", "f1_macro", "ccc_arousal", "js_distance"):
        low, high = np.quantile([s[name] for s in scores], [0.025, 0.975])
        assert once[name].low == pytest.approx(low, abs=1e-9)
        assert once[name].high == pytest.approx(high, abs=1e-9)
    assert found["accuracy"].value == once["accuracy"].value


def test_anonymous_votes_and_nothing_to_compare():
    rng = np.random.default_rng(2)
    voted = [
        Utterance(str(i), "c", None, "t", str(i % 5), "1", tuple(map(float, v)))
        for i, v in enumerate(rng.multinomial(9, [0.5, 0.2, 0.1, 0.1, 0.05, 0.05, 0], 40))
    ]
    found, expected = ceiling_intervals(voted, samples=20), human_ceiling(voted)
    for name in ("accuracy", "uar", "f1_weighted", "js_distance", "brier"):
        assert found[name].value == pytest.approx(expected[name], abs=1e-9)
    assert np.isnan(found["ccc_valence"].value)
    assert ceiling_intervals([]) == {}
    acted = [Utterance("a", "c", None, "t", "s", "1", (1.0, 0, 0, 0, 0, 0, 0))]
    assert ceiling_intervals(acted) == {}
    alone = ceiling_intervals([u for u in voted if u.speaker == "0"], samples=20)
    assert np.isnan(alone["accuracy"].low)  # one speaker: no interval


def test_one_rating_against_the_others_by_hand():
    ratings = [[1, 2, 2, 5], [3, 3], [4], [5, 1, 1]]
    counts = np.array([[row.count(v) for v in range(1, 6)] for row in ratings])
    others, own, weights, item = value_ceiling(counts, range(1, 6))
    pairs = [
        (x, (sum(r) - x) / (len(r) - 1), i) for i, r in enumerate(ratings) for x in r if len(r) > 1
    ]
    repeated = np.repeat(np.stack([own, others, item], 1), weights.astype(int), 0)
    np.testing.assert_allclose(sorted(map(tuple, repeated)), sorted(pairs))
    literal = ccc([p[1] for p in pairs], [p[0] for p in pairs])
    assert ccc(others, own, weights=weights) == pytest.approx(literal)
