"""Timelines of planted turns through the real recognizer around a runtime that says what it heard."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import planted
import pytest
import soundfile
import soxr

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError, ConfigError
from erc.base.space import KEMDY, Space
from erc.recognizer.prediction import Failure, Prediction
from erc.recognizer.windows import windows
from erc.timeline import Timeline, TurnFailure, timeline, write
from erc.timeline.averages import smoothed, vector
from erc.timeline.recording import BINS, Envelope, Recording, cut
from erc.timeline.subtitles import read

pytest.importorskip("silero_vad")


@pytest.fixture(scope="module")
def told() -> tuple[np.ndarray, planted.Times]:
    return planted.conversation(6)


@pytest.fixture(scope="module")
def found(told, tmp_path_factory) -> Timeline:
    path = planted.write(tmp_path_factory.mktemp("a") / "meeting <1> & 2.wav", told[0])
    (a, b), (c, d) = told[1][1], told[1][4]
    text = [
        (a, b, "하나 --> <둘>"),
        (c, d, "셋"),
        (told[1][5][1] + 0.3, told[1][5][1] + 0.5, "없음"),
    ]
    return timeline(planted.recognizer(), path, text, vad="silero")


def bounds(found: Timeline) -> np.ndarray:
    return np.array([(t.start, t.end) for t in found.turns])


def test_turns_are_the_planted_ones(found, told):
    assert np.abs(bounds(found) - told[1]).max() < 0.2
    assert found.duration == len(told[0]) / SAMPLE_RATE
    assert repr(found).startswith(f"Timeline({found.file}: {found.duration:.1f} s, 6 turns")


def test_answers_are_those_of_the_turns_alone(found, told):
    """The samples between start and end, given to `predict` with the text, answer the same."""
    recognizer = planted.recognizer()
    samples = soundfile.read(found.file, dtype="float32")[0]
    for turn in found.turns:
        clip = samples[round(turn.start * SAMPLE_RATE) : round(turn.end * SAMPLE_RATE)]
        alone = recognizer.predict(clip, turn.text, SAMPLE_RATE)
        np.testing.assert_allclose(vector(alone), vector(turn), rtol=1e-6)


def test_text_goes_to_its_turn(found):
    assert [t.text for t in found.turns] == [None, "하나 --> <둘>", None, None, "셋", None]
    assert found.turns[1].modalities == ("speech", "text")
    assert [s.text for s in found.unspoken] == ["없음"]


def test_every_kind_of_source_answers_alike(found, told, tmp_path):
    path = planted.write(tmp_path / "a.wav", told[0])
    data, samples = path.read_bytes(), soundfile.read(path, dtype="float32")[0]
    expected = timeline(planted.recognizer(), path)
    with path.open("rb") as file:
        sources = [(data, None), (file, None), (io.BytesIO(data), None), (samples, SAMPLE_RATE)]
        sources.append((soundfile.read(path, dtype="int16")[0], SAMPLE_RATE))
        for source, rate in sources:
            one = timeline(planted.recognizer(), source, None, rate)
            assert [replace(t, file="") for t in one.turns] == [
                replace(t, file="") for t in expected.turns
            ]
            assert (one.envelope == expected.envelope).all()


def test_stereo_of_another_rate(told, tmp_path):
    path = planted.write(tmp_path / "a.flac", told[0], 44_100, 2)
    found = timeline(planted.recognizer(), path)
    assert np.abs(bounds(found) - told[1]).max() < 0.2
    assert found.duration == pytest.approx(len(told[0]) / SAMPLE_RATE, abs=1e-3)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_blocks_are_the_recording_resampled_at_once(rate):
    x = np.random.default_rng(0).standard_normal((5 * rate + 7, 2)).astype(np.float32) / 4
    blocks = np.concatenate(list(Recording(x, rate).blocks()))
    expected = soxr.resample(x.mean(1), rate, SAMPLE_RATE)
    assert abs(len(blocks) - len(expected)) <= 1
    n = min(len(blocks), len(expected))
    np.testing.assert_allclose(blocks[:n], expected[:n], atol=1e-4)


def test_cut_gives_every_span():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(10_000).astype(np.float32)
    starts = np.sort(rng.integers(0, 9_900, 40))
    spans = [(int(s), int(s + rng.integers(1, 600))) for s in starts]
    for blocks in ([x], np.array_split(x, 100), x[:, None]):
        for piece, (a, b) in zip(cut(blocks, spans), spans, strict=True):
            np.testing.assert_array_equal(piece, x[a:b])


def test_envelope_holds_the_extremes_of_any_length():
    x = np.random.default_rng(0).standard_normal(SAMPLE_RATE * 100).astype(np.float32)
    for chunk in (777, 32_000):
        envelope = Envelope()
        for i in range(0, len(x), chunk):
            envelope.add(x[i : i + chunk])
        bins, size = envelope.bins(), envelope.size
        assert len(bins) <= BINS + 1
        padded = np.append(x, [np.nan] * (-len(x) % size)).reshape(-1, size)
        np.testing.assert_array_equal(bins[:, 0], np.nanmin(padded, 1))
        np.testing.assert_array_equal(bins[:, 1], np.nanmax(padded, 1))


@pytest.mark.parametrize("length", [20, 21, 25, 40, 41, 77, 1000])
@pytest.mark.parametrize("overlap", [0, 3, 10])
def test_windows_cover_a_turn_evenly(length, overlap):
    cuts = windows(length, 20, overlap)
    count, weight = np.zeros(length), np.zeros(length)
    for a, b, _ in cuts:
        assert b - a == 20
        count[a:b] += 1
    assert count.min() >= 1
    assert all(b >= c + overlap for (_, b, _), (c, _, _) in pairwise(cuts))
    for a, b, w in cuts:
        assert w == pytest.approx((1 / count[a:b]).sum())
        weight[a:b] += 1 / count[a:b]
    assert sum(w for *_, w in cuts) == pytest.approx(length)


def test_a_long_turn_is_the_mean_of_what_its_windows_say(tmp_path):
    loud = np.concatenate([planted.speech(s, 28) * (1 + s) for s in range(3)])
    path = planted.write(tmp_path / "a.wav", loud)
    recognizer, last = planted.recognizer(), len(loud) / SAMPLE_RATE - 0.6
    found = timeline(recognizer, path, [(0, 1, "ab"), (last, last + 0.5, "abcd")],
                     vad="silero", max_turn=4, overlap=1)  # fmt: skip
    samples = soundfile.read(path, dtype="float32")[0]
    [turn] = found.turns
    a, b = round(turn.start * SAMPLE_RATE), round(turn.end * SAMPLE_RATE)
    cuts = windows(b - a, 4 * SAMPLE_RATE, SAMPLE_RATE)
    texts = ["ab", *[None] * (len(cuts) - 2), "abcd"]
    alone = [
        vector(recognizer.predict(samples[a + i : a + j], text, SAMPLE_RATE))
        for (i, j, _), text in zip(cuts, texts)
    ]
    expected = np.average(alone, axis=0, weights=[w for *_, w in cuts])
    np.testing.assert_allclose(vector(turn), expected, rtol=1e-4)  # times in ms
    assert len(cuts) > 3
    assert turn.text == "ab abcd"
    assert sum(turn.probabilities.values()) == pytest.approx(1)
    assert turn.confidence == turn.probabilities[turn.label] == max(turn.probabilities.values())


def test_no_window_is_longer_than_the_model_hears(told, tmp_path):
    path = planted.write(tmp_path / "a.wav", told[0])
    recognizer = planted.recognizer(max_seconds=1.5)
    found = timeline(recognizer, path)
    assert max(recognizer.runtime.clips) == 1.5 * SAMPLE_RATE
    assert found.settings["window"] == 1.5
    assert len(recognizer.runtime.clips) > len(found.turns) == 6


def test_fixed_windows(told, tmp_path):
    path = planted.write(tmp_path / "a.wav", told[0][: int(6.1 * SAMPLE_RATE)])
    found = timeline(planted.recognizer(), path, vad="none", max_turn=2, overlap=0)
    np.testing.assert_allclose(bounds(found), [(0, 2), (2, 4), (4, 6.1)])  # 0.1 s joins


def test_turns_of_the_transcript(told, tmp_path):
    path = planted.write(tmp_path / "a.wav", told[0])
    text = [(1, 3.5, "a"), (2, 2.5, "b"), (3, 99, "c"), (100, 101, "d")]
    found = timeline(planted.recognizer(), path, text, vad="text", max_turn=1, overlap=0.5)
    assert [t.text for t in found.turns] == ["a", "b", "c"]
    assert bounds(found).tolist() == [[1, 3.5], [2, 2.5], [3, round(found.duration, 3)]]
    assert [s.text for s in found.unspoken] == ["d"]


@pytest.mark.parametrize("seconds", [0.01, 0.1, 3])
def test_silence_has_no_turns_and_can_be_saved(seconds, tmp_path):
    found = timeline(planted.recognizer(), np.zeros(int(seconds * 16_000)), None, SAMPLE_RATE)
    assert found.turns == []
    assert found.duration == pytest.approx(seconds)
    assert found.table().index.names == ["file", "start", "end"]
    assert found.curves().isna().any(axis=None)
    for suffix in ("csv", "json", "vtt", "eaf", *["png"] * (seconds == 3)):
        assert found.save(tmp_path / f"a.{suffix}").stat().st_size
    write(found, "table", sink := io.StringIO())
    assert "no speech found" in repr(found)
    assert "no speech found" in sink.getvalue()
    assert "no speech found" in (tmp_path / "a.vtt").read_text()


def test_a_failed_turn_keeps_its_place(told, tmp_path, monkeypatch):
    recognizer = planted.recognizer()
    read = recognizer.read

    def broken(*args, **more):
        if more["text"] == "bad":
            raise AudioError("cannot be heard")
        return read(*args, **more)

    monkeypatch.setattr(recognizer, "read", broken)
    path = planted.write(tmp_path / "a.wav", told[0])
    found = timeline(recognizer, path, [(*told[1][2], "bad")], vad="silero", smooth=5)
    assert [isinstance(t, Failure) for t in found.turns] == [False, False, True, *[False] * 3]
    assert np.abs(bounds(found) - told[1]).max() < 0.2
    failed = found.turns[2]
    assert isinstance(failed, TurnFailure)
    assert (failed.text, failed.error) == ("bad", "cannot be heard")
    assert found.table().error.notna().tolist() == [False, False, True, *[False] * 3]
    for suffix in ("csv", "json", "vtt", "eaf"):
        found.save(tmp_path / f"b.{suffix}")
    assert "failed: cannot be heard" in (tmp_path / "b.vtt").read_text()


def test_smoothing_is_its_formula():
    rng = np.random.default_rng(0)
    turns, at = [], 0.0
    for _ in range(12):
        start, end = at + rng.uniform(0, 3), at + rng.uniform(3, 6)
        p = rng.dirichlet(np.ones(7))
        turns.append(
            Prediction("a", KEMDY.emotions[p.argmax()], dict(zip(KEMDY.emotions, p.tolist())),
                       dict(zip(KEMDY.names, rng.uniform(1, 5, 2).tolist())), p.max(), ("speech",),
                       start=start, end=end)
        )  # fmt: skip
        at = end
    x = np.array([vector(t) for t in turns])
    middle = np.array([(t.start + t.end) / 2 for t in turns])
    weights = np.exp(-np.abs(middle[:, None] - middle) / 4) * [t.end - t.start for t in turns]
    expected = weights @ x / weights.sum(1, keepdims=True)
    got = smoothed([*turns[:5], TurnFailure("a", "no"), *turns[5:]], 4.0, planted.recognizer())
    assert isinstance(got.pop(5), TurnFailure)
    np.testing.assert_allclose([vector(t) for t in got], expected)
    assert [t.label for t in got] == [KEMDY.emotions[p] for p in expected[:, :7].argmax(1)]
    barely = smoothed(turns, 1e-3, planted.recognizer())
    np.testing.assert_allclose([vector(t) for t in barely], x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vad": "silerro"}, "did you mean 'silero'"),
        ({"vad": "text"}, "transcript"),
        ({"max_turn": 0.1}, "max_turn"),
        ({"overlap": 10}, "overlap"),
        ({"smooth": -1}, "smooth"),
        ({"sampling_rate": None}, "rate"),
    ],
)
def test_wrong_options(options, message):
    call = {"sampling_rate": SAMPLE_RATE} | options
    with pytest.raises((ConfigError, AudioError), match=message):
        timeline(planted.recognizer(), np.zeros(16_000, np.float32), **call)


def test_unusable_recordings(tmp_path):
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 16_000)
    (tmp_path / "text.wav").write_text("no sound")
    nan = np.full(40_000, np.nan, np.float32)
    for source, message in (
        (empty, "no samples"), (tmp_path / "no.wav", "no such file"),
        (tmp_path / "text.wav", "cannot be decoded"), (nan, "nan"),
    ):  # fmt: skip
        with pytest.raises(AudioError, match=message):
            timeline(planted.recognizer(), source, None, SAMPLE_RATE)
    with pytest.raises(ConfigError, match="hears"):
        timeline(planted.recognizer(modalities=("text",)), np.zeros(9_999), None, SAMPLE_RATE)


def test_progress_grows_to_the_end(told):
    calls: list[tuple[float, float]] = []
    timeline(planted.recognizer(), told[0], None, 16_000, progress=lambda *c: calls.append(c))
    done, total = np.array(calls).T
    assert (np.diff(done) >= 0).all()
    assert done[-1] == total[-1] == len(told[0]) / SAMPLE_RATE
    assert len(calls) > 10


def test_csv_round_trip(found, tmp_path):
    rows = pd.read_csv(found.save(tmp_path / "a.csv"), index_col=["file", "start", "end"])
    index = rows.index.to_frame()
    for column in ("start", "end"):
        np.testing.assert_allclose(index[column], [getattr(t, column) for t in found.turns])
    for emotion in KEMDY.emotions:
        expected = [t.probabilities[emotion] for t in found.turns]
        np.testing.assert_allclose(rows[f"p_{emotion}"], expected)
    assert rows.label.tolist() == [t.label for t in found.turns]
    assert rows.text.dropna().tolist() == ["하나 --> <둘>", "셋"]


def test_json_round_trip(found, tmp_path):
    data = json.loads(found.save(tmp_path / "a.json").read_text("utf-8"))
    turns = [Prediction.from_dict(turn, Space.from_json(data)) for turn in data["turns"]]
    assert turns == found.turns
    envelope = np.array([data["envelope"]["low"], data["envelope"]["high"]]).T
    np.testing.assert_allclose(envelope, found.envelope, atol=1e-4)
    assert data["settings"]["vad"] == "silero"


def test_vtt_round_trip(found, tmp_path):
    path = found.save(tmp_path / "a.vtt")
    cues = read(path)
    np.testing.assert_allclose([(c.start, c.end) for c in cues], bounds(found), atol=1e-3)
    for cue, turn in zip(cues, found.turns):
        expected = f"{turn.label} {turn.confidence:.0%} · valence {turn.valence:.1f}"
        assert cue.text.startswith(expected)
        assert cue.text.endswith(turn.text or f"{turn.arousal:.1f}")
    text = path.read_text("utf-8")
    assert text.count("-->") == len(cues)
    assert re.fullmatch(r"WEBVTT - [^\n]+", text.partition("\n\n")[0])


def test_eaf_follows_the_schema(found, tmp_path):
    root = ElementTree.parse(found.save(tmp_path / "a.eaf")).getroot()
    order = [e.tag for e in root]
    kinds = ["HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "CONSTRAINT"]
    assert order == sorted(order, key=kinds.index)  # a sequence in EAFv3.0.xsd
    assert {"AUTHOR", "DATE", "VERSION", "FORMAT"} <= set(root.keys())
    slots = {s.get("TIME_SLOT_ID"): int(s.get("TIME_VALUE")) for s in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    tiers = {t.get("TIER_ID"): t for t in root.iter("TIER")}
    assert list(tiers) == ["emotion", "valence", "arousal", "speaker", "text"]
    types = {t.get("LINGUISTIC_TYPE_ID"): t for t in root.iter("LINGUISTIC_TYPE")}
    stereotypes = {c.get("STEREOTYPE") for c in root.iter("CONSTRAINT")}
    parents = {}
    for a in tiers["emotion"].iter("ALIGNABLE_ANNOTATION"):
        parents[a.get("ANNOTATION_ID")] = (
            slots[a.get("TIME_SLOT_REF1")],
            slots[a.get("TIME_SLOT_REF2")],
        )
    np.testing.assert_allclose(list(parents.values()), bounds(found) * 1000, atol=0.6)
    values = {name: [v.text for v in t.iter("ANNOTATION_VALUE")] for name, t in tiers.items()}
    assert values["emotion"] == [t.label for t in found.turns]
    assert values["arousal"] == [f"{t.arousal:.2f}" for t in found.turns]
    assert values["text"] == ["하나 --> <둘>", "셋"]
    for name in ("valence", "arousal", "speaker", "text"):
        assert tiers[name].get("PARENT_REF") == "emotion"
        assert types[tiers[name].get("LINGUISTIC_TYPE_REF")].get("CONSTRAINTS") in stereotypes
        assert {a.get("ANNOTATION_REF") for a in tiers[name].iter("REF_ANNOTATION")} <= set(parents)
    ids = [a.get("ANNOTATION_ID") for a in root.iter() if a.get("ANNOTATION_ID")]
    assert len(ids) == len(set(ids)) == 6 * 3 + 2


@pytest.fixture
def talk(told, tmp_path) -> Timeline:
    """Two people, whose segments are not where the pauses are."""
    path = planted.write(tmp_path / "a.wav", told[0])
    said = [("Ann", "ja"), ("Bob", "doch"), ("Bob", "so"), ("Ann", None)]
    segments = [
        {"start": i, "end": i + 1, "text": text or "hm", "speaker": who}
        for i, (who, text) in enumerate(said)
    ]
    return timeline(planted.recognizer(), path, segments)


def test_a_transcript_keeps_its_borders_and_speakers_in_every_format(talk, tmp_path):
    who = ["Ann", "Bob", "Bob", "Ann"]
    assert bounds(talk).tolist() == [[i, i + 1] for i in range(4)]
    assert [t.speaker for t in talk.turns] == who
    rows = pd.read_csv(talk.save(tmp_path / "a.csv"))
    assert list(rows.columns[:5]) == ["file", "start", "end", "speaker", "text"]
    assert (rows.speaker.tolist(), rows.end.tolist()) == (who, [1, 2, 3, 4])
    turns = json.loads(talk.save(tmp_path / "a.json").read_text("utf-8"))["turns"]
    assert [t["speaker"] for t in turns] == who
    assert [s.speaker for s in read(talk.save(tmp_path / "a.vtt"))] == who
    root = ElementTree.parse(talk.save(tmp_path / "a.eaf")).getroot()
    [tier] = [t for t in root.iter("TIER") if t.get("TIER_ID") == "speaker"]
    assert [v.text for v in tier.iter("ANNOTATION_VALUE")] == who
    write(talk, "table", sink := io.StringIO())
    assert [line.split()[2] for line in sink.getvalue().splitlines()[1:5]] == who
    assert talk.table().speaker.tolist() == who
    assert talk.settings["smooth"] == 0


def test_lines_join_turns_of_one_speaker_without_a_pause(talk):
    pytest.importorskip("matplotlib")
    from erc.timeline.plot import figure

    a, b, c, d = talk.turns
    late = replace(d, start=60.0, end=61.0)
    failed = TurnFailure("a", "no", 4, 5, speaker="Ann")
    turns = [a, b, c, d, failed, late, replace(late, start=62.0, end=63.0)]
    fig = figure(replace(talk, duration=70.0, turns=turns))
    lines = [line for line in fig.axes[-1].lines if line.get_color() == "#6A4FC0"]
    expected = [[0.5], [1.5, 2.5], [3.5], [60.5, 62.5]]
    assert [line.get_xdata().tolist() for line in lines] == expected
    np.testing.assert_array_equal(lines[1].get_ydata(), [b.valence, c.valence])  # as answered
    assert [t.get_text() for t in fig.axes[1].get_yticklabels()] == ["Ann", "Bob"]


def test_what_is_drawn_of_probabilities_is_what_was_answered(talk):
    """With 80 turns or 500: a column of the picture holds the mean of its turns, nothing else's."""
    from erc.timeline.plot import COLUMNS, _columns

    one = talk.turns[0]
    turns = [
        replace(t, start=i * 4.0, end=i * 4.0 + 3) for i, t in enumerate([one, talk.turns[1]] * 250)
    ]
    mean = _columns(replace(talk, duration=2000.0, turns=turns), np.linspace(0, 2000, COLUMNS + 1))
    for column in range(0, COLUMNS, 37):
        low, high = 2000 / COLUMNS * np.array([column, column + 1])
        shared = [max(0.0, min(high, t.end) - max(low, t.start)) for t in turns]
        if sum(shared):
            expected = np.average([vector(t) for t in turns], axis=0, weights=shared)
            np.testing.assert_allclose(mean[column], expected)
        else:
            assert np.isnan(mean[column]).all()


