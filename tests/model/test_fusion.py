"""Fusions and the mixer against the formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.model.fusion import (
    FUSIONS,
    Concat,
    CrossAttention,
    Fusion,
    Gated,
    LowRank,
    Single,
    TensorMixer,
    build_fusion,
)
from erc.model.fusion.mixer import Mixer, MixerBlock


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def joined(fusion: Fusion, *given: torch.Tensor) -> torch.Tensor:
    """The features where everything is present."""
    return fusion(list(given), [torch.ones(len(x), dtype=torch.bool) for x in given])


def literal_patches(u: torch.Tensor, v: torch.Tensor, p: int) -> torch.Tensor:
    """`(h p1) (w p2) -> (h w) (p1 p2)` of the outer product, patch by patch."""
    product = u[:, :, None] * v[:, None, :]
    n = u.shape[1] // p
    patches = [
        product[:, h * p : (h + 1) * p, w * p : (w + 1) * p].flatten(1)
        for h in range(n)
        for w in range(n)
    ]
    return torch.stack(patches, 1)


@pytest.mark.parametrize(("dim", "patch"), [(256, 16), (32, 8), (8, 8), (6, 1)])
def test_factorised_embedding_equals_the_literal_one(dim, patch):
    torch.manual_seed(0)
    fusion = TensorMixer(dim, patch_size=patch, mixer_dim=24, depth=1, constant=False).double()
    u, v = vectors(3, dim).double(), vectors(3, dim, seed=1).double()
    expected = fusion.embed(literal_patches(u, v, patch))
    torch.testing.assert_close(fusion.embed_patches(u, v), expected, rtol=1e-12, atol=1e-12)
    ours, literal = fusion.float().embed_patches(u.float(), v.float()), expected.float()
    assert (ours - literal).norm() / literal.norm() < 1e-6


def test_tensor_mixer_reads_the_product_with_a_constant():
    torch.manual_seed(0)
    fusion = TensorMixer(16, patch_size=4, mixer_dim=12, depth=2).eval()
    assert (fusion.vector_size, fusion.out_features, fusion.needs_all) == (15, 12, False)
    u, v = vectors(2, 15), vectors(2, 15, seed=1)
    with_one = [torch.cat([x, torch.ones(2, 1)], 1) for x in (u, v)]
    expected = fusion.mixer(fusion.embed(literal_patches(*with_one, 4)))
    torch.testing.assert_close(joined(fusion, u, v), expected)


def test_with_a_constant_one_missing_modality_leaves_the_other():
    fusion = TensorMixer(16, patch_size=4, mixer_dim=12, depth=1).eval()
    zero, u, v = torch.zeros(2, 15), vectors(2, 15), vectors(2, 15, seed=1)
    for one, two in (([u, zero], [v, zero]), ([zero, u], [zero, v])):
        assert not torch.allclose(joined(fusion, *one), joined(fusion, *two))
    published = TensorMixer(16, patch_size=4, mixer_dim=12, depth=1, constant=False).eval()
    assert published.needs_all  # because the product vanishes, whatever the other says:
    zero, u, v = torch.zeros(2, 16), vectors(2, 16), vectors(2, 16, seed=1)
    torch.testing.assert_close(joined(published, u, zero), joined(published, v, zero))


def test_mixer_block_equals_its_formula():
    torch.manual_seed(0)
    block = MixerBlock(patches=5, dim=6, token_hidden=20, channel_hidden=3).eval()
    x = vectors(2, 5, 6)
    first, second = block.tokens[0], block.tokens[3]
    normed = F.layer_norm(x, (6,)).transpose(1, 2)  # [B, dim, patches]
    mixed = F.linear(
        F.gelu(F.linear(normed, first.weight[..., 0], first.bias)), second.weight[..., 0]
    )
    y = x + (mixed + second.bias).transpose(1, 2)
    first, second = block.channels[0], block.channels[3]
    expected = y + second(F.gelu(first(F.layer_norm(y, (6,)))))
    torch.testing.assert_close(block(x), expected)


def test_published_size():
    fusion = TensorMixer()
    assert len([m for m in fusion.mixer if isinstance(m, MixerBlock)]) == 12
    assert fusion.mixer[0].tokens[0].weight.shape == (1024, 256, 1)
    assert fusion.mixer[0].channels[0].weight.shape == (256, 512)
    tokens, channels = 2 * 256 * 1024 + 1024 + 256, 2 * 512 * 256 + 256 + 512
    block = tokens + channels + 2 * 2 * 512  # two layer norms
    embed, norm, head = 256 * 512 + 512, 2 * 512, 512 * 9 + 9
    assert 12 * block + embed + norm + head == 9_623_561
    assert sum(p.numel() for p in fusion.parameters()) + head == 9_623_561


def test_mixer_averages_normalised_patches():
    mixer = Mixer(patches=4, dim=3, depth=0)
    x = vectors(2, 4, 3)
    torch.testing.assert_close(mixer(x), F.layer_norm(x, (3,)).mean(1))


def test_concat_and_single_equal_their_formulas():
    u, v = vectors(2, 8), vectors(2, 8, seed=1)
    concat, single = Concat(8, hidden=5), Single(8)
    expected = concat.layers[0](torch.cat([u, v], 1)).clamp(min=0)
    torch.testing.assert_close(joined(concat, u, v), expected)
    assert joined(concat, u, v).shape == (2, concat.out_features) == (2, 5)
    torch.testing.assert_close(joined(single, u), single.layers[0](u).clamp(min=0))


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_keeps_the_interface(name):
    options = {"patch_size": 4, "mixer_dim": 12, "depth": 1} if name == "tensor_mixer" else {}
    fusion = build_fusion(name, 16, options)
    steps = (4,) if fusion.needs_frames else ()
    inputs = [vectors(3, *steps, fusion.vector_size, seed=i) for i in range(fusion.modalities)]
    inputs[0].requires_grad_()
    masks = [torch.ones(3, *steps, dtype=torch.bool)] * fusion.modalities
    features = fusion(inputs, masks)
    assert features.shape == (3, fusion.out_features)
    features.sum().backward()
    assert all(p.grad is not None for p in fusion.parameters())
    one = fusion([x[:1] for x in inputs], [m[:1] for m in masks])
    torch.testing.assert_close(one, features[:1])


def test_wrong_names_and_options_are_refused():
    with pytest.raises(ConfigError, match="did you mean 'concat'"):
        build_fusion("conct", 16, {})
    with pytest.raises(ConfigError, match=r"no option 'dept'.*did you mean 'depth'"):
        build_fusion("tensor_mixer", 16, {"dept": 2})
    with pytest.raises(ConfigError, match="does not divide"):
        TensorMixer(30, patch_size=16)


def test_low_rank_equals_the_tensor_written_out():
    torch.manual_seed(0)
    fusion = LowRank(6, rank=3, hidden=4).double()
    fusion.bias.data.normal_()
    u, v = vectors(5, 5).double(), vectors(5, 5, seed=1).double()
    one = torch.ones(5, 1).double()
    product = torch.einsum("bi,bj->bij", torch.cat([u, one], 1), torch.cat([v, one], 1))
    tensor = torch.einsum("r,rio,rjo->ijo", fusion.weights, *fusion.factors)
    expected = torch.einsum("bij,ijo->bo", product, tensor) + fusion.bias
    torch.testing.assert_close(joined(fusion, u, v), expected)
    assert torch.linalg.matrix_rank(tensor[..., 0]) == 3
    assert sum(p.numel() for p in fusion.parameters()) == 2 * 3 * 6 * 4 + 3 + 4


def test_gated_equals_its_formula_place_by_place():
    fusion = Gated(3, hidden=2)
    u, v = vectors(4, 3), vectors(4, 3, seed=1)
    (a, b), g, bias = (s.weight for s in fusion.sides), fusion.gate.weight, fusion.gate.bias
    for n in range(4):
        for k in range(2):
            z = torch.sigmoid(g[k] @ torch.cat([u[n], v[n]]) + bias[k])
            expected = z * torch.tanh(a[k] @ u[n]) + (1 - z) * torch.tanh(b[k] @ v[n])
            torch.testing.assert_close(joined(fusion, u, v)[n, k], expected)
    zero = torch.zeros(4, 3)
    z = torch.sigmoid(torch.cat([zero, v], 1) @ g.T + bias)
    torch.testing.assert_close(joined(fusion, zero, v), (1 - z) * torch.tanh(v @ b.T))


@torch.no_grad()
def literal_attention(layer, x, y, heads):
    """One utterance, x [N, D] at y [M, D]: a loop over heads and queries; a zero to look at."""
    dim = x.shape[1]
    q, k, v = (
        F.linear(z, w, b)
        for z, w, b in zip(
            (layer.norm_x(x), layer.norm_y(y), layer.norm_y(y)),
            layer.attention.in_proj_weight.chunk(3),
            layer.attention.in_proj_bias.chunk(3),
        )
    )
    size, out = dim // heads, torch.zeros_like(x)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for n in range(len(x)):
            scores = [float(q[n, part] @ k[m, part]) / size**0.5 for m in range(len(y))] + [0.0]
            weights = torch.tensor(scores, dtype=x.dtype).softmax(0)
            for m in range(len(y)):
                out[n, part] += weights[m] * v[m, part]
    x = x + layer.attention.out_proj(out)
    return x + layer.mlp(layer.norm(x))


def test_cross_attention_equals_a_loop_over_heads_and_frames():
    torch.manual_seed(0)
    fusion = CrossAttention(8, heads=2, depth=2, hidden=5).double().eval()
    for p in fusion.parameters():  # its biases start at 0
        p.data.add_(0.1 * torch.randn_like(p))
    x, y = vectors(3, 4, 8).double(), vectors(3, 6, 8, seed=1).double()
    lengths = [(4, 2), (1, 6), (3, 0)]  # the last has no text
    masks = [
        torch.tensor([[i < n[side] for i in range(size)] for n in lengths])
        for side, size in ((0, 4), (1, 6))
    ]
    found = fusion([x, y], masks)
    for b, (n, m) in enumerate(lengths):
        s, t = x[b, :n], y[b, :m]
        for to_text, to_speech in zip(fusion.speech, fusion.text):
            s, t = literal_attention(to_text, s, t, 2), literal_attention(to_speech, t, s, 2)
        means = [z.mean(0) if len(z) else torch.zeros(8).double() for z in (s, t)]
        torch.testing.assert_close(found[b], fusion.layers(torch.cat(means)))


def test_cross_attention_does_not_read_what_is_masked():
    torch.manual_seed(0)
    fusion = CrossAttention(8, heads=2).eval()
    x, y = vectors(2, 4, 8).requires_grad_(), vectors(2, 3, 8, seed=1)
    masks = [torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]]).bool(), torch.ones(2, 3).bool()]
    found = fusion([x, y], masks)
    found.sum().backward()
    assert found.isfinite().all()
    assert (x.grad[~masks[0]] == 0).all()
    assert (x.grad[masks[0]] != 0).any()
    short = fusion([x[:1, :2], y[:1]], [masks[0][:1, :2], masks[1][:1]])
    torch.testing.assert_close(found[:1], short)
    with pytest.raises(ConfigError, match="does not divide"):
        CrossAttention(10, heads=4)
