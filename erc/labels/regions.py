"""Where raters place each emotion on valence and arousal, and what contradicts them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from erc.base.emotions import EMOTIONS

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


def regions_of(emotions: np.ndarray, valence_arousal: np.ndarray) -> dict[str, list[float]]:
    """Where raters placed each emotion: mean and deviation of valence and arousal.

    Args:
        emotions: [N, 7] distributions over emotions; the largest decides, rows of nan are left out.
        valence_arousal: [N, 2] ratings 1–5; rows with nan are left out.

    Returns:
        emotion → [valence, arousal, deviation of valence, of arousal], for emotions with at least
        five rated utterances; a deviation is at least 0.25, a step that raters can tell.
    """
    known = np.isfinite(emotions).all(1) & np.isfinite(valence_arousal).all(1)
    label = np.where(known, np.nan_to_num(emotions).argmax(1), -1)
    found = {}
    for index, emotion in enumerate(EMOTIONS):
        rated = valence_arousal[label == index].astype(float)
        if len(rated) >= 5:
            deviation = np.maximum(rated.std(0), 0.25)
            found[emotion] = [round(float(x), 4) for x in (*rated.mean(0), *deviation)]
    return found
