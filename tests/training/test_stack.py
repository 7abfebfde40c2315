"""Stacked models make the steps that torch's own optimiser makes with each of them."""

import pytest
import torch
from torch import nn

from erc.model.emotion import EmotionModel
from erc.model.encoded import Encoded
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.training.stack import Stack, shape_of

CLIP = 0.5


class Net(nn.Module):
    """Two layers, a buffer, a loss."""

    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.norm, self.last = nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 1)
        self.register_buffer("shift", torch.randn(4))

    def forward(self, x, y):
        error = self.last(self.norm(self.first(x + self.shift)).relu())[:, 0] - y
        if not self.training:
            return error
        return torch.stack([(error**2).mean(), error.mean(), error.abs().mean()])


def test_three_models_of_different_length_step_as_each_does_alone():
    torch.manual_seed(0)
    data = torch.randn(3, 7, 5, 4), torch.randn(3, 7, 5)
    taken, counts, factors = [7, 4, 6], [1.0, 0.5, 2.0], [1.0, 0.3, 0.1]
    alone = [Net(seed) for seed in range(3)]
    for r, net in enumerate(alone):
        matrices = [p for p in net.parameters() if p.ndim > 1]
        others = [p for p in net.parameters() if p.ndim == 1]
        options = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
            lr=0.05 * factors[r],
        )
        for k in range(taken[r]):
            options.zero_grad()
            (net(data[0][r, k], data[1][r, k])[0] * counts[r]).backward()
            nn.utils.clip_grad_norm_(net.parameters(), CLIP)
            options.step()
    nets = [Net(seed) for seed in range(3)]
    names = {p: n for n, p in nets[0].named_parameters()}
    groups = [
        ([n for p, n in names.items() if p.ndim > 1], 0.05, 0.1),
        ([n for p, n in names.items() if p.ndim == 1], 0.05, 0.0),
    ]
    stack = Stack(nets, groups)
    for k in range(max(taken)):
        who = [r for r in range(3) if k < taken[r]]
        inputs = [x[who, k] for x in data]
        weights, shares = ([own[r] for r in who] for own in (counts, factors))
        losses = stack.step(who, inputs, [], weights, shares, CLIP)
        assert losses.shape == (len(who), 3)
    for r, (net, own) in enumerate(zip(nets, stack.weights)):
        stack.give_back(net, own)
        for mine, theirs in zip(net.parameters(), alone[r].parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    stack.net.eval()
    said = stack.run([x[:, 0] for x in data], [0, 1, 2])
    for r, net in enumerate(alone):
        torch.testing.assert_close(said[r], net.eval()(data[0][r, 0], data[1][r, 0]))


def test_only_models_of_one_shape_are_of_one_shape():
    other = Net(0)
    other.last = nn.Linear(6, 2)
    assert shape_of(Net(0)) == shape_of(Net(1)) != shape_of(other)


class Head(nn.Module):
    """A model after its encoders; the loss is of no matter."""

    def __init__(self, fusion, seed, **options):
        super().__init__()
        torch.manual_seed(seed)
        self.model = EmotionModel(
            SpeechEncoder.from_name("tiny-whisper"), TextEncoder.from_name("tiny-roberta"),
            fusion=fusion, dim=32, freeze_speech=True, freeze_text=True, **options,
        )  # fmt: skip

    def forward(self, pooled, present):
        out = self.model.answer(Encoded(pooled, present))
        return torch.cat([out.logits, out.dimensions], 1)


@pytest.mark.parametrize(
    "fusion", ["tensor_mixer", "concat", "cross_attention", "low_rank", "gated"]
)
def test_every_fusion_says_stacked_what_it_says_alone(fusion):
    sequences = fusion == "cross_attention"
    options = {"speech_pooling": "segments", "text_pooling": "segments"} if sequences else {}
    if fusion == "tensor_mixer":
        options = {"fusion_options": {"patch_size": 8, "mixer_dim": 16, "depth": 1}}
    heads = [Head(fusion, seed, **options).eval() for seed in range(2)]
    names = [n for n, p in heads[0].named_parameters() if p.requires_grad]
    shapes = {m: b.shape for m, b in heads[0].model.branches.items()}
    steps = (8,) if sequences else ()
    pooled = {m: torch.randn(2, 3, *steps, *shape) for m, shape in shapes.items()}
    present = {m: torch.ones(2, 3, *steps, dtype=torch.bool) for m in shapes}
    present["text"][0, 1] = False  # without a transcript
    said = Stack(heads, [(names, 1e-3, 0.0)]).run([pooled, present], [0, 1])
    for r, head in enumerate(heads):
        alone = head({m: x[r] for m, x in pooled.items()}, {m: x[r] for m, x in present.items()})
        torch.testing.assert_close(said[r], alone, rtol=1e-5, atol=1e-5)
