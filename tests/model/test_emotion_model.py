"""EmotionModel: any modality may be missing, padding and batch do not matter, nothing is silent."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from erc.base.errors import AudioError, ConfigError
from erc.model.emotion import EmotionModel, Standardize
from erc.model.encoders import SpeechEncoder, TextEncoder

MIXER = {"patch_size": 4, "mixer_dim": 12, "depth": 2}


def build(fusion: str | None = "tensor_mixer", **options) -> EmotionModel:
    torch.manual_seed(0)
    if fusion in ("tensor_mixer", None):
        options.setdefault("fusion_options", MIXER)
    return EmotionModel(
        SpeechEncoder.from_name("tiny-wav2vec2"),
        TextEncoder.from_name("tiny-roberta", vocab_size=50),
        fusion=fusion,
        dim=16,
        **options,
    ).eval()


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    samples, tokens = torch.tensor([4000, 2500, 400, 3000]), torch.tensor([7, 2, 5, 9])
    return {
        "speech": pad_sequence(
            [torch.randn(n, generator=g) * 0.1 for n in samples.tolist()], batch_first=True
        ),
        "speech_lengths": samples,
        "input_ids": pad_sequence(
            [torch.randint(3, 50, (n,), generator=g) for n in tokens.tolist()], batch_first=True
        ),
        "text_lengths": tokens,
    }


def inputs(batch: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    return {
        "speech": (batch["speech"], batch["speech_lengths"]),
        "text": (batch["input_ids"], batch["text_lengths"]),
    }


def speech_only(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v for k, v in batch.items() if k.startswith("speech")}


def text_only(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k: v for k, v in batch.items() if not k.startswith("speech")}


@pytest.mark.parametrize("fusion", ["tensor_mixer", "concat"])
def test_shapes_and_starting_point(fusion, batch):
    model = build(fusion)
    output = model(**batch)
    assert output.logits.shape == (4, 7)
    assert output.dimensions.shape == (4, 2)
    assert output.features.shape == (4, model.fusion.out_features)
    assert model.head.bias[7:].tolist() == [3, 3]


@pytest.mark.parametrize("fusion", ["tensor_mixer", "concat"])
def test_one_utterance_alone_equals_the_batch(fusion, batch):
    model = build(fusion, speech_pooling="mean_std", text_pooling="mean")
    with torch.no_grad():
        whole = model(**batch)
        for i in range(4):
            n, s = batch["speech_lengths"][i : i + 1], batch["text_lengths"][i : i + 1]
            one = model(batch["speech"][i : i + 1, :n], n, batch["input_ids"][i : i + 1, :s], s)
            torch.testing.assert_close(one.logits[0], whole.logits[i], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(one.dimensions[0], whole.dimensions[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("fusion", ["tensor_mixer", "concat"])
def test_a_row_of_length_0_equals_an_absent_modality(fusion, batch):
    model = build(fusion)
    mixed = {k: v.clone() for k, v in batch.items()}
    mixed["speech_lengths"][1], mixed["text_lengths"][2] = 0, 0
    with torch.no_grad():
        output, both = model(**mixed), model(**batch)
        text, speech = model(**text_only(batch)), model(**speech_only(batch))
    torch.testing.assert_close(output.logits[1], text.logits[1])
    torch.testing.assert_close(output.logits[2], speech.logits[2])
    torch.testing.assert_close(output.logits[0], both.logits[0])
    assert not torch.allclose(text.logits, speech.logits)


def test_a_missing_modality_is_a_vector_of_zeros(batch):
    model = build()
    with torch.no_grad():
        encoded = model.encode(inputs(batch))
        absent = torch.zeros(4, dtype=torch.bool)
        assert (model.branches["text"].project(encoded.pooled["text"], absent) == 0).all()
        dropped = model.fuse(encoded.only(("speech",)))
        torch.testing.assert_close(dropped.logits, model(**speech_only(batch)).logits)


def test_an_absent_modality_is_never_run(batch, monkeypatch):
    model = build()
    monkeypatch.setattr(model.speech, "forward", lambda *_: pytest.fail("ran"))
    empty = batch | {"speech_lengths": torch.zeros(4, dtype=torch.long)}
    assert model(**empty).logits.isfinite().all()


def test_nothing_to_predict_from_is_refused(batch):
    model = build()
    with pytest.raises(ConfigError, match="give speech or text"):
        model()
    batch["speech_lengths"][2] = batch["text_lengths"][2] = 0
    with pytest.raises(ConfigError, match=r"missing in 1 of 4, first rows \[2\]"):
        model(**batch)
    with pytest.raises(ConfigError, match="without its lengths"):
        model(speech=batch["speech"])


def test_the_published_product_needs_both(batch):
    model = build(fusion_options={**MIXER, "constant": False})
    model(**batch)
    with pytest.raises(ConfigError, match="needs speech and text"):
        model(**speech_only(batch))
    with pytest.raises(ConfigError, match="modality_dropout"):
        build(fusion_options={**MIXER, "constant": False}, modality_dropout=0.1)


def test_short_clips_and_contradictions_are_refused(batch):
    with pytest.raises(AudioError, match="399 samples"):
        build()(batch["speech"], batch["speech_lengths"].clamp(max=399))
    with pytest.raises(ConfigError, match="needs a speech encoder"):
        EmotionModel()
    with pytest.raises(ConfigError, match="fusion=single"):
        EmotionModel(SpeechEncoder.from_name("tiny-wav2vec2"), fusion="concat")
    with pytest.raises(ConfigError, match="joins 1 modalities"):
        build("single")
    with pytest.raises(ConfigError, match="did you mean 'mean'"):
        build(speech_pooling="meen")


def test_one_modality(batch):
    model = EmotionModel(SpeechEncoder.from_name("tiny-whisper"), dim=16).eval()
    assert model.modalities == ("speech",)
    assert model.text is None
    assert model(**speech_only(batch)).logits.shape == (4, 7)
    with pytest.raises(ConfigError, match="no text encoder"):
        model(**batch)
    with pytest.raises(ConfigError, match="needs speech"):
        model(batch["speech"], batch["speech_lengths"] * 0)


def test_forward_is_fuse_of_encode(batch):
    model = build(freeze_speech=True, freeze_text=True)
    encoded = model.encode(inputs(batch))
    pooled = encoded.pooled
    assert {k: tuple(v.shape) for k, v in pooled.items()} == {"speech": (4, 64), "text": (4, 64)}
    assert all(p.all() for p in encoded.present.values())
    assert not any(p.requires_grad for p in pooled.values())
    torch.testing.assert_close(model.fuse(encoded).logits, model(**batch).logits)


def test_modality_dropout_takes_one_of_two_and_never_the_last():
    model = build(modality_dropout=0.6).train()
    torch.manual_seed(0)
    both = torch.ones(20_000, 2, dtype=torch.bool)
    kept = model._drop_modality(both)
    assert kept.any(-1).all()
    lost = (~kept).float().mean(0)  # 0.6 / 2 each, ± 3 standard errors of 0.0033
    assert ((lost - 0.3).abs() < 0.01).all()
    one = torch.tensor([[True, False], [False, True]]).repeat(500, 1)
    assert torch.equal(model._drop_modality(one), one)
    assert torch.equal(model.eval()._drop_modality(both), both)


def test_standardize():
    g = torch.Generator().manual_seed(0)
    features = torch.randn(50, 4, generator=g) * 3 + 2
    features[:, 1] = 7
    standardize = Standardize(4)
    torch.testing.assert_close(standardize(features), features)
    standardize.fit(features)
    z = standardize(features)
    torch.testing.assert_close(z.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.tensor([1.0, 0, 1, 1]))
    for bad in (torch.empty(0, 4), torch.full((2, 4), torch.nan)):
        with pytest.raises(ValueError, match="empty or not finite"):
            standardize.fit(bad)


def test_gradients_reach_every_trainable_parameter(batch):
    model = build(freeze_text=True).train()
    output = model(**batch)
    (output.logits.sum() + output.dimensions.sum()).backward()
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trainable)
    assert not any(p.requires_grad for p in model.text.parameters())
    assert not model.text.training


def test_a_model_is_rebuilt_from_plain_json(batch):
    model = build(freeze_text=True, modality_dropout=0.1, dropout=0.2, speech_pooling="mean_std")
    config = json.loads(json.dumps(model.to_config()))
    again = EmotionModel.from_config(config)
    again.load_state_dict(model.state_dict())
    assert again.to_config() == model.to_config()
    assert again.text.frozen
    torch.testing.assert_close(again.eval()(**batch).logits, model(**batch).logits)
