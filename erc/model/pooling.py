"""Frames [B, N, D] and their lengths [B] → one vector per utterance. A row of length 0 gives zeros."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": masked_mean,
    "mean_std": masked_mean_std,
    "first": first_token,
}


def pooled_size(pooling: str, size: int) -> int:
    """Width of the pooled vector for frames of width `size`."""
    return 2 * size if pooling == "mean_std" else size
