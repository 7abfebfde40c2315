"""erc.labels.agreement against krippendorff, statsmodels, numpy, scikit-learn and planted raters."""

from __future__ import annotations

import math

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_kappa

from erc.base.errors import LabelError
from erc.base.space import KEMDY
from erc.corpora.utterance import Rating, Utterance
from erc.labels.agreement import (
    alpha_from_counts,
    fleiss_kappa,
    krippendorff_alpha,
    outlier_raters,
    pairwise_correlation,
    pairwise_kappa,
)
from erc.labels.ratings import RatingTable
from erc.scores.agreement import agreement

LEVELS = ("nominal", "ordinal", "interval")


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def table(rng, raters=10, items=200, missing=0.0, loner=None):
    """Raters who see the same truth through noise; `loner` rates arousal at random."""
    truth = rng.integers(7, size=items)
    emotion = np.where(
        rng.random((raters, items)) < 0.7, truth, rng.integers(7, size=(raters, items))
    )
    valence, arousal = (
        np.clip(np.round(rng.uniform(1, 5, items) + rng.normal(0, 0.7, (raters, items))), 1, 5)
        for _ in range(2)
    )
    if loner is not None:
        arousal[loner] = rng.integers(1, 6, items)
    values = [
        np.where(rng.random(x.shape) < missing, np.nan, x) for x in (emotion, valence, arousal)
    ]
    names = tuple(f"Eval{i:02d}" for i in range(raters))
    return RatingTable(
        "A", names, tuple(map(str, range(items))), KEMDY, values[0], np.array(values[1:])
    )


def test_fleiss_kappa_is_statsmodels(rng):
    for raters in (2, 3, 10):
        counts = rng.multinomial(raters, [0.5, 0.2, 0.2, 0.1, 0, 0, 0], size=80)
        assert fleiss_kappa(counts) == pytest.approx(statsmodels_kappa(counts), abs=1e-9)


def test_fleiss_kappa_of_the_1971_paper():
    """The worked example everyone quotes: 10 items, 14 raters, 5 classes, κ = 0.210."""
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "counts", [np.empty((0, 7)), [[0, 0]], [[1, 0], [0, 1]], [[3, 0], [3, 0]], [[0, 10]]]
)
def test_fleiss_kappa_is_nan_where_undefined(counts):
    assert math.isnan(fleiss_kappa(counts))


def test_fleiss_kappa_refuses_unequal_raters_and_negative_counts():
    with pytest.raises(LabelError, match="got 2 to 3"):
        fleiss_kappa([[2, 0], [2, 1]])
    for bad in ([[-1, 3]], [[np.nan, 3]], [1, 2]):
        with pytest.raises(LabelError, match="counts must be"):
            fleiss_kappa(bad)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("missing", [0, 0.3, 0.85])
def test_alpha_is_krippendorffs(rng, level, missing):
    for _ in range(10):
        ratings = rng.integers(1, 6, (4, 25)).astype(float)
        ratings[1] = np.clip(ratings[0] + rng.integers(-1, 2, 25), 1, 5)
        ratings[rng.random(ratings.shape) < missing] = np.nan
        oracle = krippendorff.alpha(ratings, level_of_measurement=level)
        assert krippendorff_alpha(ratings, level) == pytest.approx(oracle, abs=1e-9)


