"""Skin conductance (EDA), skin temperature and heart beats → what is known of one utterance.

`Track` is a device's recording of one person, `Signals` the part that belongs to an utterance with
2 s before and after (the skin answers after 1–3 s), `resample` its course at 4 Hz. Its 16 numbers are
in `physiology_features`. nan is what was not measured; that is the normal case, not an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from erc.base.errors import ConfigError, did_you_mean, optional

CONTEXT = 2.0  # s before and after an utterance
RATE = 4.0  # Hz, of the wrist band and of `resample`
SIGNALS = ("eda", "temp", "heart")  # µS, °C, bpm; the channels of `resample`
INTERVAL = (0.3, 2.0)  # s between heart beats: 200–30 bpm
REFRACTORY = 0.25  # s in which a heart cannot beat again


class Span(NamedTuple):
    """Where a segment lies in a track."""

    start: float  # s
    end: float
    first_run: int
    last_run: int


@dataclass(frozen=True)
class Track:
    """One signal of one person: values at times, in runs without interruption."""

    times: np.ndarray  # s, [n], ascending within a run
    values: np.ndarray  # [n]: µS, °C, mV; heart: s since the beat before
    run: np.ndarray  # int [n], ascending
    spans: dict[str, Span]
    notes: Counter[str] = field(default_factory=Counter)

    @classmethod
    def empty(cls, notes: Counter[str] | None = None) -> Track:
        """Nothing was recorded."""
        none = np.zeros(0)
        return cls(none, none, none.astype(int), {}, notes or Counter())


@dataclass(frozen=True)
class Signals:
    """What was measured around one utterance: name of `SIGNALS` → (times s, values).

    The heart's values are the intervals (s) that end at its times.
    """

    start: float  # of the utterance, on the clock of the times
    end: float
    tracks: dict[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def cut(cls, tracks: Mapping[str, Track], segment: str) -> Signals | None:
        """A segment with its context, from the tracks that have it; None if none has."""
        spans = {n: t.spans[segment] for n, t in tracks.items() if segment in t.spans}
        if not spans:
            return None
        start, end = min(s.start for s in spans.values()), max(s.end for s in spans.values())
        found = {}
        for name, span in spans.items():
            t = tracks[name]
            near = (t.times >= start - CONTEXT) & (t.times <= end + CONTEXT)
            near &= (t.run >= span.first_run) & (t.run <= span.last_run)
            found[name] = (t.times[near], t.values[near])
        return cls(float(start), float(end), found)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Signals:
        """Signals that someone hands over, e.g. to `Recognizer.predict`.

        Args:
            given: any of `eda` (µS) and `temp` (°C) at 4 Hz, and `ibi` (s between beats) or `ecg` with
                `ecg_rate` (Hz), all from the same moment; `start` and `end` (s from there) say where
                the utterance lies, by default it is all there is. 2 s before and after it help.

        Raises:
            ConfigError: an unknown key, nothing measured, or numbers that are none.
        """
        known = ("eda", "temp", "ibi", "ecg", "ecg_rate", "start", "end")
        for key in given:
            if key not in known:
                raise ConfigError(
                    f"physiology has no '{key}', only {', '.join(known)}{did_you_mean(key, known)}"
                )
        tracks, last = {}, 0.0
        for name in ("eda", "temp"):
            if given.get(name) is not None:
                x = _numbers(given[name], name)
                tracks[name] = (np.arange(len(x)) / RATE, x)
                last = max(last, len(x) / RATE)
        if given.get("ecg") is not None:
            if not given.get("ecg_rate"):
                raise ConfigError("physiology: 'ecg' needs 'ecg_rate', its samples per second")
            x, rate = _numbers(given["ecg"], "ecg"), float(given["ecg_rate"])
            beats = r_peaks(x, rate) / rate
            tracks["heart"] = (beats[1:], np.diff(beats))
            last = max(last, len(x) / rate)
        elif given.get("ibi") is not None:
            x = _numbers(given["ibi"], "ibi")
            tracks["heart"] = (np.cumsum(x), x)
            last = max(last, float(x.sum()))
        if not any(len(times) for times, _ in tracks.values()):
            raise ConfigError("physiology: nothing measured; give eda, temp, ibi or ecg, or None")
        return cls(float(given.get("start") or 0.0), float(given.get("end") or last), tracks)

    def get(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Times and values, without those that no body can have; [0] if not measured."""
        times, values = self.tracks.get(name, (np.zeros(0), np.zeros(0)))
        good = np.isfinite(values)
        if name == "heart":
            good &= (values >= INTERVAL[0]) & (values <= INTERVAL[1])
        return times[good], values[good]


