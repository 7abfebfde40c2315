"""Look-ups that need no ear, against counts by hand and on planted labels."""

from __future__ import annotations

import numpy as np

from erc.labels.lookup import binned, cue_scores, lookup, order, sentences, telling_words


def test_lookup_literally() -> None:
    texts = np.array(["a", "a", "a", "b", "", "a", "b", "c", ""], dtype=object)
    label = np.array([1, 1, 2, 3, 1, 1, 1, 1, 2])
    # a → 1 (right), b → 3 (wrong), unknown c → most frequent 1 (right), none → 1 (wrong)
    train, test = np.arange(5), np.arange(5, 9)
    assert lookup(texts, label, train, test) == (0.5, 0.75)
    assert np.isnan(lookup(texts, label, train, test[:0])).all()


def test_sentences_are_the_same_however_they_are_typed() -> None:
    assert len(set(sentences(["Oh, no!", "oh no", "ＯＨ　ＮＯ", "Oh—no…"]))) == 1
    assert sentences([None, "?!"]).tolist() == ["", ""]


def test_bins_are_of_training_and_nan_has_none() -> None:
    cue = np.r_[np.arange(24.0), -5, 99, np.nan]
    bins = binned(cue, np.arange(24))
    assert np.unique(bins[:24], return_counts=True)[1].tolist() == [2] * 12
    assert (bins[24], bins[25], bins[26]) == ("0", "11", "")


def test_order_within_each_session() -> None:
    assert order(np.array(list("abbab"))).tolist() == [0, 0, 0.5, 1, 1]


def test_the_purest_word_of_a_text() -> None:
    texts = ["so glad", "so sad", "so Glad!", "so sad", "once", "so glad sad so"]
    label = np.array([4, 5, 4, 5, 3, 4])
    words = telling_words(texts, label, np.arange(5))
    assert words.tolist() == ["glad", "sad", "glad", "sad", "", "glad"]


def cues(label: np.ndarray, **planted: np.ndarray) -> dict[str, float]:
    n = len(label)
    rng = np.random.default_rng(1)
    numbers = {"duration": rng.normal(size=n), "level": rng.normal(size=n), "order": rng.random(n)}
    texts = planted.pop("texts", np.array([f"w{i}" for i in rng.integers(0, 9, n)], object))
    rows = rng.permutation(n)
    return cue_scores(texts, numbers | planted, label, rows[: n // 2], rows[n // 2 :])


def test_a_cue_that_names_the_emotion_is_right_and_others_are_not() -> None:
    label = np.random.default_rng(0).integers(0, 7, 2000)
    nothing = cues(label)
    assert all(abs(score - 1 / 7) < 0.06 for score in nothing.values()), nothing
    assert cues(label, level=label + 0.01 * np.arange(2000) / 2000)["level"] > 0.6
    said = np.array([f"take w{i % 9} tag{e}" for i, e in enumerate(label)], object)
    assert cues(label, texts=said)["one word"] == 1.0
    sorted_by_emotion = np.argsort(np.argsort(label, kind="stable")) / 2000
    assert cues(label, order=sorted_by_emotion)["order"] > 0.6