def test_curves_and_shares(found):
    curves = found.curves(0.5)
    for row in curves.itertuples():
        inside = [t for t in found.turns if t.start <= row.time < t.end]
        assert np.isnan(row.valence) if not inside else row.valence == inside[0].valence
    assert sum(share for _, share in found.shares()) == pytest.approx(1)


def test_unknown_formats(found, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'csv'"):
        write(found, "csvv", io.StringIO())
    with pytest.raises(ConfigError, match=r"\.eaf"):
        found.save(tmp_path / "a.docx")


def test_plots_in_light_and_dark(found, tmp_path):
    pytest.importorskip("matplotlib")
    from erc.timeline.plot import draw

    many = [replace(found.turns[0], start=i * 4.0, end=i * 4.0 + 3) for i in range(500)]
    long = replace(found, duration=2000.0, turns=many)
    for name, one, dark in (("a.png", found, False), ("b.png", found, True), ("c.svg", long, True)):
        assert draw(one, tmp_path / name, dark).stat().st_size > 10_000


GROWS = """
import sys
import numpy as np, soundfile
sys.path.insert(0, {tests!r})
import planted
from erc.timeline import timeline
def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) / 1024
x, _ = planted.conversation(20)
for minutes, name in ((1, "short.wav"), ({minutes}, "long.wav")):
    with soundfile.SoundFile(name, "w", 16_000, 1, "PCM_16") as file:
        for _ in range(int(minutes * 60 * 16_000 / len(x)) + 1):
            file.write(x)
    found = timeline(planted.recognizer(), name)
    print(len(found.turns), peak())
"""


def _growth(minutes: int, folder: Path) -> tuple[int, float]:
    """Turns of the long recording, and MB that it needs more than one of a minute."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    code = GROWS.format(tests=str(Path(__file__).parents[1]), minutes=minutes)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    (_, short), (turns, long) = (line.split() for line in done.stdout.splitlines())
    return int(turns), float(long) - float(short)


def test_memory_of_ten_minutes(tmp_path):
    turns, growth = _growth(10, tmp_path)
    assert turns > 100
    assert growth < 60  # MB; the samples alone would be 38 in a copy, and there are several


@pytest.mark.slow
def test_memory_of_an_hour(tmp_path):
    turns, growth = _growth(60, tmp_path)
    assert turns > 600
    assert growth < 300  # MB
