"""Encoders against Hugging Face's own forward, and against themselves under padding."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    BertConfig,
    BertModel,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    RobertaModel,
    T5Config,
    T5Model,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperFeatureExtractor,
    WhisperModel,
)

from erc.base.errors import AudioError, CheckpointError, ConfigError
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.pooling import POOLINGS, mask, masked_mean, masked_mean_std, pooled_size

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
FAMILY = {
    "wav2vec2 layer": lambda: Wav2Vec2Model(Wav2Vec2Config(**SMALL, **LAYER)),
    "wav2vec2 group": lambda: Wav2Vec2Model(Wav2Vec2Config(**SMALL)),
    "hubert layer": lambda: HubertModel(HubertConfig(**SMALL, **LAYER)),
    "hubert batch norm": lambda: HubertModel(
        HubertConfig(**SMALL, **LAYER, conv_pos_batch_norm=True)
    ),
    "wavlm layer": lambda: WavLMModel(WavLMConfig(**SMALL, **LAYER)),
    "wavlm group": lambda: WavLMModel(WavLMConfig(**SMALL)),
    "data2vec": lambda: Data2VecAudioModel(Data2VecAudioConfig(**SMALL, conv_pos_kernel_size=5)),
}


def clips(*lengths: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    speech = [torch.randn(n, generator=generator) * 0.1 for n in lengths]
    return pad_sequence(speech, batch_first=True), torch.tensor(lengths)


def perturbed(encoder: torch.nn.Module) -> torch.nn.Module:
    """Away from the symmetric initial state: biases of 0 hide mistakes at the edges."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in encoder.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.02)
        for name, b in encoder.named_buffers():
            if name.endswith("running_mean"):
                b.add_(torch.randn(b.shape, generator=generator))
    return encoder.eval()


def alone_and_padded(encoder: SpeechEncoder, speech: torch.Tensor, lengths: torch.Tensor) -> float:
    """Largest difference between a clip on its own and in a batch with noise beyond its end."""
    noisy = torch.where(mask(lengths, speech.shape[1]), speech, 7.0)
    noisy = torch.nn.functional.pad(noisy, (0, 1234), value=7.0)
    with torch.no_grad():
        frames, frame_lengths = encoder(noisy, lengths)
        worst = 0.0
        for i, n in enumerate(lengths.tolist()):
            alone, count = encoder(speech[i : i + 1, :n], lengths[i : i + 1])
            assert alone.shape[1] == count.item() == frame_lengths[i].item()
            gap = (alone[0] - frames[i, : count.item()]).abs().max() / alone.abs().max()
            worst = max(worst, gap.item())
    return worst


@pytest.mark.parametrize("kind", FAMILY)
def test_a_clip_alone_equals_the_clip_in_a_padded_batch(kind):
    torch.manual_seed(0)
    encoder = perturbed(SpeechEncoder(FAMILY[kind]()))
    assert alone_and_padded(encoder, *clips(8000, 400, 5001, 5001, 6123)) < 1e-5


@pytest.mark.parametrize("name", ["tiny-wav2vec2", "tiny-whisper"])
@pytest.mark.parametrize("layer", [-1, 1, "mean"])
def test_tiny_encoders_are_exact_under_padding_at_every_layer(name, layer):
    torch.manual_seed(0)
    encoder = perturbed(SpeechEncoder.from_name(name, layer=layer))
    assert alone_and_padded(encoder, *clips(6400, 400, 3201)) < 1e-5
    assert encoder.size == 64
    assert sum(p.numel() for p in encoder.parameters()) < 300_000


