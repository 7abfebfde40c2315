"""Physiology → frames: an MLP over features, or a small convolutional net over the signals at 4 Hz."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from erc.base.errors import ConfigError, did_you_mean
from erc.base.physiology_features import KINDS
from erc.model.encoders import Encoder
from erc.model.pooling import mask

LIMIT = 5.0  # standard deviations; beyond lie artefacts of a loose electrode


class PhysiologyEncoder(Encoder):
    """What devices measured, with nan where they did not, → frames.

    A number is standardised with the training side's mean and deviation (`fit`) and clipped; in the
    place of nan comes 0, the mean, and beside every number an indicator says whether it is one.

    Args:
        kind: "features" [B, 1, 16], see `physiology_features.FEATURES`: two layers.
            "conv" [B, T, 3] at 4 Hz, see `physiology.resample`: two convolutions of 5 steps (1.25 s).
        size: width D of a frame.
        dropout: between the layers.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, kind: str = "features", *, size: int = 32, dropout: float = 0.1):
        super().__init__()
        if kind not in KINDS:
            raise ConfigError(
                f"physiology_encoder '{kind}' is not one of {', '.join(KINDS)}"
                f"{did_you_mean(str(kind), KINDS)}"
            )
        self.kind, self.size, self.rate = kind, size, dropout
        channels = KINDS[kind]
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        reach = 5 if kind == "conv" else 1
        self.first = nn.Conv1d(2 * channels, size, reach, padding=reach // 2)
        self.second = nn.Conv1d(size, size, reach, padding=reach // 2)
        self.dropout = nn.Dropout(dropout)

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Take mean and deviation of each channel from rows [N, C] of the training side, nan left out.

        A channel that was never measured, or does not vary, keeps deviation 1.
        """
        known = rows.isfinite()
        n = known.sum(0).clamp(min=1)
        mean = torch.where(known, rows, 0).sum(0) / n
        deviation = (torch.where(known, rows - mean, 0).square().sum(0) / n).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, 1))

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of each utterance.

        Args:
            x: [B, T, C], nan where not measured; what lies beyond a row's length is not read.
            lengths: [B] long, steps, all ≥ 1.

        Returns:
            frames [B, T', D] with T' = max(lengths), lengths [B].
        """
        with self._grad():
            return self.frames(x[:, : int(lengths.max())], lengths), lengths

    def frames(self, x: Tensor, lengths: Tensor) -> Tensor:
        """As `forward`, of any T not below the longest row: also for exported graphs."""
        inside = mask(lengths, x.shape[1])[:, None]  # [B, 1, T]
        known = x.isfinite()
        values = ((torch.where(known, x, 0) - self.mean) / self.scale).clamp(-LIMIT, LIMIT)
        h = torch.cat([torch.where(known, values, 0), known.float()], -1).mT  # [B, 2 C, T]
        h = self.first(torch.where(inside, h, 0))
        h = self.dropout(nn.functional.gelu(h))
        return nn.functional.gelu(self.second(torch.where(inside, h, 0))).mT

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same encoder, without weights."""
        return {"kind": self.kind, "size": self.size, "dropout": self.rate}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from `to_config()`; the weights are random."""
        return cls(**config)
