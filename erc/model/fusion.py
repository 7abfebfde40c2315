"""Fusions: one vector per modality → features of the utterance.

A fusion is a module `forward(vectors: list of [B, vector_size]) -> [B, out_features]`, the vectors in
the order speech, text; a missing modality is a vector of zeros. Its first constructor argument is
`dim`, the others are its options. `needs_all` marks a fusion that is void without all of them;
`needs_frames` one that reads sequences [B, N, vector_size] and their masks, bool [B, N].
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc.base.errors import ConfigError, did_you_mean
from erc.model.mixer import Mixer
from erc.model.trilinear import Trilinear


class Fusion(nn.Module):
    """Interface of a fusion; see the module's docstring."""

    modalities: int = 2
    vector_size: int
    out_features: int
    needs_all: bool = False
    needs_frames: bool = False

    def forward(self, vectors: list[Tensor]) -> Tensor:
        raise NotImplementedError


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

    def forward(self, vectors: list[Tensor]) -> Tensor:
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


class Concat(Fusion):
    """The vectors side by side, through one hidden layer."""

    def __init__(self, dim: int = 256, *, hidden: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.vector_size = dim
        self.out_features = hidden or dim
        self.layers = nn.Sequential(
            nn.Linear(2 * dim, self.out_features), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, vectors: list[Tensor]) -> Tensor:
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

    def forward(self, vectors: list[Tensor]) -> Tensor:
        return self.layers(vectors[0])


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

    def forward(self, vectors: list[Tensor]) -> Tensor:
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

    def forward(self, vectors: list[Tensor]) -> Tensor:
        u, v = (side(x).tanh() for side, x in zip(self.sides, vectors))
        z = self.gate(torch.cat(vectors, -1)).sigmoid()
        return z * u + (1 - z) * v


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

    def forward(self, vectors: list[Tensor], masks: list[Tensor]) -> Tensor:
        (x, y), (in_x, in_y) = vectors, masks
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


FUSIONS: dict[str, type[nn.Module]] = {
    "tensor_mixer": TensorMixer,
    "concat": Concat,
    "single": Single,
    "cross_attention": CrossAttention,
    "low_rank": LowRank,
    "gated": Gated,
    "trilinear": Trilinear,
}


def build_fusion(name: str, dim: int, options: dict[str, Any]) -> Fusion:
    """The fusion `name` with its options.

    Raises:
        ConfigError: no such fusion or option.
    """
    allowed = fusion_options(name)
    for option in options:
        if option not in allowed:
            raise ConfigError(
                f"fusion '{name}' has no option '{option}'; it has {', '.join(allowed)}"
                f"{did_you_mean(option, allowed)}"
            )
    return FUSIONS[name](dim, **options)


def fusion_options(name: str) -> list[str]:
    """The options that a fusion has.

    Raises:
        ConfigError: no such fusion.
    """
    if name not in FUSIONS:
        raise ConfigError(
            f"fusion '{name}' is not one of {', '.join(FUSIONS)}{did_you_mean(name, FUSIONS)}"
        )
    return [p for p in inspect.signature(FUSIONS[name]).parameters if p != "dim"]
