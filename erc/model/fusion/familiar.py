"""`Familiar`: a voice like those of a training corpus is answered as in that corpus, another one by what
the corpora have in common."""

from __future__ import annotations

import torch
from torch import Tensor

from erc.model.fusion.interface import Fusion


class Familiar(Fusion):
    """A mixture of a discriminant within corpora and one across them, as log-probabilities.

    The vector is [z; s; r]: coordinates z in which the places μ of every emotion of every corpus lie
    under unit covariance, scores s of the emotions for whoever is like no corpus, and the dimensions r.
    With d² a constant distance beyond which a recording is a stranger's,

    `p(place c) ∝ exp(−‖z − μ_c‖² / 2)`, `p(stranger) ∝ exp(−d² / 2)`,
    `p(emotion) = Σ_c p(place c) [c is of the emotion] + p(stranger) softmax(s)`

    Linear discriminant analysis of the places, marginalised over corpora, with an outlier class of
    constant density. There is no training of it by gradients: `erc.studies.starter` fits it.

    Args:
        dim: number of scores of the head.
        emotions: K, the first of them; the others are dimensions.
        axes: of z.
        places: number of μ.
    """

    modalities = 1
    of_scores = True
    places: Tensor
    member: Tensor
    far: Tensor

    def __init__(self, dim: int = 9, *, emotions: int = 7, axes: int = 1, places: int = 1):
        super().__init__()
        self.emotions, self.axes = emotions, axes
        self.vector_size, self.out_features = axes + dim, dim
        self.register_buffer("places", torch.zeros(places, axes))
        self.register_buffer(
            "member", torch.zeros(places, emotions)
        )  # 1: the place is of the emotion
        self.register_buffer("far", torch.zeros(1))  # d²

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        z, s, r = (
            vectors[0][:, : self.axes],
            vectors[0][:, self.axes : self.axes + self.emotions],
            vectors[0][:, self.axes + self.emotions :],
        )
        near = ((z[:, None] - self.places) ** 2).sum(-1)  # [B, places]
        far = torch.zeros_like(near[:, :1]) + self.far
        share = (torch.cat([near, far], 1) / -2).softmax(1)
        p = share[:, :-1] @ self.member + share[:, -1:] * s.softmax(1)
        return torch.cat([p.clamp(min=1e-9).log(), r], 1)
