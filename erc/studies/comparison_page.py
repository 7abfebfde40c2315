"""A `Comparison` → text for a terminal, HTML, Markdown, CSV, JSON: the same cells in each."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from erc.base.cells import guard
from erc.base.errors import ConfigError
from erc.base.files import atomic
from erc.scores.statistics import FEW
from erc.scores.tables import few, grid, number, spread
from erc.studies.comparison_table import Cell, Column, Comparison, Model

LEAK = "†"
HOW = (
    "UAR, CCC: with 95 % intervals, clustered over speakers. Chance of UAR is 1 / number of emotions. "
    "Baselines learn on the same corpus from other speakers, which no model here needs to have done."
)


def terminal(found: Comparison) -> str:
    """The table, and below it all that one has to know to read it."""
    lines = ["SIMULATED: some of this is about no real voice"] * found.simulated
    return "\n".join([*lines, grid(*_table(found)), "", *_below(found)])


def markdown(found: Comparison) -> str:
    """The same for a page that others write."""
    head, rows = _table(found)
    bars = ["|".join(["", *(x.replace("|", "\\|") for x in row), ""]) for row in (head, *rows)]
    bars.insert(1, "|" + "---|" * len(head))
    warned = ["**SIMULATED**: some of this is about no real voice", ""] * found.simulated
    return "\n".join([*warned, *bars, "", *(f"- {line.strip()}" for line in _below(found) if line)])


def as_csv(found: Comparison) -> str:
    """One line a model, corpus and score: value, low, high, utterances, and whether it is a leak."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow("system corpus side score value low high utterances seen missing".split())
    for name, cells in found.cells.items():
        for column, cell in zip(found.columns, cells):
            at = [guard(name), guard(column.name), column.side]
            for key, score in cell.scores.items():
                numbers = [f"{x:.6f}" if x == x else "" for x in score[:3]]
                out.writerow([*at, key, *numbers, column.scored[key], cell.seen, ""])
            if cell.missing:
                out.writerow([*at, "", "", "", "", "", cell.seen, cell.missing])
    return text.getvalue()


def as_json(found: Comparison) -> str:
    """Everything, for programs."""
    return json.dumps(found.to_json(), indent=2, ensure_ascii=False)