def resample(signals: Signals | None) -> np.ndarray:
    """EDA (µS), temperature (°C) and heart rate (bpm) at 4 Hz, float32 [T, 3].

    From 2 s before the utterance to 2 s after it; linear between samples, nan further than 1 s from
    any (heart: 2 s). T is 0 where nothing was measured.
    """
    if signals is None or not any(len(signals.get(n)[0]) for n in SIGNALS):
        return np.zeros((0, len(SIGNALS)), np.float32)
    grid = np.arange(signals.start - CONTEXT, signals.end + CONTEXT + 1e-6, 1 / RATE)
    out = np.full((len(grid), len(SIGNALS)), np.nan, np.float32)
    for c, name in enumerate(SIGNALS):
        times, values = signals.get(name)
        if len(times):
            right = np.searchsorted(times, grid).clip(0, len(times) - 1)
            left = (right - 1).clip(0)
            far = np.minimum(abs(times[left] - grid), abs(times[right] - grid))
            course = np.interp(grid, times, 60 / values if name == "heart" else values)
            out[:, c] = np.where(far <= (2.0 if name == "heart" else 1.0), course, np.nan)
    return out


def r_peaks(ecg: np.ndarray, rate: float) -> np.ndarray:
    """Sample numbers of the R peaks, int [beats], either polarity.

    Slopes are squared and summed over 0.1 s, so that the steep QRS complex stands out (after Pan &
    Tompkins 1985); the R peak is the largest deviation from the median within 0.06 s of its top.
    """
    with optional("physiology"):
        from scipy.ndimage import uniform_filter1d
        from scipy.signal import find_peaks

    if len(ecg) < rate * REFRACTORY:
        return np.zeros(0, int)
    x = np.asarray(ecg, float)
    x = x - uniform_filter1d(x, max(3, int(0.6 * rate)))  # baseline wander
    x = uniform_filter1d(x, max(1, int(0.02 * rate)))  # noise, whose slopes grow with the rate
    energy = uniform_filter1d(np.gradient(x) ** 2, max(1, int(0.1 * rate)))
    tops, _ = find_peaks(
        energy, height=0.2 * np.quantile(energy, 0.98), distance=max(1, int(REFRACTORY * rate))
    )
    reach = max(1, int(0.06 * rate))
    size = np.abs(x - np.median(x))
    found = [(low := max(0, t - reach)) + int(size[low : t + reach + 1].argmax()) for t in tops]
    return np.unique(np.array(found, int))


def beats_of_ecg(ecg: Track) -> Track:
    """An ECG as a track of heart beats: at each beat but a run's first, the s since the last one."""
    times, gaps, runs = [], [], []
    cuts = np.flatnonzero(np.diff(ecg.run)) + 1
    for rows in np.split(np.arange(len(ecg.times)), cuts):
        length = ecg.times[rows[-1]] - ecg.times[rows[0]] if len(rows) else 0
        if length > 0:
            beats = ecg.times[rows[r_peaks(ecg.values[rows], (len(rows) - 1) / length)]]
            times.append(beats[1:])
            gaps.append(np.diff(beats))
            runs.append(np.full(len(gaps[-1]), ecg.run[rows[0]]))
    if not times:
        return Track.empty(ecg.notes)
    run = np.concatenate(runs)
    return Track(np.concatenate(times), np.concatenate(gaps), run, ecg.spans, ecg.notes)


def _numbers(x: Any, name: str) -> np.ndarray:
    try:
        x = np.asarray(x, float)
    except (TypeError, ValueError):
        raise ConfigError(f"physiology: '{name}' is not a list of numbers") from None
    if x.ndim != 1:
        raise ConfigError(f"physiology: '{name}' has shape {x.shape}; give one signal, [n]")
    return x
