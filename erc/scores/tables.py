"""Results → text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

ADAPTED = "speaker-adapted"  # in the name of a system; see erc.training.adaptation
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


def results_table(results: dict[str, Any]) -> str:
    """Scores of every system on one held-out fold, and the interval of macro F1."""
    shown = _defined(results["scores"])
    rows = [
        [system, *(number(scores.get(key)) for key in shown)]
        for system, scores in results["scores"].items()
    ]
    title = (
        f"{_corpus(results)}, fold {results['fold']} of {results['folds']} held out "
        f"({results['protocol']} protocol): {results['n']} utterances, "
        f"{results['speakers']} speakers"
    )
    head = ["", *(COLUMNS[key] for key in shown)]
    return "\n".join([title, "", grid(head, rows), *_spread(results)])


def crossval_table(summary: dict[str, Any]) -> str:
    """Mean ± standard deviation over folds, and all held-out utterances together."""
    shown = _defined(summary["pooled"])
    rows = [
        [
            system,
            *(_mean_std(scores.get(k), summary["std"][system].get(k)) for k in shown),
        ]
        for system, scores in summary["mean"].items()
    ]
    rows += [
        [f"{system}, pooled", *(number(scores.get(k)) for k in shown)]
        for system, scores in summary["pooled"].items()
    ]
    title = (
        f"{_corpus(summary)}, {summary['folds']} folds ({summary['protocol']} protocol), "
        f"{summary['n']} utterances; mean ± standard deviation over folds"
    )
    head = ["", *(COLUMNS[key] for key in shown)]
    return "\n".join([title, "", grid(head, rows), *_spread(summary)])


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def _mean_std(mean: float | None, std: float | None) -> str:
    return "–" if number(mean) == "–" else f"{number(mean)} ±{number(std)}"


def _corpus(results: dict[str, Any]) -> str:
    return f"{'SIMULATED corpus' if results['simulated'] else 'corpus'} {results['corpus']}"


def _defined(systems: dict[str, dict[str, Any]]) -> list[str]:
    """Columns that some system has a value in: a corpus without emotions shows none of theirs."""
    return [k for k in COLUMNS if any(number(scores.get(k)) != "–" for scores in systems.values())]


def _spread(results: dict[str, Any]) -> list[str]:
    lines = [""]
    for key in ("f1_macro", "ccc_valence", "ccc_arousal"):
        spread = [
            f"{system} {number(low)}–{number(high)}"
            for system, found in results["intervals"].items()
            for low, high in [found.get(key, (None, None))]
            if number(low) != "–"
        ]
        if spread:
            name = COLUMNS[key]
            lines.append(f"95 % interval of {name}, resampling speakers: {'; '.join(spread)}")
    return lines + [NOTE] * any(ADAPTED in name for name in results["intervals"])
