"""MLP-Mixer (Tolstikhin et al. 2021, arXiv:2105.01601) over embedded patches."""

from __future__ import annotations

from torch import Tensor, nn


class MixerBlock(nn.Module):
    """`x + tokens(norm(x))`, then `x + channels(norm(x))`.

    Mixing over patches is a 1×1 convolution that takes the patches as channels: the same matrix
    for every feature, without a transposition.
    """

    def __init__(self, patches: int, dim: int, token_hidden: int, channel_hidden: int, dropout=0.0):
        super().__init__()
        self.token_norm = nn.LayerNorm(dim)
        self.tokens = nn.Sequential(
            nn.Conv1d(patches, token_hidden, 1),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Conv1d(token_hidden, patches, 1),
            nn.Dropout(dropout),
        )
        self.channel_norm = nn.LayerNorm(dim)
        self.channels = nn.Sequential(
            nn.Linear(dim, channel_hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(channel_hidden, dim),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.token_norm(x))
        return x + self.channels(self.channel_norm(x))


class Mixer(nn.Sequential):
    """Embedded patches [B, P, dim] → features [B, dim]: blocks, layer norm, mean over patches.

    Args:
        patches: their number P.
        dim: features of a patch.
        depth: number of blocks.
        token_expansion: width of the mixing over patches, in multiples of P.
        channel_expansion: width of the mixing over features, in multiples of `dim`.
        dropout: within the blocks.
    """

    def __init__(
        self,
        patches: int,
        dim: int,
        depth: int,
        token_expansion: float = 4,
        channel_expansion: float = 0.5,
        dropout: float = 0.0,
    ):
        token_hidden = max(1, int(patches * token_expansion))
        channel_hidden = max(1, int(dim * channel_expansion))
        blocks = (
            MixerBlock(patches, dim, token_hidden, channel_hidden, dropout) for _ in range(depth)
        )
        super().__init__(*blocks, nn.LayerNorm(dim))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(1)
