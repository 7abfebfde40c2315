"""`Transfer`: models of some corpora scored in others → text, Markdown, CSV, JSON: the same numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from erc import __version__
from erc.base.cells import guard
from erc.corpora.mixing import Place
from erc.scores.metrics import is_count
from erc.scores.results import ADAPTED, BASELINE, OF_CORPUS, System
from erc.scores.statistics import Interval
from erc.scores.tables import TITLES, few, grid, number, spread

OTHERS, WITHIN = "all others", "itself, other speakers"
KINDS = ("", OF_CORPUS, ADAPTED)  # of what a model may hear, in the order of the table
CROSSING = ("speakers", "sentences", "recordings")


@dataclass(frozen=True)
class Member:
    """One corpus, and which of its utterances are asked about.

    Attributes:
        name: of the corpus; place: where it lies.
        utterances: that have one of the emotions of the table; speakers, sessions: of all that are kept.
        rated: kept for their ratings on dimensions alone.
        left_out: reason → how many of its utterances have neither.
        labels: its emotions → what they count as; None: nothing.
    """

    name: str
    place: Place
    utterances: int
    rated: int
    speakers: int
    sessions: int
    left_out: Mapping[str, int]
    labels: Mapping[str, str | None]


@dataclass(frozen=True)
class Cell:
    """One training, scored in one corpus.

    Attributes:
        trained_on: `OTHERS`, `WITHIN`, or a corpus; tested_on: a corpus.
        systems: name → scores with intervals over speakers; models, adapted models, baselines.
        n, speakers: that were scored.
        audit: what crosses from training, see `erc.datasets.audit`; {}: of several folds.
        ahead: of UAR: the model − the baseline that is strongest there, see `Margin`; {}: none.
    """

    trained_on: str
    tested_on: str
    systems: Mapping[str, System]
    n: int
    speakers: int
    audit: Mapping[str, Any] = field(default_factory=dict)
    ahead: Mapping[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> System:
        """The model with all that it takes, as it hears anybody."""
        return [s for s in self.systems.values() if not (s.baseline or s.adapted)][-1]

    def system(self, kind: str) -> System | None:
        """`main` ("") or what its name becomes with `ADAPTED` or `OF_CORPUS`; a baseline by its name."""
        if kind.startswith(BASELINE):
            return self.systems.get(kind)
        return self.systems.get(f"{self.main.name}, {kind}") if kind else self.main


@dataclass(frozen=True)
class Transfer:
    """The whole matrix."""

    corpora: tuple[Member, ...]
    emotions: tuple[str, ...]  # that are told apart everywhere
    cells: tuple[Cell, ...]
    simulated: bool  # some of it is about no real voice
    terms: tuple[str, ...]  # of all corpora
    settings: tuple[str, ...]  # of the trainings
    command: str = ""
    metrics: tuple[str, ...] = field(default=())

    def cell(self, trained_on: str, tested_on: str) -> Cell | None:
        """The one of that row and column, if it was trained."""
        pair = trained_on, tested_on
        return next((c for c in self.cells if (c.trained_on, c.tested_on) == pair), None)

    @property
    def sources(self) -> list[str]:
        """What rows are named after."""
        return list(dict.fromkeys(cell.trained_on for cell in self.cells))


def terminal(found: Transfer) -> str:
    """UAR, and below it all that one has to know to read it."""
    return "\n".join([*_warned(found, ""), grid(*table(found)), "", *below(found)])


def markdown(found: Transfer) -> str:
    """The same for a page that others write."""
    head, rows = table(found)
    lines = [
        "|".join(["", *(cell.replace("|", "\\|") for cell in row), ""]) for row in (head, *rows)
    ]
    lines.insert(1, "|" + "---|" * len(head))
    notes = [f"- {line.strip()}" for line in below(found)]
    return "\n".join([*_warned(found, "**"), *lines, "", *notes, ""])


def table(found: Transfer, metric: str = "uar") -> tuple[list[str], list[list[str]]]:
    """Head and rows: what was trained on, down; what was tested on, across."""
    names = [one.name for one in found.corpora]
    head = [f"{TITLES.get(metric, metric)}; trained on, down", *names, "mean", "worst"]
    rows = []
    for source in found.sources:
        for kind in KINDS:
            scores = [_score(found, source, name, kind, metric) for name in names]
            if any(score is not None for score in scores):
                rows.append([f"{source}, {kind}" if kind else source, *_row(scores)])
    first = OTHERS if OTHERS in found.sources else None
    for name in _baselines(found):
        scores = []
        for corpus in names:
            source = first or next(n for n in names if n != corpus)
            scores.append(_score(found, source, corpus, name, metric))
        rows.append([name, *_row(scores)])
    if metric == "uar":
        rows.append(["chance", *[number(1 / len(found.emotions))] * (len(names) + 2)])
    return head, rows


def _row(scores: list[Interval | None]) -> list[str]:
    """Cells, their mean and the worst of them; of a row with a gap neither."""
    cells = ["–" if s is None else f"{number(s.value)} {spread(s)}".strip() for s in scores]
    values = [np.nan if s is None else s.value for s in scores]
    return [*cells, number(float(np.mean(values))), number(float(np.min(values)))]


def _score(found: Transfer, source: str, corpus: str, kind: str, metric: str) -> Interval | None:
    cell = found.cell(source, corpus)
    system = cell.system(kind) if cell else None
    return system[metric] if system else None


def _baselines(found: Transfer) -> list[str]:
    return list(
        dict.fromkeys(n for cell in found.cells for n in cell.systems if n.startswith(BASELINE))
    )


def below(found: Transfer) -> list[str]:
    """Which utterances, what crosses, what is ahead of the baselines, under which terms."""
    lines = [
        f"Told apart: {', '.join(found.emotions)}. 95 % intervals over the speakers of the corpus that "
        "was tested on. Baselines learn from the same corpora as the first row of a column."
    ]
    for one in found.corpora:
        lost = sum(one.left_out.values())
        words = ", ".join(
            f"{own} → {to or 'left out'}" for own, to in one.labels.items() if own != to
        )
        lines.append(
            f"{one.name}: {one.utterances} utterances of {one.speakers} speakers"
            + f"; {lost} left out" * bool(lost)
            + f"; {one.rated} kept for their ratings alone" * bool(one.rated)
            + f" ({words})" * bool(words)
        )
    for cell in found.cells:
        shared = [f"{cell.audit[k]} {k}" for k in CROSSING if cell.audit.get(k)]
        if shared:
            lines.append(
                f"{cell.trained_on} → {cell.tested_on}: of {cell.n} utterances also in training: "
                + ", ".join(shared)
            )
        lines += [
            f"{cell.trained_on} → {cell.tested_on}: warning: {warning}"
            for warning in cell.audit.get("warnings", ())
        ]
        if cell.ahead and not cell.ahead["low"] > 0:
            lines.append(
                f"{cell.trained_on} → {cell.tested_on}: not surely ahead of "
                f"{cell.ahead['baseline']}: {cell.ahead['value']:+.3f} "
                f"[{cell.ahead['low']:+.3f}, {cell.ahead['high']:+.3f}]"
            )
    least = min(one.speakers for one in found.corpora)
    return [*lines, *[note for note in [few(least)] if note], f"terms: {'; '.join(found.terms)}"]


def _warned(found: Transfer, mark: str) -> list[str]:
    return [f"{mark}SIMULATED{mark}: some of this is about no real voice", ""] * found.simulated


def as_csv(found: Transfer) -> str:
    """One line a cell, system and metric."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow("trained_on tested_on system metric value low high utterances speakers".split())
    for cell in found.cells:
        for name, system in cell.systems.items():
            for metric in system.scores:
                if is_count(metric):
                    continue
                numbers = [f"{x:.6f}" if x == x else "" for x in system[metric][:3]]
                at = map(guard, (cell.trained_on, cell.tested_on, name, metric))
                out.writerow([*at, *numbers, cell.n, cell.speakers])
    return text.getvalue()


def to_json(found: Transfer) -> dict[str, Any]:
    """Plain values; nan is written as null."""

    def scores(system: Any) -> dict[str, list[float]]:
        return {m: list(system[m][:3]) for m in system.scores if not is_count(m)}

    return {
        "corpora": {
            one.name: {
                "utterances": one.utterances,
                "rated": one.rated,
                "speakers": one.speakers,
                "left_out": dict(one.left_out),
                "labels": dict(one.labels),
            }
            for one in found.corpora
        },
        "emotions": list(found.emotions),
        "simulated": found.simulated,
        "terms": list(found.terms),
        "settings": list(found.settings),
        "command": found.command,
        "erc": __version__,
        "cells": [
            {
                "trained_on": cell.trained_on,
                "tested_on": cell.tested_on,
                "n": cell.n,
                "speakers": cell.speakers,
                "main": cell.main.name,
                "scores": {name: scores(system) for name, system in cell.systems.items()},
                "audit": _plain(cell.audit),
                "ahead": _plain(cell.ahead),
            }
            for cell in found.cells
        ],
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(values)
