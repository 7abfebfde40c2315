"""erc.scores.baselines on planted cues and sentences, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from erc.base.space import KEMDY
from erc.scores import baselines
from erc.scores.baselines import BASELINES, Side, cues


def side(n=300, seed=0, **changed):
    """Loud speech is angry and aroused, quiet speech sad; the sentence says valence."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=n)
    kind = np.where(level > 0.5, KEMDY.emotions.index("angry"), KEMDY.emotions.index("neutral"))
    kind[level < -0.5] = KEMDY.emotions.index("sad")
    word = rng.integers(5, size=n)
    valence, arousal = 1.0 + word, 3 + level.clip(-2, 2)
    columns = {
        "text": np.array([f"sentence {k}" for k in word]),
        "cues": np.stack([rng.normal(size=n), level, level + rng.normal(size=n)], 1),
        "speaker": np.arange(n) % 10,
        "votes": 0.9 * np.eye(7)[kind] + 0.1 / 7,
        "ratings": np.stack([valence, arousal], 1),
    }
    return Side(**columns | changed)


def test_what_was_planted_is_found_and_nothing_else():
    train, test = side(), side(seed=1)
    truth = test.votes.argmax(1)
    right, off = {}, {}
    for name, answer in BASELINES.items():
        p, va = answer(train, test)
        assert p.sum(1) == pytest.approx(np.ones(len(p)))
        assert ((va >= 1) & (va <= 5)).all()
        right[name] = (p.argmax(1) == truth).mean()
        off[name] = abs(va - test.ratings).mean(0)
    share = (truth == train.votes.sum(0).argmax()).mean()
    assert right["most frequent"] == pytest.approx(share)
    assert right["sentence look-up"] < share + 0.1
    assert right["duration and level"] > 0.9
    assert off["sentence look-up"][0] == pytest.approx(0, abs=1e-9)
    assert off["duration and level"][1] < 0.1 < off["most frequent"][1]


def test_test_labels_are_not_read():
    train, test = side(), side(seed=1)
    blind = side(seed=1, votes=np.full((300, 7), np.nan), ratings=np.full((300, 2), np.nan))
    for answer in BASELINES.values():
        for a, b in zip(answer(train, test), answer(train, blind)):
            np.testing.assert_array_equal(a, b)


def test_unknown_sentences_silence_and_a_side_without_labels():
    train = side()
    test = side(seed=1, text=np.array(["never said"] * 300), cues=np.full((300, 3), np.nan))
    usual = BASELINES["most frequent"](train, test)
    for a, b in zip(usual, BASELINES["sentence look-up"](train, test)):
        np.testing.assert_array_equal(a, b)
    said = BASELINES["duration and level"](train, test)[0]
    assert (said == said[0]).all()
    nothing = side(votes=np.full((300, 7), np.nan), ratings=np.full((300, 2), np.nan))
    for answer in BASELINES.values():
        p, va = answer(nothing, test)
        assert p == pytest.approx(np.full((300, 7), 1 / 7))
        assert (va == 3).all()


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_both_regressions_are_scikit_learns(strength):
    rng = np.random.default_rng(2)
    x = np.concatenate([np.ones((200, 1)), rng.normal(size=(200, 3))], 1)
    k = (x @ rng.normal(size=(4, 7)) + rng.gumbel(size=(200, 7))).argmax(1)
    ours = baselines._multinomial(x, np.eye(7)[k], np.ones(200), strength)[0](x)
    theirs = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10).fit(
        x[:, 1:], k
    )
    np.testing.assert_allclose(ours[:, theirs.classes_], theirs.predict_proba(x[:, 1:]), atol=1e-5)
    y = x @ [1, 2, 3, 4] + rng.normal(size=200)
    line = Ridge(alpha=strength).fit(x[:, 1:], y)
    fitted = baselines._ridge(x, y, np.ones(200), strength)[0](x)
    np.testing.assert_allclose(fitted, line.predict(x[:, 1:]), atol=1e-9)


def test_cues_of_a_sine_and_of_silence():
    sine = (16384 * np.sin(2 * np.pi * np.arange(16000) / 100)).astype(np.int16)
    assert np.exp(cues(sine)) == pytest.approx([16000, 0.5 / np.sqrt(2), 0.5], rel=1e-3)
    assert np.isnan(cues(sine[:0])).all()
    assert np.isfinite(cues(np.zeros(400, np.int16))).all()
