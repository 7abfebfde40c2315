"""Signals of an utterance → 16 numbers with units, and what a model is given of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from erc.base.errors import ConfigError, optional
from erc.base.physiology import CONTEXT, SIGNALS, Signals, resample

FEATURES = (
    "eda_level",  # µS, mean during the utterance
    "eda_tonic",  # µS, lowest decile with context
    "eda_amplitude",  # µS, largest rise from a trough to a later peak, with context
    "eda_responses",  # number of peaks that rise by ≥ 0.01 µS, with context
    "eda_rise",  # µS/s, steepest
    "eda_slope",  # µS/s, least squares
    "eda_change",  # µS, last second of the context − mean before the utterance
    "temp_level",  # °C, mean
    "temp_slope",  # °C/s
    "temp_change",  # °C
    "heart_rate",  # bpm, 60 / mean interval, with context
    "heart_rate_max",  # bpm
    "heart_slope",  # bpm/s
    "heart_change",  # bpm, during and after − before
    "sdnn",  # ms, standard deviation of the intervals; ≥ 3 of them
    "rmssd",  # ms, root mean square of successive differences; ≥ 2 of them
)
KINDS = {"features": len(FEATURES), "conv": len(SIGNALS)}  # what an encoder reads → its channels
BASELINES = ("none", "speaker")
RESPONSE = 0.01  # µS, the usual threshold of a skin conductance response


def features(signals: Signals | None) -> np.ndarray:
    """The numbers that `FEATURES` names, float32 [16]; nan where not measured."""
    if signals is None:
        return np.full(len(FEATURES), np.nan, np.float32)
    start, end = signals.start, signals.end
    found = [*_eda(*signals.get("eda"), start, end), *_temp(*signals.get("temp"), start, end)]
    found += _heart(*signals.get("heart"), start)
    return np.array(found, np.float32)


def model_input(signals: Signals | None, kind: str) -> np.ndarray:
    """What an encoder of this kind is given, [T, C]; T is 0 if nothing was measured.

    "features": their one row [1, 16]; "conv": the course at 4 Hz [T, 3].
    """
    course = resample(signals)
    return course if kind == "conv" or not len(course) else features(signals)[None]


def given_input(
    given: Mapping[str, Any] | Signals, kind: str, baseline: str = "none"
) -> np.ndarray:
    """`model_input` of signals that someone hands over; see `Signals.of`.

    Args:
        given: `Signals`, or its keys, and for a model with baseline "speaker" the key `baseline`: a
            list of such dicts, recordings of the same person in various moods. No labels are needed.

    Raises:
        ConfigError: signals that cannot be used, or a baseline missing or not wanted.
    """
    keys = {} if isinstance(given, Signals) else dict(given)
    own = list(keys.pop("baseline", None) or ())
    if (baseline == "speaker") != bool(own):
        raise ConfigError(
            "physiology: this model knows a body by its baseline; give baseline=[…], signals of other "
            "utterances of the person" if not own else
            "physiology: this model takes signals in their units; leave baseline out"
        )  # fmt: skip
    x = model_input(given if isinstance(given, Signals) else Signals.of(keys), kind)
    if not own:
        return x
    mean, scale = speaker_statistics(
        np.concatenate([x, *(model_input(Signals.of(o), kind) for o in own)])
    )
    return ((x - mean) / scale).astype(np.float32)


def speaker_statistics(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column of [N, C], nan left out; 0 and 1 where there is none."""
    known = np.isfinite(values)
    n = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / n
    scale = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / n)
    return mean, np.where(scale > 1e-9, scale, 1.0)


def _eda(t: np.ndarray, x: np.ndarray, start: float, end: float) -> list[float]:
    if len(x) == 0:
        return [np.nan] * 7
    with optional("physiology"):
        from scipy.signal import find_peaks

    inside = (t >= start) & (t <= end)
    rise = x - np.minimum.accumulate(x)
    peaks, _ = find_peaks(np.r_[x, -np.inf], prominence=RESPONSE)  # a rise may not have ended
    steps = np.diff(x) / np.diff(t) if len(x) > 1 else np.array([np.nan])
    after = t >= min(t[-1], end + CONTEXT) - 1
    return [
        _mean(x[inside]), float(np.quantile(x, 0.1)), float(rise.max()), float(len(peaks)),
        float(steps.max()), _slope(t, x), _mean(x[after]) - _mean(x[t < start]),
    ]  # fmt: skip


def _temp(t: np.ndarray, x: np.ndarray, start: float, end: float) -> list[float]:
    after = t > end
    return [
        _mean(x[(t >= start) & (t <= end)]), _slope(t, x), _mean(x[after]) - _mean(x[t < start]),
    ]  # fmt: skip


def _heart(t: np.ndarray, gap: np.ndarray, start: float) -> list[float]:
    if len(gap) == 0:
        return [np.nan] * 6
    rate = 60 / gap
    follows = np.abs(np.diff(t) - gap[1:]) < 0.02  # no beat was left out between the two
    steps = np.diff(gap)[follows]
    return [
        60 / _mean(gap), float(rate.max()), _slope(t, rate),
        _mean(rate[t >= start + 0.5]) - _mean(rate[t < start + 0.5]),
        1000 * float(gap.std()) if len(gap) >= 3 else np.nan,
        1000 * float(np.sqrt((steps**2).mean())) if len(steps) >= 2 else np.nan,
    ]  # fmt: skip


def _mean(x: np.ndarray) -> float:
    return float(x.mean()) if len(x) else np.nan


def _slope(t: np.ndarray, x: np.ndarray) -> float:
    """Least squares, per s; nan with fewer than three points."""
    if len(x) < 3 or t[-1] <= t[0]:
        return np.nan
    t = t - t.mean()
    return float((t @ (x - x.mean())) / (t @ t))
