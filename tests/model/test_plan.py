"""One plan: what options of the `model` group mean, and which contradict each other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from erc.base.errors import ConfigError
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.fusion import FUSIONS
from erc.model.plan import Plan, plan

BOTH = ("speech", "text")
THREE = (*BOTH, "physiology")


@pytest.mark.parametrize(
    ("modalities", "usual"),
    [(("speech",), "single"), (BOTH, "tensor_mixer"), (THREE, "trilinear")],
)
def test_the_usual_fusion_is_the_same_for_a_configuration_and_in_python(modalities, usual):
    assert plan(modalities, {"fusion": None}).fusion == usual
    if usual == "tensor_mixer":
        small = {"patch_size": 4, "mixer_dim": 8, "depth": 1}
        speech, text = (
            SpeechEncoder.from_name("tiny-whisper"),
            TextEncoder.from_name("tiny-roberta"),
        )
        model = EmotionModel(speech, text, dim=16, fusion_options=small)
        assert model.plan == plan(BOTH, {"dim": 16, "fusion_options": small})


@pytest.mark.parametrize("name", FUSIONS)
def test_a_fusion_is_chosen_by_its_name_alone(name):
    others = {"patch_size": 4, "mixer_dim": 8, "depth": 1, "rank": 2, "heads": 2, "hidden": 8}
    modalities = THREE[: FUSIONS[name].modalities]
    options = {"fusion": name, "fusion_options": others, "dim": 16, "freeze_speech": True}
    made = plan(modalities, options)
    assert set(made.fusion_options) < set(others)
    sequences = {"speech": "segments", "text": "frames"} if name == "cross_attention" else None
    assert sequences is None or made.poolings == sequences
    assert made.frozen == {"speech"}
    assert Plan(modalities, **made.to_config()) == made  # strict, and happy with it
    json.dumps(made.to_config())
    with pytest.raises(ConfigError, match="no option 'hiden'"):
        plan(modalities, options | {"fusion_options": {"hiden": 3}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fusion": "conct"}, "did you mean 'concat'"),
        ({"fusion": "single"}, "joins 1 modalities"),
        ({"fusion": "concat", "speech_pooling": "frames"}, "it takes mean"),
        ({"fusion": "concat", "text_pooling": "frist"}, "did you mean 'first'"),
        ({"fusion": "concat", "segments": 0}, "segments 0"),
        ({"fusion": "tensor_mixer", "dim": 30}, "does not divide"),
        ({"fusion": "cross_attention", "fusion_options": {"heads": 3}}, "does not divide"),
        ({"fusion": "concat", "dropuot": 0.1}, "did you mean 'dropout'"),
        ({"fusion_options": {"constant": False}, "modality_dropout": 0.1}, "modality_dropout"),
    ],
)
def test_what_cannot_be_is_refused_before_any_encoder_is_built(options, words):
    with pytest.raises(ConfigError, match=words):
        plan(BOTH, options)
    with pytest.raises(ConfigError, match="needs a speech encoder"):
        plan((), {})


def test_a_plan_takes_no_memory_and_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    made = plan(BOTH, {"dim": 4096, "fusion_options": {"mixer_dim": 65536, "depth": 64}})
    assert torch.equal(torch.rand(3), expected)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.dim = 8


def test_a_model_folder_of_before_builds_the_same():
    old = Path(__file__).parents[1] / "data" / "before_the_move" / "model" / "config.json"
    stored = json.loads(old.read_text("utf-8"))["model"]
    plan = {k: v for k, v in stored.items() if k not in ("speech", "text")}
    assert EmotionModel.from_config(stored).plan.to_config() == plan
