from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest
from sklearn.covariance import ledoit_wolf

from erc.model import typicality
from erc.model.typicality import Normal, Typicality, spread, summary

RNG = np.random.default_rng


def speech_like(speakers: int, each: int, seed: int, d: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Correlated features with an offset for each speaker, and the speakers."""
    rng, mixing = RNG(seed), RNG(7).standard_normal((d, d))
    own = np.repeat(rng.standard_normal((speakers, d)), each, 0)
    x = 3 + (0.5 * own + rng.standard_normal((speakers * each, d))) @ mixing
    return x, np.repeat(np.arange(speakers), each)


@pytest.mark.parametrize(("n", "d"), [(300, 10), (50, 200), (200, 64), (3, 2)])
def test_the_distance_is_that_of_mahalanobis_under_ledoit_and_wolf(n, d):
    rng = RNG(0)
    x = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 3
    x[:, 0] = 5  # does not vary
    made = Normal.fit(x)
    covariance, _ = ledoit_wolf((x - made.mean) / made.scale, assume_centered=True)
    new = rng.standard_normal((6, d)) * 4
    z = (new - made.mean) / made.scale
    expected = np.einsum("bi,ij,bj->b", z, np.linalg.inv(covariance), z)
    assert made.distance(new) == pytest.approx(expected, rel=1e-6)


def test_many_directions_share_one_variance(monkeypatch):
    monkeypatch.setattr(typicality, "AXES", 3)
    x = RNG(1).standard_normal((80, 9)) * np.arange(1, 10)
    made = Normal.fit(x)
    assert made.axes.shape == (9, 3)
    axes = made.axes
    dense = axes @ np.diag(made.variances) @ axes.T + made.rest * (np.eye(9) - axes @ axes.T)
    covariance, _ = ledoit_wolf((x - made.mean) / made.scale, assume_centered=True)
    assert np.trace(dense) == pytest.approx(np.trace(covariance))
    z = (x[:4] - made.mean) / made.scale
    assert made.distance(x[:4]) == pytest.approx(
        np.einsum("bi,ij,bj->b", z, np.linalg.inv(dense), z)
    )


@pytest.mark.parametrize("given", [False, True])
def test_new_speakers_of_the_same_kind_have_uniform_percentiles(given):
    x, who = speech_like(100, 8, 0)
    others = speech_like(60, 8, 1)[0] if given else None
    made = Typicality.fit(x, who, others)
    new, _ = speech_like(60, 8, 2)
    assert kstest(made.of(new), "uniform").statistic < 0.08


def test_training_speakers_themselves_would_be_too_familiar():
    """What the held-out speakers are for: without them a new speaker seems strange."""
    x, who = speech_like(6, 40, 0, d=60)
    new, _ = speech_like(60, 4, 2, d=60)
    own = Normal.fit(x)
    naive = Typicality(own, np.sort(own.distance(x)))
    assert (naive.of(new) < 0.02).mean() > 0.5
    assert (Typicality.fit(x, who).of(new) < 0.02).mean() < 0.15


def test_a_stranger_is_at_the_end_and_the_middle_in_the_middle():
    x, who = speech_like(30, 8, 0)
    made = Typicality.fit(x, who)
    assert made.of(made.normal.mean[None] + 50 * made.normal.scale) == pytest.approx(0, abs=1e-9)
    assert made.of(made.normal.mean[None]) == pytest.approx(1)


def test_few_held_out_recordings_still_know_a_stranger():
    """24 of them: a rank cannot fall below 1 / 25, and no answer would ever abstain at .02."""
    rng, familiar, strange = RNG(0), [], []
    for _ in range(60):
        training, others = rng.normal(size=(300, 30)), rng.normal(size=(24, 30))
        made = Typicality.fit(training, np.arange(300) % 20, others)
        familiar.append(made.of(rng.normal(size=(200, 30))))
        strange.append(made.of(2 * rng.normal(size=(50, 30))))
    assert np.mean(np.concatenate(familiar) < 0.02) == pytest.approx(0.02, abs=0.012)
    assert np.mean(np.concatenate(familiar) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.concatenate(strange) < 0.02) > 0.95


def test_beyond_the_farthest_it_only_falls():
    made = Typicality.fit(RNG(0).normal(size=(100, 5)), np.arange(100), RNG(1).normal(size=(40, 5)))
    p = made.of(np.linspace(0, 20, 400)[:, None] * np.eye(5)[:1])
    assert (np.diff(p) <= 0).all()
    assert p[-1] < 1e-6


def test_nobody_to_hold_out_is_not_known():
    x, who = speech_like(1, 8, 0)
    assert Typicality.fit(x, who) is None
    assert Typicality.fit(x[:0], who[:0]) is None
    assert Typicality.fit(x, who, x[:0]) is None


@pytest.mark.parametrize("x", [np.ones((9, 4)), np.ones((1, 4)), np.eye(3)[:2]])
def test_little_or_equal_data_give_finite_distances(x):
    found = Normal.fit(x).distance(np.array([[1.0] * x.shape[1], [9.0] * x.shape[1]]))
    assert np.isfinite(found).all()
    assert found[0] < found[1]


def test_a_sequence_is_averaged_where_it_is():
    pooled = np.arange(24.0).reshape(2, 3, 2, 2)
    present = np.array([[True, True, False], [False, False, False]])
    features, there = summary(pooled, present)
    assert features.tolist() == [pooled[0, :2].mean(0).ravel().tolist(), [0] * 4]
    assert there.tolist() == [True, False]
    features, there = summary(pooled[:, 0], present[:, 0])
    assert features.tolist() == pooled[:, 0].reshape(2, 4).tolist()


def test_rows_are_spread_over_all(monkeypatch):
    monkeypatch.setattr(typicality, "MOST", 3)
    assert spread(np.arange(9)).tolist() == [0, 4, 8]
    assert spread(np.arange(2)).tolist() == [0, 1]
