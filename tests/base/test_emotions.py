"""The words for the seven emotions and the scale of valence and arousal."""

from __future__ import annotations

import math

import pytest

from erc.base.emotions import ALIASES, EMOTIONS, WORDS, check_scale, emotion_index, emotion_words
from erc.base.errors import ConfigError, LabelError


def test_order_of_emotions():
    assert EMOTIONS == ("surprise", "fear", "angry", "neutral", "happy", "sad", "disgust")


def test_emotion_words():
    assert [emotion_index(e.upper() + " ") for e in EMOTIONS] == list(range(7))
    assert all(EMOTIONS[emotion_index(word)] == emotion for word, emotion in ALIASES.items())
    words = emotion_words({"EXCITED": "Happy", "joy": "surprise", 5: "anger", "xxx": None})
    assert emotion_index("Excited", words=words) == 4
    assert emotion_index("joy", words=words) == 0  # a corpus' own words win
    assert emotion_index("5", words=words) == 2
    assert words["xxx"] is None
    assert emotion_words() == emotion_words({}) == WORDS


@pytest.mark.parametrize(
    "mapping", [{"excited": "hapy"}, {"excited": 3}, {"excited": ["happy"]}, {"x": ""}, ["x"], "x"]
)
def test_words_that_would_mean_no_known_emotion(mapping):
    with pytest.raises(ConfigError, match="emotion_map"):
        emotion_words(mapping)


def test_unknown_words_say_where_and_what_is_meant():
    with pytest.raises(LabelError, match=r"^a.csv row 3: emotion 'hapy' .*did you mean 'happy'"):
        emotion_index("hapy", "a.csv row 3")
    for word in ("", "excited", "neutral;happy"):
        with pytest.raises(LabelError, match="is not one of surprise, fear"):
            emotion_index(word)


def test_scale():
    assert [check_scale(x, "valence") for x in (1, 3.3, 5)] == [1, 3.3, 5]
    assert math.isnan(check_scale(math.nan, "valence"))
    for bad in (0.99, 5.01, 0, -1, math.inf, -math.inf):
        with pytest.raises(LabelError, match=r"x row 2: arousal .* is outside 1–5"):
            check_scale(bad, "arousal", "x row 2")
