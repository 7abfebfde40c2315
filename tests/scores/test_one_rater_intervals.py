"""erc.scores.one_rater_intervals against scoring again without each speaker."""

from __future__ import annotations

import numpy as np
import pytest
from planted_scores import rated
from scipy.stats import t

from erc.corpora.utterance import Utterance
from erc.scores.metrics import ccc
from erc.scores.one_rater import anonymous_values, one_rater
from erc.scores.one_rater_intervals import one_rater_intervals


def test_values_are_the_one_rater():
    rng = np.random.default_rng(0)
    utterances = rated(rng, 80) + rated(rng, 50, 3, "B")
    rng.shuffle(utterances)
    found, expected = one_rater_intervals(utterances), one_rater(utterances)
    assert set(found) >= {"accuracy", "uar", "f1_macro", "ccc_valence", "ccc_arousal"}
    for name, x in found.items():
        assert x.value == pytest.approx(expected[name], abs=1e-9), name
        assert x.low < x.value < x.high
        assert x.clusters == 12


def test_intervals_leave_out_speakers():
    utterances = rated(np.random.default_rng(1), 60, speakers=8)
    scores = [
        one_rater([u for u in utterances if u.speaker != name])
        for name in sorted({u.speaker for u in utterances})
    ]
    found = one_rater_intervals(utterances)
    for name in ("accuracy", "f1_macro", "ccc_arousal"):
        x = np.array([s[name] for s in scores])
        half = t.ppf(0.975, 7) * np.sqrt(((x - x.mean()) ** 2).sum())
        assert found[name].high == pytest.approx(found[name].value + half, abs=1e-9)


def test_anonymous_votes_and_nothing_to_compare():
    rng = np.random.default_rng(2)
    voted = [
        Utterance(str(i), "c", None, "t", str(i % 5), "1", tuple(map(float, v)))
        for i, v in enumerate(rng.multinomial(9, [0.5, 0.2, 0.1, 0.1, 0.05, 0.05, 0], 40))
    ]
    found, expected = one_rater_intervals(voted), one_rater(voted)
    for name in ("accuracy", "uar", "f1_weighted", "f1_macro"):
        assert found[name].value == pytest.approx(expected[name], abs=1e-9)
    assert np.isnan(found["ccc_valence"].value)
    assert one_rater_intervals([]) == {}
    acted = [Utterance("a", "c", None, "t", "s", "1", (1.0, 0, 0, 0, 0, 0, 0))]
    assert one_rater_intervals(acted) == {}
    alone = one_rater_intervals([u for u in voted if u.speaker == "0"])
    assert np.isnan(alone["accuracy"].low)  # one speaker: no interval


def test_one_rating_against_the_others_by_hand():
    ratings = [[1, 2, 2, 5], [3, 3], [4], [5, 1, 1]]
    counts = np.array([[row.count(v) for v in range(1, 6)] for row in ratings])
    others, own, weights, item = anonymous_values(counts, range(1, 6))
    pairs = [
        (x, (sum(r) - x) / (len(r) - 1), i) for i, r in enumerate(ratings) for x in r if len(r) > 1
    ]
    repeated = np.repeat(np.stack([own, others, item], 1), weights.astype(int), 0)
    np.testing.assert_allclose(sorted(map(tuple, repeated)), sorted(pairs))
    literal = ccc([p[1] for p in pairs], [p[0] for p in pairs])
    assert ccc(others, own, weights=weights) == pytest.approx(literal)
