"""Fusions of pooled vectors in a few lines: side by side, one alone, summed, low rank, gated."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc.model.fusion.interface import Fusion


class Concat(Fusion):
    """The vectors side by side, through one hidden layer."""

    def __init__(self, dim: int = 256, *, hidden: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.vector_size = dim
        self.out_features = hidden or dim
        self.layers = nn.Sequential(
            nn.Linear(2 * dim, self.out_features), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        return self.layers(torch.cat(vectors, -1))


class Single(Fusion):
    """For a model of one modality: its vector, through one hidden layer."""

    modalities = 1
    needs_all = True

    def __init__(self, dim: int = 256, *, hidden: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.vector_size = dim
        self.out_features = hidden or dim
        self.layers = nn.Sequential(
            nn.Linear(dim, self.out_features), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        return self.layers(vectors[0])


class Linear(Fusion):
    """The sum of the vectors, one place for each score of the head: `dim` is their number.

    Projections of all modalities and the head together are then one linear map of their features side by
    side, which `erc.training.closed_form` solves for. A missing modality adds nothing.
    """

    modalities = 3
    or_fewer = True
    of_scores = True

    def __init__(self, dim: int = 9):
        super().__init__()
        self.vector_size = self.out_features = dim

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        return torch.stack(vectors).sum(0)


class LowRank(Fusion):
    """Low-rank tensor fusion (Liu et al. 2018, eq. 6): z = Σᵣ wᵣ (Aᵣ [u; 1]) ∘ (Bᵣ [v; 1]) + b.

    Equal to reading `[u; 1] ⊗ [v; 1]` with a weight tensor of rank `rank`, which is never written
    down: rank · (dim + dim) · hidden weights instead of dim² · hidden.

    Args:
        dim: as in `TensorMixer`: the vectors have dim − 1 places and a constant 1.
        rank: number of products that are summed.
        hidden: size of z; None takes `dim`.
    """

    def __init__(self, dim: int = 256, *, rank: int = 4, hidden: int | None = None):
        super().__init__()
        self.vector_size = dim - 1
        self.out_features = hidden or dim
        shape = (self.modalities, rank, dim, self.out_features)
        self.factors = nn.Parameter(torch.randn(shape) / dim**0.5)  # keeps the variance of an input
        self.weights = nn.Parameter(torch.full((rank,), rank**-0.5))
        self.bias = nn.Parameter(torch.zeros(self.out_features))

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        product = torch.ones((), device=self.bias.device)
        for x, factor in zip(vectors, self.factors):
            product = product * torch.einsum("bi,rio->bro", F.pad(x, (0, 1), value=1.0), factor)
        return torch.einsum("bro,r->bo", product, self.weights) + self.bias


class Gated(Fusion):
    """Gated multimodal unit (Arevalo et al. 2017, eq. 1): z ∘ tanh(U u) + (1 − z) ∘ tanh(V v).

    The gate z = σ(G [u; v]) weighs the modalities, place by place. A missing one adds nothing.
    """

    def __init__(self, dim: int = 256, *, hidden: int | None = None):
        super().__init__()
        self.vector_size = dim
        self.out_features = hidden or dim
        self.sides = nn.ModuleList(
            nn.Linear(dim, self.out_features, bias=False) for _ in range(self.modalities)
        )
        self.gate = nn.Linear(2 * dim, self.out_features)

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        u, v = (side(x).tanh() for side, x in zip(self.sides, vectors))
        z = self.gate(torch.cat(vectors, -1)).sigmoid()
        return z * u + (1 - z) * v
