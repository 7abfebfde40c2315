"""Sequences that look at each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from erc.base.errors import ConfigError
from erc.model.fusion.interface import Fusion


class CrossAttention(Fusion):
    """Each modality looks at the other: frames of speech at tokens, tokens at frames.

    A layer is `x ← x + attention(norm x, norm y)`, `x ← x + MLP(norm x)` for both directions at
    once, over the sequences and not over pooled vectors (Tsai et al. 2019, fig. 3). The means of
    both go through one hidden layer. There is always one more thing to look at, a zero: with
    nothing on the other side attention finds that, and the modality speaks for itself.

    Args:
        dim: width of a frame or token; `heads` must divide it.
        heads, depth: attention heads; layers in each direction.
        hidden: size of the features; None takes `dim`.
        dropout: on attention and within the MLP.
    """

    needs_frames = True

    def __init__(
        self,
        dim: int = 256,
        *,
        heads: int = 4,
        depth: int = 1,
        hidden: int | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        if dim % heads:
            raise ConfigError(f"heads {heads} does not divide dim {dim}")
        self.vector_size = dim
        self.out_features = hidden or dim
        self.speech = nn.ModuleList(CrossLayer(dim, heads, dropout) for _ in range(depth))
        self.text = nn.ModuleList(CrossLayer(dim, heads, dropout) for _ in range(depth))
        self.layers = nn.Sequential(
            nn.Linear(2 * dim, self.out_features), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        (x, y), (in_x, in_y) = vectors, present
        for to_text, to_speech in zip(self.speech, self.text):
            x, y = to_text(x, y, in_y), to_speech(y, x, in_x)
        means = [
            torch.where(inside[..., None], z, 0).sum(1) / inside.sum(1).clamp(min=1)[:, None]
            for z, inside in ((x, in_x), (y, in_y))
        ]
        return self.layers(torch.cat(means, -1))


class CrossLayer(nn.Module):
    """x [B, N, D] looks at y [B, M, D] where it is there, bool [B, M]; see `CrossAttention`."""

    def __init__(self, dim: int, heads: int, dropout: float):
        super().__init__()
        self.norm_x, self.norm_y, self.norm = (nn.LayerNorm(dim) for _ in range(3))
        self.attention = nn.MultiheadAttention(
            dim, heads, dropout, add_zero_attn=True, batch_first=True
        )
        self.mlp = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * dim, dim)
        )

    def forward(self, x: Tensor, y: Tensor, inside: Tensor) -> Tensor:
        keys = self.norm_y(y)
        heard, _ = self.attention(
            self.norm_x(x), keys, keys, key_padding_mask=~inside, need_weights=False
        )
        x = x + heard
        return x + self.mlp(self.norm(x))
