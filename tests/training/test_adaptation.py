"""Speaker adaptation: the formula by hand, the table against the model, and a planted speaker offset."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from erc.base.errors import ConfigError
from erc.base.voice import Delivery, cast, speak
from erc.model.adaptation import baseline, even
from erc.model.emotion import EmotionModel, Encoded
from erc.model.encoders import SpeechEncoder
from erc.model.folder.learned import counted
from erc.recognizer import Recognizer
from erc.recognizer.runtimes.pytorch import TorchRuntime
from erc.scores.tables import results_table
from erc.studies.experiment import run
from erc.training.adaptation import adapt_table, adapt_tables, monotonous


def test_a_baseline_by_hand() -> None:
    x, mean = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([0.0, 5.0])
    np.testing.assert_allclose(baseline(x, mean, prior=2), [0.5 * 2, 0.5 * 0 + 0.5 * 5])
    np.testing.assert_allclose(baseline(x, mean, torch.tensor([3.0, 1.0]), prior=2), [0.75, 2.5])
    steps = np.arange(12.0).reshape(2, 3, 2)  # a sequence each: its steps count alike
    np.testing.assert_allclose(baseline(steps, np.zeros(2), prior=0), steps.mean((0, 1)))
    np.testing.assert_allclose(
        baseline(steps, np.zeros(2), np.array([1.0, 0.0]), prior=0), steps[0].mean(0)
    )


def test_few_recordings_stay_with_the_corpus_and_many_leave_it() -> None:
    corpus = torch.zeros(3)
    assert baseline(torch.zeros(0, 3), corpus) is corpus
    distance = [float(baseline(torch.full((n, 3), 8.0), corpus)[0]) for n in (1, 10, 1000)]
    np.testing.assert_allclose(distance, [8 / 11, 4.0, 8 * 1000 / 1010], rtol=1e-6)


def test_emotions_count_evenly() -> None:
    one_hot = np.eye(7)[[0] * 99 + [1] * 9]
    weights = even(one_hot)
    np.testing.assert_allclose([weights[:99].sum(), weights[99:].sum()], [0.99, 0.9])


def test_the_offset_of_a_speaker_goes() -> None:
    torch.manual_seed(0)
    mood = torch.randn(400, 4)
    speakers = ["a", "b"] * 200
    offset = torch.tensor([[5.0], [-5.0]]).repeat(200, 4)
    table = mood + offset
    mean, everybody = table.mean(0), torch.ones(400, dtype=torch.bool)
    seen = adapt_table(table, speakers, everybody, mean)
    r = np.corrcoef(seen[:, 0], mood[:, 0])[0, 1]
    assert r > 0.9 > np.corrcoef(table[:, 0], mood[:, 0])[0, 1] + 0.5
    # Nothing of one speaker depends on another one.
    alone = adapt_table(table[::2], ["a"] * 200, everybody[::2], mean)
    torch.testing.assert_close(alone, seen[::2])


def test_a_known_mood_does_not_become_part_of_the_baseline() -> None:
    """Two equal voices, one of them mostly angry: labels keep the anger in the features."""
    emotion = np.r_[np.zeros(90, int), np.ones(10, int), np.zeros(50, int), np.ones(50, int)]
    table = torch.from_numpy(np.eye(2)[emotion]).float() * 4
    speakers, everybody = ["skewed"] * 100 + ["even"] * 100, torch.ones(200, dtype=torch.bool)
    mean = torch.full((2,), 2.0)

    def gap(emotions: np.ndarray | None) -> float:
        seen = adapt_table(table, speakers, everybody, mean, emotions)
        return float((seen[0] - seen[100]).abs().max())

    assert gap(None) > 1.4
    assert gap(np.eye(7)[emotion]) < 0.2
    some = np.eye(7)[emotion].astype(float)
    some[3] = np.nan  # not all are known: as if none were
    assert gap(some) > 1.4


def test_one_mood_is_no_baseline() -> None:
    sure, unsure = np.eye(7)[np.arange(40) % 4], np.full((40, 7), 1 / 7)
    flat = np.tile([0.9, 0.1, 0, 0, 0, 0, 0], (40, 1))
    probabilities, speakers = np.concatenate([sure, flat, unsure]), np.repeat(["a", "b", "c"], 40)
    found, names = monotonous(probabilities, speakers.tolist(), usual=4.0)
    assert names == ["b"]
    assert found.tolist() == (speakers == "b").tolist()


def test_rows_without_recording_stay_as_they_are() -> None:
    table = torch.tensor([[0.0], [2.0], [4.0]])
    heard = torch.tensor([False, True, True])
    adapted = adapt_table(table, ["a", "a", "a"], heard, table[1:].mean(0))
    assert adapted[0] == 0
    torch.testing.assert_close(adapted[1:].mean(), torch.tensor(3.0))


@pytest.fixture(scope="module")
def model() -> EmotionModel:
    torch.manual_seed(0)
    model = EmotionModel(
        SpeechEncoder.from_name("tiny-whisper"), dim=8, freeze_speech=True, speech_pooling="mean"
    ).eval()
    model.branches["speech"].standardize.fit(torch.randn(50, model.branches["speech"].size))
    return model


@torch.inference_mode()
def test_an_adapted_runtime_is_the_model_around_the_speakers_own_mean(
    model: EmotionModel,
) -> None:
    table, there = torch.randn(6, model.branches["speech"].size) + 3, np.ones(6, bool)
    own = copy.deepcopy(model)
    place = own.branches["speech"].standardize
    place.mean.copy_(baseline(table, place.mean))
    expected = own.fuse(Encoded({"speech": table}, {"speech": torch.from_numpy(there)})).logits
    runtime, heard = TorchRuntime(model), Encoded({"speech": table.numpy()}, {"speech": there})
    adapted = runtime.adapted(table.numpy())
    np.testing.assert_allclose(adapted.fuse(heard)[0], expected, rtol=1e-4, atol=1e-5)
    assert np.abs(runtime.fuse(heard)[0] - expected.numpy()).max() > 1e-3  # it stayed as it was
    again = adapted.adapted(table.numpy()).fuse(heard)[0]  # from the corpus, not from the speaker
    np.testing.assert_array_equal(again, adapted.fuse(heard)[0])


def test_a_model_without_corpus_statistics_cannot_be_adapted() -> None:
    plain = EmotionModel(SpeechEncoder.from_name("tiny-whisper"), dim=8)
    with pytest.raises(ConfigError, match="adaptation=speaker"):
        TorchRuntime(plain).adapted(np.zeros((1, plain.branches["speech"].size), np.float32))


def test_recognizer_adapts_to_recordings(model: EmotionModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.wav" for i in range(4)]
    for file in files:
        said = speak("정말 좋았어", cast("F", rng), Delivery(3, 3, 3), rng)
        soundfile.write(file, said / 32768, 16000)
    plain = Recognizer(TorchRuntime(model), {"meta": {}})
    before = plain.predict(files[0])
    adapted = plain.adapt(files)
    assert adapted.predict(files[0]).probabilities != before.probabilities
    assert plain.predict(files[0]) == before
    with pytest.raises(ConfigError, match="at least one"):
        plain.adapt([])


def test_recordings_of_one_mood_are_refused(model: EmotionModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(
        tmp_path / "a.wav", speak("좋아", cast("F", rng), Delivery(3, 3, 3), rng) / 32768, 16000
    )
    certain = copy.deepcopy(model)
    with torch.no_grad():
        certain.head.bias[0] += 20
    taught = counted(np.eye(7), np.full((7, 2), 3.0))
    with pytest.raises(ConfigError, match=r"1 recordings sound like 1\.0 .* needs 3\.[12]"):
        Recognizer(TorchRuntime(certain), {"meta": {"learned": taught}}).adapt([tmp_path / "a.wav"])


def test_unknown_or_impossible_adaptation(model: EmotionModel) -> None:
    with pytest.raises(ConfigError, match="did you mean 'speaker'"):
        adapt_tables("speakers", model, {}, None)
    with pytest.raises(ConfigError, match="freeze_speech=true"):
        adapt_tables("speaker", model, {}, None)
    assert adapt_tables("none", model, {}, None) == {}


def test_a_run_reports_both(tmp_path: Path) -> None:
    corpus = ["dataset=synthetic", "model=tiny", f"dataset.paths={tmp_path / 'corpus'}"]
    corpus += ["dataset.sessions=5", "dataset.utterances=6", f"cache={tmp_path / 'cache'}"]
    words = ["adaptation=speaker", "model.freeze_speech=true", "dataset.protocol=paper"]
    words += [
        "trainer.accelerator=cpu",
        "trainer.max_epochs=1",
        "export=false",
        "trainer.enable_progress_bar=false",
    ]
    results = run([*corpus, *words], tmp_path / "run")
    assert [name for name in results.systems if "adapted" in name] == [
        "speech, speaker-adapted", "speech + text, speaker-adapted",
    ]  # fmt: skip
    assert {"speech", "text", "speech + text"} <= set(results.systems)
    assert (
        "baseline: linear on the same features" in results.systems
    )  # its speech encoder is frozen
    assert "unlabelled audio" in results_table(results)
    assert results.audit["speakers"] == 0
