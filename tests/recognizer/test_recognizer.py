from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

import erc
from erc.base.errors import AudioError, CheckpointError, ConfigError
from erc.base.space import KEMDY
from erc.recognizer import Failure


@pytest.fixture(scope="module")
def recognizer(run):
    return erc.load(run / "model")


@pytest.fixture(scope="module")
def clips(kemdy19) -> list[Path]:
    return sorted(kemdy19.glob("wav/*/*/*.wav"))[:6]


def test_a_prediction_says_everything(recognizer, clips):
    p = recognizer.predict(clips[0], text="정말 좋았어")
    assert list(p.probabilities) == list(KEMDY.emotions)
    assert sum(p.probabilities.values()) == pytest.approx(1)
    assert p.label == max(p.probabilities, key=p.probabilities.get)
    assert p.confidence == p.probabilities[p.label]
    assert 1 <= p.valence <= 5
    assert 1 <= p.arousal <= 5
    assert p.modalities == ("speech", "text")
    assert json.loads(json.dumps(p.to_dict()))["file"] == str(clips[0])


def test_either_modality_may_be_missing(recognizer, clips):
    both = recognizer.predict(clips[0], text="정말 좋았어")
    heard, read = recognizer.predict(clips[0]), recognizer.predict(text="정말 좋았어")
    assert (heard.modalities, read.modalities) == (("speech",), ("text",))
    assert len({p.probabilities["happy"] for p in (both, heard, read)}) == 3
    assert recognizer.predict(clips[0], text="  ").probabilities == heard.probabilities


def test_path_bytes_file_and_samples_agree(recognizer, clips):
    expected = recognizer.predict(clips[0]).probabilities
    samples, rate = soundfile.read(clips[0], dtype="float32")
    stereo = np.stack([samples, samples], 1)
    for source, options in (
        (str(clips[0]), {}), (clips[0].read_bytes(), {}), (io.BytesIO(clips[0].read_bytes()), {}),
        (samples, {"sampling_rate": rate}), (stereo, {"sampling_rate": rate}),
    ):  # fmt: skip
        found = recognizer.predict(source, **options).probabilities
        assert found == pytest.approx(expected, abs=1e-5)


def test_another_rate_gives_nearly_the_same(recognizer, clips):
    import soxr

    samples, rate = soundfile.read(clips[0], dtype="float32")
    other = recognizer.predict(soxr.resample(samples, rate, 44_100), sampling_rate=44_100)
    assert other.probabilities == pytest.approx(
        recognizer.predict(clips[0]).probabilities, abs=0.02
    )


def test_many_are_the_same_as_one_by_one_in_order_and_bad_ones_stay_in_place(recognizer, clips):
    inputs = [(clips[0], "좋아"), "nowhere.wav", *clips[1:], (None, "싫어"), (None, None)]
    results = list(recognizer.predict_many(inputs, window=3))
    assert [isinstance(r, Failure) for r in results] == [
        i in (1, len(inputs) - 1) for i in range(len(inputs))
    ]
    assert "no such file" in results[1].error
    for result, one in zip(results, inputs, strict=True):
        if not isinstance(result, Failure):
            alone = recognizer.predict(*(one if isinstance(one, tuple) else (one, None)))
            assert result.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_the_same_answer_as_in_the_evaluation(recognizer, run, kemdy19):
    import pandas as pd

    from erc.corpora import load

    frame = pd.read_csv(run / "predictions.csv").set_index(["system", "id"])
    utterances = {u.id: u for u in load("kemdy19", kemdy19).utterances}
    for (system, name), row in frame.iterrows():
        if system.startswith("baseline"):
            continue
        u = utterances[name]
        p = recognizer.predict(
            u.audio if "speech" in system else None, u.text if "text" in system else None
        )
        assert p.probabilities["happy"] == pytest.approx(row.p_happy, abs=1e-4)
        assert p.valence == pytest.approx(row.predicted_valence, abs=1e-4)


def test_bad_input(recognizer, tmp_path):
    with pytest.raises(ConfigError, match="nothing to predict from"):
        recognizer.predict()
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(200), 16_000)
    with pytest.raises(AudioError, match=r"short.wav.*12.5 ms"):
        recognizer.predict(short)


def test_not_a_model_folder(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        erc.load(tmp_path / "nowhere")
