"""What no model should answer: silence, hum and noise; and what is not like its training."""

from __future__ import annotations

import io

import numpy as np
import planted
import pytest
import soxr
from starlette.testclient import TestClient

from erc.base.audio import SAMPLE_RATE
from erc.base.bandwidth import bandwidth
from erc.recognizer import vad
from erc.recognizer.prediction import NO_SPEECH
from erc.recognizer.vad import has_speech
from erc.server.answers import answers
from erc.server.app import create_app
from erc.server.settings import Settings
from erc.server.web import words as say
from erc.timeline import write

TIME = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
RNG = np.random.default_rng(0)
NOTHING = {
    "zeros": np.zeros(len(TIME)),
    "dither": RNG.integers(-1, 2, len(TIME)) / 32768,
    "hum": 0.3 * np.sin(2 * np.pi * 100 * TIME),
    "noise": 0.1 * RNG.standard_normal(len(TIME)),
}


@pytest.mark.parametrize("what", NOTHING)
def test_no_speech_no_emotion(what):
    if what in ("hum", "noise"):
        pytest.importorskip("silero_vad")
    samples = NOTHING[what].astype(np.float32)
    one = planted.recognizer().predict(samples, None, SAMPLE_RATE)
    assert (one.label, one.reason, one.probabilities) == (None, NO_SPEECH, {})
    assert (one.valence, one.arousal, one.confidence, one.heard) == (None, None, None, 0.0)
    assert one.duration == 3
    page = say.answer(one, {})
    assert "No emotion</h2><p>No speech found." in page
    assert say.sentence(one) == NO_SPEECH


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.01, 0.003, 30.0])
def test_speech_is_speech_at_any_level(gain):
    assert all(has_speech(planted.speech(seed) * np.float32(gain)) for seed in range(4))


def test_without_a_detector_only_silence_is_none(monkeypatch):
    monkeypatch.setattr(vad, "found_here", lambda: False)
    found = {what: has_speech(x.astype(np.float32)) for what, x in NOTHING.items()}
    assert found == {"zeros": False, "dither": False, "hum": True, "noise": True}


def test_the_words_are_answered_where_the_recording_is_silent():
    recognizer = planted.recognizer()
    one = recognizer.predict(NOTHING["zeros"], "안녕", SAMPLE_RATE)
    assert one.modalities == ("text",)
    assert one.heard == 0
    assert one.probabilities == recognizer.predict(text="안녕").probabilities


def test_among_others_and_in_a_timeline():
    recognizer = planted.recognizer()
    silent, said = NOTHING["zeros"].astype(np.float32), planted.speech(1)
    inputs = [{"audio": x, "sampling_rate": SAMPLE_RATE} for x in (silent, said, silent)]
    labels = [one.label for one in recognizer.predict_many(inputs)]
    assert labels == [None, recognizer.predict(said, None, SAMPLE_RATE).label, None]
    both = np.concatenate([silent, said[: 3 * SAMPLE_RATE]])
    found = recognizer.timeline(both, sampling_rate=SAMPLE_RATE, vad="none", max_turn=3, overlap=1)
    assert [turn.reason for turn in found.turns] == [NO_SPEECH, None]
    assert len(found.predictions) == 1
    assert "failed" not in repr(found)
    sink = io.StringIO()
    write(found, "vtt", sink)
    assert NO_SPEECH in sink.getvalue()


def test_over_http():
    sink = io.BytesIO()
    planted.soundfile.write(sink, NOTHING["zeros"], SAMPLE_RATE, format="WAV")
    app = create_app(planted.recognizer(), Settings())
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for explain in ("false", "true"):
            answer = client.post(
                "/v1/predict", files={"file": ("a.wav", sink.getvalue())}, data={"explain": explain}
            )
            assert answer.status_code == 200, answer.text
            one = answer.json()
            answers().one.model_validate(one)
            assert (one["label"], one["reason"]) == (None, NO_SPEECH)


def test_a_telephone_is_told_from_a_microphone():
    wide = planted.speech(1)
    narrow = soxr.resample(soxr.resample(wide, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE)
    assert bandwidth(wide) > 7500
    assert 3000 < bandwidth(narrow) < 4100
    recognizer = planted.recognizer(meta={"learned": {"band_hz": 7800.0}})
    flags = [recognizer.predict(x, None, SAMPLE_RATE).narrow_band for x in (wide, narrow)]
    assert flags == [False, True]
    assert "Like a telephone" in say.answer(recognizer.predict(narrow, None, SAMPLE_RATE), {})
    assert planted.recognizer().predict(narrow, None, SAMPLE_RATE).narrow_band is None
