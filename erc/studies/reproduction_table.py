"""Cross-validated rows → the paper's table, and which differences between rows are more than noise."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from erc.scores.results import Human, Results, System
from erc.scores.scored import Scored, pool, read
from erc.scores.statistics import paired_t
from erc.scores.tables import number

SYSTEM = "speech + text"
METRICS = {
    "f1_weighted": "weighted F1",
    "f1_micro": "micro F1",
    "f1_macro": "macro F1",
    "ccc_arousal": "CCC arousal",
    "ccc_valence": "CCC valence",
}
# KEMDy19 + 20, five folds, protocol "paper": the published tensor-mixer system.
PUBLISHED = {
    "tensor mixer": {
        "f1_weighted": 0.844, "f1_micro": 0.851, "ccc_arousal": 0.813, "ccc_valence": 0.857,
    },
    "concat": {
        "f1_weighted": 0.827, "f1_micro": 0.840, "ccc_arousal": 0.578, "ccc_valence": 0.688,
    },
    "cross-attention": {
        "f1_weighted": 0.837, "f1_micro": 0.848, "ccc_arousal": 0.810, "ccc_valence": 0.850,
    },
}  # fmt: skip
SIMULATED = (
    "**Simulated corpus: nobody was recorded.** These figures test the machinery; they say nothing "
    "about KEMDy and are not comparable with the published ones."
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    protocol: str
    fusion: str
    target: str
    words: tuple[str, ...]  # overrides of python train.py
    folder: Path  # of its folds

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"{self.fusion}, {self.target}"


def compare(rows: Sequence[Row]) -> dict[str, Any]:
    """What `results.json` holds: per protocol the rows, and every pair that differs in one choice.

    A pair is tested twice for each metric: over folds (paired t test with the correction of Nadeau &
    Bengio for shared training data) and over speakers (paired jackknife of the pooled predictions).
    `within_noise`: the interval over speakers holds 0.
    """
    found = {row: folds(row) for row in rows}
    first = found[rows[0]]
    results: dict[str, Any] = {"simulated": first[0].simulated, "n": sum(f.n for f in first)}
    results |= {"published": PUBLISHED, "protocols": {}}
    for protocol in dict.fromkeys(row.protocol for row in rows):
        mine = [row for row in rows if row.protocol == protocol]
        entries = [entry(row, found[row]) for row in mine]
        said = {row.name: predictions(row) for row in mine}
        pairs = [
            pair(a, b, said[a["name"]], said[b["name"]])
            for a, b in combinations(entries, 2)
            if (a["fusion"] == b["fusion"]) != (a["target"] == b["target"])
        ]
        human = over_folds([f.human for f in found[mine[0]]])["mean"]
        results["protocols"][protocol] = {"rows": entries, "pairs": pairs, "human": human}
    return results


def folds(row: Row) -> list[Results]:
    """Results of each fold, in their order."""
    return [Results.read(file) for file in sorted(row.folder.glob("fold*/results.json"))]


def over_folds(found: Sequence[System] | Sequence[Human]) -> dict[str, Any]:
    """Each metric: mean, standard deviation (ddof 1) and the single values over folds."""
    values = {m: [one.scores[m] for one in found] for m in METRICS}
    return {
        "mean": {m: float(np.mean(v)) for m, v in values.items()},
        "std": {m: float(np.std(v, ddof=1)) for m, v in values.items()},
        "folds": values,
    }


def entry(row: Row, found: list[Results]) -> dict[str, Any]:
    """One line of the table."""
    return {
        "name": row.name,
        "fusion": row.fusion,
        "target": row.target,
        "command": shlex.join(["erc", "cross-validate", *row.words]),
        **over_folds([f.systems[SYSTEM] for f in found]),
    }


def predictions(row: Row) -> Scored:
    """Held-out predictions of all folds, by id."""
    files = sorted(row.folder.glob("fold*/predictions.csv"))
    found = pool([read(file)[SYSTEM] for file in files])
    return found.take(np.argsort(found.id, kind="stable"))


def pair(a: dict, b: dict, said_a: Scored, said_b: Scored) -> dict[str, Any]:
    """Row a − row b on every metric."""
    speakers = said_a.minus(said_b, METRICS)
    ratio = 1 / (len(a["folds"]["f1_macro"]) - 1)  # test to training size
    tested = {}
    for m in METRICS:
        t = paired_t(a["folds"][m], b["folds"][m], ratio)
        tested[m] = {
            "difference": speakers[m].value, "low": speakers[m].low, "high": speakers[m].high,
            "p_speakers": speakers[m].p, "p_t": t.p, "t": t.t, "mean_over_folds": t.difference,
            "within_noise": speakers[m].within_noise,
        }  # fmt: skip
    return {"a": a["name"], "b": b["name"], "metrics": tested}


def markdown(results: dict[str, Any]) -> str:
    """The whole report."""
    lines = ["# Three fusions, three targets", ""]
    if results["simulated"]:
        lines += [SIMULATED, ""]
    lines += [
        f"{results['n']} utterances, five folds by session, speech + text; mean ± standard deviation "
        "over folds.",
        "",
    ]
    for protocol, part in results["protocols"].items():
        lines += [f"## Protocol {protocol}", "", *_table(results, part), "", *_pairs(part), ""]
    return "\n".join(lines)


def _table(results: dict[str, Any], part: dict[str, Any]) -> list[str]:
    rows = [
        [e["name"], *(f"{number(e['mean'][m])} ± {number(e['std'][m])}" for m in METRICS)]
        for e in part["rows"]
    ]
    rows.append(["one rater against the others", *(number(part["human"][m]) for m in METRICS)])
    note = "other data, not comparable" if results["simulated"] else "paper protocol"
    for fusion, found in results["published"].items():
        cells = [number(found.get(m)) for m in METRICS]
        if fusion == "tensor mixer":
            cells[0] += " ± 0.015"
        rows.append([f"*published, {fusion} ({note})*", *cells])
    tail = "Published macro F1: PeakL 0.709, one-hot 0.693."
    return [*_grid(["", *METRICS.values()], rows), "", tail]


def _pairs(part: dict[str, Any]) -> list[str]:
    rows = [
        [f"{p['a']} − {p['b']}", *(_cell(p["metrics"][m]) for m in METRICS)] for p in part["pairs"]
    ]
    return [
        "Rows that differ in one choice: difference of the pooled scores [95 %, over speakers], "
        "p of the paired t test over folds (corrected for shared training data); **~** = within noise: "
        f"the interval holds 0. With {len(rows) * len(METRICS)} comparisons about "
        f"{math.ceil(0.05 * len(rows) * len(METRICS))} would seem real by chance.",
        "",
        *_grid(["", *METRICS.values()], rows),
    ]


def _cell(test: dict[str, Any]) -> str:
    noise = " **~**" if test["within_noise"] else ""
    return (
        f"{test['difference']:+.3f} [{test['low']:+.3f}, {test['high']:+.3f}] "
        f"p {number(test['p_t'])}{noise}"
    )


def _grid(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
