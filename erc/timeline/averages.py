"""Means of predictions: of the windows of a turn, and of neighbouring turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np

from erc.recognizer.prediction import Prediction, Thresholds, said


def vector(prediction: Prediction) -> np.ndarray:
    """[K + D]: probabilities of its space's emotions, then dimensions; nan: never learned."""
    shares = [prediction.probabilities.get(e, 0.0) for e in prediction.space.emotions]
    return np.array([*shares, *(prediction.dimensions.get(n, nan) for n in prediction.space.names)])


def mean(
    predictions: Sequence[Prediction], weights: Sequence[float], thresholds: Thresholds
) -> Prediction:
    """Weighted mean of probabilities and dimensions; the label is that of the mean."""
    named = [(p, w) for p, w in zip(predictions, weights) if p.label]
    predictions, weights = zip(*named) if named else (predictions, weights)
    values = np.average([vector(p) for p in predictions], axis=0, weights=weights)
    used = dict.fromkeys(m for p in predictions for m in p.modalities)
    one = replace(predictions[0], modalities=tuple(used), typicality=_typical(predictions, weights))
    return _with(one, values, thresholds)


def _typical(
    predictions: Sequence[Prediction], weights: Sequence[float]
) -> dict[str, float | None] | None:
    """Weighted mean typicality of each modality over the windows that have it."""
    found: dict[str, float | None] = {}
    for name in predictions[0].typicality or {}:
        of = [(p.typicality or {}).get(name) for p in predictions]
        known = np.ma.masked_invalid([nan if x is None else x for x in of])
        mean = np.ma.average(known, weights=weights)
        found[name] = None if mean is np.ma.masked else float(mean)
    return found or None


def smoothed(turns: Sequence[Any], tau: float, thresholds: Thresholds) -> list[Any]:
    """Exponential smoothing over time, to both sides.

        x'ᵢ = Σⱼ dⱼ e^(−|tᵢ − tⱼ| / τ) xⱼ / Σⱼ dⱼ e^(−|tᵢ − tⱼ| / τ)

    t is the middle of a turn, d its duration. Failures stay as they are and count nothing.

    Args:
        turns: in order of their start.
        tau: s; at this distance a turn counts e⁻¹.
    """
    known: list[Any] = [t for t in turns if isinstance(t, Prediction) and t.answered]
    if not known:
        return list(turns)
    middle = np.array([(t.start + t.end) / 2 for t in known])
    duration = np.array([t.end - t.start for t in known])
    x = np.column_stack([[vector(t) for t in known], np.ones(len(known))]) * duration[:, None]
    order = np.argsort(middle, kind="stable")
    sums = np.empty_like(x)
    sums[order] = _spread(x[order], middle[order], tau)
    values = iter(sums[:, :-1] / sums[:, -1:])
    return [
        _with(t, next(values), thresholds) if getattr(t, "answered", False) else t for t in turns
    ]


def _spread(x: np.ndarray, t: np.ndarray, tau: float) -> np.ndarray:
    """Σⱼ e^(−|tᵢ − tⱼ| / τ) xⱼ in one pass forth and one back: O(n) instead of O(n²)."""
    decay = np.exp(-np.diff(t) / tau)
    forth, back = x.copy(), x.copy()
    for i, d in enumerate(decay):
        forth[i + 1] += d * forth[i]
    for i, d in reversed(list(enumerate(decay))):
        back[i] += d * back[i + 1]
    return forth + back - x


def _with(prediction: Prediction, values: np.ndarray, thresholds: Thresholds) -> Prediction:
    """The prediction with other numbers, and all that follows from them."""
    space, numbers = prediction.space, values.tolist()
    shares, placed = numbers[: len(space.emotions)], numbers[len(space.emotions) :]
    known = {n: x for n, x in zip(space.names, placed) if n in prediction.dimensions}
    made = said(shares, known, prediction.typicality, thresholds)
    return thresholds.with_set(replace(prediction, **made))
