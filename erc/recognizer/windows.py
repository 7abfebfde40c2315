"""Where a recording is cut that is longer than a model hears at once."""

from __future__ import annotations

import math

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.recognizer.vad import detect, found_here

OVERLAP = 2.0  # s that two windows of one stretch share at least, where they are twice as long


def windows(length: int, window: int, overlap: int) -> list[tuple[int, int, float]]:
    """Windows over a stretch: equally long, equally far apart, sharing `overlap` or more.

    Returns:
        [(start, end, weight)]; weight is the time a window answers for, when moments that k windows
        hear are divided among them: Σ weight = length.

    >>> windows(20, 12, 2)
    [(0, 12, 10.0), (8, 20, 10.0)]
    """
    if length <= window:
        return [(0, length, float(length))]
    count = math.ceil((length - overlap) / (window - overlap))
    starts = np.linspace(0, length - window, count).round().astype(int)
    edges = np.unique([*starts, *(starts + window)])
    inside = (starts[:, None] <= edges[:-1]) & (edges[1:] <= starts[:, None] + window)
    weights = (inside * np.diff(edges) / inside.sum(0)).sum(1)
    return [(s, s + window, w) for s, w in zip(starts.tolist(), weights.tolist())]


def of_speech(samples: np.ndarray, window: int, least: int = 0) -> list[tuple[int, int, float]]:
    """Windows over the speech of a recording; over all of it where none is found or can be.

    Args:
        samples: float32 [T], 16 kHz.
        window: samples that the model hears at once.
        least: samples that it needs; shorter speech is heard with what surrounds it.

    Returns:
        [(start, end, weight)] as `windows`, in order.
    """
    spans = (detect([samples]) if found_here() else []) or [(0, len(samples))]
    overlap, cuts = min(round(OVERLAP * SAMPLE_RATE), window // 2), []
    for start, end in spans:
        start = max(0, min(start, len(samples) - least))
        end = max(end, start + least)
        cuts += [(start + a, start + b, w) for a, b, w in windows(end - start, window, overlap)]
    return cuts
