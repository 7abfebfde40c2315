"""A model folder carries its label space, and says no to one that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import planted
import pytest
import torch

import erc
from erc.base.errors import CheckpointError
from erc.base.space import KEMDY, space
from erc.model.folder import CONFIG, model_id, read_config
from erc.model.folder.checkpoint import load_model

OWN = space(["joy", "boredom", "awe"], {"valence": [-1, 1], "dominance": [0, 100]})


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return planted.model_folder(tmp_path_factory.mktemp("own") / "model", OWN)


def edited(saved: Path, place: Path, hashed: bool = False, **parts: object) -> Path:
    """A copy with other entries, None: without; not `hashed`: without the hash that would tell."""
    folder = shutil.copytree(saved, place)
    config = json.loads((folder / CONFIG).read_text("utf-8"))
    config = {k: v for k, v in (config | parts).items() if v is not None}
    if not hashed:
        del config["files"]
    (folder / CONFIG).write_text(json.dumps(config), "utf-8")
    return folder


def test_what_is_written_is_read(saved):
    config = json.loads((saved / CONFIG).read_text("utf-8"))
    assert config["emotions"] == ["joy", "boredom", "awe"]
    assert config["dimensions"] == {"valence": [-1, 1], "dominance": [0, 100]}
    model, _, _ = load_model(saved)
    assert model.space == OWN
    assert model.head.out_features == 5
    with torch.no_grad():  # in their own units: the middle of the scale is where a head begins
        model.head.weight.zero_()
        model.head.bias[3:] = 3
        inputs = {"input_ids": torch.tensor([[5, 6, 7]]), "text_lengths": torch.tensor([3])}
        assert model(**inputs).dimensions.tolist() == [[0.0, 50.0]]


def test_an_older_folder_means_those_of_kemdy(tmp_path):
    folder = planted.model_folder(tmp_path / "new", KEMDY)
    old = edited(folder, tmp_path / "old", dimensions=None)
    assert "dimensions" not in read_config(old)
    assert load_model(old)[0].space == erc.load(old).space == KEMDY
    version = [model_id(f, read_config(f)).split("@")[1] for f in (folder, old)]
    assert version[0] == version[1]


def test_another_scale_is_another_model(saved, tmp_path):
    other = edited(saved, tmp_path / "a", dimensions={"valence": [-1, 1], "dominance": [0, 10]})
    ids = [model_id(f, read_config(f)).split("@")[1] for f in (saved, other)]
    assert ids[0] != ids[1]


def test_dimensions_that_changed_places_are_noticed(saved, tmp_path):
    """Sorted by a program that rewrote the file, arousal would be taken for valence."""
    swapped = {"dominance": [0.0, 100.0], "valence": [-1.0, 1.0]}  # else as it was written
    with pytest.raises(CheckpointError, match="damaged, or was changed"):
        read_config(edited(saved, tmp_path / "a", hashed=True, dimensions=swapped))
    other = edited(saved, tmp_path / "b", dimensions=swapped)
    ids = [model_id(f, read_config(f)).split("@")[1] for f in (saved, other)]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    "parts",
    [
        {"emotions": None}, {"emotions": 7}, {"emotions": ["joy"]}, {"emotions": ["joy", "joy"]},
        {"emotions": ["joy", 3]}, {"emotions": ["joy", "a\nb"]}, {"emotions": ["joy", "<b>"]},
        {"emotions": ["joy", "label"]}, {"emotions": [f"e{k}" for k in range(65)]},
        {"emotions": [], "dimensions": {}}, {"emotions": ["joy", "valence"]},
        {"dimensions": ["valence"]}, {"dimensions": {"valence": [5, 1]}},
        {"dimensions": {"valence": [1, 1]}}, {"dimensions": {"valence": [1]}},
        {"dimensions": {"valence": [True, 5]}}, {"dimensions": {"valence": ["1", "5"]}},
        {"dimensions": {"valence": [0, 1e300]}}, {"dimensions": {"duration": [1, 5]}},
        {"dimensions": {"=cmd": [1, 5]}}, {"dimensions": {f"d{k}": [1, 5] for k in range(65)}},
    ],
)  # fmt: skip
def test_what_is_no_space_is_refused(saved, tmp_path, parts):
    folder = edited(saved, tmp_path / "model", **parts)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        erc.load(folder)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_scale_without_end_is_refused(saved, tmp_path, number):
    folder = edited(saved, tmp_path / "model")
    text = (folder / CONFIG).read_text("utf-8")
    assert "[0.0, 100.0]" in text
    (folder / CONFIG).write_text(text.replace("[0.0, 100.0]", f"[0.0, {number}]"), "utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(folder)


@pytest.mark.parametrize(
    "meta",
    [
        {"learned": {"emotions": {"happy": 3}}}, {"learned": {"dimensions": {"arousal": 3}}},
        {"learned": {"dimensions": {"valence": -1}}}, {"learned": {"dominance": 3}},
        {"prediction": {"regions": {"happy": [1, 1, 1, 1]}}},
        {"prediction": {"regions": {"joy": [0.1, 50, 0, 10]}}},
    ],
)  # fmt: skip
def test_what_is_said_of_other_emotions_and_dimensions_is_refused(saved, tmp_path, meta):
    with pytest.raises(CheckpointError, match="expected"):
        read_config(edited(saved, tmp_path / "model", meta=meta))


def test_weights_of_another_number_of_answers_are_refused(saved, tmp_path):
    folder = edited(saved, tmp_path / "model", emotions=["joy", "boredom"])
    with pytest.raises(CheckpointError, match=r"head\.weight \(5, 16\) for \(4, 16\)"):
        erc.load(folder, runtime="torch-fp32")


def test_what_was_never_learned_of_a_space_is_left_out(saved, tmp_path):
    rows = {
        "emotions": {"joy": 4, "boredom": 0, "awe": 2},
        "dimensions": {"valence": 6, "dominance": 0},
    }
    folder = edited(saved, tmp_path / "model", meta={"learned": rows})
    one = erc.load(folder).predict(text="좋아")
    assert one.probabilities["boredom"] == 0
    assert list(one.dimensions) == ["valence"]
    assert (one.to_dict()["dominance"], one.arousal) == (None, None)
    assert "arousal" not in one.to_dict()


def test_the_card_of_a_changed_model_says_what_it_gives(tmp_path):
    model = erc.EmotionModel.from_pretrained(planted.model_folder(tmp_path / "a", OWN))
    with torch.no_grad():
        model.head.bias.add_(1)
    model.save_pretrained(tmp_path / "b")
    card = (tmp_path / "b" / "README.md").read_text("utf-8")
    assert "# Emotion, valence and dominance from speech and text" in card
    assert load_model(tmp_path / "b")[0].space == OWN