@pytest.mark.parametrize(
    ("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_krippendorffs_own_example(level, expected):
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section E: 4 raters, 12 items."""
    star = np.nan
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, star, star, star],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, star, 3],
        [star, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, star],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, star],
    ]
    assert krippendorff_alpha(ratings, level) == pytest.approx(expected, abs=5e-4)


def test_alpha_from_counts_takes_unequal_totals(rng):
    counts = rng.multinomial(5, np.full(7, 1 / 7), 40) + rng.multinomial(
        3, [1, 0, 0, 0, 0, 0, 0], 40
    )
    counts[:4] = np.eye(7)[:4]  # one vote: nothing to pair
    counts[4] = 0
    oracle = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert alpha_from_counts(counts) == pytest.approx(oracle, abs=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "ratings",
    [
        np.empty((0, 0)),
        np.full((3, 4), np.nan),
        [[1, 2, 3]],  # one rater
        [[1, np.nan], [np.nan, 2]],  # nothing pairable
        [[2, 2], [2, 2]],  # one value: no disagreement was possible
        [[2, 2, 5], [2, 2, np.nan]],  # one value among the pairable
    ],
)
def test_alpha_is_nan_where_undefined(ratings, level):
    assert math.isnan(krippendorff_alpha(ratings, level))


def test_alpha_refuses_unknown_levels():
    with pytest.raises(ValueError, match="nominal, ordinal, interval"):
        krippendorff_alpha([[1, 2], [1, 2]], "ratio")
    with pytest.raises(LabelError, match="raters, items"):
        krippendorff_alpha([1, 2, 3])


def test_pairwise_correlation_is_numpys_over_shared_items(rng):
    x = table(rng, 5, 60, missing=0.3).dimensions[0]
    found = pairwise_correlation(x)
    for i in range(5):
        for j in range(5):
            both = ~np.isnan(x[i]) & ~np.isnan(x[j])
            assert found[i, j] == pytest.approx(np.corrcoef(x[i, both], x[j, both])[0, 1])


@pytest.mark.filterwarnings("error")
def test_pairwise_correlation_is_nan_without_spread_or_overlap():
    nan = np.nan
    found = pairwise_correlation([[1, 2, 3, nan], [3.1, 3.1, 3.1, 5], [nan, nan, nan, 4]])
    assert found[0, 0] == pytest.approx(1)
    assert np.isnan(found[0, 1:]).all()  # rater 1 varies, but not on the items of rater 0
    assert np.isnan(found[2]).all()


def test_pairwise_kappa_is_cohens_over_shared_items(rng):
    x = table(rng, 4, 80, missing=0.2).emotion
    found = pairwise_kappa(x)
    for i in range(4):
        for j in range(4):
            both = ~np.isnan(x[i]) & ~np.isnan(x[j])
            assert found[i, j] == pytest.approx(cohen_kappa_score(x[i, both], x[j, both]))
    assert np.isnan(pairwise_kappa(np.full((2, 3), np.nan))).all()


def test_outlier_is_named_only_in_its_dimension(rng):
    found = outlier_raters(table(rng, loner=5))
    assert found == {"emotion": (), "valence": (), "arousal": ("Eval05",)}


@pytest.mark.filterwarnings("error")
def test_alike_raters_few_raters_and_silent_raters_are_no_outliers(rng):
    none = {"emotion": (), "valence": (), "arousal": ()}
    assert outlier_raters(table(rng)) == none
    assert outlier_raters(table(rng, raters=3, loner=1)) == none
    silent = table(rng)
    for values in (silent.emotion, *silent.dimensions):
        values[4] = np.nan
    assert outlier_raters(silent) == none
    assert outlier_raters(table(rng, missing=1.0)) == none


def utterance(i, ratings=(), votes=None, group="A", corpus="c"):
    return Utterance(str(i), corpus, None, "t", "s", "1", votes, ratings=ratings, rater_group=group)


def test_summary_of_two_groups_and_anonymous_votes(rng):
    t = table(rng, items=80, loner=5)
    rated = [
        utterance(i, tuple(
            Rating(name, int(t.emotion[r, i]), tuple(t.dimensions[:, r, i]))
            for r, name in enumerate(t.raters)
            if (r, i) != (0, 0)  # one rating is missing
        ), group=("A", "B")[i >= 40])
        for i in range(80)
    ]  # fmt: skip
    anonymous = [utterance(i, votes=(0, 0, 3, 5, 0, i % 2, 0), corpus="v") for i in range(6)]
    found = agreement(rated + anonymous)
    first, second, votes = found.groups
    assert (first.group, first.raters, first.utterances, first.complete) == ("A", 10, 40, 39)
    counts = np.stack(
        [np.bincount(t.emotion[:, i].astype(int), minlength=7) for i in range(40, 80)]
    )
    assert second.kappa["emotion"] == pytest.approx(statsmodels_kappa(counts))
    assert second.alpha["arousal ordinal"] == pytest.approx(
        krippendorff.alpha(t.dimensions[1][:, 40:], level_of_measurement="ordinal")
    )
    assert (votes.group, votes.utterances, votes.complete) == ("v votes", 6, 0)
    assert math.isnan(votes.kappa["emotion"])  # 8 and 9 votes
    text = str(found)
    assert "unlike the others in arousal, A: Eval05" in text
    assert "Krippendorff alpha, valence ordinal" in text
    assert len({len(line) for line in text.splitlines() if "unlike" not in line}) == 1


def test_summary_of_acted_labels_says_so():
    found = agreement([utterance(0, votes=(0, 0, 0, 1, 0, 0, 0)), utterance(1)])
    assert found.groups == ()
    assert "undefined" in str(found)
    assert math.isnan(found.one_rater["accuracy"])
