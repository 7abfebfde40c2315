"""The starter as it is shipped, and how it becomes a model folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

import erc
from erc.base.errors import CheckpointError, ConfigError
from erc.cli.program import main
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder
from erc.model.folder import COPY, WEIGHTS, checkpoint, read_config, starter
from erc.model.folder.export import keep_copy
from erc.model.folder.find import find_model, named
from erc.model.folder.held_out import HeldOut

TINY = {
    "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 24,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "vocab_size": 20,
    "num_mel_bins": 80, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A tiny Whisper with random weights, as the hub has them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("whisper")
    model = WhisperModel(WhisperConfig(**TINY))
    for tensor in model.state_dict().values():
        tensor.copy_(tensor.half().float())  # what float16 holds
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def made(encoder, tmp_path_factory) -> Path:
    """A model folder with an exported copy on that encoder; its head is random."""
    torch.manual_seed(1)
    speech = SpeechEncoder.from_name(str(encoder), layer="middle")
    options = {"emotions": 7, "axes": 2, "places": 3}
    model = EmotionModel(
        speech, fusion="familiar", fusion_options=options, speech_pooling="mean_std", freeze_speech=True,
    )  # fmt: skip
    model.fusion.places.normal_()
    model.fusion.member.copy_(torch.eye(7)[[0, 3, 5]])
    model.fusion.far.fill_(4.0)
    folder = tmp_path_factory.mktemp("made") / "model"
    checkpoint.save(folder, model, meta={"terms": []}, held_out=HeldOut())
    keep_copy(folder, True)
    return folder


@pytest.fixture(scope="module")
def shipped(made, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "starter"
    starter.pack(made, out, "# card", "licence")
    return out


@pytest.fixture
def offline(monkeypatch, tmp_path) -> None:
    """An empty cache, no hub, no model of one's own."""
    monkeypatch.setenv("ERC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("erc.base.hub.reachable", lambda: False)
    monkeypatch.delenv(starter.VARIABLE, raising=False)
    monkeypatch.delenv("ERC_MODEL", raising=False)
    monkeypatch.chdir(tmp_path)


def test_put_together_it_is_what_was_taken_apart(made, shipped, encoder, tmp_path):
    out = tmp_path / "starter"
    starter.assemble(shipped, encoder, out)
    before, after = (load_file(folder / WEIGHTS) for folder in (made, out))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        np.testing.assert_array_equal(after[name], tensor, err_msg=name)
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    answers = [
        erc.load(folder, runtime=runtime).predict(noise, sampling_rate=16_000).probabilities
        for folder in (made, out)
        for runtime in ("torch-fp32", "onnx-fp32")
    ]
    for one in answers[1:]:
        assert list(one.values()) == pytest.approx(list(answers[0].values()), abs=1e-4)


def test_what_is_shipped_holds_no_encoder(made, shipped):
    total = sum(p.stat().st_size for p in shipped.rglob("*") if p.is_file())
    graph = (made / COPY / "speech.onnx").stat().st_size
    assert (shipped / "graphs" / "speech.onnx").stat().st_size < graph / 4
    assert not any(name.startswith(starter.INSIDE) for name in load_file(shipped / starter.HEAD))
    assert total < 250_000


def test_the_waves_are_a_fourier_transform():
    window = np.hanning(401)[:-1]
    x = np.random.default_rng(0).normal(size=400)
    cosine, sine = np.split(starter.waves(400)[:, 0] @ x, 2)
    np.testing.assert_allclose(cosine - 1j * sine, np.fft.rfft(window * x), atol=1e-4)


def test_float32_weights_of_the_hub_make_the_same_model(shipped, encoder, tmp_path):
    near = tmp_path / "near"
    shutil.copytree(encoder, near)
    weights = load_file(near / WEIGHTS)
    save_file({f"model.{k}": v * np.float32(1 + 1e-5) for k, v in weights.items()}, near / WEIGHTS)
    starter.assemble(shipped, encoder, tmp_path / "a")
    starter.assemble(shipped, near, tmp_path / "b")
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("damage", ["other", "decoder", "cut", "none"])
def test_another_encoder_is_refused(shipped, encoder, tmp_path, damage):
    other = tmp_path / "other"
    shutil.copytree(encoder, other)
    weights = load_file(other / WEIGHTS)
    if damage == "other":
        weights["encoder.conv1.bias"] = weights["encoder.conv1.bias"] + 1
    if damage == "decoder":
        weights = {k: v for k, v in weights.items() if k.startswith("decoder")}
    save_file(weights, other / WEIGHTS)
    if damage == "cut":
        (other / WEIGHTS).write_bytes((encoder / WEIGHTS).read_bytes()[:-100])
    if damage == "none":
        (other / WEIGHTS).unlink()
    out = tmp_path / "out"
    with pytest.raises(
        CheckpointError, match=r"is not openai|holds no encoder|not a whole|no file"
    ):
        starter.assemble(shipped, other, out)
    assert not out.exists()


def test_without_encoder_and_network_one_line_says_what_to_do(offline, capsys):
    with pytest.raises(
        CheckpointError, match=r"no model under runs/.*erc starter --encoder FOLDER"
    ):
        find_model()
    with pytest.raises(SystemExit):
        main(["predict", __file__, "--model", "starter"])
    said = capsys.readouterr().err
    assert "hf download openai/whisper-tiny.en" in said
    assert "Traceback" not in said
    with pytest.raises(CheckpointError, match=r"no folder with a model\.safetensors"):
        starter.folder("nowhere")


def test_a_folder_of_that_name_is_meant_first(made, offline, tmp_path):
    shutil.copytree(made, tmp_path / "starter")
    assert named("starter") == Path("starter")


def test_the_card_says_what_was_measured():
    config = json.loads((starter.HERE / "config.json").read_text("utf-8"))
    card = (starter.HERE / "README.md").read_text("utf-8")
    assert config["meta"]["scores"]
    for one in config["meta"]["scores"]:
        row = f"| {one['corpus']} | {one['heard']} | {one['system']} | {one['uar']:.3f} ["
        assert card.count(row) >= 1, row
    assert "CC BY-NC-SA" in (starter.HERE / "LICENSE").read_text("utf-8")
    total = sum(p.stat().st_size for p in starter.HERE.rglob("*") if p.is_file())
    assert total < 1_000_000


@pytest.fixture
def ready(shared, offline, monkeypatch) -> Path:
    """The real encoder, by the variable."""
    monkeypatch.setenv(starter.VARIABLE, str(shared / "encoders" / "whisper-tiny-en"))
    return shared / "corpora"


def test_it_answers_where_nobody_named_a_model(ready, capsys):
    clip = ready / "ravdess" / "audio" / "03-01-05-02-01-01-12.flac"
    assert main(["predict", str(clip)]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert answer["model"].startswith("starter@")
    assert answer["label"] == "angry"
    assert (answer["valence"], answer["arousal"]) == (None, None)
    assert "non-commercial" in said.err
    assert "the starter answers" in said.err
    assert main(["predict", str(clip)]) == 0
    assert "non-commercial" not in capsys.readouterr().err  # once
    assert main(["info", "starter", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["commercial"] is False
    assert facts["not_offered"] == ["valence", "arousal"]
    assert facts["data"] == "korean_emotion, nemo, ravdess"
    with pytest.raises(ConfigError, match="refused for commercial use"):
        erc.load("starter", commercial=True)


def test_torch_and_the_graphs_agree_and_damage_is_found(ready, tmp_path):
    clip = ready / "korean_emotion" / "audio"
    clips = sorted(map(str, clip.iterdir()))[:4]
    answers = {
        runtime: [list(p.probabilities.values()) for p in erc.load(runtime=runtime).predict_many(clips)]
        for runtime in ("onnx-fp32", "torch-fp32")
    }  # fmt: skip
    np.testing.assert_allclose(answers["onnx-fp32"], answers["torch-fp32"], atol=1e-4)
    path = starter.place() / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match="damaged"):
        erc.load(runtime="torch-fp32")


def test_it_adapts_to_one_speaker(ready, kemdy19):
    model = erc.load("starter")
    strange = sorted(kemdy19.glob("wav/*/*/*.wav"))[:12]
    plain = [answer.typicality["speech"] for answer in model.predict_many(strange)]
    assert max(plain) < 0.02  # a synthesised voice
    settings = read_config(named("starter"))["meta"]["prediction"]
    assert model.adapt(strange).temperature == settings["temperature_adapted"] != 1
    # the same logits, another temperature: p ∝ p₁^(T₁ / T₂)
    actor = sorted((ready / "ravdess" / "audio").glob("*-12.flac"))
    own = model.adapt(actor)
    assert len({answer.label for answer in own.predict_many(actor[::6])}) > 2
