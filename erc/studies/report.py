"""A run → one self-contained HTML page: what went in, what came out, how sure, and how to repeat it.

Nothing is trained here. Numbers come from what the run wrote (results.json, data.json,
predictions.csv, metrics.csv, config.yaml); a part whose file is missing says so in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import ConfigError, ErcError
from erc.base.files import atomic, fingerprint, read_json
from erc.base.space import Space
from erc.labels import peakl
from erc.labels.agreement import LEVELS
from erc.scores.breakdown import FEW, breakdown, metrics_of, per_class
from erc.scores.metrics import confusion
from erc.scores.plots import (
    calibration,
    confusion_matrix,
    embedding_map,
    label_bars,
    learning_curves,
    rated_predicted,
    risk_coverage,
    svg,
)
from erc.scores.results import Results, System, headline
from erc.scores.scored import Scored, read
from erc.scores.selective import orders, risk
from erc.scores.statistics import Interval
from erc.scores.tables import NOTES, columns, few, number, spread
from erc.studies.feature_map import NAMES, embed
from erc.training.data_record import shares

GROUPS_SHOWN = 40  # of one kind
Page = dict[str, Any]


def write(run: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of a run.

    Args:
        run: folder with results.json and predictions.csv, from training or `erc evaluate -o`.
        output: the HTML file; None: report.html in the run's folder.

    Raises:
        ConfigError: no finished run, or matplotlib or jinja2 missing.
    """
    path = Path(output or Path(run) / "report.html")
    html = render(gather(Path(run)))
    with atomic(path) as temporary:
        temporary.write_text(html, "utf-8")
    return path


