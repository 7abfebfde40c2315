"""What is not opened: code, pickles, damage, sizes that no model has, models of something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from published import wav2vec2
from safetensors.torch import load_file, save_file

import erc
from erc.base.errors import CheckpointError, ConfigError
from erc.recognizer.public.folder import describe
from erc.recognizer.public.runtime import PublicRuntime


def weights(folder: Path, change) -> Path:
    path = folder / "model.safetensors"
    found = load_file(path)
    save_file(change(found), path, {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("config.json", {"auto_map": {"AutoConfig": "evil.Config"}}, "code of its own"),
        ("preprocessor_config.json", {"auto_map": {"A": "evil.B"}}, "code of its own"),
        ("processor_config.json", {"feature_extractor": {"auto_map": {}}}, "code of its own"),
        ("processor_config.json", {"feature_extractor": {"feature_size": 10**9}}, "feature_size"),
        ("adapter_config.json", {"base_model_name_or_path": "other/model"}, "adapter of another"),
        ("config.json", {"quantization_config": {"bits": 4}}, "quantised"),
        ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ("config.json", {"hidden_size": 10**9}, "hidden_size"),
        ("config.json", {"hidden_size": 4096, "intermediate_size": 16384}, "its weights are"),
        ("config.json", {"intermediate_size": 31}, r"describes \(31"),
        (
            "config.json",
            {"model_type": "mine", "architectures": ["Mine"]},
            "a model folder of erc has 'format'",
        ),
        ("config.json", {"model_type": ["wav2vec2"]}, "names no 'model_type'"),
        ("config.json", {"architectures": ["Wav2Vec2ForCTC"]}, r"is Wav2Vec2ForCTC \(wav2vec2\)"),
        ("config.json", {"problem_type": "regression"}, "a scale that its folder does not say"),
        ("config.json", {"id2label": {"0": "a", "7": "b"}}, "does not name 0, 1, 2"),
        ("config.json", {"id2label": {"0": "yes", "1": "no", "2": "up"}}, r"\(yes, no, up\)"),
        ("config.json", {"id2label": {"0": "angry"}}, "has 1 label "),
        ("config.json", {"id2label": {str(k): f"x{k}" for k in range(527)}}, "has 527 labels"),
        ("config.json", {"hidden_act": "__import__"}, "cannot be opened"),
        ("preprocessor_config.json", {"sampling_rate": 8000}, "wants 8000 Hz"),
        ("preprocessor_config.json", {"feature_size": 10**9}, "feature_size"),
        ("preprocessor_config.json", {"feature_extractor_type": "Evil"}, "cannot be opened"),
    ],
)
def test_a_folder_that_is_not_what_it_says(copy, file, changes, said):
    folder = copy("wav2vec2", file, **changes)
    with pytest.raises(CheckpointError, match=said):
        PublicRuntime(describe(folder), "cpu")


def test_pickled_weights_are_refused_with_the_reason(copy):
    folder = copy("wav2vec2")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only as pytorch_model.bin.*can run code"):
        erc.load(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"there is no model\.safetensors"):
        erc.load(folder)


def test_weights_that_are_no_numbers_or_not_all_there(copy):
    for wrong in ("nan", "inf"):

        def spoil(found, wrong=wrong):
            found["projector.weight"][0, 0] = float(wrong)
            return found

        with pytest.raises(CheckpointError, match=r"'projector.weight' is not finite"):
            PublicRuntime(describe(weights(copy("wav2vec2"), spoil)), "cpu")

    def drop(found):  # what happens to a head that transformers does not know
        return {k: v for k, v in found.items() if not k.startswith("classifier")} | {
            "classifier.output.weight": torch.zeros(4, 8)
        }

    with pytest.raises(CheckpointError, match=r"lack 2 of a Wav2Vec2ForSeq.*classifier.bias"):
        PublicRuntime(describe(weights(copy("wav2vec2"), drop)), "cpu")
    folder = copy("wav2vec2")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        describe(folder)


def test_an_index_names_files_of_the_folder_alone(copy):
    folder = copy("wav2vec2")
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="lists no safetensors files"):
        describe(folder)
    names = load_file(folder / "model-1.safetensors")
    index.write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "model-1.safetensors")})
    )
    assert PublicRuntime(describe(folder), "cpu").public.labels[0] == "angry"


def test_a_tokenizer_of_another_model(copy):
    folder = copy("bert")
    runtime = PublicRuntime(describe(folder), "cpu")
    with pytest.raises(CheckpointError, match="that of another model"):
        runtime.encode("text", np.array([[2, 5000, 3]]), np.array([3]))


def test_no_extractor_is_an_error_that_says_where_to_get_one(copy):
    folder = copy("wav2vec2")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="which its card names"):
        describe(folder)


def test_the_weights_are_those_that_were_judged(model, copy, clips):
    """A config cannot point to others, and an extractor inside another file counts as well."""
    folder = copy("wav2vec2", transformers_weights="other.safetensors")
    (folder / "other.safetensors").write_bytes(b"")
    nested = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": nested}))
    (folder / "preprocessor_config.json").unlink()
    x, n = clips[0][None], np.array([len(clips[0])])
    found, wanted = (
        PublicRuntime(describe(f), "cpu").encode("speech", x, n)[0]
        for f in (folder, model("wav2vec2"))
    )
    assert found.tolist() == wanted.tolist()


def test_runtimes_and_sets_that_a_published_model_has_not(model):
    with pytest.raises(ConfigError, match="run as torch-fp32, not onnx-int8"):
        erc.load(model("bert"), runtime="onnx-int8")
    with pytest.raises(ConfigError):
        erc.load(model("bert"), sets=0.9)


def test_labels_without_names_are_answered_with_a_warning(tmp_path):
    folder = wav2vec2(tmp_path / "m", labels=("LABEL_0", "LABEL_1", "LABEL_2"))
    with pytest.warns(UserWarning, match="does not name its emotions: label 0, label 1, label 2"):
        found = erc.load(folder, device="cpu")
    assert found.config["emotions"] == ["label 0", "label 1", "label 2"]
