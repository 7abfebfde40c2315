from __future__ import annotations

import math

import numpy as np
import pytest
from planted_scores import answers
from scipy.stats import binom

from erc.scores.sets import Sets, members, threshold


def utterances(n: int, rng, speakers: int = 0, seven: int = 7):
    """Probabilities [n, 7] that are off, and labels drawn otherwise: nothing is calibrated."""
    effect = np.repeat(rng.standard_normal((speakers or n, 7)), n // (speakers or n), 0)
    truth = rng.dirichlet(np.ones(7) * 0.4, n)
    logits = 2 * np.log(truth + 1e-3) + rng.standard_normal((n, 7)) + effect
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    label = np.array([rng.choice(7, p=row) for row in truth])
    return p, label


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_exchangeable_utterances_are_covered_as_often_as_promised(level):
    rng, hits, total = np.random.default_rng(0), 0, 400
    for _ in range(total):  # a new calibration each time: the promise is over both
        p, label = utterances(60, rng)
        least = threshold(p[np.arange(59), label[:59]], level)
        hits += bool(members(p[59], least)[label[59]])
    low, high = binom.ppf([0.0005, 0.9995], total, level)
    assert low <= hits <= high + total / 60


def test_the_quantile_is_that_of_the_literature():
    """⌈(n + 1)(1 − α)⌉-th smallest of 1 − p, by numpy's own quantile on the corrected level."""
    shares = np.random.default_rng(1).random(137)
    level = math.ceil(138 * 0.9) / 137
    assert threshold(shares, 0.9) == pytest.approx(
        1 - np.quantile(1 - shares, level, method="inverted_cdf")
    )


def test_too_few_held_out_utterances_leave_every_emotion_in():
    assert threshold(np.full(8, 0.7), 0.9) == 0
    assert threshold(np.full(9, 0.7), 0.9) == 0.7
    assert threshold(np.zeros(0)) == 0
    assert members(np.full(7, 1 / 7), 0.0).all()


def test_never_learned_emotions_are_in_no_set_and_the_likeliest_is_in_every_one():
    p = np.array([[0.5, 0.5, 0, 0, 0, 0, 0], [0.2, 0.1, 0.3, 0.4, 0, 0, 0]])
    for least in (0.0, 0.25, 0.99, 1.0):
        chosen = members(p, least)
        assert not chosen[:, 4:].any()
        assert chosen[[0, 0, 1], [0, 1, 3]].all()


def test_coverage_of_all_and_of_each_speaker():
    scored = answers(70, right=50, speakers=7, corpus=["a"] * 35 + ["b"] * 35)
    shares = np.random.default_rng(0).uniform(0.3, 1, 50)
    found = Sets.of(scored, shares, 5)
    chosen = scored.probabilities >= threshold(shares)
    chosen[np.arange(70), scored.predicted] = True
    inside = chosen[np.arange(70), scored.label]
    assert found.coverage == pytest.approx(inside.mean())
    assert found.low <= found.coverage <= found.high
    assert found.size == pytest.approx(chosen.sum(1).mean())
    assert (found.calibrated_on, found.speakers, found.level) == (50, 5, 0.9)
    of = {(g.kind, g.name): g for g in found.groups}
    assert len(of) == 2 + 14  # seven names of speakers in each of two corpora
    for kind, name in of:
        rows = (scored.corpus if kind == "corpus" else scored.people) == name
        assert of[kind, name].n == rows.sum()
        assert of[kind, name].coverage == pytest.approx(inside[rows].mean())
    assert Sets.from_json(found.to_json()) == found


def test_utterances_without_a_label_do_not_count():
    scored = answers(20, right=20, label=[-1] * 20)
    assert Sets.of(scored, np.full(20, 0.5), 2) is None
    some = answers(20, right=20)
    label = np.where(np.arange(20) < 5, some.label, -1)
    part = answers(20, right=20, label=label)
    assert sum(g.n for g in Sets.of(part, np.full(20, 0.5), 2).groups if g.kind == "corpus") == 5


def test_speakers_that_differ_are_covered_on_average_and_not_each():
    """What "speakers are exchangeable" means: over many of them the level holds, for one it need not."""
    rng = np.random.default_rng(3)
    p, label = utterances(4000, rng, speakers=100)
    least = threshold(p[np.arange(2000), label[:2000]], 0.9)
    inside = members(p[2000:], least)[np.arange(2000), label[2000:]].reshape(50, 40).mean(1)
    assert inside.mean() == pytest.approx(0.9, abs=0.03)
    assert inside.min() < 0.8
