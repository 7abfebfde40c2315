"""Label spaces: their words, scales and files."""

from __future__ import annotations

import math

import pytest

from erc.base.errors import ConfigError, LabelError
from erc.base.space import KEMDY, SPELLINGS, Dimension, Space, space


def test_the_default_is_that_of_kemdy():
    order = ("surprise", "fear", "angry", "neutral", "happy", "sad", "disgust")
    assert space() == KEMDY
    assert (KEMDY.emotions, KEMDY.names) == (order, ("valence", "arousal"))
    assert (KEMDY.low.tolist(), KEMDY.high.tolist(), KEMDY.plane) == ([1, 1], [5, 5], (0, 1))


def test_words():
    assert [KEMDY.index(e.upper() + " ") for e in KEMDY.emotions] == list(range(7))
    assert all(KEMDY.index(word) == k for k, group in enumerate(
        sorted(SPELLINGS[:7], key=lambda g: KEMDY.emotions.index(g[0]))) for word in group)  # fmt: skip
    words = KEMDY.words({"EXCITED": "Happy", "joy": "surprise", 5: "anger", "xxx": None})
    assert KEMDY.index("Excited", words=words) == 4
    assert KEMDY.index("joy", words=words) == 0  # a corpus' own words win
    assert KEMDY.index("5", words=words) == 2
    assert words["xxx"] is None
    assert KEMDY.words() == KEMDY.words({})


def test_an_emotion_of_its_own_is_no_spelling_of_another():
    both = space(["neutral", "calm", "joy"])
    assert [both.index(w) for w in ("neutral", "calm", "happy", "Joyful")] == [0, 1, 2, 2]
    assert KEMDY.index("calm") == KEMDY.index("neutral")
    with pytest.raises(LabelError, match="'contempt' is not one of"):
        KEMDY.index("contempt")


@pytest.mark.parametrize(
    "mapping", [{"excited": "hapy"}, {"excited": 3}, {"excited": ["happy"]}, {"x": ""}, ["x"], "x"]
)
def test_words_that_would_mean_no_known_emotion(mapping):
    with pytest.raises(ConfigError, match="emotion_map"):
        KEMDY.words(mapping)


def test_unknown_words_say_where_and_what_is_meant():
    with pytest.raises(LabelError, match=r"^a.csv row 3: emotion 'hapy' .*did you mean 'happy'"):
        KEMDY.index("hapy", "a.csv row 3")
    for word in ("", "excited", "neutral;happy"):
        with pytest.raises(LabelError, match="is not one of surprise, fear"):
            KEMDY.index(word)


def test_scale():
    arousal = Dimension("arousal")
    assert [arousal.check(x) for x in (1, 3.3, 5)] == [1, 3.3, 5]
    assert math.isnan(arousal.check(math.nan))
    for bad in (0.99, 5.01, 0, -1, math.inf, -math.inf):
        with pytest.raises(LabelError, match=r"x row 2: arousal .* is outside 1–5"):
            arousal.check(bad, "x row 2")
    assert Dimension("valence", -1, 1).range == "−1 … 1"


def test_a_space_of_ones_own_is_written_and_read():
    own = space(["joy", "boredom"], {"valence": [-1, 1], "dominance": [0, 100]})
    assert Space.from_json(own.to_json()) == own
    assert (own.middle.tolist(), own.plane) == ([0, 50], None)
    assert own.clip(own.high + 1).tolist() == [1, 100]


@pytest.mark.parametrize(
    ("emotions", "dimensions"),
    [
        (["joy"], None), ("joy", None), (["joy", "joy"], None), (["Joy", "sad"], None),
        (["a,b", "sad"], None), (["=cmd", "sad"], None), (["label", "sad"], None), (7, None),
        (None, {"valence": [5, 1]}), (None, {"valence": 5}), (None, {"valence": ["a", "b"]}),
        (None, {"happy": [1, 5]}), (None, ["valence"]), (None, {"valence": [1, math.nan]}),
        (list(map(str, range(65))), None),
    ],
)  # fmt: skip
def test_what_is_no_space(emotions, dimensions):
    with pytest.raises(ConfigError, match=r"label space|name an emotion|scale"):
        space(emotions, dimensions)


def test_a_space_may_have_no_emotions_or_no_dimensions():
    assert space([], None).emotions == ()
    assert space(None, {}).dimensions == ()