def render(page: Page) -> str:
    """Fill the template; every value is escaped, figures are our own SVG."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise ConfigError("the report needs jinja2: pip install 'erc[report]'") from None
    text = resources.files("erc.studies").joinpath("report.html").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "spread": spread, "percent": _percent}
    return environment.from_string(text).render(page)


def gather(folder: Path) -> Page:
    """Everything that the template shows; a part that cannot be made is `{"missing": reason}`."""
    results = Results.read(folder)
    best = results.fullest
    rows = read(folder / "predictions.csv", results.space)[best.name]
    titles = columns(results.space)
    data = _json(folder / "data.json")
    return {
        "results": results,
        "best": best,
        "columns": titles,
        "headline": headline(results.space),
        "shown": (*headline(results.space), "ece"),  # on top of the page
        "dimensions": results.space.names,
        "alphas": ("emotion nominal", *(f"{d} {x}" for d in results.space.names for x in LEVELS)),
        "note": "; ".join(
            f"{kind}: {note}"
            for kind, note in NOTES.items()
            if any(name.endswith(kind) for name in results.systems)
        ),
        "metrics": {m: titles[m] for m in metrics_of(results.space)},
        "data": data,
        "labels": part(lambda: _labels(data, rows, results.space)),
        "curves": part(lambda: _curves(folder, titles)),
        "classes": part(lambda: _classes(rows)),
        "map": part(lambda: _map(best, rows)),
        "calibration": part(lambda: _calibration(rows)),
        "doubt": part(lambda: _doubt(rows)),
        "embedding": part(lambda: _embedding(folder, results)),
        "groups": part(lambda: _groups(rows)),
        "groups_shown": GROUPS_SHOWN,
        "few": FEW,
        "few_speakers": few(results.speakers),
        "configuration": part(lambda: {"text": _text(folder, "config.yaml")}),
        "fingerprints": _fingerprints(folder, data),
    }


def part(make: Callable[[], Page]) -> Page:
    """`make()`, or why it cannot be made."""
    try:
        return make()
    except ErcError as error:
        return {"missing": str(error)}


def _labels(data: Page, rows: Scored, space: Space) -> Page:
    """Label distributions before and after PeakL: of training, or else of the held-out side."""

    if "train" in data.get("sides", {}):
        side, found = "training", data["sides"]["train"]["labels"]
    else:
        majority = np.eye(len(space.emotions))[rows.label[rows.labelled]]
        kinds = {"votes": rows.votes, "PeakL": peakl(rows.votes), "majority": majority}
        side, found = "held-out", {name: shares(x, space) for name, x in kinds.items()}
    bars = {name: [x[e] or 0.0 for e in space.emotions] for name, x in found.items()}
    figure = _svg(label_bars(bars, space.emotions), "Label distribution")
    return {"side": side, "shares": found, "figure": figure}


def _curves(folder: Path, titles: Mapping[str, str]) -> Page:
    """Losses and scores by epoch from metrics.csv."""
    import pandas as pd

    if not (files := _of_runs(folder, "metrics.csv")):
        raise ConfigError("this folder has no metrics.csv: nothing was trained here")
    epochs = pd.concat([pd.read_csv(file) for file in files]).groupby("epoch").mean()

    def lines(names: Mapping[str, str]) -> dict[str, tuple[Any, Any]]:
        known = {text: epochs[c].dropna() for c, text in names.items() if c in epochs}
        return {text: (x.index.to_numpy(), x.to_numpy()) for text, x in known.items() if len(x)}

    losses = lines({"train/loss": "training", "val/loss": "validation"})
    scores = lines(
        {
            f"val/{m}": f"validation {t}"
            for m, t in titles.items()
            if m == "f1_macro" or m[:4] == "ccc_"
        }
    )
    note = "" if scores else "No utterances were set aside for validation under this protocol."
    return {"note": note, "figure": _svg(learning_curves(losses, scores), "Learning curves")}


def _labelled(rows: Scored) -> Scored:
    if not rows.labelled.any():
        raise ConfigError("no held-out utterance has an emotion label")
    return rows.take(rows.labelled)


def _classes(rows: Scored) -> Page:
    """Confusion matrix and per-class scores of the labelled utterances."""

    known = _labelled(rows)
    names = rows.space.emotions
    figure = confusion_matrix(confusion(known.label, known.predicted, len(names)), names)
    return {"rows": per_class(known), "figure": _svg(figure, "Confusion matrix")}


def _map(best: System, rows: Scored) -> Page:
    """Predicted against rated, dimension by dimension."""

    if np.isnan(rows.ratings).all():
        names = " or ".join(rows.space.names) or "any dimension"
        raise ConfigError(f"no held-out utterance was rated in {names}")
    scores = {name: best[f"ccc_{name}"] for name in rows.space.names}
    titles = [f"{name}: CCC {number(x.value)} {spread(x)}" for name, x in scores.items()]
    names, scales = rows.emotion.tolist(), rows.space.dimensions
    figure = rated_predicted(rows.ratings, rows.dimensions, titles, names, scales)
    return {"figure": _svg(figure, "Rated and predicted")}


def _calibration(rows: Scored) -> Page:
    """Reliability diagram of the labelled utterances."""

    known = _labelled(rows)
    return {"figure": _svg(calibration(known.probabilities, known.label), "Calibration")}


def _doubt(rows: Scored) -> Page:
    """Risk over coverage of the labelled utterances, in every order."""
    known = _labelled(rows)
    wrong = known.predicted != known.label
    curves = {name: risk(wrong, first) for name, first in orders(known).items()}
    areas = {name: float(curve.mean()) for name, curve in curves.items()}
    return {"areas": areas, "figure": _svg(risk_coverage(curves), "Risk and coverage")}


def _embedding(folder: Path, results: Results) -> Page:
    """What `erc embed` found; it is run here if it was not since the run was finished."""
    import pandas as pd

    if results.fold < 0:
        first = _of_runs(folder, "results.json", runs=True)[0].parent
        raise ConfigError(f"each fold has a feature space of its own: erc report {first}")
    files = [folder / f"embedding.{kind}" for kind in ("json", "csv")]
    scored = (folder / "results.json").stat().st_mtime
    if not all(f.is_file() and f.stat().st_mtime >= scored for f in files):
        embed(str(folder))
    frame = pd.read_csv(files[1], dtype={"id": str})
    emotions = frame.emotion.fillna("").to_list()
    rated, placed = (frame[c].to_numpy() for c in (["valence", "arousal"], ["x", "y"]))
    figure = embedding_map(rated, placed, emotions, results.simulated, results.space)
    found = _json(files[0])
    names = {k: name for k, name in NAMES.items() if k in found}
    scores = {k: Interval(found[k]["value"], found[k]["low"], found[k]["high"]) for k in names}
    figure = _svg(figure, "Features and ratings")
    return found | {"names": names, "scores": scores, "figure": figure}


def _groups(rows: Scored) -> Page:
    """Scores by kind of group; of many speakers or sessions the worst are kept."""
    kinds: dict[str, Any] = {}
    for group in breakdown(rows):
        kinds.setdefault(group.kind, []).append(group)
    hidden = {kind: max(0, len(rows) - GROUPS_SHOWN) for kind, rows in kinds.items()}
    for kind in [kind for kind, n in hidden.items() if n]:
        kinds[kind] = sorted(kinds[kind], key=lambda g: g.scores["accuracy"].value)[:GROUPS_SHOWN]
    return {"kinds": kinds, "hidden": hidden}


def _fingerprints(folder: Path, data: Page) -> dict[str, str]:
    """Sixteen hex digits for each thing that the scores depend on."""
    found = dict(data.get("fingerprints", {}))
    for name in ("model/model.safetensors", "predictions.csv", "results.json"):
        if (folder / name).is_file():
            found[name] = fingerprint((folder / name).read_bytes())
    return found


def _svg(figure: Any, title: str) -> Any:
    from markupsafe import Markup

    return Markup(svg(figure, title))


def _percent(share: float) -> str:
    return "–" if share != share else f"{share:.0%}".replace("%", " %")


def _json(path: Path) -> Page:
    if not path.is_file():
        return {
            "missing": f"this folder has no {path.name} (made by an older version?): "
            "erc evaluate RUN -o DIR writes it"
        }
    return read_json(path, ConfigError)


def _text(folder: Path, name: str) -> str:
    if not (files := _of_runs(folder, name)):
        raise ConfigError(f"this folder has no {name}")
    return files[0].read_text("utf-8")


def _of_runs(folder: Path, name: str, runs: bool = False) -> list[Path]:
    """The file of a run, or those of all runs of a cross-validation."""
    own = folder / name
    return [own] if own.is_file() and not runs else sorted(folder.glob(f"**/fold*/{name}"))
