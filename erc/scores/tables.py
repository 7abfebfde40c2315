"""Results → text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from erc.base.space import Space
from erc.scores.metrics import cccs
from erc.scores.results import ADAPTED, HUMAN, OF_CORPUS, Human, Results, System
from erc.scores.statistics import FEW, Interval
from erc.scores.summary import Spread, Summary

NOTES = {
    ADAPTED: "sees the test speakers' unlabelled audio, as their baseline",
    OF_CORPUS: "a corpus that was not trained on is heard against its own unlabelled audio, others "
    "against that of their training side",
}

TITLES = {
    "accuracy": "accuracy",
    "uar": "UAR",
    "f1_weighted": "F1 weighted",
    "f1_micro": "F1 micro",
    "f1_macro": "F1 macro",
    "auroc": "AUROC",
    "ccc": "CCC",  # of each dimension
    "js_distance": "JS distance",
    "ece": "ECE majority",
    "ece_votes": "ECE votes",
}


def columns(space: Space) -> dict[str, str]:
    """Names of the scores of tables → their titles, in order.

    >>> from erc.base.space import KEMDY
    >>> columns(KEMDY)["ccc_arousal"]
    'CCC arousal'
    """
    found: dict[str, str] = {}
    for name, title in TITLES.items():
        more = {f"ccc_{d}": f"{title} {d}" for d in space.names} if name == "ccc" else {name: title}
        found |= more
    return found


def shown_with_intervals(space: Space) -> tuple[str, ...]:
    """The scores whose intervals stand below a table."""
    return ("f1_macro", *cccs(space))


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
    most = len(results.panels.sizes)
    rows |= {
        f"{k} raters": Human({m: x.value for m, x in results.panels.sizes[k].items()})
        for k in (2, 4, 8)
        if 2 * k <= most + 1  # a truth of fewer than the panel is a poor one
    }
    title = (
        f"{results.where}, fold {results.fold} of {results.folds} held out "
        f"({results.protocol} protocol): {results.n} utterances, {results.speakers} speakers"
    )
    titles = columns(results.space)
    shown = _defined(titles, (row.scores for row in rows.values()))
    cells = [[name, *(number(row.scores.get(k)) for k in shown)] for name, row in rows.items()]
    head = ["", *(titles[key] for key in shown)]
    lines = [*_intervals(results.systems, results.speakers, results.space), *_worth(results)]
    return "\n".join([title, "", grid(head, cells), *lines])


def summary_table(summary: Summary) -> str:
    """Mean ± standard deviation over folds, and all held-out utterances together."""
    titles = columns(summary.space)
    shown = _defined(titles, (system.scores for system in summary.pooled.values()))
    folds: dict[str, Spread] = {**summary.systems, HUMAN: summary.human}
    rows = [
        [name, *(_mean_std(spread.mean.get(k), spread.std.get(k)) for k in shown)]
        for name, spread in folds.items()
    ]
    rows += [
        [f"{name}, pooled", *(number(system.scores.get(k)) for k in shown)]
        for name, system in summary.pooled.items()
    ]
    seeds = f" × {len(summary.seeds)} seeds" * (len(summary.seeds) > 1)
    title = (
        f"{summary.where}, {summary.folds} folds{seeds} ({summary.protocol} protocol), "
        f"{summary.n} utterances; mean ± standard deviation over folds"
    )
    head = ["", *(titles[key] for key in shown)]
    lines = _intervals(summary.pooled, summary.speakers, summary.space, len(summary.seeds))
    return "\n".join([title, "", grid(head, rows), *lines])


def number(value: float | None) -> str:
    """Three decimals, or a dash for what is undefined."""
    return "–" if value is None or value != value else f"{value:.3f}"


def spread(score: Interval) -> str:
    """`[low, high]`, empty where there is none."""
    return "" if number(score.low) == "–" else f"[{number(score.low)}, {number(score.high)}]"


def _margins(results: Results) -> list[str]:
    """One line: what the fullest system is ahead of the strongest baseline by."""
    titles = columns(results.space)
    found = [
        f"{titles[m]} {x.value:+.3f} [{x.low:+.3f}, {x.high:+.3f}] ({x.baseline.partition(': ')[2]})"
        for m, x in results.margins.items()
        if m in shown_with_intervals(results.space)
    ]
    return [f"{results.fullest.name} minus the strongest baseline: {'; '.join(found)}"] * bool(
        found
    )


def _worth(results: Results) -> list[str]:
    """One line: how many raters the fullest system is worth, and whether it is calibrated."""
    worth = results.panels.worth.get(results.fullest.name, {})
    titles, shown = columns(results.space), shown_with_intervals(results.space)
    found = [f"{titles[m]} {worth[m]}" for m in shown if m in worth]
    lines = [f"{results.fullest.name} is worth so many raters (95 %): {'; '.join(found)}"] * bool(
        found
    )
    lines += _margins(results)
    lines += _doubt(results)
    return lines + ["not calibrated: no temperature was fitted on other data"] * (
        not results.calibrated
    )


def _doubt(results: Results) -> list[str]:
    """What prediction sets hold, and what leaving out doubtful answers is worth."""
    lines = []
    if sets := results.sets:
        sure = f" [{number(sets.low)}, {number(sets.high)}]" * (sets.low == sets.low)
        lines.append(
            f"prediction sets of {sets.level:.0%} hold the majority emotion in "
            f"{number(sets.coverage)}{sure}, {sets.size:.1f} emotions each (calibrated on "
            f"{sets.speakers} other speakers)"
        )
    if results.risk:
        areas = "; ".join(f"{name} {number(area)}" for name, area in results.risk.items())
        lines.append(f"area under risk and coverage, answers used by: {areas}")
    return lines


def few(speakers: int) -> str:
    """What every reader of intervals over so few speakers is told."""
    return f"only {speakers} speakers: a wide interval is all that so few can say of others"


def _mean_std(mean: float | None, std: float | None) -> str:
    return "–" if number(mean) == "–" else f"{number(mean)} ±{number(std)}"


def _defined(titles: Iterable[str], rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Columns that some row has a value in: a corpus without emotions shows none of theirs."""
    found = list(rows)
    return [k for k in titles if any(number(scores.get(k)) != "–" for scores in found)]


def _intervals(
    systems: Mapping[str, System], speakers: int, space: Space, seeds: int = 1
) -> list[str]:
    lines, over = [""], f"{speakers} speakers" + f" and {seeds} seeds" * (seeds > 1)
    titles = columns(space)
    for key in shown_with_intervals(space):
        found = {name: system[key] for name, system in systems.items() if not system.baseline}
        known = [
            f"{n} {number(x.low)}–{number(x.high)}" for n, x in found.items() if x.low == x.low
        ]
        if known:
            lines.append(f"95 % interval of {titles[key]}, over {over}: {'; '.join(known)}")
    if speakers < FEW and len(lines) > 1:
        lines.append(few(speakers))
    return lines + [
        f"{kind}: {note}"
        for kind, note in NOTES.items()
        if any(name.endswith(kind) for name in systems)
    ]
