"""Trilinear fusion `[u;1] ⊗ [v;1] ⊗ [w;1]` whose d³ numbers are never written down."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.model.fusion.interface import Fusion
from erc.model.fusion.mixer import Mixer


class Trilinear(Fusion):
    """Outer product of three vectors, cut into cubes of side p, read by an MLP-Mixer.

    The constant 1 in the last place of each vector keeps the products of two and each vector alone
    (Zadeh et al. 2017, eq. 3): what is missing is a vector of zeros, and the rest survives.

    Cube (g, h, k) is itself an outer product, of the g-th piece of u, the h-th of v and the k-th of
    w, so its linear embedding is `Σ W[o, a, b, c] u[g, a] v[h, b] w[k, c]`: c is summed first, then
    b, then a, and each sum shrinks what the next one reads (`rank=None`). With W of rank r (CP form),
    `W = Σᵣ C[o, r] A[r, a] B[r, b] G[r, c]`, the pieces are mapped to r numbers each and multiplied:
    `C ((A u_g) ∘ (B v_h) ∘ (G w_k))`. One cube (p = dim) and no mixer layer is the low-rank fusion of
    Liu et al. 2018.

        for an utterance         numbers held                 multiplications, n = dim / p
        materialised             dim³                         dim³ · D
        rank=None                n·p²·D + n²·p·D + n³·D       n·p³·D + n²·p²·D + n³·p·D
        rank=r                   3·n·r + n³·r + n³·D          3·dim·r + n³·r·D

    Args:
        dim: side of the product; the vectors have dim − 1 places.
        patch_size: side p of a cube, must divide `dim`; the mixer sees (dim / p)³ of them. None takes
            a quarter of `dim`: 64 cubes.
        rank: of the embedding; None: any W, with p³ · D weights.
        mixer_dim: D.
        depth, token_expansion, channel_expansion, dropout: see `Mixer`.
    """

    modalities = 3

    def __init__(
        self,
        dim: int = 64,
        *,
        patch_size: int | None = None,
        rank: int | None = 64,
        mixer_dim: int = 64,
        depth: int = 2,
        token_expansion: float = 4,
        channel_expansion: float = 0.5,
        dropout: float = 0.0,
    ):
        super().__init__()
        patch_size = patch_size or dim // 4
        if dim % patch_size:
            raise ConfigError(f"patch_size {patch_size} does not divide dim {dim}")
        if rank is not None and rank < 1:
            raise ConfigError(f"rank {rank} is below 1; give null for an embedding of any rank")
        p = patch_size
        self.vector_size, self.out_features = dim - 1, mixer_dim
        self.patch_size, self.rank = p, rank
        if rank is None:
            self.weight = nn.Parameter(torch.randn(mixer_dim, p, p, p) / p**1.5)
        else:
            self.factors = nn.Parameter(torch.randn(3, rank, p) / p**0.5)
            self.weight = nn.Parameter(torch.randn(mixer_dim, rank) / rank**0.5)
        self.bias = nn.Parameter(torch.zeros(mixer_dim))
        cubes = (dim // p) ** 3
        self.mixer = Mixer(cubes, mixer_dim, depth, token_expansion, channel_expansion, dropout)

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        return self.mixer(self.embed(*(F.pad(x, (0, 1), value=1.0) for x in vectors)))

    def embed(self, u: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Embedding of the cubes of u ⊗ v ⊗ w, [B, dim]³ → [B, cubes, D]."""
        u, v, w = (x.unflatten(-1, (-1, self.patch_size)) for x in (u, v, w))  # [B, n, p]
        if self.rank is None:
            x = torch.einsum("bkc,oaxc->bkoax", w, self.weight)
            x = torch.einsum("bhx,bkoax->bhkoa", v, x)
            x = torch.einsum("bga,bhkoa->bghko", u, x)
        else:
            u, v, w = (x @ factor.mT for x, factor in zip((u, v, w), self.factors))  # [B, n, r]
            pairs = u[:, :, None] * v[:, None]  # [B, n, n, r]
            x = F.linear(pairs[:, :, :, None] * w[:, None, None], self.weight)
        return x.flatten(1, 3) + self.bias

    def full_weight(self) -> Tensor:
        """W [D, p, p, p], whatever its rank; what a materialised embedding would be given."""
        if self.rank is None:
            return self.weight
        return torch.einsum("or,ra,rb,rc->oabc", self.weight, *self.factors)

    def embed_materialised(self, u: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """`embed` with the d³ numbers written down: for comparison only."""
        p = self.patch_size
        cubes = torch.einsum("bi,bj,bk->bijk", u, v, w)
        for side in (1, 2, 3):
            cubes = cubes.unfold(side, p, p)  # [B, n, n, n, p, p, p]
        return F.linear(cubes.flatten(4).flatten(1, 3), self.full_weight().flatten(1), self.bias)
