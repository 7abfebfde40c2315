"""Where raters place each emotion on valence and arousal, and what contradicts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from erc.base.space import KEMDY, Space

REGION = 5.991  # χ²(2 degrees of freedom) at 0.95: a region holds 95 % of a normal distribution
Regions = Mapping[str, tuple[float, float, float, float]]  # emotion → mean v, a; deviation v, a


def conflicts(label: str, valence: float, arousal: float, regions: Regions) -> bool | None:
    """Do valence and arousal contradict the emotion?

    True where `((v − mean) / deviation)²` summed over valence and arousal exceeds `REGION`: fewer
    than one in twenty utterances that raters called so were rated there. None without a region.

    >>> conflicts("happy", 1.5, 3.0, {"happy": (4.2, 3.4, 0.5, 0.6)})
    True
    """
    if label not in regions:
        return None
    v, a, sd_v, sd_a = regions[label]
    return ((valence - v) / sd_v) ** 2 + ((arousal - a) / sd_a) ** 2 > REGION


def regions_of(
    emotions: np.ndarray, dimensions: np.ndarray, space: Space = KEMDY
) -> dict[str, list[float]]:
    """Where raters placed each emotion: mean and deviation of valence and arousal.

    Args:
        emotions: [N, K] distributions over emotions; the largest decides, rows of nan are left out.
        dimensions: [N, D] ratings in the units of `space`; rows without valence or arousal are left out.

    Returns:
        emotion → [valence, arousal, deviation of valence, of arousal], for emotions with at least
        five rated utterances; a deviation is at least a 16th of the scale (0.25 of 1–5), a step that
        raters can tell. {} where valence and arousal are not both rated.
    """
    if space.plane is None:
        return {}
    plane = list(space.plane)
    valence_arousal, least = dimensions[:, plane], ((space.high - space.low) / 16)[plane]
    known = np.isfinite(emotions).all(1) & np.isfinite(valence_arousal).all(1)
    label = np.where(known, np.nan_to_num(emotions).argmax(1), -1)
    found = {}
    for index, emotion in enumerate(space.emotions):
        rated = valence_arousal[label == index].astype(float)
        if len(rated) >= 5:
            deviation = np.maximum(rated.std(0), least)
            found[emotion] = [round(float(x), 4) for x in (*rated.mean(0), *deviation)]
    return found
