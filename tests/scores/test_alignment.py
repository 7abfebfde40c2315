"""Alignment of feature space and rated map: planted, random, and against SciPy."""

import numpy as np
import pytest
from planted_scores import space
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from bench import alignment as nulls
from erc.base.errors import ConfigError
from erc.scores import alignment
from erc.scores.alignment import Distances, Mapped, align, procrustes_r2


def test_a_linear_map_of_the_ratings_is_found():
    found = align(space("planted"), permutations=99)
    for key in ("procrustes_r2", "rsa"):
        x = found[key]
        assert x["value"] > 0.8
        assert x["low"] <= x["value"] <= x["high"]
        assert x["p"] == pytest.approx(0.01)  # (1 + 0) / (1 + 99): never 0
        assert x["chance"] < x["value"] - 0.3


def test_random_features_are_not():
    p = {"procrustes_r2": [], "rsa": []}
    for seed in range(12):
        found = align(space("random", 70, seed), permutations=39)
        for key, values in p.items():
            values.append(found[key]["p"])
    for values in p.values():
        assert np.mean(values) > 0.25  # uniform under the null: 0.5
        assert (np.array(values) <= 0.05).sum() <= 3


@pytest.mark.parametrize("null", ["speakers", "emotions", "both"])
def test_clusters_alone_are_no_map(null):
    """`bench/nulls.py` in short; permuting utterances freely calls .73 to .95 of these aligned."""
    for name, size in nulls.simulate(null, 30, permutations=19).items():
        assert size <= 0.17, name  # three standard errors above .05


def test_the_null_keeps_clusters_and_loses_the_map():
    s = space("planted")
    world = alignment.Rearranged(s)
    va = world.draw(np.random.default_rng(0))
    assert va.mean(0) == pytest.approx(s.valence_arousal.mean(0), abs=0.2)
    centres, old = (
        np.stack([x[s.label == k].mean(0) for k in range(7)]) for x in (va, s.valence_arousal)
    )
    distance = np.linalg.norm(centres[:, None] - old, axis=-1)  # emotions swapped their places
    assert sorted(distance.argmin(1)) == list(range(7))
    assert (distance.argmin(1) != np.arange(7)).any()
    assert distance.min(1).max() < 0.3


def test_procrustes_equals_scipy_for_two_features():
    rng = np.random.default_rng(1)
    x, va, label = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), np.arange(50) % 7
    a, b = (np.stack([p[label == k].mean(0) for k in range(7)]) for p in (x, va))
    assert procrustes_r2(x, va, label) == pytest.approx(1 - procrustes(b, a)[2], abs=1e-12)


def test_weights_count_utterances():
    rng = np.random.default_rng(2)
    x, va, label = rng.normal(size=(30, 5)), rng.normal(size=(30, 2)), np.arange(30) % 4
    w = rng.integers(1, 4, 30)
    again = np.repeat(np.arange(30), w)
    expected = procrustes_r2(x[again], va[again], label[again])
    both = procrustes_r2(x, va, label, np.stack([w, np.ones(30)]))
    assert both[0] == pytest.approx(float(expected))
    assert both[1] == pytest.approx(float(procrustes_r2(x, va, label)))


def test_rsa_equals_spearman_of_scipy():
    rng = np.random.default_rng(3)
    x, va = rng.normal(size=(40, 6)), rng.integers(10, 50, (40, 2)) / 10
    distances = Distances(x, va)
    expected = spearmanr(pdist(x), pdist(va)).statistic
    assert distances.correlation() == pytest.approx(expected, abs=1e-5)
    order = rng.permutation(40)
    moved = spearmanr(pdist(x), pdist(va[order])).statistic
    assert distances.permuted(order) == pytest.approx(moved, abs=1e-5)


def test_rsa_weights_leave_out_pairs_of_an_utterance_with_itself():
    rng = np.random.default_rng(4)
    x, va = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    distances, w = Distances(x, va), rng.integers(0, 3, 12)
    pairs = [(i, j, w[i] * w[j]) for i in range(12) for j in range(i)]
    i, j, times = (np.repeat(column, [p[2] for p in pairs]) for column in zip(*pairs))
    expected = np.corrcoef(distances.a[i, j], distances.b[i, j])[0, 1]
    assert len(times) == len(i)
    assert distances.correlation(weights=w) == pytest.approx(expected, abs=1e-5)


def test_large_splits_are_sampled_with_a_seed(monkeypatch):
    monkeypatch.setattr(alignment, "MAX_UTTERANCES", 60)
    a, b, c = (align(space("planted"), 9, seed) for seed in (0, 0, 1))
    assert a["n"] == 60
    assert a == b
    assert a != c


def test_few_utterances_or_emotions_are_refused():
    one = space("planted", 14)
    with pytest.raises(ConfigError, match="this split has 7 and 7"):
        one.take(np.arange(7))
    with pytest.raises(ConfigError, match="14 and 1"):
        Mapped(one.features, one.valence_arousal, np.zeros(14, int), one.speaker, one.id)


def test_constant_features_have_no_alignment():
    s = space("planted")
    assert np.isnan(procrustes_r2(np.ones_like(s.features), s.valence_arousal, s.label))
