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
from erc.base.errors import ConfigError
from erc.base.space import Space

DIGITS = 6
OF_TURNS = ("vtt", "eaf")  # what only a recording with turns can be written as


class Json:
    """One JSON object a line.

    Args:
        space: what the model answers in.
        top_k: so many emotions are shown; None: all.
        ascii: the screen cannot show more.
    """

    name = "json"

    def __init__(self, space: Space, top_k: int | None = None, ascii: bool = False):
        self.space, self.top_k, self.ascii = space, top_k, ascii

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
        return ",".join(self._columns()) + "\n"

    def row(self, values: dict[str, Any]) -> str:
        from erc.recognizer.prediction import cells

        row = cells(guarded(_rounded(values, self.top_k)))
        row = {k: f"{v:.{DIGITS}f}" if isinstance(v, float) else v for k, v in row.items()}
        line = io.StringIO()
        csv.DictWriter(line, self._columns(), restval="", lineterminator="\n").writerow(row)
        return line.getvalue()

    def _columns(self) -> tuple[str, ...]:
        from erc.recognizer.prediction import columns

        return columns(self.space)


class Table(Json):
    """For people: the most probable emotions, and dimensions; drawn when all rows are there."""

    name = "table"

    def __init__(self, space: Space, top_k: int | None = None, ascii: bool = False):
        super().__init__(space, min(2, len(space.emotions)) if top_k is None else top_k)
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
        from erc.recognizer.scales import legend, number

        most = max(self.top_k or 0, 1)  # without emotions, the column says why there is nothing
        emotions = ["emotion" if self.space.emotions else "", *["then"] * (most - 1)]
        columns: list[Column | str] = [
            Column("file", overflow="fold"),
            *emotions,
            *self.space.names,
            "typical",
            "from",
            "",
        ]
        grid = Grid(*columns, box=None)
        for row, name in zip(self.rows, _short([row["file"] for row in self.rows]), strict=True):
            if "error" in row:
                grid.add_row(Text(name), Text("failed", "red"))
                continue
            best = sorted(row["probabilities"].items(), key=lambda item: -item[1])[:most]
            told = [f"{e} {p:.0%}" for e, p in best] or [row["reason"]]
            told += [""] * (most - len(told))
            placed = [(d, row[d.name]) for d in self.space.dimensions]
            notes = ["unsure"] * row["abstain"] + ["conflict"] * bool(row["conflict"])
            notes += ["one of " + ", ".join(among)] if (among := row["prediction_set"]) else []
            notes += ["narrow band"] * bool(row["narrow_band"])
            grid.add_row(
                Text(name),
                *(Text(one, "" if i else "bold") for i, one in enumerate(told)),
                *("" if x is None else number(d, x) for d, x in placed),
                f"{usual:.0%}" if (usual := least(row["typicality"], 2)) <= 1 else "",
                " + ".join(row["modalities"]),
                Text(" ".join(notes), "yellow"),
            )  # fmt: skip
        console = Console()
        with console.capture() as captured:
            console.print(grid)
            if self.space.dimensions:
                console.print(legend(self.space), style="dim")
        return captured.get()


WRITERS = {form.name: form for form in (Table, Json, Csv)}
FORMATS = (*WRITERS, *OF_TURNS)


def form(format: str | None, output: str | None) -> type[Json]:
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
    return WRITERS[format]


def only_ascii(output: str | None) -> bool:
    """Whether the rows go to a screen or pipe that takes no other letters."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    return not output and not encoding.startswith("utf")


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


def _rounded(row: dict[str, Any], top_k: int | None) -> dict[str, Any]:
    """Floats with `DIGITS` decimals; the `top_k` most probable emotions, all in their usual order."""
    row = {k: round(v, DIGITS) if isinstance(v, float) else v for k, v in row.items()}
    if row.get("typicality"):
        known = row["typicality"].items()
        row["typicality"] = {k: v if v is None else round(v, DIGITS) for k, v in known}
    if "probabilities" in row:
        p = {k: round(v, DIGITS) for k, v in row["probabilities"].items()}
        best = sorted(p.items(), key=lambda item: -item[1])[:top_k]
        row["probabilities"] = dict(best) if top_k is not None and top_k < len(p) else p
    return row
