"""Alignment of feature space and rated map: planted, random, and against SciPy."""

import json

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from bench import alignment
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError
from erc.studies import feature_map as embedding
from erc.studies.feature_map import Distances, Space, align, procrustes_r2

CENTRES = np.array([[2.6, 3.9], [1.8, 3.7], [1.5, 4.2], [3, 2.8], [4.4, 3.9], [1.7, 2.0], [1.4, 3]])


def space(kind: str, n: int = 210, seed: int = 0) -> Space:
    rng = np.random.default_rng(seed)
    label = np.arange(n) % 7
    va = CENTRES[label] + rng.normal(0, 0.3, (n, 2))
    planted = (va - 3) @ rng.normal(size=(2, 40)) + rng.normal(0, 0.2, (n, 40))
    x = planted if kind == "planted" else rng.normal(size=(n, 40))
    speaker = rng.integers(0, 8, n).astype(str)
    return Space(x, va, label, speaker, np.arange(n).astype(str))


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
    """`bench/alignment.py` in short; permuting utterances freely calls .73 to .95 of these aligned."""
    for name, size in alignment.simulate(null, 30, permutations=19).items():
        assert size <= 0.17, name  # three standard errors above .05


def test_the_null_keeps_clusters_and_loses_the_map():
    s = space("planted")
    world = embedding.Rearranged(s)
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
    monkeypatch.setattr(embedding, "MAX_UTTERANCES", 60)
    a, b, c = (align(space("planted"), 9, seed) for seed in (0, 0, 1))
    assert a["n"] == 60
    assert a == b
    assert a != c


def test_few_utterances_or_emotions_are_refused():
    one = space("planted", 14)
    with pytest.raises(ConfigError, match="this split has 7 and 7"):
        one.take(np.arange(7))
    with pytest.raises(ConfigError, match="14 and 1"):
        Space(one.features, one.valence_arousal, np.zeros(14, int), one.speaker, one.id)


def test_constant_features_have_no_alignment():
    s = space("planted")
    assert np.isnan(procrustes_r2(np.ones_like(s.features), s.valence_arousal, s.label))


def test_ties_and_unrated_utterances_do_not_count():
    class Column:
        path = None

        def column(self, name):
            return np.array([f"{name}{i}" for i in range(30)])

    class Data:
        rows = np.arange(30)
        store = Column()

        class labels:
            tied = np.arange(30) == 4
            hard = np.eye(7)[np.arange(30) % 5]
            valence_arousal = np.where(np.arange(30)[:, None] == 7, np.nan, 3.0)

    found = embedding.of_split(Data(), np.zeros((30, 2)))
    assert len(found) == 29
    assert "id7" not in found.id
    assert found.label[found.id == "id4"] == -1


def test_files(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    s = space("planted", 42)
    monkeypatch.setattr(embedding, "umap", lambda features, *_: features[:, :2])
    embedding.write_map(tmp_path, s, simulated=True, seed=0)
    lines = (tmp_path / "embedding.csv").read_text().splitlines()
    assert lines[0] == "id,emotion,valence,arousal,x,y"
    assert len(lines) == 43
    assert lines[1].split(",")[1] == EMOTIONS[0]
    assert (tmp_path / "embedding.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow  # numba compiles for half a minute
def test_umap_is_deterministic_and_turned_towards_the_ratings():
    pytest.importorskip("umap")
    s = space("planted", 210)
    placed = embedding.umap(s.features, s.valence_arousal, s.label)
    assert placed.shape == (210, 2)
    assert np.array_equal(placed, embedding.umap(s.features, s.valence_arousal, s.label))
    for axis in (0, 1):  # not mirrored
        assert np.corrcoef(placed[:, axis], s.valence_arousal[:, axis])[0, 1] > 0.3


def test_table_says_simulated_and_json_is_plain():
    found = align(space("planted", 42), permutations=9) | {"simulated": True}
    assert "SIMULATED" in embedding.table(found)
    assert json.loads(json.dumps(found)) == found
