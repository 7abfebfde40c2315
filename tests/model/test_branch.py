"""Branches: segments, attention, weighted layers, and what of them may be cached."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.model.branch import Branch, LayerWeights, Standardize
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.pooling import NAMES, AttentionPooling, mask, masked_mean, segment_means


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_segments_equal_adaptive_average_pooling_of_each_row():
    frames, lengths = random(6, 19, 3), torch.tensor([19, 8, 5, 1, 0, 16])
    frames[2, 5:] = torch.nan  # padding is not read
    found = segment_means(frames, lengths, 8)
    assert found.shape == (6, 8, 3)
    assert (found[4] == 0).all()
    for row, n in enumerate(lengths.tolist()):
        if n:
            expected = F.adaptive_avg_pool1d(frames[row, :n].T, 8).T
            torch.testing.assert_close(found[row], expected)
    torch.testing.assert_close(
        segment_means(frames, lengths, 1)[:, 0], masked_mean(frames, lengths)
    )


def test_attention_pooling_equals_a_loop_and_starts_as_the_mean():
    pool = AttentionPooling(3)
    frames, lengths = random(4, 5, 3), torch.tensor([5, 1, 3, 0])
    inside = mask(lengths, 5)
    torch.testing.assert_close(pool(frames, inside), masked_mean(frames, lengths))
    pool.score.weight.data.copy_(random(1, 3, seed=1))
    found = pool(frames, inside)
    for row, n in enumerate(lengths.tolist()):
        expected = torch.zeros(3)
        if n:
            scores = [float((frames[row, i] @ pool.score.weight[0]).detach()) for i in range(n)]
            for i, alpha in enumerate(torch.tensor(scores).softmax(0)):
                expected += alpha * frames[row, i]
        torch.testing.assert_close(found[row], expected)


def test_attention_pooling_does_not_read_padding():
    pool = AttentionPooling(3)
    pool.score.weight.data.copy_(random(1, 3))
    frames = random(2, 5, 3).requires_grad_()
    inside = mask(torch.tensor([2, 0]), 5)
    found = pool(frames, inside)
    found.sum().backward()
    assert (frames.grad[~inside] == 0).all()
    assert pool.score.weight.grad.isfinite().all()
    torch.testing.assert_close(found[:1], pool(frames[:1, :2], inside[:1, :2]))
    torch.testing.assert_close(
        found[:1], pool(frames.detach()[:1] + 1e6 * ~inside[:1, :, None], inside[:1])
    )


def test_layer_weights_are_a_softmax():
    weights, x = LayerWeights(3), random(2, 4, 3, 5)
    torch.testing.assert_close(weights(x), x.mean(2))
    weights.logits.data = torch.tensor([0.0, 1.0, -1.0])
    a, b, c = (torch.tensor([1.0, torch.e, 1 / torch.e]) / (1 + torch.e + 1 / torch.e)).tolist()
    torch.testing.assert_close(weights(x), a * x[:, :, 0] + b * x[:, :, 1] + c * x[:, :, 2])


def test_standardize_keeps_the_statistics_of_each_layer():
    features = random(50, 8, 3, 4) * torch.arange(1, 4)[:, None]
    standardize = Standardize(3, 4)
    standardize.fit(features)
    z = standardize(features).reshape(-1, 3, 4)
    torch.testing.assert_close(z.mean(0), torch.zeros(3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(3, 4))


SPEECH, LENGTHS = random(3, 6400) * 0.1, torch.tensor([6400, 0, 3300])


@pytest.mark.parametrize("layer", [-1, "weighted"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("pooling", NAMES)
def test_every_pooling_alone_equals_the_batch(pooling, frozen, layer):
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_name("tiny-whisper", layer=layer)
    branch = Branch(encoder.freeze() if frozen else encoder, pooling, 5).eval()
    if branch.attention is not None:
        branch.attention.score.weight.data.normal_()
    if branch.layers is not None:
        branch.layers.logits.data.normal_()
    encoded = branch.encode(SPEECH, LENGTHS)
    present = branch.present(encoded, LENGTHS)
    found = branch.project(encoded, present)
    assert present.any(-1).tolist() == [True, False, True] or present.tolist() == [
        True,
        False,
        True,
    ]
    assert (found[1] == 0).all()
    assert branch.cacheable == (frozen and pooling != "frames")
    for row in (0, 2):
        n = LENGTHS[row : row + 1]
        one = branch.encode(SPEECH[row : row + 1, :n], n)
        one = branch.project(one, branch.present(one, n))[0]
        whole = found[row, : len(one)] if pooling == "frames" else found[row]
        torch.testing.assert_close(one, whole, atol=1e-5, rtol=1e-5)
    nothing = branch.encode(SPEECH, LENGTHS * 0)
    assert not branch.project(nothing, branch.present(nothing, LENGTHS * 0)).any()


def test_weighted_layers_start_as_their_mean_and_learn():
    torch.manual_seed(0)
    encoder = SpeechEncoder.from_name("tiny-wav2vec2", layer="weighted").freeze()
    branch = Branch(encoder, "mean", 5).eval()
    encoded = branch.encode(SPEECH, LENGTHS)
    assert encoded.shape == (3, 3, 64)
    assert not encoded.requires_grad
    mean = SpeechEncoder(encoder.backbone.model, layer="mean")
    frames, lengths = mean.eval()(SPEECH[:1], LENGTHS[:1])
    torch.testing.assert_close(branch.layers(encoded)[:1], masked_mean(frames, lengths))
    branch.project(encoded, LENGTHS > 0).square().sum().backward()
    assert branch.layers.logits.grad.abs().sum() > 0


def test_a_pooling_must_fit_the_fusion():
    def build(fusion, pooling):
        return EmotionModel(
            SpeechEncoder.from_name("tiny-whisper"),
            TextEncoder.from_name("tiny-roberta", vocab_size=50),
            fusion=fusion, speech_pooling=pooling, text_pooling=pooling, dim=16,
        )  # fmt: skip

    with pytest.raises(
        ConfigError, match=r"cross_attention.*speech_pooling=mean; it takes segments"
    ):
        build("cross_attention", "mean")
    with pytest.raises(ConfigError, match=r"concat.*speech_pooling=frames; it takes mean"):
        build("concat", "frames")


@pytest.mark.parametrize("pooling", ["frames", "segments"])
def test_cross_attention_model_stands_a_missing_modality_and_padding(pooling):
    torch.manual_seed(0)
    model = EmotionModel(
        SpeechEncoder.from_name("tiny-whisper"),
        TextEncoder.from_name("tiny-roberta", vocab_size=50),
        fusion="cross_attention", speech_pooling=pooling, text_pooling=pooling, dim=16,
        modality_dropout=0.5,
    ).eval()  # fmt: skip
    ids, tokens = torch.randint(3, 50, (3, 9)), torch.tensor([9, 4, 0])
    with torch.no_grad():
        whole = model(SPEECH, LENGTHS, ids, tokens)
        for row in range(3):
            n, s = LENGTHS[row : row + 1], tokens[row : row + 1]
            one = model(
                SPEECH[row : row + 1, :n] if n else None,
                n,
                ids[row : row + 1, :s] if s else None,
                s,
            )
            torch.testing.assert_close(one.logits[0], whole.logits[row], atol=1e-5, rtol=1e-5)
    model.train()(SPEECH, LENGTHS, ids, tokens).logits.sum().backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is None or p.grad.isfinite().all() for p in trained)
