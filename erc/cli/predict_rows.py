"""The forms of predictions: JSON lines and CSV for programs, a table for people."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from erc.base.cells import guarded
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError

DIGITS = 6
NOTE = "valence 1 negative … 5 positive, arousal 1 calm … 5 excited"
OF_TURNS = ("vtt", "eaf")  # what only a recording with turns can be written as


class Json:
    """One JSON object a line."""

    name = "json"

    def __init__(self, top_k: int, ascii: bool = False):
        self.top_k, self.ascii = top_k, ascii

    def head(self) -> str:
        """What comes before the first row."""
        return ""

    def row(self, values: dict[str, Any]) -> str:
        """The text of one row."""
        return json.dumps(_rounded(values, self.top_k), ensure_ascii=self.ascii) + "\n"

    def tail(self) -> str:
        """What comes after the last row."""
        return ""


class Csv(Json):
    """The columns of `prediction.table`; with `top_k` the other probabilities are blank."""

    name = "csv"

    def head(self) -> str:
        from erc.recognizer.prediction import COLUMNS

        return ",".join(COLUMNS) + "\n"

    def row(self, values: dict[str, Any]) -> str:
        from erc.recognizer.prediction import COLUMNS

        row = _rounded(values, self.top_k)
        row = guarded(row)
        row |= {f"p_{e}": p for e, p in row.pop("probabilities", {}).items()}
        row |= {f"typicality_{m}": x for m, x in (row.pop("typicality", None) or {}).items()}
        row |= {k: "+".join(v) for k, v in row.items() if isinstance(v, list)}
        cells = {k: f"{v:.{DIGITS}f}" if isinstance(v, float) else v for k, v in row.items()}
        line = io.StringIO()
        csv.DictWriter(line, COLUMNS, restval="", lineterminator="\n").writerow(cells)
        return line.getvalue()


class Table(Json):
    """For people: the most probable emotions, valence and arousal; drawn when all rows are there."""

    name = "table"

    def __init__(self, top_k: int, ascii: bool = False):
        super().__init__(min(top_k, 2) if top_k == len(EMOTIONS) else top_k)
        self.rows: list[dict[str, Any]] = []

    def row(self, values: dict[str, Any]) -> str:
        self.rows.append(values)
        return ""

    def tail(self) -> str:
        from rich.console import Console
        from rich.table import Column
        from rich.table import Table as Grid
        from rich.text import Text

        from erc.recognizer.prediction import least

        emotions = ["emotion", *["then"] * (self.top_k - 1)]
        columns: list[Column | str] = [
            Column("file", overflow="fold"),
            *emotions,
            "valence",
            "arousal",
            "typical",
            "from",
            "",
        ]
        grid = Grid(*columns, box=None)
        for row, name in zip(self.rows, _short([row["file"] for row in self.rows]), strict=True):
            if "error" in row:
                grid.add_row(Text(name), Text("failed", "red"))
                continue
            best = sorted(row["probabilities"].items(), key=lambda item: -item[1])[: self.top_k]
            told = [f"{e} {p:.0%}" for e, p in best] or [row["reason"]]
            told += [""] * (self.top_k - len(told))
            placed = [row["valence"], row["arousal"]]
            notes = ["unsure"] * row["abstain"] + ["conflict"] * bool(row["conflict"])
            notes += ["one of " + ", ".join(among)] if (among := row["prediction_set"]) else []
            notes += ["narrow band"] * bool(row["narrow_band"])
            grid.add_row(
                Text(name),
                *(Text(one, "" if i else "bold") for i, one in enumerate(told)),
                *("" if x is None else f"{x:.1f}" for x in placed),
                f"{usual:.0%}" if (usual := least(row["typicality"], 2)) <= 1 else "",
                " + ".join(row["modalities"]),
                Text(" ".join(notes), "yellow"),
            )  # fmt: skip
        console = Console()
        with console.capture() as captured:
            console.print(grid)
            console.print(NOTE, style="dim")
        return captured.get()


WRITERS = {form.name: form for form in (Table, Json, Csv)}
FORMATS = (*WRITERS, *OF_TURNS)


def writer(format: str | None, output: str | None, top_k: int) -> Json:
    """By --format, else by the output's name, else a table for people and JSON for programs."""
    if format is None:
        suffix = Path(output).suffix.removeprefix(".") if output else ""
        format = suffix if suffix in ("csv", *OF_TURNS) else "json"
        if not output and sys.stdout.isatty():
            format = "table"
    if format in OF_TURNS:
        raise ConfigError(
            f"{format} has a line for each turn of a long recording; "
            f"run `erc timeline RECORDING --format {format}`"
        )
    if format == "table" and output:
        raise ConfigError("a table is for the screen; give -o with --format json or csv")
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    return WRITERS[format](top_k, ascii=not output and not encoding.startswith("utf"))


def _short(files: list[str]) -> list[str]:
    """Paths without the folder that all of them share.

    >>> _short(["/data/a/1.wav", "/data/b/1.wav"])
    ['a/1.wav', 'b/1.wav']
    """
    folders = {os.path.dirname(file) for file in files}
    if any(os.path.isabs(f) != os.path.isabs(next(iter(folders))) for f in folders):
        return files
    shared = os.path.commonpath(folders)
    return [os.path.relpath(f, shared) if shared and os.path.dirname(f) else f for f in files]


def _rounded(row: dict[str, Any], top_k: int) -> dict[str, Any]:
    """Floats with `DIGITS` decimals; the `top_k` most probable emotions, all in their usual order."""
    row = {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in row.items()}
    if row.get("typicality"):
        known = row["typicality"].items()
        row["typicality"] = {k: v if v is None else round(v, DIGITS) for k, v in known}
    if "probabilities" in row:
        p = {k: round(v, DIGITS) for k, v in row["probabilities"].items()}
        best = sorted(p.items(), key=lambda item: -item[1])[:top_k]
        row["probabilities"] = p if top_k == len(EMOTIONS) else dict(best)
    return row
