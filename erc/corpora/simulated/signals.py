"""Simulated physiology of two people in a session, written as KEMDy's wrist band and chest strap do.

The body follows arousal with its own noise, so it knows something that the voice does not:
skin conductance (EDA, µS) rises within two seconds and answers each utterance with a bump,
the heart beats faster (9 bpm a unit), skin temperature (TEMP, °C) drifts down. All simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

E4_RATE = 4  # Hz, EDA and TEMP of the wrist band
ECG_RATE = 250  # Hz
DAY = 86_400  # s
INDIRECT = 0.8  # sd of what the body adds to an utterance's arousal that nobody could see


class Span(NamedTuple):
    """One segment on the session's time line."""

    id: str
    start: float  # s
    end: float


@dataclass(frozen=True)
class Body:
    """Signals of one person over a session, each [n] at 4 Hz; sample i lies at (i + 1) / 4 s."""

    times: np.ndarray  # s
    eda: np.ndarray  # µS
    temp: np.ndarray  # °C
    beats: np.ndarray  # heart beats since the start; the fraction is the phase, R peak at 0.5

    def ecg(self, times: np.ndarray) -> np.ndarray:
        """P, QRS and T waves (three Gaussians and a notch in the beat's phase), mV, [len(times)]."""
        phase = np.interp(times, self.times, self.beats) % 1
        waves = ((0.12, 0.30, 0.025), (1.0, 0.5, 0.010), (-0.25, 0.54, 0.012), (0.25, 0.78, 0.05))
        return sum(a * np.exp(-(((phase - c) / w) ** 2) / 2) for a, c, w in waves)

    def peaks(self) -> np.ndarray:
        """Times of the R peaks, s: where the phase passes one half."""
        halves = np.arange(np.ceil(self.beats[0] - 0.5), self.beats[-1] - 0.5) + 0.5
        return np.interp(halves, self.beats, self.times)


def live(start: np.ndarray, end: np.ndarray, arousal: np.ndarray, rng: np.random.Generator) -> Body:
    """A person's signals from 0 s to two seconds after the last utterance.

    Args:
        start, end: s, [N], of every utterance of the session, in order.
        arousal: [N], about 1–5, of this person while speaking or listening.
    """
    times = np.arange(1, int((end[-1] + 2) * E4_RATE) + 1) / E4_RATE
    felt = np.full(len(times), 2.7)  # arousal between utterances
    bumps = np.zeros(len(times))
    arousal = arousal + rng.normal(0, INDIRECT, len(arousal))
    for first, last, a in zip(*np.searchsorted(times, (start, end)), arousal, strict=True):
        felt[first : last + 2] = a
        bumps[first] = 0.25 * max(0.0, a - 1.5)
    felt = _follow(felt, 1.0)
    bump = np.convolve(bumps, np.exp(-np.arange(12) / 5) * (1 - np.exp(-np.arange(12) / 2)))
    slow = np.cumsum(rng.normal(0, 0.004, len(times)))  # drift
    eda = rng.uniform(0.8, 4.0) + 0.3 * (felt - 2.7) + bump[: len(times)] + slow
    rate = rng.normal(72, 5) + 9 * (felt - 2.7) + _follow(rng.normal(0, 6, len(times)), 2.0)  # bpm
    temp = rng.uniform(33, 35) - 0.02 * np.cumsum(_follow(felt - 2.7, 4.0)) / E4_RATE
    temp += rng.normal(0, 0.01, len(times))
    beats = rng.random() + np.cumsum(np.clip(rate, 45, 170)) / 60 / E4_RATE
    return Body(times, np.maximum(eda, 0.05), np.clip(temp, 28, 38), beats)


def segment_ids(times: np.ndarray, spans: list[Span]) -> list[str]:
    """`",<segment id>"` for each time inside a span, `""` outside; spans in order, not overlapping."""
    starts, ends = np.array([(s.start, s.end) for s in spans]).T
    index = np.searchsorted(starts, times, side="right") - 1
    inside = (index >= 0) & (times < ends[index])
    tails = [f",{s.id}" for s in spans]
    return [tails[i] if hit else "" for i, hit in zip(index.tolist(), inside.tolist(), strict=True)]


def clock(seconds: np.ndarray) -> list[str]:
    """Seconds since midnight → `HH:MM:SS.mmm`.

    >>> clock(np.array([60649.25]))
    ['16:50:49.250']
    """
    millis = np.rint(np.asarray(seconds) * 1000).astype(int)
    whole, millis = np.divmod(millis, 1000)
    names = {
        s: f"{s % DAY // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}"
        for s in np.unique(whole).tolist()
    }
    return [f"{names[s]}.{m:03d}" for s, m in zip(whole.tolist(), millis.tolist(), strict=True)]


def wrist_lines(
    values: np.ndarray, times: np.ndarray, clocks: list[str], ids: list[str], digits: int
) -> str:
    """KEMDy19 EDA or TEMP: `value,seconds,clock[,segment id]`, no header, ragged."""
    rows = zip(values.tolist(), times.tolist(), clocks, ids, strict=True)
    return "".join([f"{v:.{digits}f},{t:.2f},{c}{i}\n" for v, t, c, i in rows])


def chest_lines(values: np.ndarray, times: np.ndarray, clocks: list[str], ids: list[str]) -> str:
    """KEMDy19 ECG: `seconds,value,clock[,segment id]`, no header, ragged."""
    rows = zip(times.tolist(), values.tolist(), clocks, ids, strict=True)
    return "".join([f"{t:.3f},{v:.4f},{c}{i}\n" for t, v, c, i in rows])


def e4_lines(
    header: str, columns: list[np.ndarray], digits: list[int], stamps: list[str], ids: list[str]
) -> str:
    """KEMDy20 EDA, TEMP or IBI: the device's header, then `numbers,timestamp[,segment id]`."""
    form = ",".join(f"%.{d}f" for d in digits)
    numbers = zip(*(c.tolist() for c in columns), strict=True)
    rows = zip(numbers, stamps, ids, strict=True)
    return header + "".join([f"{form % n},{s}{i}\n" for n, s, i in rows])


def _follow(x: np.ndarray, tau: float) -> np.ndarray:
    """First-order lag with time constant `tau` seconds at 4 Hz, started at rest."""
    from scipy.signal import lfilter  # a second that only simulating should pay

    keep = np.exp(-1 / (tau * E4_RATE))
    return lfilter([1 - keep], [1, -keep], x, zi=[keep * x[0]])[0]
