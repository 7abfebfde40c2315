"""erc.labels.raters against a literal EM, planted raters, and the raters of the simulated corpus."""

from __future__ import annotations

import numpy as np
import pytest

from erc.base.errors import LabelError
from erc.corpora.simulated import PANELS, latents, rate
from erc.corpora.utterance import Rating, Utterance
from erc.labels.raters import (
    dawid_skene,
    emotion_reliability,
    learn,
    value_reliability,
    weighted_mean,
    weighted_votes,
)
from erc.labels.ratings import rating_matrix

NAN = np.nan


def simulate(rng, items=1500, classes=4, good=3, bad=4, missing=0.2):
    """Raters with planted confusion: a few good ones, and more who see class 0 everywhere."""
    truth = rng.integers(classes, size=items)
    right = np.full((classes, classes), 0.15 / (classes - 1))
    np.fill_diagonal(right, 0.85)
    lazy = 0.35 * np.eye(classes) + 0.65 * np.eye(classes)[[0] * classes]
    confusion = np.stack([right] * good + [lazy] * bad)
    edges = confusion[:, truth].cumsum(-1)  # [R, N, K]
    said = (rng.random((good + bad, items, 1)) > edges).sum(-1).astype(float)
    said[rng.random(said.shape) < missing] = NAN
    return truth, confusion, said


def literal(said, classes, steps):
    """Dawid & Skene 1979, equations 2.3–2.5, loops and all."""
    raters, items = said.shape
    posterior = np.zeros((items, classes))
    for n in range(items):
        for r in range(raters):
            if not np.isnan(said[r, n]):
                posterior[n, int(said[r, n])] += 1
        posterior[n] /= posterior[n].sum()
    for _ in range(steps):
        prior = posterior.mean(0)
        confusion = np.zeros((raters, classes, classes))
        for r in range(raters):
            for n in range(items):
                if not np.isnan(said[r, n]):
                    confusion[r, :, int(said[r, n])] += posterior[n]
            confusion[r] /= confusion[r].sum(1, keepdims=True)
        for n in range(items):
            p = prior.copy()
            for r in range(raters):
                if not np.isnan(said[r, n]):
                    p *= confusion[r, :, int(said[r, n])]
            posterior[n] = p / p.sum()
    return prior, confusion, posterior


def test_dawid_skene_is_the_paper_when_not_smoothed():
    _, _, said = simulate(np.random.default_rng(0), items=60)
    said = said[:, ~np.isnan(said).all(0)]
    model = dawid_skene(said, classes=4, smoothing=0, iterations=5, tolerance=0)
    prior, confusion, posterior = literal(said, 4, 5)
    np.testing.assert_allclose(model.prior, prior, atol=1e-9)
    np.testing.assert_allclose(model.confusion, confusion, atol=1e-9)
    np.testing.assert_allclose(model.posterior(said), posterior, atol=1e-9)


def test_dawid_skene_finds_the_planted_confusion_and_beats_the_majority():
    truth, confusion, said = simulate(np.random.default_rng(1))
    model = dawid_skene(said, classes=4)
    assert abs(model.confusion - confusion).mean() < 0.02
    rated = ~np.isnan(said).all(0)
    votes = (said[..., None] == np.arange(4)).sum(0)
    majority = (votes.argmax(1) == truth)[rated].mean()
    found = (np.nan_to_num(model.posterior(said)).argmax(1) == truth)[rated].mean()
    assert found > majority + 0.15
    assert found > 0.9


def test_items_that_nobody_rated_stay_unlabelled():
    said = np.array([[0, NAN, 3.0], [0, NAN, 3]])
    p = dawid_skene(said).posterior(said)
    assert np.isnan(p[1]).all()
    np.testing.assert_allclose(p[[0, 2]].sum(1), 1)
    with pytest.raises(LabelError, match="ratings"):
        dawid_skene(np.full((3, 4), NAN))
    with pytest.raises(LabelError, match="class numbers"):
        dawid_skene([[7.0, 0.5]])


