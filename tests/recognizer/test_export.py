"""Exported graphs say what torch says: every kind of encoder, pooling and fusion; without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    Data2VecAudioConfig,
    ElectraConfig,
    HubertConfig,
    RobertaConfig,
    Wav2Vec2Config,
    WavLMConfig,
    WhisperConfig,
)

import erc
from erc.base.errors import CheckpointError, ConfigError
from erc.base.sentences import sentence
from erc.model.emotion import EmotionModel, Encoded
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder import checkpoint
from erc.model.folder.held_out import HeldOut
from erc.model.physiology import PhysiologyEncoder
from erc.model.pretrained import build
from erc.model.tokenizer import load_tokenizer, load_tokens, train_tokenizer
from erc.model.typicality import Typicality, summary
from erc.recognizer import export, parity

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library, reason=f"exports need {library}")

SIZE = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
}  # fmt: skip
CONVOLUTIONS = {
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
WHISPER = {
    "d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32,
}  # fmt: skip
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
SPEECH = {
    "wav2vec2-layer": lambda: Wav2Vec2Config(**SIZE, **CONVOLUTIONS, **LAYER_NORM),
    "wav2vec2-group": lambda: Wav2Vec2Config(**SIZE, **CONVOLUTIONS),
    "hubert-layer": lambda: HubertConfig(**SIZE, **CONVOLUTIONS, **LAYER_NORM),
    "hubert-group": lambda: HubertConfig(**SIZE, **CONVOLUTIONS),
    "wavlm-layer": lambda: WavLMConfig(**SIZE, **CONVOLUTIONS, **LAYER_NORM),
    "wavlm-group": lambda: WavLMConfig(**SIZE, **CONVOLUTIONS),
    "data2vec": lambda: Data2VecAudioConfig(**SIZE, **CONVOLUTIONS),
    "whisper": lambda: WhisperConfig(**WHISPER),
}
TEXT = {"bert": BertConfig, "roberta": RobertaConfig, "electra": ElectraConfig}
VOCABULARY = 300
LENGTHS = {
    "speech": ([400], [8000, 5000, 401], [16_001, 16_001], [24_000, 23_000, 640, 400]),
    "text": ([1], [3, 30, 2], [9, 9]),
    "physiology": ([1], [5, 1, 40], [8, 8]),
}


def speech(kind: str, **options) -> SpeechEncoder:
    return SpeechEncoder(build(SPEECH[kind]()), normalize=kind != "whisper", **options)


def text(kind: str) -> TextEncoder:
    pads = {"pad_token_id": 1, "max_position_embeddings": 66} if kind == "roberta" else {}
    return TextEncoder(build(TEXT[kind](vocab_size=VOCABULARY, **SIZE, **pads)))


def model_folder(folder: Path, *encoders, spread: float = 0.3, **options) -> Path:
    """A model with random weights that differ enough for its answers to differ, in a folder."""
    torch.manual_seed(0)
    kinds = {SpeechEncoder: "speech", TextEncoder: "text", PhysiologyEncoder: "physiology"}
    model = EmotionModel(**{kinds[type(e)]: e for e in encoders}, **{"dim": 16} | options)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "encoder" not in name:
                p.add_(torch.randn_like(p) * spread)
    rng = np.random.default_rng(0)
    tokenizer = train_tokenizer([sentence(3, 3, rng) for _ in range(200)], VOCABULARY)
    checkpoint.save(folder, model, tokenizer=tokenizer, meta={"prediction": {"txt_max_length": 40}})
    return folder


def batches(modality: str, spec):
    """Random inputs of several lengths and batch sizes."""
    rng = np.random.default_rng(1)
    for lengths in LENGTHS[modality]:
        if modality == "speech" and not spec.padding_safe:
            lengths = lengths[:1] * len(lengths)
        if spec.physiology == "features" and modality == "physiology":
            lengths = [1] * len(lengths)
        shape = (len(lengths), max(lengths))
        if modality == "text":
            x = rng.integers(4, VOCABULARY, shape)
        elif modality == "speech":
            x = rng.normal(0, 0.3, shape).astype(np.float32)
        else:
            x = rng.normal(0, 1, (*shape, channels(spec))).astype(np.float32)
            x[rng.random(x.shape) < 0.2] = np.nan
        for row, length in zip(x, lengths, strict=True):
            row[length:] = spec.pad_token_id if modality == "text" else 0
        yield x, np.array(lengths, np.int64)


def channels(spec) -> int:
    from erc.base.physiology_features import KINDS

    return KINDS[spec.physiology]


def deviation(folder: Path, exported: Path) -> float:
    """Largest difference from torch, of features and scores, over `batches`, scores relative to 1."""
    one, two = erc.load(folder, runtime="torch-fp32").runtime, erc.load(exported).runtime
    assert one.spec == two.spec
    worst = 0.0
    for modality in one.spec.modalities:
        for x, lengths in batches(modality, one.spec):
            (a, here), (b, there) = (r.encode(modality, x, lengths) for r in (one, two))
            if here.ndim == 2:
                assert not there[:, here.shape[1] :].any()
                b, there = b[:, : here.shape[1]], there[:, : here.shape[1]]
                a, b = np.where(_wide(here, a), a, 0), np.where(_wide(there, b), b, 0)
            np.testing.assert_array_equal(here, there)
            worst = max(worst, float(np.abs(a - b).max() / max(1.0, np.abs(a).max())))
    for rows in (1, 3):
        worst = max(worst, fused_deviation(one, two, rows))
    return worst


def _wide(mask: np.ndarray, like: np.ndarray) -> np.ndarray:
    return mask.reshape(*mask.shape, *(1,) * (like.ndim - 2))


def fused_deviation(one, two, rows: int) -> float:
    rng, worst = np.random.default_rng(2), 0.0
    spec = one.spec
    for missing in (None, *(() if spec.needs_all else spec.modalities)):
        if len(spec.modalities) == 1 and missing:
            continue
        pooled, present = {}, {}
        for place, (name, width) in enumerate(spec.widths.items()):
            there = np.full((rows,), name != missing)
            if name in spec.sequences:
                steps = width[0] if width[0] > 1 else 4 + place
                width = (steps, *width[1:])
                there = there[:, None] & (np.arange(steps) < steps - (width[0] < 8))
            pooled[name] = rng.normal(size=(rows, *width)).astype(np.float32)
            present[name] = np.ascontiguousarray(np.broadcast_to(there, (rows, *there.shape[1:])))
        for a, b in zip(
            *(runtime.fuse(Encoded(pooled, present)) for runtime in (one, two)), strict=True
        ):
            assert a.shape == b.shape
            worst = max(worst, float(np.abs(a - b).max()))
    return worst


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """wav2vec2 with layer norm + RoBERTa, tensor fusion."""
    small = {"patch_size": 4, "mixer_dim": 12, "depth": 1}
    return model_folder(
        tmp_path_factory.mktemp("export") / "model", speech("wav2vec2-layer"), text("roberta"),
        fusion_options=small,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def known(folder, kemdy19) -> HeldOut:
    """How typical simulated speech is to that model: 24 clips of which every other may be held out."""
    recognizer = erc.load(folder)
    files = sorted(kemdy19.glob("wav/*/*/*.wav"))[:24]
    clips = [recognizer.read(file, "정말 좋았어" * (1 + i % 4)) for i, file in enumerate(files)]
    encoded = recognizer.encode_all(clips)
    found = {}
    for name in recognizer.spec.modalities:
        features, _ = summary(encoded.pooled[name], encoded.present[name])
        found[name] = Typicality.fit(features, np.arange(24))
    HeldOut(found).write(folder)
    return HeldOut(found)


@pytest.fixture(scope="module")
def exported(folder) -> Path:
    return export.export(folder)


@pytest.fixture(scope="module")
def with_openvino(folder) -> Path:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    return export.into(folder, format="openvino")


def test_onnx_is_what_torch_is(folder, exported):
    assert exported == folder.with_name("model-onnx")
    assert deviation(folder, exported) < 1e-5
    for graph in exported.glob("*.onnx"):  # they travel: no paths of the machine they were made on
        assert b".py" not in graph.read_bytes(), graph


def test_openvino_is_what_torch_is(folder, with_openvino):
    assert with_openvino == folder / "exports" / "openvino"
    assert deviation(folder, with_openvino) < 1e-5
    assert erc.load(folder, runtime="openvino-fp32").runtime.name == "openvino-fp32"


@pytest.mark.slow
def test_every_runtime_finds_a_recording_as_typical(
    folder, with_openvino, known, kemdy19, tmp_path
):
    """Distances within 1e-3 of each other; percentiles are ranks among them."""
    export.into(folder)
    found = []
    for runtime in ("torch-fp32", "onnx-fp32", "openvino-fp32"):
        recognizer = erc.load(folder, runtime=runtime)
        files = sorted(kemdy19.glob("wav/*/*/*.wav"))[20:28]
        encoded = recognizer.encode_all([recognizer.read(file, "하지 마") for file in files])
        of = recognizer.held_out.typicality
        found.append([of[m].normal.distance(encoded.pooled[m]) for m in recognizer.spec.modalities])
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-3)


@pytest.mark.slow
def test_whisper_and_physiology(tmp_path):
    made = model_folder(
        tmp_path / "m", speech("whisper", layer="middle"), PhysiologyEncoder("conv", size=8),
        fusion="concat", speech_pooling="mean_std_thirds",
    )  # fmt: skip
    assert deviation(made, export.export(made, tmp_path / "out")) < 1e-5


def test_int8_is_small_and_near(tmp_path):
    folder = model_folder(tmp_path / "m", text("bert"))
    found = export.report(export.into(folder, int8=True))
    assert found["label_agreement"] > 0.8
    assert 1e-6 < max(found["pooled"].values()) < 0.1
    assert 1e-6 < found["max_probability"] < 0.1
    assert erc.load(folder, runtime="onnx-int8").runtime.name == "onnx-int8"


def test_the_folder_says_what_the_export_changed(folder, exported):
    config = json.loads((exported / "config.json").read_text("utf-8"))
    original = json.loads((folder / "config.json").read_text("utf-8"))
    record = config.pop("runtime")
    assert config.pop("files") != original.pop("files")  # hashes of what lies beside it
    assert config == original
    found = record["parity"]
    assert found["max_probability"] < 1e-5
    assert found["label_agreement"] == 1
    assert found["inputs"] == f"{parity.UTTERANCES} utterances of simulated speech"
    assert set(found["pooled"]) == {"speech", "text"}
    assert parity.table(found) in (exported / "README.md").read_text("utf-8")
    assert not list(exported.glob("*.safetensors"))


def test_recordings_are_compared_when_there_are_some(folder, exported, kemdy19, tmp_path):
    recognizer = erc.load(folder)
    found, what = parity.clips(recognizer, kemdy19)
    assert len(found) == parity.UTTERANCES
    assert what == f"{len(found)} of 40 recordings of KEMDy19, text simulated"
    assert parity.compare(recognizer, erc.load(exported), found[:6])["max_probability"] < 1e-5
    with pytest.raises(ConfigError, match=r"no \.wav"):
        parity.clips(recognizer, tmp_path)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_prediction_needs_neither_torch_nor_transformers(kind, folder, kemdy19, request):
    made = request.getfixturevalue({"onnx": "exported", "openvino": "with_openvino"}[kind])
    clip = sorted(kemdy19.glob("wav/*/*/*.wav"))[0]
    code = (
        "import sys, json, erc\n"
        f"p = erc.load({str(made)!r}).predict({str(clip)!r}, text='정말 좋았어')\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "print(json.dumps(p.to_dict()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    said = json.loads(done.stdout)
    expected = erc.load(folder, runtime="torch-fp32").predict(clip, text="정말 좋았어")
    assert said["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    assert said["valence"] == pytest.approx(expected.valence, abs=1e-5)
    assert said["typicality"] == pytest.approx(expected.typicality, abs=1 / 25)  # one rank


def test_tokenizer_json_alone_gives_the_ids_of_transformers(folder):
    slow = load_tokenizer(str(folder / "tokenizer"))
    rng = np.random.default_rng(3)
    texts = ["", "아", "hello, 세상 😀 ﾊﾝ각", " ".join(sentence(1, 5, rng) for _ in range(30))]
    for most in (5, 40):
        fast = load_tokens(folder / "tokenizer", most)
        for words in texts:
            assert fast(words) == slow(words, truncation=True, max_length=most)["input_ids"]


def test_what_cannot_be_exported_says_so(folder, exported, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        export.export(folder, format="onxx")
    with pytest.raises(ConfigError, match="int8 is for --format onnx"):
        export.export(folder, format="openvino", int8=True)
    with pytest.raises(CheckpointError, match="an export already"):
        export.export(exported)
    with pytest.raises(CheckpointError, match="no model folder"):
        export.export(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="on the CPU"):
        erc.load(exported, device="cuda")
    assert sorted(p.name for p in exported.parent.iterdir()) == ["model", "model-onnx"]


def test_a_graph_outside_the_folder_is_not_opened(exported, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    config = json.loads((copy / "config.json").read_text("utf-8"))
    del config["files"]
    for name in ("../fuse.onnx", "missing.onnx", str(exported / "fuse.onnx")):
        config["runtime"]["graphs"]["fuse"] = name
        (copy / "config.json").write_text(json.dumps(config), "utf-8")
        with pytest.raises(CheckpointError, match=r"there is no graph|is expected"):
            erc.load(copy)
    (copy / "broken.onnx").write_bytes(b"no graph")
    config["runtime"]["graphs"]["fuse"] = "broken.onnx"
    (copy / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(CheckpointError):
        erc.load(copy)


FORMATS = ("onnx", "openvino")


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", SPEECH)
def test_every_speech_encoder(kind, format, tmp_path):
    pytest.importorskip(format)
    for layer in ("mean", "weighted", 0) if kind in ("wav2vec2-group", "whisper") else ("mean",):
        made = model_folder(
            tmp_path / f"m{layer}", speech(kind, layer=layer), speech_pooling="mean"
        )
        assert deviation(made, export.export(made, format=format)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("context", ["real", "30s"])
def test_whisper_up_to_30_s(context, format, tmp_path, monkeypatch):
    lengths = ([480_000, 400], [479_900], [479_000, 100_000], [160])
    monkeypatch.setitem(LENGTHS, "speech", lengths)
    made = model_folder(tmp_path / "m", speech("whisper", context=context))
    assert deviation(made, export.export(made, format=format)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", TEXT)
@pytest.mark.parametrize("pooling", ["first", "mean", "mean_std"])
def test_every_text_encoder(kind, pooling, format, tmp_path):
    made = model_folder(tmp_path / "m", text(kind), text_pooling=pooling)
    assert deviation(made, export.export(made, format=format)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("pooling", ["frames", "segments", "attention"])
def test_sequences(pooling, frozen, format, tmp_path):
    """Cross attention over all frames or segments; attention pooling of a frozen encoder or not."""
    fusion = "concat" if pooling == "attention" else "cross_attention"
    made = model_folder(
        tmp_path / "m", speech("wav2vec2-layer"), text("bert"), fusion=fusion,
        speech_pooling=pooling, text_pooling=pooling, freeze_speech=frozen, freeze_text=frozen,
        segments=5,
    )  # fmt: skip
    assert deviation(made, export.export(made, format=format)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("fusion", ["low_rank", "gated", "tensor_mixer", "trilinear"])
def test_every_fusion(fusion, format, tmp_path):
    third = [PhysiologyEncoder("features", size=8)] if fusion == "trilinear" else []
    options = {
        "trilinear": {"rank": 4, "mixer_dim": 8},
        "tensor_mixer": {"patch_size": 4, "mixer_dim": 8, "depth": 1},
    }
    made = model_folder(
        tmp_path / "m", speech("whisper"), text("roberta"), *third, fusion=fusion,
        fusion_options=options.get(fusion),
    )  # fmt: skip
    assert deviation(made, export.export(made, format=format)) < 1e-5
