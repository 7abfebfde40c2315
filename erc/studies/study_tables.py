"""A cross-validation → tables in Markdown and LaTeX, and the confusion matrix as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from erc.base.files import atomic
from erc.scores.breakdown import breakdown
from erc.scores.metrics import cccs, confusion
from erc.scores.results import Results, System
from erc.scores.scored import Scored
from erc.scores.summary import Summary
from erc.scores.tables import columns, number, spread

LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {c: f"\\{c}" for c in "&%$#_{}"}
LATEX |= {"±": r"$\pm$", "–": "--", "→": r"$\to$"}


class Table(NamedTuple):
    """Cells as text; the first column names the rows."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """With its title as a heading."""
        lines = [self.head, ["---", *["---:"] * (len(self.head) - 1)], *self.rows]
        cells = ("| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in lines)
        return "\n".join([f"## {self.title}", "", *cells, ""])

    def latex(self) -> str:
        r"""A `table` of the package booktabs.

        >>> print(Table("A", ["", "UAR"], [["50 %", "0.5"]]).latex())
        \begin{table}
        \caption{A}
        \begin{tabular}{lr}
        \toprule
         & UAR \\
        \midrule
        50 \% & 0.5 \\
        \bottomrule
        \end{tabular}
        \end{table}
        <BLANKLINE>
        """
        rows = [" & ".join(map(escape, line)) + r" \\" for line in (self.head, *self.rows)]
        return "\n".join(
            [
                r"\begin{table}", rf"\caption{{{escape(self.title)}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.head) - 1)}}}",
                r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule",
                r"\end{tabular}", r"\end{table}", "",
            ]
        )  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], text)


def write_tables(folder: Path, summary: Summary, results: Sequence[Results], rows: Scored) -> None:
    """tables.md, tables.tex and confusion.csv.

    Args:
        results: of each training; rows: the pooled answers of the fullest system.
    """
    known = rows.take(rows.labelled)
    emotions = summary.space.emotions
    matrix = confusion(known.label, known.predicted, len(emotions)).tolist()
    counted = [[e, *map(str, row)] for e, row in zip(emotions, matrix, strict=True)]
    head = ["rated", *emotions]
    found = [*tables(summary, results, rows), Table("Rated and predicted emotions", head, counted)]
    origin = f"{summary.where}, {summary.n} utterances. `{summary.command}`"
    texts = {
        "tables.md": "\n".join([f"{origin}\n", *(table.markdown() for table in found)]),
        "tables.tex": "\n".join([f"% {origin}\n", *(table.latex() for table in found)]),
        "confusion.csv": "".join(",".join(row) + "\n" for row in [head, *counted]),
    }
    for name, text in texts.items():
        with atomic(folder / name) as temporary:
            temporary.write_text(text, "utf-8")


def tables(summary: Summary, results: Sequence[Results], rows: Scored) -> list[Table]:
    """Systems, folds, seeds and speakers; columns that no system has a score in are left out."""
    main, titles = summary.fullest, columns(summary.space)
    all_of_them = ("accuracy", "uar", "f1_macro", *cccs(summary.space), "ece_votes")
    known = [{m for m in all_of_them if number(x[m].value) != "–"} for x in summary.pooled.values()]
    shown = [m for m in all_of_them if m in set().union(*known)]
    names = [titles[m] for m in shown]
    over = "speakers and seeds" if len(summary.seeds) > 1 else "speakers"
    runs = [(r, r.systems[main.name]) for r in results]
    found = [
        Table(
            f"All {summary.folds} folds together, with 95 % intervals over {over}",
            ["", *names],
            [[name, *_cells(x, shown)] for name, x in summary.pooled.items()],
        ),
        Table(
            "Mean ± standard deviation over trainings",
            ["", *names],
            [
                [name, *(f"{number(x.mean.get(m))} ± {number(x.std.get(m))}" for m in shown)]
                for name, x in summary.systems.items()
            ],
        ),
        Table(
            f"{main.name}, each training",
            ["seed", "fold", "utterances", "speakers", *names],
            [
                [str(r.seed), str(r.fold), str(r.n), str(r.speakers), *_cells(x, shown)]
                for r, x in runs
            ],
        ),
    ]
    if len(summary.seeds) > 1:
        lines = [
            [str(seed), *(number(x[main.name].get(m)) for m in shown)]
            for seed, x in summary.seeds.items()
        ]
        found.append(Table(f"{main.name}, each seed over all folds", ["seed", *names], lines))
    people = breakdown(rows, ("speaker",))
    each = [m for m in shown if people and m in people[0].scores]
    lines = [[g.name, str(g.n), *(number(g.scores[m].value) for m in each)] for g in people]
    head = ["speaker", "answers", *(titles[m] for m in each)]
    return [*found, Table(f"{main.name}, each held-out speaker", head, lines)]


def _cells(system: System, shown: Sequence[str]) -> list[str]:
    return [f"{number(system[m].value)} {spread(system[m])}".strip() for m in shown]
