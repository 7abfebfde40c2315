"""Tensor fusion: the outer product of two vectors, read patch by patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.model.fusion.interface import Fusion
from erc.model.fusion.mixer import Mixer


class TensorMixer(Fusion):
    """Outer product of the two vectors, cut into patches, read by an MLP-Mixer.

    With a constant 1 in the last place of each vector, `[u; 1] ⊗ [v; 1]` contains u vᵀ, u and v
    (tensor fusion, Zadeh et al. 2017, eq. 2): where one modality is missing the other survives.

    Args:
        dim: side of the product; the vectors have dim − 1 places with a constant, else dim.
        patch_size: side of a patch, must divide `dim`.
        mixer_dim, depth, token_expansion, channel_expansion, dropout: see `Mixer`.
        constant: False is the published form, `u ⊗ v`; it needs both modalities.
    """

    def __init__(
        self,
        dim: int = 256,
        *,
        patch_size: int = 16,
        mixer_dim: int = 512,
        depth: int = 12,
        token_expansion: float = 4,
        channel_expansion: float = 0.5,
        dropout: float = 0.0,
        constant: bool = True,
    ):
        super().__init__()
        if dim % patch_size:
            raise ConfigError(f"patch_size {patch_size} does not divide dim {dim}")
        self.vector_size = dim - 1 if constant else dim
        self.out_features = mixer_dim
        self.constant, self.needs_all = constant, not constant
        self.patch_size = patch_size
        self.embed = nn.Linear(patch_size**2, mixer_dim)
        self.mixer = Mixer(
            (dim // patch_size) ** 2, mixer_dim, depth, token_expansion, channel_expansion, dropout
        )

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        u, v = (F.pad(x, (0, 1), value=1.0) if self.constant else x for x in vectors)
        return self.mixer(self.embed_patches(u, v))

    def embed_patches(self, u: Tensor, v: Tensor) -> Tensor:
        """The linear embedding of the patches of u vᵀ, [B, dim]² → [B, patches, mixer_dim].

        Patch (h, w) is itself an outer product, of the h-th piece of u and the w-th piece of v:
        `Σᵢⱼ W[d, i, j] u[h, i] v[w, j]`. Summing over j first costs n·p² + n²·p instead of n²·p²
        products (n pieces of p places; 8 × less at 16 × 16), and u vᵀ is never written down.
        """
        p = self.patch_size
        u, v = (x.unflatten(-1, (-1, p)) for x in (u, v))  # [B, n, p]
        weight = self.embed.weight.unflatten(-1, (p, p))  # [D, i, j]
        columns = torch.einsum("bwj,dij->bwdi", v, weight)
        embedded = torch.einsum("bhi,bwdi->bhwd", u, columns) + self.embed.bias
        return embedded.flatten(1, 2)
