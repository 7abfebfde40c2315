"""erc.scores.metrics against scikit-learn, audmetric, scipy, torchmetrics and literal formulas."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings

import audmetric
import numpy as np
import pytest
from scipy.spatial import distance
from scipy.stats import entropy as scipy_entropy
from scipy.stats import pearsonr
from sklearn import metrics as sk

from erc.base.errors import LabelError
from erc.scores.metrics import (
    LOWER_IS_BETTER,
    accuracy,
    auroc,
    brier,
    ccc,
    confusion,
    ece,
    entropy_correlation,
    evaluate,
    f1,
    jensen_shannon,
    kl,
    pearson,
    uar,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def labels(rng, n=300, truth_classes=(0, 2, 3, 4, 5), predicted_classes=(1, 2, 3, 4, 5)):
    """Class 0 is never predicted, 1 never true, 6 absent; classes are unbalanced."""
    truth = rng.choice(truth_classes, n, p=[0.05, 0.1, 0.6, 0.2, 0.05])
    guess = rng.choice(predicted_classes, n, p=[0.05, 0.1, 0.6, 0.2, 0.05])
    return truth, np.where((rng.random(n) < 0.5) & (truth > 0), truth, guess)


def test_confusion_is_sklearns(rng):
    truth, guess = labels(rng)
    assert (confusion(truth, guess) == sk.confusion_matrix(truth, guess, labels=range(7))).all()
    assert confusion([], []).shape == (7, 7)


def test_class_scores_are_sklearns_and_audmetrics(rng):
    truth, guess = labels(rng)
    assert accuracy(truth, guess) == pytest.approx(sk.accuracy_score(truth, guess), abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sklearn warns about the class that is only predicted
        assert uar(truth, guess) == pytest.approx(sk.balanced_accuracy_score(truth, guess))
    for average in ("macro", "weighted", "micro"):
        oracle = sk.f1_score(truth, guess, average=average, zero_division=0)
        assert f1(truth, guess, average) == pytest.approx(oracle, abs=1e-12)
    guess[guess == 1] = 0  # audmetric counts a class that is only predicted as recall 0
    assert uar(truth, guess) == pytest.approx(audmetric.unweighted_average_recall(truth, guess))
    assert f1(truth, guess) == pytest.approx(audmetric.unweighted_average_fscore(truth, guess))


def test_f1_counts_a_class_that_is_only_predicted_but_not_an_absent_one():
    # class 0: 2·2/(3+2) = .8; class 1: only predicted = 0; the other five: absent
    assert f1([0, 0, 0], [0, 0, 1]) == pytest.approx((0.8 + 0) / 2)
    assert f1([0, 0, 0], [0, 0, 1], "weighted") == pytest.approx(0.8)
    with pytest.raises(ValueError, match="macro, weighted, micro"):
        f1([0], [0], "binary")


def test_auroc_is_the_mean_of_the_defined_classes(rng):
    truth = rng.choice([0, 2, 3, 4, 5], 200)
    scores = rng.dirichlet(np.ones(7), 200).round(1)  # rounding makes ties
    oracle = [sk.roc_auc_score(truth == k, scores[:, k]) for k in sorted(set(truth))]
    assert auroc(truth, scores) == pytest.approx(np.mean(oracle), abs=1e-12)
    assert math.isnan(auroc(np.zeros(5, int), scores[:5]))  # no negatives, no positives
    assert math.isnan(auroc([], np.empty((0, 7))))
    assert auroc([0, 1], np.full((2, 2), 0.5)) == 0.5


def test_auroc_refuses_nan():
    with pytest.raises(LabelError, match="finite"):
        auroc([0, 1], [[np.nan, 1], [0, 1]])


def test_ccc_is_audmetrics(rng):
    x = rng.uniform(1, 5, 500)
    for y in (x + rng.normal(0, 1, 500), -x, x + 100, rng.uniform(1, 5, 500), x):
        assert ccc(x, y) == pytest.approx(audmetric.concordance_cc(x, y), abs=1e-12)
        assert pearson(x, y) == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
    assert ccc(x + 1e6, x + 1e6) == pytest.approx(1)  # no cancellation


@pytest.mark.parametrize("constant", [0.1, 3.0, 1 / 3, 1e5])
def test_ccc_of_constants(constant):
    """0 against a constant; nan, not 1 or 0, where no correlation exists."""
    x, flat = np.array([1.1, 2.3, 3.7]), np.full(3, constant)
    assert ccc(x, flat) == 0
    assert ccc(flat, x) == 0
    assert math.isnan(ccc(flat, flat))
    assert math.isnan(ccc(flat, flat + 1))
    assert math.isnan(pearson(x, flat))
    assert math.isnan(ccc([], []))
    assert math.isnan(ccc([constant], [2.0]))
    assert math.isnan(ccc(x, [1, np.nan, 2]))
    assert math.isnan(ccc(x, [1, np.inf, 2]))


def test_ccc_of_a_sample_that_drew_only_constants():
    x, y = np.array([1, 1.7, 1.7, 1.7]), np.array([2, 1.7, 2.9, 3.1])  # Σx²/3 − mean² = 2e-16
    weights = np.array([0, 1, 1, 1])
    assert ccc(x, y, weights) == ccc(y, x, weights) == 0
    assert math.isnan(ccc(x, x, weights))
    assert math.isnan(pearson(x, y, weights))


def test_distances_are_scipys(rng):
    p, q = rng.dirichlet(np.full(7, 0.3), 50), rng.dirichlet(np.ones(7), 50)
    p[0] = np.eye(7)[0]
    assert jensen_shannon(p, q) == pytest.approx(distance.jensenshannon(p, q, 2, axis=1).mean())
    assert kl(p, q) == pytest.approx(scipy_entropy(p, q, axis=1).mean())
    h = scipy_entropy(p, axis=1), scipy_entropy(q, axis=1)
    assert entropy_correlation(p, q) == pytest.approx(pearsonr(*h).statistic)
    assert brier(p, q) == pytest.approx(np.mean([np.dot(a - b, a - b) for a, b in zip(p, q)]))
    assert jensen_shannon(p, p) == pytest.approx(0, abs=1e-7)
    assert kl([[0.5, 0.5]], [[1, 0]]) == math.inf
    p, q = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[1, 0], [0.25, 0.75]])
    without, with_it = kl(p, q, weights=[[0, 1], [1, 1]])
    assert without == pytest.approx(kl(p[1:], q[1:]))  # left out, an infinite row counts nothing
    assert with_it == math.inf
    assert math.isnan(jensen_shannon(p[:0], q[:0]))


def test_ece_is_guos_formula(rng):
    q = rng.dirichlet(np.full(7, 0.4), 400)
    q[:20] = np.eye(7)[rng.integers(7, size=20)]  # confidence 1: the last bin is closed
    q[20] = [0.6, 0.4, 0, 0, 0, 0, 0]  # on an edge of 15 bins: belongs to the bin on its left
    truth = rng.integers(7, size=400)
    confidence, hit, expected = q.max(1), q.argmax(1) == truth, 0.0
    for m in range(1, 16):
        inside = (confidence > (m - 1) / 15) & (confidence <= m / 15)
        if inside.any():
            gap = abs(hit[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert ece(q, truth) == pytest.approx(expected, abs=1e-12)
    # .5 closes the lower bin: gaps of +.5 and −.8 do not cancel
    assert ece([[0.5, 0.5], [0.8, 0.2]], [0, 1], bins=2) == pytest.approx((0.5 + 0.8) / 2)
    assert ece([[0.6, 0.4], [0.8, 0.2]], [0, 1], bins=2) == pytest.approx((0.8 - 0.4) / 2)
    assert ece(np.eye(7), np.arange(7)) == 0
    assert ece(np.eye(7), (np.arange(7) + 1) % 7) == 1
    assert math.isnan(ece(np.empty((0, 7)), []))


@pytest.mark.parametrize(
    "bad", [np.full((2, 7), 0.2), np.full((2, 7), np.nan), [[-0.5, 1.5], [0, 1]], [0.5, 0.5]]
)
def test_what_is_no_distribution_is_refused(bad):
    with pytest.raises(LabelError, match="distribution"):
        ece(bad, [0, 1])


@pytest.mark.parametrize("bad", [[7, 0], [-1, 0], [0.5, 0], [np.nan, 0], [[0], [1]]])
def test_what_is_no_class_is_refused(bad):
    with pytest.raises(LabelError, match="class numbers 0–6"):
        uar(bad, [0, 0])


def test_unequal_lengths_are_refused():
    for metric in (uar, f1, accuracy):
        with pytest.raises(LabelError, match="2 true labels against 1"):
            metric([0, 0], [0])
    with pytest.raises(LabelError, match="two arrays"):
        ccc([1, 2, 3], [1])


def split(rng, n=120):
    """Arguments of `evaluate` with unlabelled rows of every kind."""
    soft = rng.dirichlet(np.full(7, 0.3), n)
    hard = soft.argmax(1)
    va_truth = rng.uniform(1, 5, (n, 2))
    soft[:5], hard[:5] = np.nan, -1  # no emotion label
    hard[5:10] = -1  # a tie left out: votes, but no label
    va_truth[10:17, 0] = np.nan
    va_truth[12:20, 1] = np.nan
    return [rng.dirichlet(np.ones(7), n), rng.uniform(1, 5, (n, 2)), soft, hard, va_truth]


def test_evaluate_leaves_unlabelled_rows_out_of_their_metrics(rng):
    q, va, soft, hard, va_truth = args = split(rng)
    scores = evaluate(*args)
    assert list(scores)[:8] == [
        *("accuracy", "uar", "f1_weighted", "f1_macro", "f1_micro"),
        *("auroc", "ccc_valence", "ccc_arousal"),
    ]
    assert list(scores)[8:13] == ["js_distance", "kl", "entropy_correlation", "brier", "ece"]
    counts = {k: scores[k] for k in ("n", "n_hard", "n_soft", "n_valence", "n_arousal")}
    assert counts == {"n": 120, "n_hard": 110, "n_soft": 115, "n_valence": 113, "n_arousal": 112}
    assert set(scores) >= LOWER_IS_BETTER
    guess = q.argmax(1)
    assert scores["f1_macro"] == pytest.approx(sk.f1_score(hard[10:], guess[10:], average="macro"))
    js = distance.jensenshannon(soft[5:], q[5:], 2, axis=1).mean()
    assert scores["js_distance"] == pytest.approx(js)
    for k, name in enumerate(("valence", "arousal")):
        oracle = audmetric.concordance_cc(va_truth[:, k], va[:, k], ignore_nan=True)
        assert scores[f"ccc_{name}"] == pytest.approx(oracle)
    assert all(type(x) is float for x in scores.values())


def test_evaluate_of_nothing_is_nan():
    empty = evaluate(np.empty((0, 7)), np.empty((0, 2)), np.empty((0, 7)), [], np.empty((0, 2)))
    assert all(math.isnan(x) for k, x in empty.items() if not k.startswith("n"))
    assert empty["n"] == 0


@pytest.mark.filterwarnings("error")
def test_evaluate_of_one_unlabelled_row_is_nan_without_a_warning():
    nan = np.full((1, 7), np.nan)
    scores = evaluate(np.full((1, 7), 1 / 7), np.full((1, 2), 3.0), nan, [-1], nan[:, :2])
    assert scores["n"] == 1
    assert math.isnan(scores["accuracy"])


def test_evaluate_refuses_predictions_of_a_diverged_model(rng):
    q, *rest = split(rng)
    q[0] = np.nan  # an unlabelled row: still a broken model
    with pytest.raises(LabelError, match="row 0 is no distribution"):
        evaluate(q, *rest)
    with pytest.raises(LabelError, match="evaluate needs"):
        evaluate(q[:-1], *rest)


def test_weights_count_an_utterance_as_often_as_they_say(rng):
    """[S, N] weights give what repeated rows give, for every metric at once."""
    args = split(rng)
    weights = rng.integers(0, 4, (3, 120))
    together = evaluate(*args, weights=weights)
    for i, w in enumerate(weights):
        repeated = evaluate(*[np.repeat(x, w, axis=0) for x in args])
        single = evaluate(*args, weights=w)
        for name, value in repeated.items():
            assert together[name][i] == pytest.approx(value, abs=1e-9), name
            assert single[name] == pytest.approx(value, abs=1e-9), name


def test_import_needs_neither_torch_nor_sklearn():
    code = (
        "import sys, erc.scores.metrics, erc.scores.statistics, erc.labels.agreement; "
        "print({'torch', 'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
