"""The head over the mean of the states, against the published formula in plain torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from published import DIMENSIONS, regression_head
from safetensors.torch import load_file, save_file

from erc.base.errors import CheckpointError
from erc.base.numbers import softmax
from erc.recognizer.public.folder import describe
from erc.recognizer.public.runtime import PublicRuntime
from erc.recognizer.public.speech import MeanHead


@pytest.fixture(scope="module")
def regression(once) -> Path:
    return once("public-regression", regression_head)


def formula(folder: Path, clip: np.ndarray) -> np.ndarray:
    """hidden = wav2vec2(x); pooled = mean over time; out_proj(tanh(dense(pooled)))."""
    found = load_file(folder / "model.safetensors")
    config = hf.Wav2Vec2Config.from_pretrained(folder)
    body = hf.Wav2Vec2Model(config).eval()
    own = {k.removeprefix("wav2vec2."): v for k, v in found.items() if k[:9] == "wav2vec2."}
    body.load_state_dict(own)
    x = torch.from_numpy((clip - clip.mean()) / np.sqrt(clip.var() + 1e-7))[None]
    with torch.no_grad():
        pooled = body(x).last_hidden_state.mean(dim=1)
        w, b = found["classifier.dense.weight"], found["classifier.dense.bias"]
        hidden = torch.tanh(pooled @ w.T + b)
        w, b = found["classifier.out_proj.weight"], found["classifier.out_proj.bias"]
        return (hidden @ w.T + b)[0].numpy()


def test_arousal_dominance_and_valence_follow_the_formula(regression, clips):
    runtime = PublicRuntime(describe(regression), "cpu")
    assert isinstance(runtime.model, MeanHead)
    wanted = np.array([formula(regression, clip) for clip in clips])
    assert np.ptp(wanted, axis=0).max() > 0.01
    alone = [runtime.encode("speech", c[None], np.array([len(c)]))[0][0] for c in clips]
    assert np.array(alone) == pytest.approx(wanted, abs=1e-5)
    lengths = np.array([len(clip) for clip in clips])
    batch = np.zeros((3, lengths.max()), np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    assert runtime.encode("speech", batch, lengths)[0] == pytest.approx(wanted, abs=1e-5)


def test_it_is_a_model_of_dimensions_without_emotions(regression):
    space = describe(regression).space
    assert space.emotions == ()
    assert space.to_json()["dimensions"] == {name: [0.0, 1.0] for name in DIMENSIONS}


def test_older_names_of_the_same_weights_are_read(regression, clips, tmp_path):
    """Weight norm was `weight_g`, `weight_v` when most of these were published."""
    folder = shutil.copytree(regression, tmp_path / "older")
    path = folder / "model.safetensors"
    renamed = {
        k.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): v
        for k, v in load_file(path).items()
    }
    assert any(k.endswith("weight_g") for k in renamed)
    save_file(renamed, path, {"format": "pt"})
    new, old = (PublicRuntime(describe(f), "cpu") for f in (regression, folder))
    x, n = clips[0][None], np.array([len(clips[0])])
    assert new.encode("speech", x, n)[0] == pytest.approx(old.encode("speech", x, n)[0], abs=1e-6)


def test_labels_by_number_are_in_the_published_order(tmp_path):
    folder = regression_head(tmp_path / "m", id2label={str(k): f"LABEL_{k}" for k in range(3)})
    assert describe(folder).space.names == DIMENSIONS
    order = {"0": "valence", "1": "Arousal", "2": "dominance"}
    folder = regression_head(tmp_path / "n", id2label=order, problem_type=None)  # the labels say it
    assert describe(folder).space.names == ("valence", "arousal", "dominance")


def test_the_same_head_classifies(tmp_path, clips):
    folder = regression_head(
        tmp_path / "m",
        ("angry", "happy", "sad", "fear"),
        problem_type="single_label_classification",
    )
    runtime = PublicRuntime(describe(folder), "cpu")
    scores = runtime.encode("speech", clips[0][None], np.array([len(clips[0])]))[0]
    assert runtime.public.space.emotions == ("angry", "happy", "sad", "fear")
    assert softmax(scores)[0] == pytest.approx(softmax(formula(folder, clips[0])), abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pooling_mode": "max"}, "pools by 'max'"),
        (
            {"id2label": {"0": "age", "1": "height", "2": "valence"}},
            "predicts age, height, valence",
        ),
        ({"id2label": {"0": "valence", "1": "valence", "2": "arousal"}}, "knows the scale of"),
        ({"hidden_size": 32}, "describes a model of"),
    ],
)
def test_another_head_is_refused(tmp_path, changes, said):
    folder = regression_head(tmp_path / "m", **changes)
    with pytest.raises(CheckpointError, match=said):
        PublicRuntime(describe(folder), "cpu")
