"""erc.scores.statistics against scipy and planted truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench import intervals
from erc.base.errors import ConfigError
from erc.scores.metrics import accuracy, ccc, evaluate, uar
from erc.scores.statistics import GROUPS, interval, paired, paired_t


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def guesses(rng, truth, right):
    return np.where(rng.random(len(truth)) < right, truth, rng.integers(7, size=len(truth)))


def test_interval_of_accuracy_is_the_binomial_one(rng):
    truth = np.zeros(2000, int)
    guess = (rng.random(2000) < 0.3).astype(int)
    found = interval(accuracy, (truth, guess))
    p = found.value
    half = 1.96 * math.sqrt(p * (1 - p) / 2000)
    assert found.low == pytest.approx(p - half, abs=0.003)
    assert found.high == pytest.approx(p + half, abs=0.003)
    assert found.clusters == 2000


def test_interval_of_a_mean_is_students(rng):
    """Equal clusters: a mean ± t · deviation of their means, the textbook's but for G/(G − 1)."""
    x = rng.normal(0, 1, 6)
    oracle = stats.ttest_1samp(x, 0).confidence_interval()
    found = interval(
        lambda x, weights: weights @ x / weights.sum(-1), (np.repeat(x, 9),), np.repeat(range(6), 9)
    )
    half = (oracle.high - oracle.low) / 2 * math.sqrt(6 / 5)
    assert (found.low, found.high) == pytest.approx((x.mean() - half, x.mean() + half))


def test_interval_is_near_scipys_bootstrap(rng):
    x = rng.uniform(1, 5, 150)
    y = x + rng.normal(0, 1, 150)
    oracle = stats.bootstrap(
        (x, y), lambda a, b: ccc(a, b), paired=True, vectorized=False, method="percentile",
        n_resamples=2000, rng=0,
    ).confidence_interval  # fmt: skip
    found = interval(ccc, (x, y))
    assert found.value == pytest.approx(ccc(x, y))
    assert (found.low, found.high) == pytest.approx(tuple(oracle), abs=0.02)


def test_many_clusters_are_left_out_in_groups(rng):
    """The error is that of one by one, at a hundredth of the work."""
    x = rng.normal(0, 1, 20 * GROUPS)

    def mean(x, weights):
        calls.append(len(np.atleast_2d(weights)))
        return weights @ x / weights.sum(-1)

    calls: list[int] = []
    found = interval(mean, (x,))
    assert sum(calls) == GROUPS + 1
    half = 1.96 * x.std() / math.sqrt(len(x))
    assert found.high - found.value == pytest.approx(half, rel=0.15)


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


def test_a_cluster_is_left_out_whole():
    """Speaker a: one utterance, right; b: nine, wrong. Without a the score is 0, without b 1."""
    speaker = np.array(list("bbabbbbbbb"))
    seen = []

    def score(truth, guess, weights):
        seen.extend(np.atleast_1d(accuracy(truth, guess, weights=weights)))
        return accuracy(truth, guess, weights=weights)

    arrays = (np.zeros(10, int), (speaker == "b").astype(int))
    found = interval(score, arrays, speaker, limits=(0, 1))
    assert seen == [0.1, 0, 1]
    assert (found.value, found.low, found.high) == (0.1, 0, 1)
    half = stats.t.ppf(0.975, 1) * math.sqrt(0.5)
    assert interval(score, arrays, speaker).high == pytest.approx(0.1 + half)


@pytest.mark.parametrize("speakers", [5, 8, 20])
def test_intervals_hold_the_truth_at_few_speakers(speakers):
    """`bench/intervals.py` in short; a percentile bootstrap holds .81 and .85 at 5 and 8 speakers."""
    for name, (held, false) in intervals.simulate(speakers, 150).items():
        assert held >= 0.9, name  # three standard errors below .95
        assert false <= 0.1, name


