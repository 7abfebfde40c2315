"""Frames [B, N, D] and their lengths [B] → a vector, or a sequence, for each utterance.

A row of length 0 gives zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

SEGMENTS = 8  # equal stretches that an utterance is cut into, where not all frames are kept


def mask(lengths: Tensor, size: int) -> Tensor:
    """Lengths [B] → bool [B, size], True inside.

    >>> mask(torch.tensor([2, 0]), 3).tolist()
    [[True, True, False], [False, False, False]]
    """
    return torch.arange(size, device=lengths.device) < lengths[:, None]


def masked_mean(frames: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the valid frames, [B, N, D] → [B, D]. What lies beyond the length is not read."""
    inside = mask(lengths, frames.shape[1])[..., None]
    return torch.where(inside, frames, 0).sum(1) / lengths.clamp(min=1)[:, None]


def masked_mean_std(frames: Tensor, lengths: Tensor) -> Tensor:
    """Mean and (population) standard deviation over the valid frames, [B, N, D] → [B, 2 D]."""
    mean = masked_mean(frames, lengths)
    variance = masked_mean((frames - mean[:, None]) ** 2, lengths)
    # The slope of √x is infinite at 0 (a single frame): the floor keeps gradients finite.
    return torch.cat([mean, variance.clamp(min=1e-12).sqrt() * (lengths > 0)[:, None]], -1)


def first_token(states: Tensor, lengths: Tensor) -> Tensor:
    """State of the first token, [B, S, D] → [B, D]."""
    return torch.where((lengths > 0)[:, None], states[:, 0], 0)


def segment_means(frames: Tensor, lengths: Tensor, segments: int = SEGMENTS) -> Tensor:
    """Means over equal stretches of the valid frames, [B, N, D] → [B, segments, D].

    Stretch k of n frames is ⌊k n / K⌋ … ⌈(k + 1) n / K⌉ (adaptive average pooling, per row): where
    n is not a multiple of K neighbours share a frame, so that no stretch is ever empty.
    """
    step = torch.arange(segments, device=frames.device)
    first = step * lengths[:, None] // segments  # [B, K]
    # ⌈a / b⌉ without a negative number, of which a traced graph rounds the quotient towards 0.
    last = ((step + 1) * lengths[:, None] + segments - 1) // segments
    place = torch.arange(frames.shape[1], device=frames.device)
    weights = ((place >= first[..., None]) & (place < last[..., None])).to(frames.dtype)
    weights = weights / (last - first).clamp(min=1)[..., None]
    inside = mask(lengths, frames.shape[1])[..., None]
    return weights @ torch.where(inside, frames, 0)


def all_frames(frames: Tensor, lengths: Tensor) -> Tensor:
    """The valid frames as they are, zeros beyond, [B, N, D] → [B, N, D]."""
    return torch.where(mask(lengths, frames.shape[1])[..., None], frames, 0)


class AttentionPooling(nn.Module):
    """Σₙ αₙ xₙ with α = softmax(w · xₙ) over the valid frames, [B, N, D] → [B, D].

    It starts as the mean (w = 0). A row without valid frames gives zeros.
    """

    def __init__(self, size: int):
        super().__init__()
        self.score = nn.Linear(size, 1, bias=False)  # the softmax does not see a bias
        nn.init.zeros_(self.score.weight)

    def forward(self, frames: Tensor, inside: Tensor) -> Tensor:
        scores = self.score(frames)[..., 0]
        # The smallest number instead of −∞: a row of −∞ alone would be nan.
        alpha = scores.masked_fill(~inside, torch.finfo(scores.dtype).min).softmax(-1) * inside
        return torch.einsum("bn,bnd->bd", alpha, torch.where(inside[..., None], frames, 0))


def mean_std_thirds(frames: Tensor, lengths: Tensor) -> Tensor:
    """`masked_mean_std` and the means of beginning, middle and end, [B, N, D] → [B, 5 D]."""
    thirds = segment_means(frames, lengths, 3) * (lengths > 0)[:, None, None]
    return torch.cat([masked_mean_std(frames, lengths), thirds.flatten(1)], -1)


# What has no parameters, and may be done before anything is trained: to one vector, to several.
POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": masked_mean,
    "mean_std": masked_mean_std,
    "mean_std_thirds": mean_std_thirds,
    "first": first_token,
}
WIDTHS = {"mean_std": 2, "mean_std_thirds": 5}  # of the pooled vector, in widths of a frame
SEQUENCES: dict[str, Callable[..., Tensor]] = {"segments": segment_means, "frames": all_frames}
NAMES = (*POOLINGS, "attention", *SEQUENCES)


def pooled_size(pooling: str, size: int) -> int:
    """Width of the pooled vector for frames of width `size`."""
    return WIDTHS.get(pooling, 1) * size
