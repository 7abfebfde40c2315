"""What every fusion is."""

from __future__ import annotations

from torch import Tensor, nn


class Fusion(nn.Module):
    """One vector, or one sequence, per modality → features of the utterance.

    Its first constructor argument is `dim`, the others are its options.

    Attributes:
        modalities: how many it joins.
        or_fewer: it joins fewer as well.
        vector_size: D, of what it is given.
        out_features: F, of what it returns.
        needs_all: it is void where a modality is missing.
        needs_frames: it reads sequences, not vectors.
        of_scores: its `dim` is the number of scores of the head, whatever the plan says.
    """

    modalities: int = 2
    or_fewer: bool = False
    vector_size: int
    out_features: int
    needs_all: bool = False
    needs_frames: bool = False
    of_scores: bool = False

    def forward(self, vectors: list[Tensor], present: list[Tensor]) -> Tensor:
        """[B, D] each, or [B, N, D] if `needs_frames` → [B, F].

        Args:
            vectors: in the order speech, text, physiology; zeros where a modality is missing.
            present: bool [B], or [B, N]: where it is not. Zeros say as much to most fusions.
        """
        raise NotImplementedError
