"""The copy without torch that a model folder keeps: as good as torch, never stale, never in the way."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import erc
from erc.base import devices
from erc.base.errors import CheckpointError, ConfigError
from erc.model.folder import COPY, EXACT, WEIGHTS, export, read_config, write_config
from erc.recognizer import runtimes


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


def test_auto_takes_the_copy_and_answers_as_torch_does(exported, kemdy19, monkeypatch):
    monkeypatch.setattr(runtimes, "gpu", lambda: False)
    auto, torch = erc.load(exported), erc.load(exported, runtime="torch-fp32")
    assert auto.runtime.name == "onnx-fp32"
    for clip in sorted(kemdy19.glob("wav/*/*/*.wav"))[:4]:
        for words in ("정말 좋았어", None):
            a, b = auto.predict(clip, words), torch.predict(clip, words)
            assert a.probabilities == pytest.approx(b.probabilities, abs=EXACT)
            assert (a.valence, a.arousal) == pytest.approx((b.valence, b.arousal), abs=EXACT)
    record = json.loads((exported / COPY / "config.json").read_text("utf-8"))["runtime"]
    assert max(record["parity"][f"max_{x}"] for x in ("probability", "valence", "arousal")) <= EXACT


def test_auto_prefers_what_was_measured_and_a_gpu(folder, monkeypatch):
    monkeypatch.setattr(runtimes, "gpu", lambda: True)
    assert runtimes.choose(folder) == "torch-fp32"
    assert runtimes.choose(folder, "cpu") == "onnx-fp32"
    assert runtimes.choose(folder, "cuda") == "torch-fp32"
    monkeypatch.setattr(runtimes, "gpu", lambda: False)
    record = {"machines": {devices.machine(): {"chosen": "torch-bf16"}}}
    (folder / runtimes.RECORD).write_text(json.dumps(record))
    assert runtimes.choose(folder) == "torch-bf16"
    monkeypatch.setattr(runtimes, "installed", lambda name: not name.startswith("torch"))
    assert runtimes.choose(folder) == "onnx-fp32"


def test_a_copy_of_other_weights_answers_nobody(folder, monkeypatch):
    from safetensors.numpy import load_file, save_file

    monkeypatch.setattr(runtimes, "gpu", lambda: False)
    weights = load_file(folder / WEIGHTS)
    save_file(weights | {"head.bias": weights["head.bias"] + 1}, folder / WEIGHTS)
    write_config(folder, read_config(folder))  # as training writes them
    assert erc.load(folder).runtime.name == "torch-fp32"
    with pytest.raises(
        CheckpointError, match=r"other weights.*erc export .* --format onnx --inside"
    ):
        erc.load(folder, runtime="onnx-fp32")
    monkeypatch.setattr(runtimes, "installed", lambda name: not name.startswith("torch"))
    with pytest.raises(ConfigError, match=r"not made from the weights.*erc\[train\].*--inside"):
        erc.load(folder)


def test_without_torch_and_copy_one_line_says_what_to_do(run, monkeypatch):
    monkeypatch.setattr(runtimes, "installed", lambda name: not name.startswith("torch"))
    with pytest.raises(
        ConfigError, match=r"no exported copy, and torch is not.*erc export .*inside"
    ):
        erc.load(run / "model")


def test_a_copy_that_is_not_what_torch_is_is_not_kept(run, tmp_path, monkeypatch):
    folder = shutil.copytree(run / "model", tmp_path / "model")
    before = {p for p in folder.rglob("*") if p.is_file()}
    monkeypatch.setattr(export, "write", lambda *a, **k: {"graphs": {}})
    off = {"max_probability": 2 * EXACT, "max_valence": 0.0, "max_arousal": 0.0, "pooled": {}}
    for found in (off, off | {"max_probability": float("nan")}):
        monkeypatch.setattr(export, "compare", lambda *a, found=found: found)
        assert "differ from torch" in export.keep_copy(folder)
        with pytest.raises(CheckpointError, match="differ from torch"):
            export.keep_copy(folder, True)
    assert {p for p in folder.rglob("*") if p.is_file()} == before


def test_whether_there_is_a_copy_can_be_chosen(run, tmp_path, monkeypatch):
    folder = shutil.copytree(run / "model", tmp_path / "model")
    assert export.keep_copy(folder, False).startswith("no exported copy (export=false)")
    monkeypatch.setattr(export, "LARGE", 1)
    assert "more than" in export.keep_copy(folder)
    monkeypatch.setattr(export, "missing_libraries", lambda format: ["onnxscript"])
    assert "pip install onnxscript" in export.keep_copy(folder)
    with pytest.raises(CheckpointError, match="pip install onnxscript"):
        export.keep_copy(folder, True)
    with pytest.raises(ConfigError, match="auto, true, false"):
        export.keep_copy(folder, "maybe")
    assert not (folder / "exports").exists()


def test_the_comparison_sees_a_wrong_graph(exported, tmp_path):
    import onnx

    made = shutil.copytree(exported / COPY, tmp_path / "made")
    net = export.load_model(exported)[0]
    record = json.loads((made / "config.json").read_text("utf-8"))["runtime"]
    assert export.worst(export.compare(net, made, record)) <= EXACT
    graph = onnx.load(made / "fuse.onnx")
    for tensor in graph.graph.initializer:
        if "head.bias" in tensor.name:
            value = onnx.numpy_helper.to_array(tensor).copy()
            value[0] += 0.01
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save(graph, made / "fuse.onnx")
    assert 1e-4 < export.compare(net, made, record)["max_probability"] < 0.01


def test_adaptation_is_the_same_without_torch(exported):
    """Against the formula (x − own mean) / own deviation, with the corpus counted as ten recordings."""
    runtime = erc.load(exported, runtime="onnx-fp32").runtime
    assert runtime.scales is None  # its speech encoder was trained along
    with pytest.raises(ConfigError, match="adaptation=speaker"):
        runtime.adapted(np.zeros((1, *runtime.spec.widths["speech"]), np.float32))


def test_a_copy_of_before_there_were_label_spaces_still_answers(folder, kemdy19):
    """Its graph calls the two dimensions together `valence_arousal`, its configuration names none."""
    import onnx

    clip = min(kemdy19.glob("wav/*/*/*.wav"))
    now = erc.load(folder, runtime="onnx-fp32").predict(clip)
    path = folder / COPY / "fuse.onnx"
    graph = onnx.load(path)
    for node in graph.graph.node:
        for names in (node.input, node.output):
            names[:] = ["valence_arousal" if name == "dimensions" else name for name in names]
    assert graph.graph.output[1].name == "dimensions"
    graph.graph.output[1].name = "valence_arousal"
    onnx.save(graph, path)
    for place in (folder, folder / COPY):
        config = read_config(place)
        del config["dimensions"]
        write_config(place, config)
    old = erc.load(folder, runtime="onnx-fp32").predict(clip)
    assert "dimensions" not in read_config(folder)
    assert (old.probabilities, old.dimensions) == (now.probabilities, now.dimensions)
    assert old.model.split("@")[1] == now.model.split("@")[1]
