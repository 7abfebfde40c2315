"""A recording that is longer than the model hears at once is heard to its end."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import planted
import pytest
from starlette.testclient import TestClient

from erc.__main__ import main
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.recognizer import windows
from erc.server.answers import answers
from erc.server.app import create_app
from erc.server.settings import Settings
from erc.timeline.averages import vector

OLD = Path(__file__).resolve().parents[1] / "data/before_the_move/model"  # hears 7 s


@pytest.fixture(scope="module")
def told():
    return planted.conversation(6)


def wav(samples) -> bytes:
    sink = io.BytesIO()
    planted.soundfile.write(sink, samples, SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return sink.getvalue()


def test_what_fits_is_answered_as_a_whole():
    samples = planted.speech(1)
    one = planted.recognizer(max_seconds=len(samples) / SAMPLE_RATE)
    free = planted.recognizer()
    assert one.read(samples, None, SAMPLE_RATE).windows == ()
    a, b = (r.predict(samples, "안녕", SAMPLE_RATE) for r in (one, free))
    assert a == b  # bit for bit
    assert one.runtime.clips == [len(samples)]
    assert a.duration == a.heard == len(samples) / SAMPLE_RATE
    assert free.predict(text="안녕").duration is None


def test_the_answer_is_that_of_its_turns_weighted_by_their_length(told):
    pytest.importorskip("silero_vad")
    recognizer = planted.recognizer(max_seconds=3)
    found = recognizer.timeline(told[0], sampling_rate=SAMPLE_RATE, vad="silero")
    spoken = [turn.end - turn.start for turn in found.turns]
    one = recognizer.predict(told[0], None, SAMPLE_RATE)
    mean = np.average([vector(turn) for turn in found.turns], axis=0, weights=spoken)
    np.testing.assert_allclose(vector(one), mean, rtol=1e-4)  # times of turns are rounded to ms
    assert one.heard == pytest.approx(sum(spoken), abs=0.01)
    assert one.duration == len(told[0]) / SAMPLE_RATE
    true = sum(end - start for start, end in told[1])
    assert one.heard == pytest.approx(true, rel=0.1)


def test_without_a_detector_all_of_it_is_heard_in_equal_windows(monkeypatch):
    monkeypatch.setattr(windows, "found_here", lambda: False)
    late = np.concatenate([planted.speech(1) * 0.01, planted.speech(2)])
    recognizer = planted.recognizer(max_seconds=2)
    one = recognizer.predict(late, None, SAMPLE_RATE)
    assert one.heard == one.duration == len(late) / SAMPLE_RATE
    assert set(recognizer.runtime.clips) == {2 * SAMPLE_RATE}
    first = recognizer.predict(late[: 2 * SAMPLE_RATE], None, SAMPLE_RATE)
    assert one.arousal > first.arousal + 0.1  # the stub's arousal is the level


def test_an_encoder_with_a_limit_of_its_own_hears_windows_too(told):
    recognizer = planted.recognizer()
    recognizer.runtime.spec = replace(recognizer.spec, max_samples=3 * SAMPLE_RATE)
    assert recognizer.predict(told[0], None, SAMPLE_RATE).duration > 3
    assert max(recognizer.runtime.clips) <= 3 * SAMPLE_RATE


def test_many_answer_as_each_alone(told):
    recognizer = planted.recognizer(max_seconds=3)
    inputs = [{"audio": x, "sampling_rate": SAMPLE_RATE} for x in (told[0], told[0][:40_000])]
    for found, one in zip(recognizer.predict_many(inputs), inputs, strict=True):
        alone = recognizer.predict(**one)
        np.testing.assert_allclose(vector(found), vector(alone), rtol=1e-6)
        assert found.heard == alone.heard


def test_over_http(told):
    recognizer = planted.recognizer(max_seconds=3)
    with TestClient(create_app(recognizer, Settings()), base_url="http://127.0.0.1:8000") as client:
        post = {"files": {"file": ("a.wav", wav(told[0]))}}
        one = client.post("/v1/predict", **post).json()
        answers().one.model_validate(one)
        alone = recognizer.predict(told[0], None, SAMPLE_RATE)
        assert one["probabilities"] == pytest.approx(alone.probabilities, rel=1e-5)
        assert (one["heard"], one["duration"]) == (alone.heard, alone.duration)
        why = client.post("/v1/predict", **post, data={"explain": "true"})
        assert why.status_code == 422
        assert "at most 3 s" in why.json()["error"]["message"]


def test_an_explanation_of_what_is_not_heard_at_once_is_refused(told):
    with pytest.raises(ConfigError, match="at most 3 s"):
        planted.recognizer(max_seconds=3).explain(told[0], None, SAMPLE_RATE)


@pytest.mark.parametrize(("seconds", "suggested"), [(13, False), (16, True)])
def test_the_command_suggests_a_timeline(seconds, suggested, tmp_path, capsys):
    samples = np.resize(planted.speech(1), seconds * SAMPLE_RATE)
    path = planted.write(tmp_path / "a.wav", samples)
    assert main(["predict", str(path), "--model", str(OLD), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    row = json.loads(out)
    assert row["duration"] == seconds
    assert 7 < row["heard"] <= seconds
    assert ("erc timeline" in err) is suggested