def test_speakers_without_a_score_are_no_degrees_of_freedom(rng):
    """Only two of twenty speakers show the emotion: its F1 is known from two, not from twenty."""
    speaker = np.repeat(np.arange(20), 10)
    truth, guess = np.zeros(200, int), np.zeros(200, int)
    truth[:20] = 1
    guess[4:17] = 1

    def f1_of_1(t, g, weights):
        hit = weights @ ((t == 1) & (g == 1))
        return 2 * hit / (weights @ (t == 1) + weights @ (g == 1))

    found = interval(f1_of_1, (truth, guess), speaker)
    moved = np.array([2 * 7 / (10 + 7), 2 * 6 / (10 + 6)])
    assert found.value == pytest.approx(26 / 33)
    half = stats.t.ppf(0.975, 1) * math.sqrt(((moved - moved.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(half)


def test_an_exactly_average_speaker_is_a_degree_of_freedom():
    """Speakers of .5, .6, .6, .7: two change nothing when left out, and are known all the same."""
    speaker = np.repeat(np.arange(4), 10)
    truth = np.zeros(40, int)
    guess = np.concatenate([np.arange(10) >= n for n in (5, 6, 6, 7)]).astype(int)
    found = interval(accuracy, (truth, guess), speaker)
    without = np.array([1.9, 1.8, 1.8, 1.7]) / 3
    half = stats.t.ppf(0.975, 3) * math.sqrt(((without - 0.6) ** 2).sum())
    assert found.value == pytest.approx(0.6)
    assert found.high - found.value == pytest.approx(half)


def test_evaluate_is_a_metric_too(rng):
    soft = rng.dirichlet(np.full(7, 0.3), 60)
    arrays = (soft, rng.uniform(1, 5, (60, 2)), soft, soft.argmax(1), np.full((60, 2), np.nan))
    found = interval(evaluate, arrays, np.arange(60) % 6)
    assert found["accuracy"][:3] == (1, 1, 1)
    assert math.isnan(found["ccc_valence"].low)
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
        paired(uar, ([0, 1], [0, 1]), ([0], [0]))
    with pytest.raises(ConfigError, match="equal length"):
        paired_t([1, 2], [1])


def test_paired_finds_a_planted_difference_and_no_other(rng):
    truth = rng.integers(7, size=1500)
    good, bad, same = (guesses(rng, truth, right) for right in (0.7, 0.5, 0.7))
    speaker = rng.integers(25, size=1500)
    real = paired(uar, (truth, good), (truth, bad), speaker)
    assert not real.within_noise
    assert real.p < 0.01
    assert real.low < real.value < real.high
    assert real.value == uar(truth, good) - uar(truth, bad)
    noise = paired(uar, (truth, good), (truth, same), speaker)
    assert noise.within_noise
    assert noise.p > 0.05
    assert "within noise" in str(noise)


def test_paired_is_antisymmetric_and_1_for_equal_systems(rng):
    truth = rng.integers(7, size=200)
    a, b = guesses(rng, truth, 0.6), guesses(rng, truth, 0.5)
    there = paired(accuracy, (truth, a), (truth, b))
    back = paired(accuracy, (truth, b), (truth, a))
    assert (there.low, there.high, there.p) == pytest.approx((-back.high, -back.low, back.p))
    equal = paired(accuracy, (truth, a), (truth, a))
    assert (equal.value, equal.low, equal.high, equal.p, equal.within_noise) == (0, 0, 0, 1, True)


def test_paired_with_one_speaker_is_within_noise():
    alone = paired(uar, ([0, 1], [0, 1]), ([0, 1], [1, 0]), ["a", "a"])
    assert alone.within_noise
    assert math.isnan(alone.p)


def test_paired_p_is_uniform_under_the_null(rng):
    """Two equally good systems differ 'significantly' about one time in twenty."""
    truth = np.zeros(200, int)
    systems = [(rng.random((2, 200)) < 0.4).astype(int) for _ in range(200)]
    p = [paired(accuracy, (truth, a), (truth, b)).p for a, b in systems]
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
