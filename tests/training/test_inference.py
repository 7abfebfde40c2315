"""Encode once, fuse subsets, where it was asked: training's evaluation and the recognizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from erc.base import devices
from erc.base.errors import ConfigError
from erc.datasets.batches import BucketSampler, loader
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel
from erc.model.encoded import Encoded, subsets
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.recognizer import Recognizer
from erc.recognizer.runtimes import pytorch
from erc.studies.experiment import configure
from erc.training.assembly import Assembly
from erc.training.evaluation import conditions, evaluate, predict_split


def assemble(kemdy19: Path, *words: str) -> Assembly:
    torch.manual_seed(0)
    base = ["dataset=hf", f"dataset.paths={kemdy19}", "model=tiny", "trainer.accelerator=cpu"]
    parts = Assembly(configure([*base, *words], Path("unused")))
    for p in parts.model.head.parameters():  # untrained heads say much the same of everything
        p.data.normal_()
    return parts


@pytest.fixture
def encoded(monkeypatch) -> dict[str, int]:
    """How many utterances each encoder was run on."""
    rows = {"SpeechEncoder": 0, "TextEncoder": 0}
    for kind in (SpeechEncoder, TextEncoder):
        plain = kind.forward

        def spy(self, x, lengths, plain=plain, name=kind.__name__):
            rows[name] += len(lengths)
            return plain(self, x, lengths)

        monkeypatch.setattr(kind, "forward", spy)
    return rows


@pytest.mark.parametrize("fusion", ["tensor_mixer", "cross_attention"])
def test_an_encoder_runs_once_for_all_subsets(kemdy19, encoded, fusion):
    parts = assemble(kemdy19, f"model.fusion={fusion}")
    asked, data = conditions(parts), parts.sides["test"]
    assert [one.name for one in asked] == ["speech", "text", "speech + text"]
    found = predict_split(parts, "test", asked)
    assert encoded == {"SpeechEncoder": len(data), "TextEncoder": int(data.has("text").sum())}
    # Each is what the model says when it is given only that.
    [indices] = BucketSampler(data.lengths, len(data), shuffle=False)
    [batch] = loader(data, parts.collate, BucketSampler(data.lengths, len(data), shuffle=False))
    for one, said in zip(asked, found, strict=True):
        speech = (batch.speech, batch.speech_lengths) if "speech" in one.use else ()
        text = (batch.input_ids, batch.text_lengths) if "text" in one.use else ()
        names = ("speech", "speech_lengths") * bool(speech)
        names += ("input_ids", "text_lengths") * bool(text)
        with torch.inference_mode():
            alone = parts.model(**dict(zip(names, speech + text, strict=True)))
        np.testing.assert_allclose(said.logits[indices], alone.logits, atol=2e-5)
    assert np.abs(found[0].logits - found[1].logits).max() > 0.1


def test_a_known_speaker_costs_no_pass_of_the_other_encoder(kemdy19, encoded):
    parts = assemble(kemdy19, "model.freeze_speech=true", "adaptation=speaker")
    encoded.update(SpeechEncoder=0, TextEncoder=0)
    results = evaluate(parts, "test")
    assert [name for name in results.systems if "adapted" in name] == [
        "speech, speaker-adapted", "speech + text, speaker-adapted",
    ]  # fmt: skip
    assert encoded["SpeechEncoder"] == 0  # its features are in the table
    assert encoded["TextEncoder"] == int(parts.sides["test"].has("text").sum())


def test_a_subset_only_hides():
    pooled = {"a": np.ones((2, 3)), "b": np.ones((2, 4, 3))}
    present = {"a": np.array([True, False]), "b": np.ones((2, 4), bool)}
    one = Encoded(pooled, present).only({"a"})
    assert one.pooled is pooled
    np.testing.assert_array_equal(one.present["a"], [True, False])
    assert one.present["b"].shape == (2, 4)
    assert not one.present["b"].any()
    tensors = Encoded({}, {m: torch.from_numpy(p) for m, p in present.items()}).only(("b",))
    assert not tensors.present["a"].any()
    assert tensors.present["b"].all()
    assert subsets("abc", 0) == [
        (), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c"),
    ]  # fmt: skip


class There(torch.Tensor):
    """A tensor that was sent to the stand-in device, and what is computed from it."""


@pytest.fixture
def elsewhere(monkeypatch) -> tuple[torch.device, list[str]]:
    """A device that computes on the CPU, and what happened there; what is not there is an error."""
    device, log = torch.device("meta"), []
    move, put, encode, fuse = torch.Tensor.to, nn.Module.to, Branch.encode, EmotionModel.fuse

    def to(x, *args, **options):
        return x.as_subclass(There) if device in args else move(x, *args, **options)

    def module_to(module, *args, **options):
        if device not in args:
            return put(module, *args, **options)
        log.append("model")
        return module

    def spy_encode(branch, x, lengths):
        assert isinstance(lengths, There)
        assert log, "encoded before the model was moved"
        log.append("encode")
        return encode(branch, x, lengths)

    def spy_fuse(model, encoded, void_ok=False):
        assert all(isinstance(p, There) for p in encoded.present.values())
        assert log, "scored before the model was moved"
        log.append("fuse")
        return fuse(model, encoded, void_ok)

    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(nn.Module, "to", module_to)
    monkeypatch.setattr(Branch, "encode", spy_encode)
    monkeypatch.setattr(EmotionModel, "fuse", spy_fuse)
    monkeypatch.setattr(
        Branch, "device", property(lambda _: device if log else torch.device("cpu"))
    )
    monkeypatch.setattr(devices, "device_of_trainer", lambda *_: device)
    monkeypatch.setattr(pytorch, "device_of", lambda name: device)
    return device, log


def test_tables_and_scores_are_computed_on_the_device_of_the_trainer(kemdy19, tmp_path, elsewhere):
    device, log = elsewhere
    parts = assemble(kemdy19, "model.freeze_speech=true", f"cache={tmp_path}")
    assert parts.device == device
    assert log[0] == "model"
    assert set(log[1:]) == {"encode"}  # the table of the frozen encoder
    log.clear()  # Lightning has moved the model back after training
    predict_split(parts, "test", conditions(parts))
    assert log[0] == "model"
    assert log.count("fuse") == 3 * log.count("encode")


def test_a_recognizer_computes_on_its_device(elsewhere):
    device, log = elsewhere
    model = EmotionModel(SpeechEncoder.from_name("tiny-whisper"), dim=8)
    runtime = pytorch.TorchRuntime(model, device="anything")
    assert runtime.device == device
    clip = np.sin(np.arange(4000) / 9).astype(np.float32)
    assert Recognizer(runtime, {"meta": {}}).predict(clip, sampling_rate=16_000).label
    assert log == ["model", "encode", "fuse"]


def test_the_device_is_that_of_lightning(monkeypatch):
    assert devices.device_of_trainer("cpu") == torch.device("cpu")
    assert devices.device_of_trainer("cpu", 2) == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"accelerator=gpu .*trainer\.accelerator=cpu"):
            devices.device_of_trainer("gpu")
        assert devices.device_of_trainer("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="quantum"):
        devices.device_of_trainer("quantum")
    cuda = "lightning.fabric.accelerators.cuda.num_cuda_devices"
    monkeypatch.setattr(cuda, lambda: 2)
    assert devices.device_of_trainer("gpu", [1]) == torch.device("cuda", 1)
    assert devices.device_of_trainer("auto") == torch.device("cuda", 0)
