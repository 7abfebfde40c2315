"""A stream, however it is cut, has the timeline of its recording."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import planted
import pytest
import soxr
from hypothesis import example, given, settings
from hypothesis import strategies as st

import erc
from erc.base.arrays import to_int16
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError, AudioWarning, ConfigError
from erc.recognizer import Recognizer
from erc.recognizer.vad import WINDOW, Finder, Rule
from erc.timeline import Heard, Live, TurnFailure, timeline
from erc.timeline.averages import vector
from erc.timeline.live import PAUSE

pytest.importorskip("silero_vad")


@pytest.fixture(scope="module")
def pcm() -> np.ndarray:
    """Six utterances with pauses between them, int16 at 16 kHz."""
    return to_int16(planted.conversation(6)[0])


def told(live: Live, pcm: np.ndarray, seed: int = 0, most: int = 9000) -> list[Heard]:
    """Feed it in pieces of random size, in bytes, and close it."""
    rng, data, found = np.random.default_rng(seed), pcm.tobytes(), []
    while data:
        size = int(rng.integers(0, most))
        found += live.feed(data[:size])
        data = data[size:]
    return found + live.close()


def same(live: Live, recording) -> None:
    """Both timelines, to 1e-5."""
    one = live.timeline()
    assert len(one.turns) == len(recording.turns) > 0
    for a, b in zip(one.turns, recording.turns):
        assert (a.start, a.end, a.duration, a.heard) == (b.start, b.end, b.duration, b.heard)
        assert (a.label, a.modalities, a.simulated) == (b.label, b.modalities, b.simulated)
        np.testing.assert_allclose(vector(a), vector(b), atol=1e-5)
    assert [e for e, _ in one.shares()] == [e for e, _ in recording.shares()]
    np.testing.assert_allclose(
        [s for _, s in one.shares()], [s for _, s in recording.shares()], atol=1e-5
    )
    np.testing.assert_allclose(one.curves(), recording.curves(), atol=1e-5)
    np.testing.assert_array_equal(one.envelope, recording.envelope)
    assert (one.duration, one.simulated) == (recording.duration, recording.simulated)


@pytest.mark.parametrize("max_seconds", [None, 1.5])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_the_timeline_of_the_recording(pcm, rate, max_seconds):
    x = to_int16(soxr.resample(pcm / np.float32(32768), SAMPLE_RATE, rate))
    live = planted.recognizer(max_seconds).live(rate)
    told(live, x, seed=rate)
    same(live, timeline(planted.recognizer(max_seconds), x, sampling_rate=rate))


def test_of_a_trained_model_too(pcm, run):
    recognizer = erc.load(run / "model")
    live = recognizer.live()
    told(live, pcm, most=40_000)
    expected = recognizer.timeline(pcm, sampling_rate=SAMPLE_RATE)
    same(live, expected)
    assert live.timeline().simulated
    assert live.timeline().settings == expected.settings | {"max_speech": 60.0}


@pytest.fixture(scope="module")
def short() -> np.ndarray:
    """Two utterances."""
    return to_int16(planted.conversation(2)[0])


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, 300_000), max_size=30))
def test_any_cut_gives_the_same_turns(short, cuts):
    """Also between the two bytes of a sample."""
    pcm = short.tobytes()
    whole, cut = planted.recognizer().live(), planted.recognizer().live()
    whole.feed(pcm), whole.close()
    cuts = [c for c in cuts if c < len(pcm)]
    for a, b in pairwise([0, *sorted(cuts), len(pcm)]):
        cut.feed(pcm[a:b])
    cut.close()
    assert cut.turns == whole.turns
    assert len(whole.turns) == 2


def test_turns_come_when_they_end_and_partial_answers_every_half_second(pcm):
    live, found = planted.recognizer().live(), []
    for start in range(0, len(pcm), 320):  # 20 ms
        found += [(start + 320, heard) for heard in live.feed(pcm[start : start + 320])]
    assert not live.close()
    ends = [(at / SAMPLE_RATE - h.answer.end) for at, h in found if not h.partial]
    assert len(ends) == 6
    assert max(ends) < 0.5 + 0.02 + 2 * WINDOW / SAMPLE_RATE  # the pause that ends a turn
    partial = [(at, h.answer) for at, h in found if h.partial]
    for turn in live.turns:
        mine = [(at, p) for at, p in partial if p.start == turn.start]
        assert mine[-1][1] == turn  # of the pause that ended it
        steps = [(at, p) for at, p in mine if (p.end - turn.start + 1e-3) % 0.5 < 2e-3]
        pauses = [p for at, p in mine if (at, p) not in steps]
        assert abs(len(steps) - (turn.end - turn.start) // 0.5) <= 1 + len(pauses)
        for at, p in mine:
            late = PAUSE if p in pauses else 0
            assert 0 <= at / SAMPLE_RATE - p.end < late + 0.02 + 2 * WINDOW / SAMPLE_RATE
            first, last = round(turn.start * SAMPLE_RATE), round(p.end * SAMPLE_RATE)
            alone = planted.recognizer().predict(pcm[first:last], None, SAMPLE_RATE)
            np.testing.assert_allclose(vector(p), vector(alone), rtol=1e-6)


@pytest.mark.parametrize("every", [0.5, 0])
def test_the_answer_of_a_turn_is_there_before_it_is_over(pcm, every, monkeypatch):
    """Made in the pause that ends it: when half a second has passed, no model is asked."""
    asked, ask = [], Recognizer.answer
    monkeypatch.setattr(
        Recognizer, "answer", lambda self, clips: (asked.append(len(clips)), ask(self, clips))[1]
    )
    live = planted.recognizer().live(every=every)
    for start in range(0, len(pcm), 320):
        asked.clear()
        if any(not heard.partial for heard in live.feed(pcm[start : start + 320])):
            assert sum(asked) == 0
    live.close()
    assert len(live.turns) == 6


def test_a_partial_answer_hears_the_last_seconds_of_a_long_turn():
    pcm = to_int16(np.concatenate([planted.speech(s, 28) for s in range(3)]))
    live = planted.recognizer(2.0).live()
    last = [h.answer for h in live.feed(pcm)][-1]
    assert last.heard == 2.0
    assert last.duration > 5
    end = round(last.end * SAMPLE_RATE)
    alone = planted.recognizer().predict(pcm[end - 32_000 : end], None, SAMPLE_RATE)
    np.testing.assert_allclose(vector(last), vector(alone), rtol=1e-6)


def test_who_falls_behind_gets_the_newest_partial_answer_only(pcm):
    live = planted.recognizer().live()
    found = live.feed(pcm[: len(pcm) // 2])
    assert sum(h.partial for h in found) <= 1
    assert [h.partial for h in found] == sorted(h.partial for h in found)  # it comes last
    without = planted.recognizer().live(every=0)
    assert not any(h.partial for h in told(without, pcm))


def test_only_the_open_turn_is_held():
    """Five minutes of conversation, and two of talk without a pause."""
    pcm = to_int16(planted.conversation(4)[0])
    live, most = planted.recognizer().live(every=0), 0
    for _ in range(20):
        for x in np.array_split(pcm, 20):
            live.feed(x)
            most = max(most, live.held)
    longest = max(t.end - t.start for t in live.turns)
    assert live.duration > 300
    assert most <= (longest + 0.6) * SAMPLE_RATE + len(pcm) / 20
    talk = to_int16(np.concatenate([planted.speech(s, 28) for s in range(4)]))
    live = planted.recognizer().live(every=0, rule=Rule(max_speech=10))
    for _ in range(12):
        live.feed(talk)
        assert live.held <= 11 * SAMPLE_RATE
    assert live.duration > 120
    assert not live.close() or live.held == 0


@pytest.mark.parametrize("most", [1, 3.3])
def test_turns_of_a_bounded_length_are_those_of_the_recording(most):
    rule = Rule(max_speech=most)
    pcm = to_int16(np.concatenate([planted.speech(s, 28) for s in range(3)]))
    live = planted.recognizer().live(rule=rule)
    told(live, pcm)
    same(live, timeline(planted.recognizer(), pcm, sampling_rate=SAMPLE_RATE, rule=rule))
    assert len(live.turns) > 2
    for turn in live.turns:
        assert turn.end - turn.start <= most + 0.032 + 0.03
    spoken = sum(t.end - t.start for t in live.turns)
    [whole] = timeline(planted.recognizer(), pcm, sampling_rate=SAMPLE_RATE).turns
    assert spoken == pytest.approx(whole.end - whole.start, abs=0.3)  # nothing is left out


@settings(max_examples=50, deadline=None)
@given(
    p=st.lists(st.sampled_from([0.1, 0.4, 0.9]), max_size=200),
    most=st.sampled_from([None, 1.0, 2.0]),
    cut=st.integers(1, 50),
)
@example(p=[0.9] * 31 + [0.1] + [0.9] * 20, most=1.0, cut=50)  # it ends in a pause of one window
def test_turns_are_apart_and_no_longer_than_the_rule_says(p, most, cut):
    """0.4 is neither speech nor silence: it may go on for ever."""
    rule, finder, needed = Rule(max_speech=most), Finder(Rule(max_speech=most)), 0
    found = []
    for i in range(0, len(p), cut):
        new = finder.feed(p[i : i + cut])
        assert all(start >= needed for start, _ in new)
        found, needed = found + new, finder.needed
        if finder.open:
            assert finder.open[0] >= needed
    found += finder.finish()
    once = Finder(rule)
    assert found == once.feed(p) + once.finish()
    assert all(0 <= a < b <= finder.now for a, b in found)
    assert all(b <= c for (_, b), (c, _) in pairwise(found))
    if most:
        assert all(b - a <= most * SAMPLE_RATE + WINDOW for a, b in found)


def test_the_speaker_stands_in_the_answers(pcm):
    live = planted.recognizer().live(speaker="Ann", name="hall")
    assert {(h.answer.speaker, h.answer.file, h.answer.text) for h in told(live, pcm)} == {
        ("Ann", "hall", None)
    }
    heard = Heard(live.turns[0], True)
    assert heard.to_dict() == {"type": "partial", "turn": live.turns[0].to_dict()}


def test_nothing_and_silence_have_no_turns():
    for pcm in (b"", bytes(64_000)):
        live = planted.recognizer().live()
        assert not live.feed(pcm)
        assert not live.close()
        assert not live.close()
        found = live.timeline()
        assert (found.turns, found.duration, found.shares()) == ([], len(pcm) / 32_000, [])


def test_a_turn_that_cannot_be_answered_keeps_its_place(pcm, monkeypatch):
    recognizer = planted.recognizer()
    live = recognizer.live()
    monkeypatch.setattr(type(recognizer), "read", _deaf)
    found = told(live, pcm)
    assert all(isinstance(h.answer, TurnFailure) for h in found)
    assert len(live.turns) == 6
    assert live.turns[0].error == "too short"


def _deaf(*_, **__):
    raise AudioError("too short")


def test_what_is_wrong_is_said():
    live = planted.recognizer().live()
    with pytest.raises(AudioError, match=r"float32 \(3,\); mono int16"):
        live.feed(np.zeros(3, np.float32))
    with pytest.raises(AudioError, match=r"int16 \(3, 2\)"):
        live.feed(np.zeros((3, 2), np.int16))
    live.feed(b"123")
    with pytest.warns(AudioWarning, match="half a sample"):
        live.close()
    with pytest.raises(ConfigError, match="closed"):
        live.feed(b"12")
    for options, what in (
        ({"rate": 0}, "rate=0"), ({"rate": 8000.5}, "rate=8000.5"), ({"every": -1}, "every=-1"),
        ({"every": float("nan")}, "every=nan"), ({"max_turn": 0}, "max_turn=0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=what):
            planted.recognizer().live(**options)
    with pytest.raises(ConfigError, match="text only"):
        planted.recognizer(modalities=("text",)).live()
    with pytest.raises(ConfigError, match="max_speech=0"):
        Rule(max_speech=0)
