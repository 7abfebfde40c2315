"""Votes → soft → PeakL, sharpened and majority labels. Works on numpy arrays and torch tensors.

Every function takes labels in its last axis (K ≥ 2, in the order of a `Space`) and any leading shape,
and returns the kind of array it was given. A row of nan means "no emotion label" and stays nan.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from erc.base.errors import LabelError


def soft(votes: Any) -> Any:
    """Votes → distribution: votes divided by their sum.

    Args:
        votes: [..., K] counts ≥ 0; rows of nan stay nan.

    Returns:
        [..., K], rows sum to 1.

    Raises:
        LabelError: a negative or infinite vote, a row without any vote, or fewer than two columns.

    >>> soft(np.array([9, 0, 0, 1, 0, 0, 0])).tolist()
    [0.9, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0]
    """
    xp, votes = floating(votes)
    with np.errstate(over="ignore"):
        total = votes.sum(-1)
    bad = (votes < 0) | xp.isinf(total)[..., None]  # also of finite votes that no float can add up
    if bool(bad.any()):
        raise LabelError(f"votes must be counts ≥ 0; got {_first_row(votes, bad)}")
    if bool((total == 0).any()):
        raise LabelError(
            "a row of votes is all zero: drop the utterance or write nan for 'no label'"
        )
    return votes / total[..., None]


def entropy(soft: Any) -> Any:
    """Shannon entropy −Σ y log y in nats, [..., K] → [...]; 0·log 0 = 0."""
    xp, y = floating(soft)
    return -(y * xp.log(xp.where(y == 0, xp.ones_like(y), y))).sum(-1)


def peakl(soft: Any) -> Any:
    """PeakL, peaking labels: the distribution without what few raters said, renormalised.

    With K emotions, `r = tanh(H(y))` and `PeakL(y) = normalise(max(0, y − r/K))`: the more the raters
    disagree (entropy H), the higher the bar an emotion must clear. Unanimous votes are unchanged.
    Where nothing clears it (uniform votes) the label stays `y`; never nan from numbers.

    Args:
        soft: [..., K], rows sum to 1 (any float dtype; integers are taken as float64).

    Returns:
        [..., K], rows sum to 1.

    Raises:
        LabelError: a row does not sum to 1 (votes go through `soft` first), or fewer than two columns.

    >>> peakl(np.array([0.9, 0, 0, 0.1, 0, 0, 0])).round(6).tolist()
    [0.939436, 0.0, 0.0, 0.060564, 0.0, 0.0, 0.0]
    """
    xp, y = floating(soft)
    total = y.sum(-1)
    off = (abs(total - 1) > 1e-3) | (y < 0).any(-1)
    if bool(off.any()):
        raise LabelError(
            f"peakl takes distributions (rows ≥ 0 that sum to 1); got {_first_row(y, off)}. "
            "Turn votes into distributions with erc.labels.soft first"
        )
    bar = xp.tanh(entropy(y))[..., None] / y.shape[-1]
    peak = xp.where(y > bar, y - bar, xp.zeros_like(y))
    mass = peak.sum(-1)[..., None]
    # A nan row must stay nan: comparisons with nan are False, so it takes the second branch.
    return xp.where(mass > 0, peak / xp.where(mass > 0, mass, xp.ones_like(mass)), y)


def majority(soft: Any) -> Any:
    """The most-voted emotions in equal shares: one-hot unless they tie, [..., K] → [..., K]."""
    return sharpen(soft, 0.0)


def sharpen(soft: Any, temperature: float) -> Any:
    """Temperature-sharpened distribution `y^(1/T) / Σ y^(1/T)`, [..., K] → [..., K]; nan rows stay nan.

    Args:
        temperature: T > 0; 1 leaves `soft` as it is, towards 0 it becomes the majority (a tie in equal
            shares), which is what 0 returns.

    >>> sharpen(np.array([0.6, 0.3, 0.1, 0, 0, 0, 0]), 0.5).round(3).tolist()
    [0.783, 0.196, 0.022, 0.0, 0.0, 0.0, 0.0]
    """
    xp, y = floating(soft)
    if not temperature >= 0:
        raise LabelError(f"a temperature is ≥ 0; got {temperature}")
    if temperature == 0:
        z = xp.where(_majority(y), xp.ones_like(y), xp.zeros_like(y))
        z = xp.where(xp.isnan(y), y, z)
    else:
        top = y.max(-1)[..., None] if xp is np else y.max(-1).values[..., None]
        z = (y / top) ** (1 / temperature)  # at most 1: cannot overflow
    return z / z.sum(-1)[..., None]


def tied(soft: Any) -> Any:
    """True where two or more emotions share the majority ("deuce"), [..., K] → bool [...]."""
    return _majority(soft).sum(-1) > 1


def _majority(y: Any) -> Any:
    """Bool [..., K]: True at every emotion that has the most votes."""
    xp, y = floating(y)
    top = y.max(-1)[..., None] if xp is np else y.max(-1).values[..., None]
    if bool((top <= 0).any()):
        raise LabelError("a row without any vote has no majority: write nan for 'no label'")
    return abs(y - top) < 1e-6


def floating(x: Any) -> tuple[Any, Any]:
    """The array library of `x` and `x` as floating point."""
    torch = sys.modules.get("torch")  # numpy users need not pay for importing torch
    if torch is not None and isinstance(x, torch.Tensor):
        xp, x = torch, x if x.is_floating_point() else x.double()
    else:
        xp, x = np, np.asarray(x)
        x = x if np.issubdtype(x.dtype, np.floating) else x.astype(np.float64)
    if x.ndim == 0 or x.shape[-1] < 2:
        raise LabelError(
            f"labels need a column for each of two or more emotions; got shape {tuple(x.shape)}"
        )
    return xp, x


def _first_row(x: Any, bad: Any) -> list[float]:
    row = np.argwhere(np.asarray(bad))[0][: x.ndim - 1]
    return np.asarray(x)[tuple(row)].tolist()
