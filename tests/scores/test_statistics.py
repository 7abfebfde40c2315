"""erc.scores.statistics against scipy and planted truth."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from scipy import stats

from erc.base.errors import ConfigError
from erc.scores.metrics import accuracy, ccc, evaluate, f1, uar
from erc.scores.statistics import interval, paired_bootstrap, paired_t


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def guesses(rng, truth, right):
    return np.where(rng.random(len(truth)) < right, truth, rng.integers(7, size=len(truth)))


def test_interval_of_accuracy_is_the_binomial_one(rng):
    truth = np.zeros(2000, int)
    guess = (rng.random(2000) < 0.3).astype(int)
    found = interval(accuracy, (truth, guess), samples=2000)
    p = found.value
    half = 1.96 * math.sqrt(p * (1 - p) / 2000)
    assert found.low == pytest.approx(p - half, abs=0.003)
    assert found.high == pytest.approx(p + half, abs=0.003)
    assert (found.clusters, found.undefined) == (2000, 0)


def test_interval_is_scipys(rng):
    x = rng.uniform(1, 5, 150)
    y = x + rng.normal(0, 1, 150)
    oracle = stats.bootstrap(
        (x, y), lambda a, b: ccc(a, b), paired=True, vectorized=False, method="percentile",
        n_resamples=2000, rng=0,
    ).confidence_interval  # fmt: skip
    found = interval(ccc, (x, y), samples=2000)
    assert found.value == pytest.approx(ccc(x, y))
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.01)


def test_clusters_widen_the_interval(rng):
    """Ten speakers who are each all right or all wrong are ten observations, not a thousand."""
    speaker = np.repeat([f"s{i}" for i in range(10)], 100)
    truth = np.zeros(1000, int)
    guess = np.repeat([0, 1] * 5, 100)
    alone, grouped = (interval(accuracy, (truth, guess), c) for c in (None, speaker))
    assert alone.value == grouped.value == 0.5
    assert alone.high - alone.low < 0.08
    assert grouped.high - grouped.low > 0.5
    assert grouped.clusters == 10


def test_a_cluster_is_drawn_whole():
    """Speaker a: one utterance, right; b: nine, wrong. Samples aa, ab, bb score 1, .1, 0."""
    speaker = np.array(list("bbabbbbbbb"))
    seen = []

    def score(truth, guess, weights):
        seen.extend(np.atleast_1d(accuracy(truth, guess, weights=weights)))
        return accuracy(truth, guess, weights=weights)

    found = interval(score, (np.zeros(10, int), (speaker == "b").astype(int)), speaker)
    assert set(np.round(seen, 12)) == {0, 0.1, 1}
    assert (found.value, found.low, found.high) == (0.1, 0, 1)


def test_interval_covers_the_truth(rng):
    """95 % intervals over clusters with a random effect hold the true mean about that often."""
    hits = 0
    for _ in range(200):
        effect = np.repeat(rng.normal(0, 1, 30), 20)
        x = effect + rng.normal(0, 1, 600)
        cluster = np.repeat(np.arange(30), 20)
        mean = interval(lambda x, weights: weights @ x / weights.sum(-1), (x,), cluster, 200)
        hits += mean.low <= 0 <= mean.high
    assert 0.88 <= hits / 200 <= 0.99


def test_same_seed_same_interval(rng):
    truth = rng.integers(7, size=50)
    guess = guesses(rng, truth, 0.5)
    macro = partial(f1, average="macro")
    assert interval(macro, (truth, guess)) == interval(macro, (truth, guess))
    assert interval(macro, (truth, guess), seed=1) != interval(macro, (truth, guess))


def test_evaluate_is_a_metric_too(rng):
    soft = rng.dirichlet(np.full(7, 0.3), 60)
    arrays = (soft, rng.uniform(1, 5, (60, 2)), soft, soft.argmax(1), np.full((60, 2), np.nan))
    found = interval(evaluate, arrays, np.arange(60) % 6, samples=120)
    assert found["accuracy"][:3] == (1, 1, 1)
    assert math.isnan(found["ccc_valence"].low)
    assert found["ccc_valence"].undefined == 120
    assert list(found) == list(evaluate(*arrays))


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_resample_gives_nan(n):
    found = interval(uar, (np.zeros(n, int), np.zeros(n, int)))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.clusters == n
    one_speaker = interval(uar, ([0, 1, 0], [0, 1, 1]), ["a", "a", "a"])
    assert one_speaker.value == 0.75
    assert math.isnan(one_speaker.low)


def test_unequal_lengths_are_refused():
    with pytest.raises(ConfigError, match=r"equal lengths; got \[2, 3\]"):
        interval(uar, ([0, 1], [0, 1]), ["a", "b", "c"])
    with pytest.raises(ConfigError, match="equal lengths"):
        paired_bootstrap(uar, ([0, 1], [0, 1]), ([0], [0]))
    with pytest.raises(ConfigError, match="equal length"):
        paired_t([1, 2], [1])


def test_paired_bootstrap_finds_a_planted_difference_and_no_other(rng):
    truth = rng.integers(7, size=1500)
    good, bad, same = (guesses(rng, truth, right) for right in (0.7, 0.5, 0.7))
    speaker = rng.integers(25, size=1500)
    real = paired_bootstrap(uar, (truth, good), (truth, bad), speaker)
    assert not real.within_noise
    assert real.p < 0.01
    assert real.low < real.value < real.high
    assert real.value == uar(truth, good) - uar(truth, bad)
    noise = paired_bootstrap(uar, (truth, good), (truth, same), speaker)
    assert noise.within_noise
    assert noise.p > 0.05
    assert "within noise" in str(noise)


def test_paired_bootstrap_is_antisymmetric_and_1_for_equal_systems(rng):
    truth = rng.integers(7, size=200)
    a, b = guesses(rng, truth, 0.6), guesses(rng, truth, 0.5)
    there = paired_bootstrap(accuracy, (truth, a), (truth, b))
    back = paired_bootstrap(accuracy, (truth, b), (truth, a))
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))
    equal = paired_bootstrap(accuracy, (truth, a), (truth, a))
    assert (equal.value, equal.low, equal.high, equal.p, equal.within_noise) == (0, 0, 0, 1, True)


def test_paired_bootstrap_with_one_speaker_is_within_noise():
    alone = paired_bootstrap(uar, ([0, 1], [0, 1]), ([0, 1], [1, 0]), ["a", "a"])
    assert alone.within_noise
    assert math.isnan(alone.p)


def test_paired_p_is_uniform_under_the_null(rng):
    """Two equally good systems differ 'significantly' about one time in twenty."""
    truth = np.zeros(200, int)
    systems = [(rng.random((2, 200)) < 0.4).astype(int) for _ in range(200)]
    p = [paired_bootstrap(accuracy, (truth, a), (truth, b), samples=200).p for a, b in systems]
    assert np.mean(np.array(p) < 0.05) < 0.11


def test_paired_t_is_scipys(rng):
    a, b = rng.normal(0.7, 0.02, (2, 5))
    oracle = stats.ttest_rel(a, b)
    found = paired_t(a, b)
    assert (found.t, found.p) == pytest.approx((oracle.statistic, oracle.pvalue))
    # Nadeau & Bengio: variance (1/5 + 1/4)·s² in place of s²/5
    corrected = paired_t(a, b, test_over_train=1 / 4)
    assert corrected.t == pytest.approx(found.t / math.sqrt(1 + 5 / 4))
    assert corrected.p > found.p


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("a", "b"), [([], []), ([1], [2]), ([0.3, 0.4], [0.2, 0.3]), ([1, 2], [1, 2])]
)
def test_paired_t_is_nan_where_undefined(a, b):
    assert math.isnan(paired_t(a, b).p)
    assert math.isnan(paired_t([0.5, np.nan, 0.7], [0.1, 0.2, 0.4]).p)