def test_weights_of_noise_are_low_and_of_equals_equal():
    rng = np.random.default_rng(2)
    truth = rng.integers(7, size=400).astype(float)
    emotion = np.stack([truth, truth, truth, rng.integers(7, size=400)])
    weights = emotion_reliability(emotion)
    assert weights[3] < 0.1 < 0.5 < weights[:3].min()
    values = rng.normal(size=400) + 0.3 * rng.normal(size=(5, 400))
    values[4] *= -1
    weights = value_reliability(values)
    assert weights[4] == 0
    assert weights[:4].min() > 0.5
    assert (value_reliability(np.full((3, 5), 3.0)) == 1).all()  # nobody varies: all are equal


def test_value_reliability_is_the_correlation_with_the_others_where_both_rated():
    rng = np.random.default_rng(3)
    values = rng.normal(size=50) + rng.normal(size=(3, 50))
    values[0, :20] = values[1, 40:] = NAN
    both = ~np.isnan(values[0])
    others = np.nanmean(values[1:, both], 0)
    expected = np.corrcoef(values[0, both], others)[0, 1]
    assert value_reliability(values)[0] == pytest.approx(expected, abs=1e-12)


def test_weighted_labels_by_hand():
    np.testing.assert_allclose(weighted_mean([[1, NAN, 2], [5, 4, NAN]], [3, 1]), [2, 4, 2])
    votes = weighted_votes([[0, NAN, NAN], [0, 6, NAN], [6, 6, 1]], [1, 2, 0])
    np.testing.assert_allclose(votes[0, [0, 6]], [1, 0])
    assert votes[1, 6] == 1
    assert np.isnan(votes[2]).all()  # only someone without weight rated it
    equal = weighted_votes([[0, 1], [0, 2.0]], [1, 1])
    np.testing.assert_allclose(equal[1, [1, 2]], 0.5)


def corpus(session, utterances=120, seed=0):
    """Rated utterances of a session of the simulated KEMDy19, no audio."""
    truth = latents("kemdy19", session, utterances, seed)
    votes = rate("kemdy19", session, truth.affect, seed, np.random.default_rng([seed, session]))
    first, names, deaf = [p for p in PANELS["kemdy19"] if p[0] <= session][-1]
    found = []
    for i in range(utterances):
        ratings = tuple(
            Rating(f"Eval{r}", int(votes.emotion[i, k]), (float(v), float(a)))
            for k, (r, v, a) in enumerate(
                zip(names.split(), votes.valence[i], votes.arousal[i], strict=True)
            )
        )
        found.append(
            Utterance(f"{session}-{i}", "kemdy19", None, "t", "s", str(session), None,
                      ratings=ratings, rater_group=str(first))
        )  # fmt: skip
    return found, f"Eval{deaf}"


@pytest.mark.parametrize("session", [1, 11])
def test_the_simulated_outlier_gets_a_low_weight_in_arousal_only(session):
    utterances, deaf = corpus(session)
    (panel,) = learn(utterances).values()
    place = panel.raters.index(deaf)
    others = np.delete(panel.dimensions[1], place)
    assert panel.dimensions[1][place] < 0.2 < 0.6 < others.min()
    assert panel.emotion[place] > 0.8 * np.median(panel.emotion)
    assert panel.dimensions[0][place] > 0.8 * np.median(panel.dimensions[0])
    truth = latents("kemdy19", session, 120).arousal
    (table,) = rating_matrix(utterances).values()
    weighted = panel.label(table)[1][:, 1]
    plain = np.nanmean(table.dimensions[1], 0)
    assert np.corrcoef(weighted, truth)[0, 1] > np.corrcoef(plain, truth)[0, 1]


def test_groups_are_learned_apart_and_strangers_get_the_mean():
    one, _ = corpus(1, 60)
    eleven, _ = corpus(11, 60)
    panels = learn(one + eleven)
    assert set(panels) == {"1", "11"}
    assert set(panels["1"].raters).isdisjoint(panels["11"].raters)
    other = rating_matrix(eleven)["11"]
    for rule in ("reliability", "dawid_skene"):
        labels, va = panels["1"].label(other, rule)  # ten strangers: all weigh the same
        np.testing.assert_allclose(labels.sum(1), 1)
        np.testing.assert_allclose(va[:, 0], np.nanmean(other.dimensions[0], 0))
    with pytest.raises(LabelError, match="did you mean 'dawid_skene'"):
        panels["1"].label(other, "dawid_sken")
