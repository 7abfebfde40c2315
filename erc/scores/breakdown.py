"""Predictions → scores of groups of utterances: for whom, and where, does the model work?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from erc.base.space import Space
from erc.scores.metrics import cccs, confusion
from erc.scores.scored import Scored
from erc.scores.statistics import Interval, interval

AGREEMENT = (
    (0.5, "under 50 % of the votes"),
    (0.7, "50–69 %"),
    (0.9, "70–89 %"),
    (9, "90 % or more"),
)
SECONDS = ((2, "under 2 s"), (4, "2–4 s"), (7, "4–7 s"), (1e9, "7 s or more"))
FEW = 2  # speakers; fewer cannot be left out in turn


def metrics_of(space: Space) -> tuple[str, ...]:
    """Names of the scores that a group has."""
    return ("accuracy", "f1_macro", *cccs(space))


@dataclass(frozen=True)
class Group:
    """Scores of some utterances of a split."""

    kind: str  # gender, speaker, session, agreement of the raters, length
    name: str
    n: int
    speakers: int  # left out in turn for the intervals; under `FEW`, utterances
    scores: dict[str, Interval]


def breakdown(scored: Scored, kinds: tuple[str, ...] | None = None) -> list[Group]:
    """Scores of every group of utterances that can be told apart.

    Args:
        kinds: only these, e.g. ("gender",); None: all.
    """
    groups = []
    for kind, names, order in _kinds(scored):
        if kinds is not None and kind not in kinds:
            continue
        for name in order:
            rows = names == name
            if rows.any():
                part = scored.take(rows)
                people = len(set(part.people))
                clusters = "speaker" if people >= FEW else None
                found = part.intervals(metrics_of(scored.space), clusters)
                groups.append(Group(kind, str(name), len(part), people, found))
    return groups


def _kinds(scored: Scored) -> list[tuple[str, np.ndarray, list[str]]]:
    """(kind, name of each utterance's group [N], names in order); only kinds that are known."""
    kinds = []
    for column in ("gender", "session", "speaker"):
        names = scored.gender if column == "gender" else scored.named(column)
        order = sorted(set(names) - {""})
        if order:
            kinds.append((column, names, order))
    top = scored.votes.max(1)
    kinds.append(("raters' agreement", _bins(top + 1e-9, AGREEMENT), [n for _, n in AGREEMENT]))
    if not np.isnan(scored.seconds).all():
        kinds.append(("length", _bins(scored.seconds, SECONDS), [n for _, n in SECONDS]))
    return kinds


def _bins(values: np.ndarray, edges: Any) -> np.ndarray:
    """Name of the first bin whose upper edge lies above the value; "" for nan."""
    uppers, names = zip(*edges)
    index = np.searchsorted(uppers, np.nan_to_num(values), "right")
    return np.where(np.isnan(values), "", np.array(names)[index])


def per_class(scored: Scored) -> list[dict[str, Any]]:
    """Precision, recall, F1 with its interval over speakers, and number of utterances, by emotion."""
    known = scored.take(scored.labelled)
    emotions = scored.space.emotions
    matrix = confusion(known.label, known.predicted, len(emotions))

    def f1_of(label: Any, guess: Any, weights: Any) -> dict[str, Any]:
        m = np.asarray(confusion(label, guess, len(emotions), weights), float)
        with np.errstate(invalid="ignore"):
            each = 2 * np.diagonal(m, axis1=-2, axis2=-1) / (m.sum(-1) + m.sum(-2))
        return {e: each[..., k] for k, e in enumerate(emotions)}

    spread = interval(f1_of, (known.label, known.predicted), known.people, limits=(0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = np.diag(matrix) / matrix.sum(1), np.diag(matrix) / matrix.sum(0)
    return [
        {"emotion": e, "n": int(matrix[k].sum()), "predicted": int(matrix[:, k].sum()),
         "precision": precision[k], "recall": recall[k], "f1": spread[e]}
        for k, e in enumerate(emotions)
    ]  # fmt: skip
