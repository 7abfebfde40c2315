"""Results → text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from erc.scores.results import ADAPTED, HUMAN, Human, Results, System
from erc.scores.statistics import Interval
from erc.scores.summary import Spread, Summary

NOTE = f"{ADAPTED}: sees the test speakers' unlabelled audio, as their baseline"

COLUMNS = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "f1_weighted": "F1 weighted",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "auroc": "AUROC",
    "ccc_valence": "CCC valence",
    "ccc_arousal": "CCC arousal",
    "js_distance": "JS distance",
    "ece": "ECE",
}


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need; the first to the left, numbers to the right.

    >>> print(grid(["", "UAR"], [["speech", "0.5"], ["text", "–"]]))
            UAR
    speech  0.5
    text      –
    """
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    )


def results_table(results: Results) -> str:
    """Scores of every system on one held-out fold, and the interval of macro F1."""
    rows: dict[str, System | Human] = {**results.systems, HUMAN: results.human}
    title = (
        f"{results.where}, fold {results.fold} of {results.folds} held out "
        f"({results.protocol} protocol): {results.n} utterances, {results.speakers} speakers"
    )
    shown = _defined(row.scores for row in rows.values())
    cells = [[name, *(number(row.scores.get(k)) for k in shown)] for name, row in rows.items()]
    head = ["", *(COLUMNS[key] for key in shown)]
    return "\n".join([title, "", grid(head, cells), *_intervals(results.systems)])


def summary_table(summary: Summary) -> str:
    """Mean ± standard deviation over folds, and all held-out utterances together."""
    shown = _defined(system.scores for system in summary.pooled.values())
    folds: dict[str, Spread] = {**summary.systems, HUMAN: summary.human}
    rows = [
        [name, *(_mean_std(spread.mean.get(k), spread.std.get(k)) for k in shown)]
        for name, spread in folds.items()
    ]
    rows += [
        [f"{name}, pooled", *(number(system.scores.get(k)) for k in shown)]
        for name, system in summary.pooled.items()
    ]
    title = (
        f"{summary.where}, {summary.folds} folds ({summary.protocol} protocol), "
        f"{summary.n} utterances; mean ± standard deviation over folds"
    )
    head = ["", *(COLUMNS[key] for key in shown)]
    return "\n".join([title, "", grid(head, rows), *_intervals(summary.pooled)])


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def spread(score: Interval) -> str:
    """`[low, high]`, empty where there is none."""
    return "" if number(score.low) == "–" else f"[{number(score.low)}, {number(score.high)}]"


def _mean_std(mean: float | None, std: float | None) -> str:
    return "–" if number(mean) == "–" else f"{number(mean)} ±{number(std)}"


def _defined(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Columns that some row has a value in: a corpus without emotions shows none of theirs."""
    found = list(rows)
    return [k for k in COLUMNS if any(number(scores.get(k)) != "–" for scores in found)]


def _intervals(systems: Mapping[str, System]) -> list[str]:
    lines = [""]
    for key in ("f1_macro", "ccc_valence", "ccc_arousal"):
        found = {name: system[key] for name, system in systems.items()}
        known = [
            f"{n} {number(x.low)}–{number(x.high)}" for n, x in found.items() if x.low == x.low
        ]
        if known:
            name = COLUMNS[key]
            lines.append(f"95 % interval of {name}, resampling speakers: {'; '.join(known)}")
    return lines + [NOTE] * any(system.adapted for system in systems.values())
