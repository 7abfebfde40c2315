"""How like its training data a recording is, in every form; and what an answer to a strange one says."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import planted
import pytest
import soxr
from scipy.stats import kstest
from starlette.testclient import TestClient

import erc
from erc.__main__ import main
from erc.base.audio import SAMPLE_RATE, load
from erc.base.voice import Delivery, cast, speak
from erc.model.folder import HELD_OUT, read_config, write_config
from erc.model.folder.held_out import HeldOut
from erc.model.typicality import Normal, Typicality, summary
from erc.recognizer import clip
from erc.server.answers import answers
from erc.server.app import create_app
from erc.server.settings import Settings
from erc.server.web import words as say

TIME = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
NEAR, FAR = planted.speech(1, 20), planted.speech(1, 20)[: SAMPLE_RATE // 2]


def of_length(mean: float, deviation: float) -> HeldOut:
    """`Heard` pools length (s) and level of a recording; only its length counts here."""
    normal = Normal(
        np.array([mean, 0]), np.array([deviation, 1e9]), np.zeros((2, 0)), np.zeros(0), 1
    )
    return HeldOut({"speech": Typicality(normal, np.linspace(0, 4, 99) ** 2)})


def recognizer(**options) -> erc.recognizer.Recognizer:
    made = planted.recognizer(**options)
    return replace(made, held_out=of_length(len(NEAR) / SAMPLE_RATE, 0.1))


def test_abstains_if_unsure_or_untypical():
    near, far = (recognizer().predict(x, "네", SAMPLE_RATE) for x in (NEAR, FAR))
    assert (near.typicality, near.abstain) == ({"speech": 0.99}, False)
    assert (far.typicality, far.abstain) == ({"speech": pytest.approx(0, abs=1e-9)}, True)
    assert recognizer(typical=0.0).predict(FAR, None, SAMPLE_RATE).abstain is False
    assert recognizer(typical=0.0, abstain=1.0).predict(FAR, None, SAMPLE_RATE).abstain is True
    assert recognizer(abstain=1.0).predict(NEAR, None, SAMPLE_RATE).abstain is True


def test_what_is_missing_or_not_known_is_null():
    assert recognizer().predict(text="네").typicality == {"speech": None}
    assert recognizer().predict(text="네").abstain is False
    assert planted.recognizer().predict(NEAR, None, SAMPLE_RATE).typicality is None
    silent = recognizer().predict(np.zeros(SAMPLE_RATE, np.float32), None, SAMPLE_RATE)
    assert (silent.label, silent.typicality) == (None, None)


def test_of_windows_the_mean():
    long = recognizer(max_seconds=1.0)
    one = long.predict(np.tile(NEAR, 2), None, SAMPLE_RATE)
    assert one.typicality == {"speech": pytest.approx(0, abs=1e-9)}
    turn = replace(long, held_out=of_length(1, 0.2)).timeline(
        np.tile(NEAR, 2), sampling_rate=SAMPLE_RATE, vad="none", max_turn=1, overlap=0.2, smooth=1.0
    )
    assert all(0.9 < t.typicality["speech"] <= 1 for t in turn.turns[:-1])


def test_over_http_and_on_the_page():
    sink = io.BytesIO()
    planted.soundfile.write(sink, FAR, SAMPLE_RATE, format="WAV")
    with TestClient(create_app(recognizer(), Settings()), base_url="http://127.0.0.1:8000") as http:
        one = http.post("/v1/predict", files={"file": ("a.wav", sink.getvalue())}).json()
        answers().one.model_validate(one)
        assert (one["typicality"], one["abstain"]) == ({"speech": pytest.approx(0, abs=1e-4)}, True)
    page = say.answer(recognizer().predict(FAR, None, SAMPLE_RATE), {})
    assert "Unlike the training data" in page
    assert "Not sure" not in page
    assert "Unlike" not in say.answer(recognizer().predict(NEAR, None, SAMPLE_RATE), {})


def test_the_command(run, kemdy19, capsys):
    """Trained encoders: the 8 utterances of the valid side are held out."""
    file, model = (
        str(min(kemdy19.glob("wav/*/*/*.wav"))),
        ["--model", str(run / "model"), "--quiet"],
    )
    assert main(["predict", file, *model]) == 0
    found = json.loads(capsys.readouterr().out)["typicality"]
    assert found["text"] is None
    assert found["speech"] * 9 == pytest.approx(round(found["speech"] * 9), abs=1e-4)
    assert main(["predict", file, *model, "--format", "csv"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert float(row["typicality_speech"]) == pytest.approx(found["speech"], abs=1e-6)
    assert (row["typicality_text"], row["typicality_physiology"]) == ("", "")
    assert main(["predict", file, *model, "--format", "table"]) == 0
    assert f"{found['speech']:.0%}" in capsys.readouterr().out


def test_predictions_csv_says_what_the_recognizer_says(run, kemdy19):
    from erc.scores.scored import read

    both = read(run / "predictions.csv")
    one = both["speech + text"].take([0])
    files = {p.stem: p for p in kemdy19.glob("wav/*/*/*.wav")}
    file = files[one.id[0]]
    said = erc.load(run / "model").predict(file, file.with_suffix(".txt").read_text("utf-8"))
    assert one.typicality[0] == pytest.approx(min(said.typicality.values()), abs=1e-6)
    assert both["text"].typicality[0] == pytest.approx(said.typicality["text"], abs=1e-6)
    assert np.isnan(both["baseline: most frequent"].typicality).all()


def test_a_damaged_file_is_refused_and_an_old_folder_knows_nothing(run, tmp_path):
    import shutil

    folder = shutil.copytree(run / "model", tmp_path / "model")
    (folder / HELD_OUT).write_bytes(b"nothing")
    with pytest.raises(erc.base.errors.CheckpointError, match=HELD_OUT):
        erc.load(folder)
    (folder / HELD_OUT).unlink()
    write_config(folder, read_config(folder))
    assert erc.load(folder).predict(text="네").typicality is None


def encoder_of(name: str):
    """Recordings, of a voice or not → features [N, D] of a frozen speech encoder."""
    import torch

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder
    from erc.recognizer.runtimes.pytorch import TorchRuntime

    torch.manual_seed(0)
    speech = SpeechEncoder.from_name(name, layer="mean")
    model = EmotionModel(speech=speech, dim=16, fusion="single", speech_pooling="mean_std")
    heard = erc.recognizer.Recognizer(TorchRuntime(model), {"meta": {}})

    def encode(recordings) -> np.ndarray:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(clip, "has_speech", lambda samples: True)
            clips = [heard.read(np.float32(x), None, SAMPLE_RATE) for x in recordings]
        return summary(*heard.encode("speech", clips))[0]

    return encode


def strangers(voices: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """What no model of voices heard over a microphone knows."""
    rng = np.random.default_rng(3)
    return {
        "noise": [level * rng.standard_normal(len(TIME)) for level in (0.01, 0.1, 0.3)],
        "tones": [
            0.2 * sum(np.sin(2 * np.pi * f * k * TIME) / k for k in range(1, 6))
            for f in (220, 440, 880)
        ],
        "telephone": [
            soxr.resample(soxr.resample(x, SAMPLE_RATE, 8000), 8000, SAMPLE_RATE) for x in voices
        ],
    }


class TestStrangers:
    """A frozen encoder that knows 24 simulated speakers; 12 others, and what is no such voice."""

    @pytest.fixture(scope="class")
    def encode(self):
        return encoder_of("tiny-whisper")  # untrained

    @staticmethod
    def voices(seed: int, speakers: int, each: int = 5) -> list[np.ndarray]:
        rng, found = np.random.default_rng(seed), []
        for k in range(speakers):
            speaker = cast("FM"[k % 2], rng)
            for _ in range(each):
                text = "".join(rng.permutation(list(planted.SENTENCE.replace(" ", "")))[:16])
                how = Delivery(*rng.uniform(1, 5, 3))
                found.append(speak(text, speaker, how, rng) / np.float32(32768))
        return found

    @pytest.fixture(scope="class")
    def known(self, encode) -> Typicality:
        return Typicality.fit(encode(self.voices(0, 24)), np.repeat(np.arange(24), 5))

    def test_truth_that_is_nothing_new_speakers_are_uniform(self, encode, known):
        assert kstest(known.of(encode(self.voices(1, 12))), "uniform").statistic < 0.2

    def test_noise_tones_and_telephones_are_strange(self, encode, known):
        for what, strange in strangers(self.voices(2, 3, 1)).items():
            assert (known.of(encode(strange)) < 0.05).all(), what

    @pytest.mark.slow
    def test_a_pretrained_encoder_tells_simulated_voices_from_all_else(self, shared):
        encode = encoder_of(str(shared / "encoders/whisper-tiny-en"))
        known = Typicality.fit(encode(self.voices(0, 12)), np.repeat(np.arange(12), 5))
        assert kstest(known.of(encode(self.voices(1, 6))), "uniform").statistic < 0.3
        foreign = strangers(self.voices(2, 3, 1))
        for corpus in ("nemo", "ravdess", "korean_emotion"):
            files = sorted((shared / "corpora" / corpus).rglob("*.flac"))
            foreign[corpus] = [load(file) for file in files[:: len(files) // 3]]
        for what, strange in foreign.items():
            assert (known.of(encode(strange)) < 0.02).all(), what
