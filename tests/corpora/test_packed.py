from __future__ import annotations

import math
import threading
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from erc.corpora import packed
from erc.corpora.packed import Packed
from erc.corpora.utterance import Rating, Utterance

ODD = Utterance(
    id='"1"\\',
    corpus="말뭉치",
    audio=Path(b"wav/\xff\x80 a\n.wav".decode("utf-8", "surrogateescape")),
    text="a\nb\r\u2028\x00 정말, \U0001f600",
    speaker="",
    session="S1",
    votes=(0.1, 1 / 3, 1e-300),
    dimensions=(1.1, math.inf, -0.0),
    ratings=(Rating("Eval01F", -1, (2.5,)), Rating("b", 3, ())),
    rater_group="g",
    gender="F",
    dialogue="d",
    physiology={"EDA": Path("a/b.csv")},
)
BARE = Utterance("2", "c", None, None, "s", "S0", None, ())


@pytest.fixture(params=[1, 1 << 20], ids=["in a file", "in memory"])
def room(request, monkeypatch):
    monkeypatch.setattr(packed, "MEMORY", request.param)


@pytest.mark.usefixtures("room")
def test_every_field_comes_back():
    said = [ODD, BARE]
    for u, was in zip(Packed(said), said, strict=True):
        assert u == was
        assert [type(getattr(u, name)) for name in packed.FIELDS] == [
            type(getattr(was, name)) for name in packed.FIELDS
        ]
    assert math.copysign(1, Packed([ODD])[0].dimensions[2]) == -1
    nan = Utterance("3", "c", None, None, "s", "S0", None, (math.nan, 2.0))
    assert [math.isnan(x) for x in Packed([nan])[0].dimensions] == [True, False]


@pytest.mark.usefixtures("room")
def test_it_is_a_sequence():
    said = [Utterance(str(i), "c", None, "x" * (i % 7), "s", "S", None, ()) for i in range(600)]
    kept = Packed(u for u in said)
    assert len(kept) == 600
    assert list(kept) == said
    assert (kept[0], kept[-1], kept[599]) == (said[0], said[-1], said[599])
    assert kept[5:300:7] == said[5:300:7]
    assert list(reversed(kept)) == said[::-1]
    assert said[3] in kept
    for outside in (600, -601):
        with pytest.raises(IndexError):
            kept[outside]
    assert len(Packed([])) == len(list(Packed([]))) == 0


def test_sessions_are_those_of_a_stable_sort():
    draw = Random(0)
    said = [
        Utterance(str(i), draw.choice("ab"), None, "t", "s", f"S{draw.randrange(12)}", None, ())
        for i in range(500)
    ]

    def key(u):
        return u.corpus, u.session

    expected = [list(group) for _, group in groupby(sorted(said, key=key), key)]
    kept = Packed(said)
    assert [[kept[row] for row in rows.tolist()] for rows in kept.sessions()] == expected
    assert sum(map(len, Packed([]).sessions())) == 0


@pytest.mark.usefixtures("room")
def test_threads_read_at_once():
    said = [Utterance(str(i), "c", None, str(i) * 9, "s", "S", None, ()) for i in range(400)]
    kept, wrong = Packed(said), []

    def look(seed: int) -> None:
        for i in Random(seed).sample(range(400), 400):
            if kept[i] != said[i]:
                wrong.append(i)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_an_utterance_cannot_hold_is_an_error():
    with pytest.raises(TypeError, match="nothing that an utterance holds"):
        Packed([Utterance("1", "c", None, {1}, "s", "S", None, ())])
