"""How far up the spectrum of a recording reaches."""

from __future__ import annotations

import numpy as np

from erc.base.audio import SAMPLE_RATE

FRAME = 512  # samples, 32 ms
FRAMES = 2000  # of a long recording, evenly spaced
DEPTH = 1e-6  # of the strongest band, −60 dB: below all of speech, above the rounding of 16 bits


def bandwidth(samples: np.ndarray) -> float:
    """Hz, 0–8000: the highest with a power within 60 dB of the strongest; 0: none, or too short.

    A telephone ends below 4000; sampling it again at a higher rate adds nothing above.

    Args:
        samples: float32 [T], 16 kHz.

    >>> tone = np.sin(2 * np.pi * 1000 / 16000 * np.arange(16000)).astype(np.float32)
    >>> 1000 <= bandwidth(tone) < 1300
    True
    """
    count = len(samples) // FRAME
    if not count:
        return 0.0
    frames = samples[: count * FRAME].reshape(count, FRAME)
    if count > FRAMES:
        frames = frames[np.linspace(0, count - 1, FRAMES).astype(int)]
    spectra = np.fft.rfft(frames * np.hanning(FRAME).astype(np.float32))
    power = np.convolve((np.abs(spectra) ** 2).mean(0), np.ones(5) / 5, "same")
    there = np.flatnonzero(power > DEPTH * power.max())
    return float(there[-1] * SAMPLE_RATE / FRAME) if len(there) else 0.0
