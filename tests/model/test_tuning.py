"""LoRA, partial freezing, recomputed activations: only what should train trains."""

from __future__ import annotations

import copy

import pytest
import torch

from erc.base.errors import ConfigError
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder import checkpoint
from erc.model.lora import add_lora, merged_state
from erc.model.tuning import transformer_layers

SEED = torch.Generator().manual_seed(0)
SPEECH, LENGTHS = torch.randn(2, 6400, generator=SEED) * 0.1, torch.tensor([6400, 3300])
IDS, TOKENS = torch.randint(3, 50, (2, 6), generator=SEED), torch.tensor([6, 4])
LORA = {
    "speech": {"r": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]},
    "text": {"r": 2, "alpha": 8, "targets": ["query", "value"]},
}


def build(speech: str = "tiny-wav2vec2", text_options=None, **options) -> EmotionModel:
    torch.manual_seed(0)
    return EmotionModel(
        SpeechEncoder.from_name(speech, **options),
        TextEncoder.from_name("tiny-roberta", vocab_size=50, **(text_options or {})),
        fusion="concat",
        dim=16,
    )


def trainable(module: torch.nn.Module) -> set[str]:
    return {n for n, p in module.named_parameters() if p.requires_grad}


def step(model: EmotionModel) -> torch.Tensor:
    """One optimiser step; the loss before it."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    output = model(SPEECH, LENGTHS, IDS, TOKENS)
    loss = output.logits.square().sum() + output.dimensions.square().sum()
    loss.backward()
    optimizer.step()
    return loss.detach()


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
def test_lora_starts_as_the_model_and_changes_only_itself_and_the_rest(speech):
    model = build(speech).eval()
    with torch.no_grad():
        before = model(SPEECH, LENGTHS, IDS, TOKENS).logits
        add_lora(model, LORA)
        torch.testing.assert_close(model.eval()(SPEECH, LENGTHS, IDS, TOKENS).logits, before)
    names = trainable(model)
    inside = {n for n in names if ".encoder." in n}
    assert inside
    assert all("lora_" in n for n in inside)
    assert {n for n in names if ".encoder." not in n} == {
        n for n in trainable(build(speech)) if ".encoder." not in n
    }
    old = {n: p.detach().clone() for n, p in model.named_parameters()}
    step(model.train())
    step(model)  # B starts at 0: A moves from the second step on
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, old[n])}
    assert changed == names
    assert {n.split(".")[0] for n in changed} == {"branches", "fusion", "head"}


def test_number_of_lora_parameters():
    model = add(build())
    layers, dim = 2, 64
    expected = layers * 2 * 4 * (dim + dim) + layers * 2 * 2 * (dim + dim)  # r (in + out) a matrix
    assert sum(p.numel() for n, p in model.named_parameters() if "lora_" in n) == expected


def add(model: EmotionModel, lora=LORA) -> EmotionModel:
    add_lora(model, lora)
    return model


def test_a_merged_model_folder_is_plain_and_says_the_same(tmp_path):
    model = add(build()).train()
    for _ in range(3):
        step(model)
    model.eval()
    plain = merged_state(model)
    assert set(plain) == set(build().state_dict())
    checkpoint.save(tmp_path / "model", model)
    loaded, _, _ = checkpoint.load_model(tmp_path / "model")
    inputs = (SPEECH, LENGTHS, IDS, TOKENS)
    with torch.no_grad():
        ours, theirs = model(*inputs), loaded(*inputs)
        without = build().eval()
        without.load_state_dict({k: v for k, v in plain.items() if ".encoder." not in k}, False)
        other = without(*inputs)
    torch.testing.assert_close(ours.logits, theirs.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.dimensions, theirs.dimensions, atol=1e-5, rtol=0)
    assert (ours.logits - other.logits).abs().max() > 1e-4  # LoRA had something to say
    assert any("lora_" in n for n in model.state_dict())  # and is left as it was


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        ({"speech": {"targets": ["query"]}}, r"targets names query; linear layers here: .*q_proj"),
        ({"speech": {"r": 4}}, "targets names nothing"),
        ({"speech": {"rank": 4, "targets": ["q_proj"]}}, "no option 'rank'"),
        ({"audio": {"targets": ["q_proj"]}}, "not 'audio'"),
    ],
)
def test_wrong_lora_is_refused(lora, words):
    with pytest.raises(ConfigError, match=words):
        add_lora(build(), lora)


def test_lora_in_a_frozen_or_absent_encoder_is_refused():
    model = build()
    model.speech.freeze()
    with pytest.raises(ConfigError, match="frozen"):
        add_lora(model, LORA)
    alone = EmotionModel(SpeechEncoder.from_name("tiny-whisper"), dim=16)
    with pytest.raises(ConfigError, match="no text encoder"):
        add_lora(alone, {"text": LORA["text"]})


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
def test_only_the_last_layers_train(speech):
    model = build(speech, {"train_layers": 1}, train_layers=1)
    for encoder, hf in (
        (model.speech, model.speech.backbone.model),
        (model.text, model.text.model),
    ):
        layers = transformer_layers(hf)
        assert len(layers) == 2
        last = {id(p) for p in layers[-1].parameters()}
        assert {id(p) for p in encoder.parameters() if p.requires_grad} == last
    loaded = EmotionModel.from_config(model.to_config())
    assert trainable(loaded) == trainable(model)
    for wrong in (0, 3):
        with pytest.raises(ConfigError, match="is not 1 … 2"):
            build(speech, train_layers=wrong)


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
def test_a_frozen_front_end_costs_no_gradient(speech):
    encoder = SpeechEncoder.from_name(speech, train_front=False).train()
    model = encoder.backbone.model
    front = model.feature_extractor if speech == "tiny-wav2vec2" else model.conv2
    seen = []
    front.register_forward_hook(lambda module, args, output: seen.append(output.requires_grad))
    frames, _ = encoder(SPEECH, LENGTHS)
    assert seen == [False]
    assert frames.requires_grad
    frames.sum().backward()
    assert all(p.grad is None for p in front.parameters())
    whole = SpeechEncoder.from_name(speech).train()
    whole(SPEECH, LENGTHS)[0].sum().backward()
    assert any(p.grad is not None for p in whole.backbone.model.parameters())


def test_frozen_layers_below_the_trained_ones_keep_no_graph():
    encoder = SpeechEncoder.from_name("tiny-wav2vec2", train_layers=1).train()
    seen = []
    layers = transformer_layers(encoder.backbone.model)
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].requires_grad))
    frames, _ = encoder(SPEECH, LENGTHS)
    assert seen == [False, False]
    assert frames.requires_grad


@pytest.mark.parametrize("speech", ["tiny-wav2vec2", "tiny-whisper"])
def test_recomputed_activations_give_the_same_gradients(speech):
    plain = build(speech)
    saving = build(speech, {"checkpointing": True}, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    for model in (plain, saving):  # gradients must be equal: no dropout
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            for name in ("dropout", "attention_dropout", "activation_dropout"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
    calls = []
    layer = transformer_layers(saving.speech.backbone.model)[0]
    first = next(m for m in layer.modules() if isinstance(m, torch.nn.Linear))
    first.register_forward_hook(lambda *_: calls.append(1))
    assert torch.allclose(step(plain), step(saving))
    assert len(calls) == 2  # forward, and again in the backward pass
    for (name, p), q in zip(plain.named_parameters(), saving.parameters()):
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, msg=name)


def test_checkpointing_goes_with_frozen_layers_and_lora():
    model = build("tiny-wav2vec2", {"checkpointing": True}, checkpointing=True, train_layers=1)
    add_lora(model, {"text": LORA["text"]})
    step(model.train())
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad is not None for n, p in model.named_parameters() if n in trained)


def test_merging_leaves_a_model_without_lora_alone():
    model = build()
    state = copy.deepcopy(model.state_dict())
    assert all(torch.equal(v, state[k]) for k, v in merged_state(model).items())
