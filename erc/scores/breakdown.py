"""Predictions → scores of groups of utterances: for whom, and where, does the model work?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.emotions import EMOTIONS
from erc.scores.metrics import accuracy, ccc, confusion, f1
from erc.scores.statistics import Interval, interval

if TYPE_CHECKING:
    import pandas as pd

METRICS = ("accuracy", "f1_macro", "ccc_valence", "ccc_arousal")
AGREEMENT = (
    (0.5, "under 50 % of the votes"),
    (0.7, "50–69 %"),
    (0.9, "70–89 %"),
    (9, "90 % or more"),
)
SECONDS = ((2, "under 2 s"), (4, "2–4 s"), (7, "4–7 s"), (1e9, "7 s or more"))
FEW = 5  # speakers; resampling fewer gives intervals of next to no width
SAMPLES = 500  # of the bootstrap, for each group


@dataclass(frozen=True)
class Group:
    """Scores of some utterances of a split."""

    kind: str  # gender, speaker, session, agreement of the raters, length
    name: str
    n: int
    speakers: int  # resampled for the intervals; under `FEW`, utterances
    scores: dict[str, Interval]


def breakdown(
    frame: pd.DataFrame, arrays: tuple[np.ndarray, ...], kinds: tuple[str, ...] | None = None
) -> list[Group]:
    """Scores of every group that a table of predictions tells apart.

    Args:
        frame: rows of one system, from `erc.training.evaluation.predictions_frame`.
        arrays: `erc.training.evaluation.arrays_of_frame(frame)`.
        kinds: only these, e.g. ("gender",); None: all.
    """
    speakers = frame.speaker.astype(str).to_numpy()
    groups = []
    for kind, names, order in _kinds(frame):
        if kinds is not None and kind not in kinds:
            continue
        for name in order:
            rows = names == name
            if rows.any():
                units = len(set(speakers[rows]))
                found = interval(
                    _scores,
                    [a[rows] for a in arrays],
                    speakers[rows] if units >= FEW else None,
                    SAMPLES,
                )
                groups.append(Group(kind, str(name), int(rows.sum()), units, found))
    return groups


def _kinds(frame: pd.DataFrame) -> list[tuple[str, np.ndarray, list[str]]]:
    """(kind, name of each utterance's group [N], names in order); only kinds that are known."""
    kinds = []
    for column in ("gender", "session", "speaker"):
        names = frame[column].fillna("").astype(str).to_numpy()
        order = sorted(set(names) - {""})
        if order:
            kinds.append((column, names, order))
    top = frame[[f"votes_{e}" for e in EMOTIONS]].to_numpy(float).max(1)
    kinds.append(("raters' agreement", _bins(top + 1e-9, AGREEMENT), [n for _, n in AGREEMENT]))
    if "seconds" in frame:
        seconds = frame.seconds.to_numpy(float)
        kinds.append(("length", _bins(seconds, SECONDS), [n for _, n in SECONDS]))
    return kinds


def _bins(values: np.ndarray, edges: Any) -> np.ndarray:
    """Name of the first bin whose upper edge lies above the value; "" for nan."""
    uppers, names = zip(*edges)
    index = np.searchsorted(uppers, np.nan_to_num(values), "right")
    return np.where(np.isnan(values), "", np.array(names)[index])


def _scores(q: Any, va: Any, _: Any, hard: Any, rated: Any, weights: Any) -> dict[str, Any]:
    h, v, a = hard >= 0, ~np.isnan(rated[:, 0]), ~np.isnan(rated[:, 1])
    label, guess, w = hard[h], q[h].argmax(-1), weights[..., h]
    return {
        "accuracy": accuracy(label, guess, weights=w),
        "f1_macro": f1(label, guess, "macro", weights=w),
        "ccc_valence": ccc(rated[v, 0], va[v, 0], weights[..., v]),
        "ccc_arousal": ccc(rated[a, 1], va[a, 1], weights[..., a]),
    }


def per_class(label: Any, guess: Any, speakers: Any) -> list[dict[str, Any]]:
    """Precision, recall, F1 with its interval over speakers, and number of utterances, by emotion.

    Args:
        label: [N] class numbers, no −1; guess: [N]; speakers: [N].
    """
    matrix = confusion(label, guess)

    def f1_of(label: Any, guess: Any, weights: Any) -> dict[str, Any]:
        m = np.asarray(confusion(label, guess, weights=weights), float)
        with np.errstate(invalid="ignore"):
            each = 2 * np.diagonal(m, axis1=-2, axis2=-1) / (m.sum(-1) + m.sum(-2))
        return {e: each[..., k] for k, e in enumerate(EMOTIONS)}

    spread = interval(f1_of, (label, guess), speakers, SAMPLES)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = np.diag(matrix) / matrix.sum(1), np.diag(matrix) / matrix.sum(0)
    return [
        {"emotion": e, "n": int(matrix[k].sum()), "predicted": int(matrix[:, k].sum()),
         "precision": precision[k], "recall": recall[k], "f1": spread[e]}
        for k, e in enumerate(EMOTIONS)
    ]  # fmt: skip
