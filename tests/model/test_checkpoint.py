"""Model folders: what is saved comes back, what is broken is named, published weights agree."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from erc.base.errors import CheckpointError
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder.checkpoint import load_model, save
from erc.model.folder.reference import import_reference
from erc.model.pretrained import UNTRUSTED, parse
from erc.model.tokenizer import train_tokenizer


def build(speech: str = "tiny-wav2vec2") -> EmotionModel:
    torch.manual_seed(0)
    model = EmotionModel(
        SpeechEncoder.from_name(speech, layer="mean"),
        TextEncoder.from_name("tiny-roberta", vocab_size=60),
        fusion="concat",
        dim=16,
    )
    model.branches["speech"].standardize.fit(torch.randn(9, 64))
    return model.eval()


@pytest.fixture
def inputs() -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    lengths, tokens = torch.tensor([1600, 900]), torch.tensor([4, 6])
    return torch.randn(2, 1600, generator=g), lengths, torch.randint(3, 60, (2, 6)), tokens


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "model", build(), meta={"protocol": "strict"})
    return tmp_path / "model"


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
def test_what_is_saved_comes_back(tmp_path, speech, inputs):
    model, tokenizer = build(speech), train_tokenizer(["기분이 좋아", "기분이 나빠"], 60)
    save(
        tmp_path / "m", model, tokenizer=tokenizer, meta={"metrics": {"uar": 0.5}}, card="# Card\n"
    )
    assert sorted(p.name for p in tmp_path.glob("m/*")) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer",
    ]
    loaded, words, config = load_model(tmp_path / "m")
    assert not loaded.training
    assert config["meta"] == {"metrics": {"uar": 0.5}}
    assert words("기분이 좋아")["input_ids"] == tokenizer("기분이 좋아")["input_ids"]
    with torch.no_grad():
        ours, theirs = model(*inputs), loaded(*inputs)
    assert torch.equal(ours.logits, theirs.logits)
    assert torch.equal(ours.dimensions, theirs.dimensions)


def test_saving_replaces_the_whole_folder_and_leaves_nothing_beside_it(folder):
    (folder / "old").write_text("")
    save(folder, build())
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert load_model(folder)[1] is None


def test_a_failed_save_keeps_the_old_folder(folder):
    before = (folder / "config.json").read_bytes()
    with pytest.raises(TypeError):
        save(folder, build(), meta={"not json": object()})
    assert (folder / "config.json").read_bytes() == before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def edit(folder, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.pop("files", None)  # as the message says
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_a_missing_folder_or_file_is_named(folder):
    with pytest.raises(CheckpointError, match="no model folder"):
        load_model(folder / "nowhere")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no file .*model\.safetensors"):
        load_model(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no file .*config\.json"):
        load_model(folder)


def test_a_foreign_or_damaged_config_is_refused(folder):
    edit(folder, format=99)
    with pytest.raises(CheckpointError, match="format 99; this version reads 1"):
        load_model(folder)
    edit(folder, format=1, emotions=["joy"])
    with pytest.raises(CheckpointError, match="emotions"):
        load_model(folder)
    for text, words in (("{", "not JSON"), ("[]", "JSON object"), ("{}", "model folder of erc")):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=words):
            load_model(folder)


@pytest.mark.parametrize("change", [{"fusion": "magic"}, {"depth": 3}, {"speech": {}}])
def test_a_model_that_cannot_be_built_is_refused(folder, change):
    model = json.loads((folder / "config.json").read_text())["model"]
    edit(folder, model=model | change)
    with pytest.raises(CheckpointError, match=r"cannot build|is expected"):
        load_model(folder)


def test_weights_that_do_not_fit_are_listed(folder):
    # Copies: load_file maps the file that is rewritten below.
    weights = {k: v.clone() for k, v in load_file(folder / "model.safetensors").items()}
    bias = weights.pop("head.bias")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"1 weights missing: head\.bias"):
        load_model(folder)
    save_file(weights | {"head.bias": bias, "tail": bias.clone()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="1 weights unknown: tail"):
        load_model(folder)
    save_file(weights | {"head.bias": bias[:3]}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"head\.bias \(3,\) for \(9,\)"):
        load_model(folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="not a whole safetensors"):
        load_model(folder)


@pytest.mark.parametrize("key", UNTRUSTED)
def test_a_config_cannot_ask_for_code(folder, key):
    model = json.loads((folder / "config.json").read_text())["model"]
    model["text"]["model"][key] = "somebody/code"
    config = parse(model["text"]["model"])
    assert "somebody/code" not in str(vars(config))
    edit(folder, model=model)
    loaded, _, _ = load_model(folder)
    assert type(loaded.text.model).__module__.startswith("transformers.models.roberta")


@pytest.mark.parametrize("name", ["tensor_mixer", "concat"])
def test_published_weights_give_the_published_outputs(shared, tmp_path, name):
    reference = shared / "reference"
    import_reference(
        reference / f"{name}_checkpoint.safetensors", reference / "config.json", tmp_path / "m"
    )
    model, tokenizer, config = load_model(tmp_path / "m")
    assert tokenizer is None
    assert config["model"]["fusion"] == name
    inputs = load_file(reference / "inputs.safetensors")
    expected = load_file(reference / f"{name}_outputs.safetensors")
    with torch.no_grad():
        output = model(
            inputs["wav"], inputs["wav_mask"].sum(1), inputs["txt"], inputs["txt_mask"].sum(1)
        )
    torch.testing.assert_close(output.logits, expected["cls_pred"], atol=1e-5, rtol=0)
    torch.testing.assert_close(output.dimensions, expected["reg_pred"], atol=1e-5, rtol=0)


def test_published_weights_must_all_be_used(shared, tmp_path):
    reference = shared / "reference"
    weights = load_file(reference / "tensor_mixer_checkpoint.safetensors")
    sizes = reference / "config.json"
    save_file(weights | {"model.extra.weight": torch.zeros(1)}, tmp_path / "extra")
    with pytest.raises(CheckpointError, match=r"1 weights unknown: model\.extra\.weight"):
        import_reference(tmp_path / "extra", sizes, tmp_path / "m")
    del weights["model.mlp_mixer.5.bias"]
    save_file(weights, tmp_path / "less")
    with pytest.raises(CheckpointError, match=r"1 weights missing: fusion\.mixer\.3\.bias"):
        import_reference(tmp_path / "less", sizes, tmp_path / "m")
    (tmp_path / "sizes.json").write_text('{"audio": {}}')
    with pytest.raises(CheckpointError, match="there is no 'mixer'"):
        import_reference(tmp_path / "less", tmp_path / "sizes.json", tmp_path / "m")
    assert not (tmp_path / "m").exists()
