"""A run → one self-contained HTML page: what went in, what came out, how sure, and how to repeat it.

Nothing is trained here. Numbers come from what the run wrote (results.json, data.json,
predictions.csv, metrics.csv, config.yaml); a part whose file is missing says so in its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError, ErcError
from erc.base.files import atomic, fingerprint
from erc.labels import peakl
from erc.scores.breakdown import FEW, METRICS, breakdown, per_class
from erc.scores.tables import ADAPTED, COLUMNS, NOTE, number
from erc.training.loggers import fullest

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ("f1_macro", "uar", "ccc_valence", "ccc_arousal", "ece")  # on top of the page
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
    environment.filters |= {"number": number, "spread": _spread}
    return environment.from_string(text).render(page)


def gather(folder: Path) -> Page:
    """Everything that the template shows; a part that cannot be made is `{"missing": reason}`."""
    results = _json(folder / "results.json")
    if "missing" in results:
        raise ConfigError(f"{folder} is not a finished run: it has no results.json")
    if "scores" not in results:
        raise ConfigError(
            f"{folder} is a cross-validation: give one of its folds, {folder / 'fold0'}"
        )
    frame, arrays = _predictions(folder, fullest(results))
    data = _json(folder / "data.json")
    return {
        "results": results,
        "system": fullest(results),
        "human": results["scores"].get("human ceiling", {}),
        "columns": COLUMNS,
        "shown": SHOWN,
        "adapted": ADAPTED,
        "note": NOTE,
        "metrics": {m: COLUMNS[m] for m in METRICS},
        "data": data,
        "labels": part(lambda: _labels(data, arrays)),
        "curves": part(lambda: _curves(folder)),
        "classes": part(lambda: _classes(frame, arrays)),
        "map": part(lambda: _map(results, frame, arrays)),
        "calibration": part(lambda: _calibration(arrays)),
        "embedding": part(lambda: _embedding(folder, results)),
        "groups": part(lambda: _groups(frame, arrays)),
        "few": FEW,
        "configuration": part(lambda: {"text": _text(folder / "config.yaml")}),
        "fingerprints": _fingerprints(folder, data),
    }


def part(make: Callable[[], Page]) -> Page:
    """`make()`, or why it cannot be made."""
    try:
        return make()
    except ErcError as error:
        return {"missing": str(error)}


def _predictions(folder: Path, system: str) -> tuple[pd.DataFrame, tuple[np.ndarray, ...]]:
    """Rows of one system in predictions.csv, and their arrays."""
    import pandas as pd

    from erc.training.evaluation import arrays_of_frame

    if not (folder / "predictions.csv").is_file():
        raise ConfigError(f"{folder} has no predictions.csv; make it: erc evaluate RUN -o DIR")
    words = dict.fromkeys(("id", "speaker", "session", "gender"), str)
    frame = pd.read_csv(folder / "predictions.csv", dtype=words)
    frame = frame[frame.system == system].reset_index(drop=True)
    return frame, arrays_of_frame(frame)


def _labels(data: Page, arrays: tuple[np.ndarray, ...]) -> Page:
    """Label distributions before and after PeakL: of training, or else of the held-out side."""
    from erc.scores.plots import label_bars
    from erc.training.data_record import shares

    if "missing" not in data:
        side, found = "training", data["sides"]["train"]["labels"]
    else:
        votes, label = arrays[2], arrays[3]
        majority = np.eye(len(EMOTIONS))[label[label >= 0]]
        kinds = {"votes": votes, "PeakL": peakl(votes), "majority": majority}
        side, found = "held-out", {name: shares(x) for name, x in kinds.items()}
    bars = {name: [x[e] or 0.0 for e in EMOTIONS] for name, x in found.items()}
    return {"side": side, "shares": found, "figure": _svg(label_bars(bars), "Label distribution")}


def _curves(folder: Path) -> Page:
    """Losses and scores by epoch from metrics.csv."""
    import pandas as pd

    from erc.scores.plots import learning_curves

    if not (folder / "metrics.csv").is_file():
        raise ConfigError("this folder has no metrics.csv: nothing was trained here")
    epochs = pd.read_csv(folder / "metrics.csv").groupby("epoch").mean()

    def lines(names: Mapping[str, str]) -> dict[str, tuple[Any, Any]]:
        known = {text: epochs[c].dropna() for c, text in names.items() if c in epochs}
        return {text: (x.index.to_numpy(), x.to_numpy()) for text, x in known.items() if len(x)}

    losses = lines({"train/loss": "training", "val/loss": "validation"})
    scores = lines({f"val/{m}": f"validation {COLUMNS[m]}" for m in METRICS[1:]})
    note = "" if scores else "No utterances were set aside for validation under this protocol."
    return {"note": note, "figure": _svg(learning_curves(losses, scores), "Learning curves")}


def _classes(frame: pd.DataFrame, arrays: tuple[np.ndarray, ...]) -> Page:
    """Confusion matrix and per-class scores of the labelled utterances."""
    from erc.scores.metrics import confusion
    from erc.scores.plots import confusion_matrix

    known = arrays[3] >= 0
    if not known.any():
        raise ConfigError("no held-out utterance has an emotion label")
    label, guess = arrays[3][known], arrays[0][known].argmax(-1)
    figure = confusion_matrix(confusion(label, guess))
    rows = per_class(label, guess, frame.speaker.to_numpy()[known])
    return {"rows": rows, "figure": _svg(figure, "Confusion matrix")}


def _map(results: Page, frame: pd.DataFrame, arrays: tuple[np.ndarray, ...]) -> Page:
    """Predicted against rated valence and arousal."""
    from erc.scores.plots import rated_predicted

    if np.isnan(arrays[4]).all():
        raise ConfigError("no held-out utterance was rated in valence or arousal")
    system, titles = fullest(results), []
    for name in ("valence", "arousal"):
        value = results["scores"][system][f"ccc_{name}"]
        spread = _spread(results["intervals"][system][f"ccc_{name}"])
        titles.append(f"{name}: CCC {number(value)} {spread}")
    names = frame.emotion.fillna("").to_list()
    figure = rated_predicted(arrays[4], arrays[1], titles, names)
    return {"figure": _svg(figure, "Rated and predicted valence and arousal")}


def _calibration(arrays: tuple[np.ndarray, ...]) -> Page:
    """Reliability diagram of the labelled utterances."""
    from erc.scores.plots import calibration

    known = arrays[3] >= 0
    if not known.any():
        raise ConfigError("no held-out utterance has an emotion label")
    return {"figure": _svg(calibration(arrays[0][known], arrays[3][known]), "Calibration")}


def _embedding(folder: Path, results: Page) -> Page:
    """What `erc embed` found; it is run here if it was not since the run was finished."""
    import pandas as pd

    from erc.scores.plots import embedding_map
    from erc.studies.feature_map import NAMES, embed

    files = [folder / f"embedding.{kind}" for kind in ("json", "csv")]
    scored = (folder / "results.json").stat().st_mtime
    if not all(f.is_file() and f.stat().st_mtime >= scored for f in files):
        embed(str(folder))
    frame = pd.read_csv(files[1], dtype={"id": str})
    names = frame.emotion.fillna("").to_list()
    rated, placed = (frame[c].to_numpy() for c in (["valence", "arousal"], ["x", "y"]))
    figure = embedding_map(rated, placed, names, results["simulated"])
    return _json(files[0]) | {"names": NAMES, "figure": _svg(figure, "Features and ratings")}


def _groups(frame: pd.DataFrame, arrays: tuple[np.ndarray, ...]) -> Page:
    """Scores by kind of group; of many speakers or sessions the worst are kept."""
    kinds: dict[str, Any] = {}
    for group in breakdown(frame, arrays):
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

    from erc.scores.plots import svg

    return Markup(svg(figure, title))


def _spread(pair: Any) -> str:
    """`[low, high]` or an `Interval` as text; empty if there is none."""
    low, high = (pair.low, pair.high) if hasattr(pair, "low") else pair or (None, None)
    return "" if number(low) == "–" else f"[{number(low)}, {number(high)}]"


def _json(path: Path) -> Page:
    if not path.is_file():
        return {
            "missing": f"this folder has no {path.name} (made by an older version?): "
            "erc evaluate RUN -o DIR writes it"
        }
    return json.loads(path.read_text("utf-8"))


def _text(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"this folder has no {path.name}")
    return path.read_text("utf-8")
