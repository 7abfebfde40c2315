"""One modality on its way to the fusion: encoder → reduction → standardisation → projection.

What the encoder says is reduced to a vector, or to a short or whole sequence, by something that has
no parameters: while the encoder is frozen, the result can be kept on disk (`erc.training.features`).
Everything trainable comes after: the weights of the layers, attention, the projection.
"""

from __future__ import annotations

import math
from collections.abc import ItemsView, ValuesView
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from erc.model.encoders import Encoder
from erc.model.pooling import (
    POOLINGS,
    SEGMENTS,
    SEQUENCES,
    AttentionPooling,
    mask,
    pooled_size,
    segment_means,
)


class Standardize(nn.Module):
    """(x − mean) / deviation of training features; the identity until `fit`.

    Args:
        shape: of a feature: (D,), or (layers, D) for each layer on its own.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from features [N, …, *shape] of the training side only.

        A feature that does not vary keeps scale 1.
        """
        if len(features) == 0 or not bool(features.isfinite().all()):
            raise ValueError(
                f"features {tuple(features.shape)} to standardise are empty or not finite"
            )
        features = features.reshape(-1, *self.mean.shape)
        deviation = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class LayerWeights(nn.Module):
    """Weighted sum over layers, […, L, D] → […, D]; the weights are a softmax, equal at the start."""

    def __init__(self, layers: int):
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(layers))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...ld,l->...d", x, self.logits.softmax(0))


class Branch(nn.Module):
    """One modality: encoder → reduction → standardisation → projection.

    Args:
        encoder: frozen already, if it is to be.
        pooling: of `pooling.NAMES`.
        vector_size: what the fusion takes.
        dropout: before the projection.
        segments: number of means that "segments" keeps.

    Attributes:
        reduction: the pooling, or what attention looks at: all frames of an encoder that is
            trained, segments of a frozen one.
        shape: of a reduced feature: (D,), or (layers, D) where they are weighted or joined later.
            Pooling each layer and summing then is the same as pooling the sum for everything
            linear; with "mean_std" it is the deviations of the layers that are summed.
    """

    def __init__(
        self,
        encoder: Encoder,
        pooling: str,
        vector_size: int,
        dropout: float = 0.0,
        segments: int = SEGMENTS,
    ):
        super().__init__()
        self.encoder, self.pooling, self.segments = encoder, pooling, segments
        self.reduction = pooling
        if pooling == "attention":
            self.reduction = "segments" if encoder.frozen else "frames"
        self.size = pooled_size(pooling, encoder.size)
        self.shape = (encoder.stacked, self.size) if encoder.stacked else (self.size,)
        self.standardize = Standardize(*self.shape)
        weighted = encoder.layer == "weighted"
        self.layers = LayerWeights(self.shape[0]) if weighted else None
        width = self.size if weighted else math.prod(self.shape)
        self.attention = AttentionPooling(width) if pooling == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.projector = nn.Linear(width, vector_size)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.projector.weight.device

    @property
    def cacheable(self) -> bool:
        """True if `encode` always says the same of an utterance, in the same shape."""
        return self.encoder.frozen and self.reduction != "frames"

    def encode(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The reduced features [B, *shape], of a sequence [B, N, *shape]; nothing trainable after
        the encoder yet. A row of length 0 is not run through the encoder: zeros."""
        rows = lengths.nonzero()[:, 0]
        if not len(rows):
            steps = {"frames": (1,), "segments": (self.segments,)}.get(self.reduction, ())
            return torch.zeros(len(lengths), *steps, *self.shape, device=lengths.device)
        found = self.reduce(*self.encoder(x[rows], lengths[rows]))
        return found.new_zeros(len(lengths), *found.shape[1:]).index_copy(0, rows, found)

    def reduce(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """[B, N, D] → [B, *shape] or [B, steps, *shape]; of stacked layers each on its own."""
        if self.encoder.stacked:
            return torch.stack([self._reduce_one(f, lengths) for f in frames.unbind(2)], -2)
        return self._reduce_one(frames, lengths)

    def _reduce_one(self, frames: Tensor, lengths: Tensor) -> Tensor:
        if self.reduction == "segments":
            return segment_means(frames, lengths, self.segments)
        return (POOLINGS | SEQUENCES)[self.reduction](frames, lengths)

    def present(self, encoded: Tensor, lengths: Tensor) -> Tensor:
        """Where `encode` says something, bool [B], or [B, N] of a sequence; `lengths` as given there."""
        if self.reduction == "frames":
            return mask(self.encoder.frame_lengths(lengths), encoded.shape[1])
        there = lengths > 0
        return there[:, None].expand(encoded.shape[:2]) if self.reduction in SEQUENCES else there

    def project(self, encoded: Tensor, present: Tensor) -> Tensor:
        """What the fusion sees, [B, vector_size] or [B, N, vector_size]; zeros where not `present`."""
        vectors = self.standardize(encoded)
        if self.layers is not None:
            vectors = self.layers(vectors)
        elif self.encoder.stacked:
            vectors = vectors.flatten(-2)
        if self.attention is not None:
            vectors, present = self.attention(vectors, present), present.any(-1)
        vectors = self.projector(self.dropout(vectors))
        return torch.where(present[..., None], vectors, 0)


class Branches(nn.ModuleDict):
    """Modality → `Branch`, in the order of the fusion."""

    if TYPE_CHECKING:

        def __getitem__(self, key: str) -> Branch: ...
        def values(self) -> ValuesView[Branch]: ...  # type: ignore[override]
        def items(self) -> ItemsView[str, Branch]: ...  # type: ignore[override]
