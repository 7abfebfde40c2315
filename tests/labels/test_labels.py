"""erc.labels against stored values of the published code, literal formulas and planted ties."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy

from erc.base.errors import LabelError
from erc.base.space import KEMDY
from erc.labels import entropy, hard, peakl, soft, tied, va_centroids

NAN = float("nan")
# (valence, arousal) of KEMDy19, as published
CENTROIDS = np.array(
    [
        [2.64, 3.64],
        [1.74, 3.64],
        [1.80, 3.80],
        [2.97, 2.98],
        [4.31, 3.86],
        [1.90, 2.61],
        [2.21, 3.12],
    ]
)
LIBRARIES = pytest.mark.parametrize("array", [np.asarray, torch.tensor], ids=["numpy", "torch"])


def row(**votes):
    """row(neutral=9, angry=1) → seven floats."""
    return [float(votes.get(e, 0)) for e in KEMDY.emotions]


def literal_peakl(y):
    """The definition, one number at a time."""
    bar = math.tanh(-sum(p * math.log(p) for p in y if p > 0)) / 7
    peak = [max(0.0, p - bar) for p in y]
    return [p / sum(peak) for p in peak]


@LIBRARIES
def test_three_rows_of_the_definition(array):
    votes = array([row(neutral=10), row(neutral=9, angry=1), row(neutral=6, angry=4)])
    found = peakl(soft(votes))
    assert type(found) is type(votes)
    expected = [
        row(neutral=1),
        row(neutral=0.939436, angry=0.060564),
        row(neutral=0.620149, angry=0.379851),
    ]
    np.testing.assert_allclose(np.asarray(found), expected, atol=5e-7)


@LIBRARIES
def test_stored_values_of_the_published_code(shared, array):
    rows = json.loads((shared / "reference" / "peakl.json").read_text())
    votes = array([r["votes"] for r in rows])  # integers
    distribution = soft(votes)
    np.testing.assert_allclose(np.asarray(distribution), [r["soft"] for r in rows], atol=1e-8)
    np.testing.assert_allclose(
        np.asarray(peakl(distribution)), [r["peakl"] for r in rows], atol=1e-8
    )


def test_peakl_is_the_literal_formula_and_keeps_order():
    y = np.random.default_rng(0).dirichlet(np.full(7, 0.5), 200)
    found = peakl(y)
    np.testing.assert_allclose(found, [literal_peakl(r) for r in y], atol=1e-12)
    np.testing.assert_allclose(found.sum(-1), 1)
    assert (entropy(found) <= entropy(y) + 1e-12).all()  # it peaks
    assert (found.argmax(-1) == y.argmax(-1)).all()


@LIBRARIES
@pytest.mark.parametrize("kinds", range(1, 8))
def test_peakl_keeps_equal_votes_equal(array, kinds):
    """Even seven equal votes clear the bar, tanh(H)/7 < 1/7: the label stays as it is."""
    y = [1 / kinds] * kinds + [0.0] * (7 - kinds)
    np.testing.assert_allclose(np.asarray(peakl(array(y))), y, atol=1e-6)


@LIBRARIES
def test_any_leading_shape(array):
    votes = np.random.default_rng(1).multinomial(10, np.full(7, 1 / 7), (2, 3)).astype(float)
    for shape in ((7,), (6, 7), (2, 3, 7), (1, 6, 1, 7), (0, 7)):
        x = array(np.resize(votes, shape) if 0 not in shape else np.empty(shape))
        for function in (soft, lambda v: peakl(soft(v)), hard):
            assert tuple(function(x).shape) == shape
        assert tuple(tied(x).shape) == shape[:-1]
        assert tuple(entropy(soft(x)).shape) == shape[:-1]
    one_by_one = np.stack([[np.asarray(hard(array(v))) for v in block] for block in votes])
    np.testing.assert_array_equal(np.asarray(hard(array(votes))), one_by_one)


@LIBRARIES
def test_nan_rows_stay_nan_and_touch_no_other(array):
    x = array([[NAN] * 7, row(sad=3, fear=1)])
    for function in (soft, hard, lambda v: peakl(soft(v))):
        found = np.asarray(function(x))
        assert np.isnan(found[0]).all()
        assert found[1].sum() == pytest.approx(1)
    assert np.asarray(tied(x)).tolist() == [False, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, torch.float32, torch.float64])
def test_floating_types_are_kept(dtype):
    y = [0.9, 0, 0, 0.1, 0, 0, 0]
    x = np.array(y, dtype) if isinstance(dtype, type) else torch.tensor(y, dtype=dtype)
    for function in (soft, peakl, hard):
        assert function(x).dtype == dtype


def test_entropy_is_scipys():
    y = np.random.default_rng(2).dirichlet(np.full(7, 0.3), 50)
    y[0] = row(sad=1)
    np.testing.assert_allclose(entropy(y), scipy_entropy(y, axis=-1), atol=1e-12)


@LIBRARIES
@pytest.mark.parametrize("bad", [-1.0, math.inf])
def test_soft_refuses_what_is_no_count(array, bad):
    with pytest.raises(LabelError, match="counts ≥ 0"):
        soft(array([row(sad=1), row(sad=1, happy=bad)]))


@LIBRARIES
def test_no_votes_are_refused(array):
    for function in (soft, hard, tied):
        with pytest.raises(LabelError, match="nan for 'no label'"):
            function(array([row(sad=1), [0.0] * 7]))


@LIBRARIES
@pytest.mark.parametrize("bad", [row(neutral=9, angry=1), [0.0] * 7, row(neutral=1.5, angry=-0.5)])
def test_peakl_refuses_what_is_no_distribution(array, bad):
    with pytest.raises(LabelError, match=r"soft first"):
        peakl(array(bad))


@LIBRARIES
@pytest.mark.parametrize("shape", [(), (1,), (7, 1), (0,)])
def test_two_columns_are_needed(array, shape):
    for function in (soft, peakl, hard, tied):
        with pytest.raises(LabelError, match="labels need a column for each of two or more"):
            function(array(np.ones(shape)))


@LIBRARIES
@pytest.mark.parametrize("k", [2, 4, 9])
def test_any_number_of_emotions(array, k):
    """The formula of the published system, with K in the place of 7."""
    votes = np.random.default_rng(k).integers(0, 6, (20, k)) + np.eye(k)[0]
    y = votes / votes.sum(1, keepdims=True)
    entropies = np.array([-sum(p * np.log(p) for p in line if p) for line in y])
    peak = np.maximum(0, y - np.tanh(entropies)[:, None] / k)
    mass = peak.sum(1, keepdims=True)
    wanted = np.where(mass > 0, peak / np.where(mass > 0, mass, 1), y)
    np.testing.assert_allclose(np.asarray(peakl(soft(array(votes)))), wanted, atol=1e-6)
    assert np.asarray(hard(array(y))).sum(-1) == pytest.approx(np.ones(20))


def test_tied_is_a_shared_maximum():
    votes = [
        row(neutral=5, happy=5),
        row(neutral=6, happy=4),
        [1 / 7] * 7,
        row(fear=3, sad=3, angry=4),
    ]
    assert tied(votes).tolist() == [True, False, True, False]
    assert tied(np.float32(soft(votes))).tolist() == [True, False, True, False]


@LIBRARIES
def test_tie_goes_to_the_nearest_centroid(array):
    """At each tied emotion's own centroid that emotion wins; an untied majority ignores ratings."""
    tie = array([0.0, 0, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    for emotion in ("angry", "neutral", "happy"):
        k = KEMDY.emotions.index(emotion)
        found = hard(tie, array(CENTROIDS[k] + 0.05), array(CENTROIDS))
        assert np.asarray(found).tolist() == row(**{emotion: 1})
    # nearest of all is sad, which is not among the tied: of those, neutral lies nearest
    assert np.asarray(hard(tie, array(CENTROIDS[5]), array(CENTROIDS)))[3] == 1
    clear = array(row(neutral=6, angry=4))
    assert np.asarray(hard(clear, array(CENTROIDS[2]), array(CENTROIDS)))[3] == 1


@LIBRARIES
def test_ties_of_a_table_are_settled_row_by_row(array):
    rng = np.random.default_rng(3)
    votes = rng.multinomial(4, [0.3, 0.3, 0.2, 0.2, 0, 0, 0], 100).astype(float)
    va = rng.uniform(1, 5, (100, 2))
    expected = []
    for v, rating in zip(votes, va, strict=True):
        winners = [k for k in range(7) if v[k] == v.max()]
        expected.append(min(winners, key=lambda k: math.dist(rating, CENTROIDS[k])))
    found = hard(array(votes), array(va), array(CENTROIDS))
    assert np.asarray(found).argmax(-1).tolist() == expected


@LIBRARIES
def test_without_rating_or_centroid_the_first_emotion_wins(array):
    tie = array([row(fear=1, sad=1)])
    unknown, rating = array([[NAN, NAN]]), array([[1.9, 2.6]])
    no_centroids = array(np.full((7, 2), NAN))
    for va, centroids in ((None, None), (unknown, array(CENTROIDS)), (rating, no_centroids)):
        assert np.asarray(hard(tie, va, centroids)).argmax() == KEMDY.emotions.index("fear")
    no_fear = CENTROIDS.copy()
    no_fear[1] = NAN  # an emotion without a centroid never wins against one with
    far = array([[5.0, 5.0]])
    assert np.asarray(hard(tie, far, array(no_fear))).argmax() == KEMDY.emotions.index("sad")


def test_lists_and_centroids_from_numpy_are_taken():
    tie, rating = row(neutral=1, happy=1), [4.5, 4.0]
    assert hard(tie, rating, CENTROIDS.tolist()).argmax() == 4
    assert hard(torch.tensor(tie), torch.tensor(rating), torch.tensor(CENTROIDS)).argmax() == 4


def test_centroids_are_means_of_untied_rated_utterances():
    y = soft([row(sad=3, fear=1), row(sad=1), row(sad=1), row(sad=1, fear=1), row(happy=1)])
    y = np.concatenate([y, np.full((1, 7), NAN)])
    va = np.array([[2, 3], [1, 2], [NAN, 2], [5, 5], [4, 4], [3, 3]])
    found = va_centroids(y, va)
    assert found[KEMDY.emotions.index("sad")].tolist() == [1.5, 2.5]
    assert found[KEMDY.emotions.index("happy")].tolist() == [4, 4]
    assert np.isnan(found[[0, 1, 2, 3, 6]]).all()
    assert np.isnan(va_centroids(np.empty((0, 7)), np.empty((0, 2)))).all()