@pytest.mark.parametrize(
    "kind", ["wav2vec2 layer", "wav2vec2 group", "hubert layer", "wavlm layer"]
)
def test_frames_equal_those_of_hugging_face(kind):
    torch.manual_seed(0)
    model = FAMILY[kind]().eval()
    speech, lengths = clips(4000, 4000)
    with torch.no_grad():
        expected = model(speech, output_hidden_states=True)
        states = SpeechEncoder(model, layer="mean").eval().backbone(speech, lengths)
    torch.testing.assert_close(states[-1], expected.last_hidden_state)
    for ours, theirs in zip(states[:-1], expected.hidden_states[:-1], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_frame_lengths_equal_the_number_of_frames():
    encoder = SpeechEncoder.from_name("tiny-wav2vec2")
    lengths = torch.tensor([0, 1, 399, 400, 401, 719, 720, 16_000, 112_000])
    assert encoder.frame_lengths(lengths).tolist()[:7] == [0, 0, 0, 1, 1, 1, 2]
    theirs = encoder.backbone.model._get_feat_extract_output_lengths(lengths)
    assert torch.equal(encoder.frame_lengths(lengths), theirs.clamp(min=0))
    assert encoder.min_samples == 400
    whisper = SpeechEncoder.from_name("tiny-whisper")
    assert whisper.frame_lengths(torch.tensor([160, 320, 321, 480_000])).tolist() == [1, 1, 2, 1500]


@pytest.mark.parametrize("name", ["tiny-wav2vec2", "tiny-whisper"])
def test_a_clip_too_short_is_refused(name):
    encoder = SpeechEncoder.from_name(name)
    speech, lengths = clips(8000, encoder.min_samples - 1)
    with pytest.raises(AudioError, match=f"needs {encoder.min_samples}"):
        encoder(speech, lengths)
    with pytest.raises(AudioError):
        encoder(torch.zeros(1, 0), torch.tensor([0]))


@pytest.mark.parametrize("samples", [160, 16_000, 50_001, 479_900, 480_000])
def test_log_mel_equals_the_feature_extractor(samples):
    encoder = SpeechEncoder.from_name("tiny-whisper")
    speech, lengths = clips(samples)
    expected = WhisperFeatureExtractor()(
        speech[0].numpy(), sampling_rate=16_000, return_tensors="np"
    ).input_features
    whole = encoder.backbone.log_mel(speech, lengths, 480_000)
    np.testing.assert_allclose(whole.numpy(), expected, atol=1e-5)
    cut = min(480_000, (samples // 320 + 3) * 320)
    short = encoder.backbone.log_mel(speech[:, :cut], lengths, cut)
    np.testing.assert_allclose(short.numpy(), expected[..., : cut // 160], atol=1e-5)


def test_log_mel_of_silence_is_the_floor():
    encoder = SpeechEncoder.from_name("tiny-whisper")
    mel = encoder.backbone.log_mel(torch.zeros(1, 1600), torch.tensor([1600]), 3200)
    assert mel.unique().tolist() == [-1.5]  # (log10(1e-10) + 4) / 4


def test_whisper_in_30_s_equals_hugging_face(shared):
    folder = shared / "encoders" / "whisper-tiny-en"
    encoder = SpeechEncoder.from_name(str(folder), context="30s").eval()
    assert next(encoder.parameters()).dtype == torch.float32  # stored as float16
    speech, lengths = clips(16_000)
    mel = WhisperFeatureExtractor.from_pretrained(folder)(
        [x[:n].numpy() for x, n in zip(speech, lengths, strict=True)],
        sampling_rate=16_000,
        return_tensors="pt",
    ).input_features
    whisper = WhisperModel.from_pretrained(folder, dtype=torch.float32).encoder.eval()
    with torch.no_grad():
        frames, frame_lengths = encoder(speech, lengths)
        expected = whisper(mel).last_hidden_state
    for i, n in enumerate(frame_lengths.tolist()):
        torch.testing.assert_close(frames[i, :n], expected[i, :n], atol=1e-4, rtol=1e-4)


def test_whisper_of_30_s_is_the_same_in_both_contexts():
    torch.manual_seed(0)
    real = perturbed(SpeechEncoder.from_name("tiny-whisper"))
    full = SpeechEncoder.from_name("tiny-whisper", context="30s").eval()
    full.load_state_dict(real.state_dict())
    speech, lengths = clips(480_000)
    with torch.no_grad():
        torch.testing.assert_close(real(speech, lengths), full(speech, lengths))
    with pytest.raises(AudioError, match="30 s"):
        real(*clips(480_001))


def test_frozen_encoders_stay_in_evaluation_mode_without_gradients():
    encoder = SpeechEncoder.from_name("tiny-wav2vec2").freeze()
    model = torch.nn.Sequential(encoder, torch.nn.Dropout()).train()
    assert model.training
    assert not any(m.training for m in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    frames, _ = encoder(*clips(800))
    assert not frames.requires_grad


@pytest.mark.parametrize("name", ["tiny-wav2vec2", "tiny-whisper"])
def test_every_trainable_parameter_gets_a_gradient(name):
    encoder = SpeechEncoder.from_name(name).train()
    frames, _ = encoder(*clips(4000, 2000))
    (frames**2).sum().backward()
    silent = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []


def test_layerdrop_leaves_layers_out_in_training_only():
    """With group norm rows run in groups, each with layers of its own left out."""
    config = Wav2Vec2Config(**SMALL, layerdrop=0.5, apply_spec_augment=False)
    encoder = SpeechEncoder(Wav2Vec2Model(config))
    speech, lengths = clips(4000, 7000, 5000)
    torch.manual_seed(0)
    seen = {encoder.train()(speech, lengths)[0].sum().item() for _ in range(8)}
    assert len(seen) > 1
    assert encoder.train()(speech, lengths)[0].isfinite().all()
    assert torch.equal(*(encoder.eval()(speech, lengths)[0] for _ in range(2)))


def test_spec_augment_only_where_a_span_fits():
    config = Wav2Vec2Config(**SMALL, **LAYER, mask_time_prob=0.9, mask_time_length=10)
    encoder = SpeechEncoder(Wav2Vec2Model(config), spec_augment=True).train()
    encoder(*clips(800))  # two frames: Hugging Face would raise
    torch.manual_seed(0)
    assert encoder.backbone.model.config.apply_spec_augment is False
    encoder(*clips(8000))
    assert encoder.backbone.model.config.apply_spec_augment is True
    plain = SpeechEncoder(Wav2Vec2Model(config)).train()
    plain(*clips(8000))
    assert plain.backbone.model.config.apply_spec_augment is False


@pytest.mark.parametrize("name", ["tiny-wav2vec2", "tiny-whisper"])
def test_an_encoder_is_rebuilt_from_its_config(name):
    encoder = SpeechEncoder.from_name(name, layer="mean").eval()
    config = json.loads(json.dumps(encoder.to_config()))
    again = SpeechEncoder.from_config(config).eval()
    again.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(encoder(*clips(800)), again(*clips(800)))
    assert again.to_config() == encoder.to_config()


def test_a_local_folder_is_loaded_through_hugging_face(tmp_path):
    model = FAMILY["hubert layer"]().eval()
    model.save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path)
    encoder = SpeechEncoder.from_name(str(tmp_path)).eval()
    assert encoder.normalize
    assert str(tmp_path) not in json.dumps(
        encoder.to_config()
    )  # a model travels, the path does not
    speech, lengths = clips(2000)
    with torch.no_grad():
        torch.testing.assert_close(encoder(speech, lengths)[0], model(speech).last_hidden_state)
    Wav2Vec2FeatureExtractor(do_normalize=False, sampling_rate=8000).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="8000 Hz"):
        SpeechEncoder.from_name(str(tmp_path))


def test_missing_weights_are_refused(tmp_path):
    model = FAMILY["wav2vec2 layer"]()
    state = {k: v for k, v in model.state_dict().items() if "layers.1" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(CheckpointError, match=r"lacks \d+ weights"):
        SpeechEncoder.from_name(str(tmp_path), normalize=True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody/no-such-model", "hf download nobody/no-such-model"),
        ("./no-such-folder", "no folder './no-such-folder'"),
        ("/no/such/folder", "no folder"),
    ],
)
def test_what_does_not_exist_fails_at_once(name, words, monkeypatch):
    monkeypatch.setattr("erc.base.hub.reachable", lambda: False)
    start = time.perf_counter()
    with pytest.raises(CheckpointError, match=words) as error:
        SpeechEncoder.from_name(name)
    assert "\n" not in str(error.value)
    with pytest.raises(CheckpointError):
        TextEncoder.from_name(name)
    assert time.perf_counter() - start < 2


def test_options_that_do_not_exist_are_refused(tmp_path):
    for options in ({"layer": 3}, {"layer": "last"}, {"layer": -4}):
        with pytest.raises(ConfigError, match="layer"):
            SpeechEncoder.from_name("tiny-wav2vec2", **options)
    with pytest.raises(ConfigError, match="context"):
        SpeechEncoder.from_name("tiny-whisper", context="60s")
    BertModel(BertConfig(**TEXT)).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="'bert' is not a speech model"):
        SpeechEncoder.from_name(str(tmp_path))
    with pytest.raises(ConfigError, match="t5"):
        TextEncoder(T5Model(T5Config(d_model=8, num_layers=1, d_ff=8, num_heads=1, vocab_size=9)))


TEXT = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 20,
}


def tokens(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(3, 50, (n,), generator=generator) for n in lengths]
    return pad_sequence(ids, batch_first=True), torch.tensor(lengths)


@pytest.mark.parametrize(
    "encoder",
    [
        TextEncoder.from_name("tiny-roberta", vocab_size=50),
        TextEncoder(BertModel(BertConfig(**TEXT))),
    ],
    ids=["roberta", "bert"],
)
def test_a_text_alone_equals_the_text_in_a_padded_batch(encoder):
    encoder = perturbed(encoder)
    ids, lengths = tokens(9, 1, 4)
    padded = torch.where(mask(lengths, 9), ids, -100)  # no token at all: must not be read
    with torch.no_grad():
        states, _ = encoder(torch.nn.functional.pad(padded, (0, 5)), lengths)
        assert states.shape == (3, 9, encoder.size)
        for i, n in enumerate(lengths.tolist()):
            alone, _ = encoder(ids[i : i + 1, :n], lengths[i : i + 1])
            torch.testing.assert_close(alone[0], states[i, :n], atol=1e-5, rtol=1e-5)


def test_text_states_equal_those_of_hugging_face():
    encoder = perturbed(TextEncoder.from_name("tiny-roberta", vocab_size=50))
    model = RobertaModel(encoder.model.config, add_pooling_layer=False).eval()
    model.load_state_dict(encoder.model.state_dict())
    ids, lengths = tokens(6, 3)
    ids[1, 3:] = 1
    with torch.no_grad():
        expected = model(ids, attention_mask=(ids != 1).long()).last_hidden_state
        states, _ = encoder(ids, lengths)
    torch.testing.assert_close(states[0], expected[0])
    torch.testing.assert_close(states[1, :3], expected[1, :3])


def test_texts_that_do_not_fit_are_refused():
    encoder = TextEncoder.from_name("tiny-roberta", vocab_size=50)
    assert encoder.max_tokens == 512
    assert TextEncoder(BertModel(BertConfig(**TEXT))).max_tokens == 20
    with torch.no_grad():
        encoder(*tokens(512))
    for lengths in ((513,), (3, 0)):
        with pytest.raises(ConfigError, match="1 to 512"):
            encoder(*tokens(*lengths))
    with pytest.raises(ConfigError, match="vocabulary of 50"):
        encoder(torch.full((1, 2), 50), torch.tensor([2]))


def test_poolings_equal_numpy_and_stand_length_0():
    frames = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([5, 1, 3, 0])
    frames[1, 1:] = torch.nan  # padding is not read
    for name, pool in POOLINGS.items():
        pooled = pool(frames, lengths)
        assert pooled.shape == (4, pooled_size(name, 3))
        assert pooled[3].tolist() == [0.0] * pooled.shape[1]
        for i in range(3):
            valid = frames[i, : lengths[i]].numpy()
            cuts = {5: ((0, 2), (1, 4), (3, 5)), 3: ((0, 1), (1, 2), (2, 3)), 1: ((0, 1),) * 3}
            thirds = [valid[a:b].mean(0) for a, b in cuts[len(valid)]]
            expected = {
                "mean": valid.mean(0),
                "mean_std": np.concatenate([valid.mean(0), valid.std(0)]),
                "mean_std_thirds": np.concatenate([valid.mean(0), valid.std(0), *thirds]),
                "first": valid[0],
            }[name]
            np.testing.assert_allclose(pooled[i], expected, atol=2e-6)


@pytest.mark.parametrize("pool", [masked_mean, masked_mean_std])
def test_pooling_gradients_are_finite(pool):
    frames = torch.ones(3, 4, 2, requires_grad=True)
    pool(frames, torch.tensor([4, 1, 0])).sum().backward()
    assert frames.grad.isfinite().all()