def html(found: Comparison) -> str:
    """One page, nothing loaded from elsewhere; every value is escaped."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise ConfigError("the page needs jinja2: pip install 'erc[report]'") from None
    text = resources.files("erc.studies").joinpath("comparison.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "spread": spread, "title": title, "speed": speed}
    few_said = {c.name: few(c.speakers) for c in found.columns if c.speakers < FEW}
    return environment.from_string(text).render(
        found=found,
        models={m.name: m for m in found.models},
        scores=[(i, c, key) for i, c in enumerate(found.columns) for key in _keys(c)],
        keys=_keys,
        how=HOW,
        leak=LEAK,
        few=few_said,
        counted=counted,
        tables=lambda column, i: [
            ("the corpus", column.labels),
            *((name, cells[i].labels) for name, cells in found.cells.items() if cells[i].labels),
        ],
        size=size,
    )


def write(found: Comparison, path: str | Path) -> Path:
    """Write it in the form that the suffix names: .html, .json, .csv or .md."""
    forms = {".html": html, ".json": as_json, ".csv": as_csv, ".md": markdown}
    path = Path(path)
    text = forms[path.suffix](found)
    with atomic(path) as temporary:
        temporary.write_text(text.rstrip("\n") + "\n", "utf-8")
    return path


def title(key: str) -> str:
    """`ccc_valence` → `CCC valence`."""
    return key.replace("_", " ").replace("ccc", "CCC").replace("uar", "UAR")


def speed(model: Model) -> str:
    """E.g. `35 × real time`; of what reads alone, utterances a second."""
    if math.isfinite(model.times_real):
        return f"{model.times_real:.3g} × real time"
    return f"{model.per_second:.3g} texts/s" if math.isfinite(model.per_second) else "–"


def size(model: Model) -> str:
    """E.g. `8.2 M, 31 MB`."""
    millions = f"{model.parameters / 1e6:.3g} M, " if model.parameters else ""
    return f"{millions}{model.megabytes:g} MB" if model.megabytes is not None else "–"


def counted(column: Column) -> str:
    """What was scored of a corpus, and what was not, in one sentence."""
    scored = (
        "; ".join(f"{title(key)} on {n}" for key, n in column.scored.items()) or "nothing scored"
    )
    left = "; ".join(f"{n} {reason}" for reason, n in column.left_out.items())
    return (
        f"{column.utterances} utterances of {column.speakers} speakers ({column.side}): {scored}"
        + f"; left out for all: {left}" * bool(left)
    )


def _keys(column: Column) -> list[str]:
    return list(column.scored) or ["uar"]


def _table(found: Comparison) -> tuple[list[str], list[list[str]]]:
    models = {m.name: m for m in found.models}
    head = [""]
    for column in found.columns:
        head += [f"{column.name} {title(key)}" for key in _keys(column)]
    rows = []
    for name, cells in found.cells.items():
        row = [name]
        for column, cell in zip(found.columns, cells):
            row += [_cell(cell, key) for key in _keys(column)]
        own = [speed(models[name]), size(models[name])] if name in models else ["", ""]
        rows.append(row + own)
    return [*head, "speed", "size"], rows


def _cell(cell: Cell, key: str) -> str:
    if key not in cell.scores:
        return "–"
    return f"{number(cell.scores[key].value)}{LEAK * bool(cell.seen)} {spread(cell.scores[key])}".strip()


def _below(found: Comparison) -> list[str]:
    lines = [HOW, f"speed: measured in this run, decoding included, on {found.machine}", ""]
    for i, column in enumerate(found.columns):
        lines.append(f"{column.name}: {counted(column)}")
        lines += [f"  {few(column.speakers)}"] * (column.speakers < FEW)
        if column.emotions:
            lines.append(
                f"  compared: {', '.join(column.emotions)} (each model chooses among these)"
            )
        if mapped := _mapping(column.labels):
            lines.append(f"  labels of the corpus: {mapped}")
        lines += [f"  {note}" for note in column.notes]
        lines += [f"  terms: {column.terms}"] * bool(column.terms)
        for name, cells in found.cells.items():
            cell = cells[i]
            told = [f"{LEAK} not a score of unheard voices: it {cell.seen}"] * bool(cell.seen)
            told += [f"no score: {cell.missing}"] * bool(cell.missing)
            if cell.against_best:
                told.append(f"UAR against the best: {cell.against_best}")
            if mapped := _mapping(cell.labels):
                told.append(f"labels: {mapped}")
            if cell.outside > 0.0005:
                told.append(f"{cell.outside:.0%} of its probability lies on labels not compared")
            told += cell.notes
            lines += [f"  {name}: {'; '.join(told)}"] * bool(told)
        lines.append("")
    for model in found.models:
        trained = f"; trained on {model.trained_on}" if model.trained_on else ""
        simulated = " (SIMULATED speech)" if model.simulated else ""
        lines.append(
            f"{model.name}: {model.id}{trained}{simulated}; terms: {'; '.join(model.terms)}"
        )
    return lines


def _mapping(labels: Mapping[str, str | None]) -> str:
    """`anger → angry, joy → happy; not compared: 2 (love, fear)`; "" where there are none."""
    pairs = dict(labels)
    used = [f"{own} → {meant}" for own, meant in pairs.items() if meant]
    unused = [own for own, meant in pairs.items() if not meant]
    left = f"not compared: {len(unused)} ({', '.join(unused[:12])}{', …' * (len(unused) > 12)})"
    return "; ".join([", ".join(used)] * bool(used) + [left] * bool(unused))
