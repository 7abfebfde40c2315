"""`erc sharpen`: does a sharper label buy emotion at the price of valence and arousal?

The same model is trained on one-hot labels, on labels sharpened by several temperatures, on PeakL and
on the plain votes; each is cross-validated and scored against the same votes and ratings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import ConfigError
from erc.base.files import write_json
from erc.base.space import KEMDY
from erc.labels import entropy
from erc.scores.tables import grid, number
from erc.studies.cross_validation import cross_validate
from erc.studies.experiment import configure, new_folder

TEMPERATURES = (0.25, 0.5, 0.75)
METRICS = {
    "f1_macro": "F1 macro",
    "f1_weighted": "F1 weighted",
    "ccc_valence": "CCC valence",
    "ccc_arousal": "CCC arousal",
    "js_distance": "JS distance",
    "ece": "ECE",
}


def curve(
    overrides: Sequence[str] = (),
    temperatures: Sequence[float] | None = None,
    fast: bool = False,
    output: str | None = None,
) -> dict[str, Any]:
    """Train every point, print the table, write `sharpen.json`, `sharpen.png` and all runs.

    Runs that are finished in `output` are not repeated.

    Args:
        overrides: as for `python train.py`; `model.target` is set here.
        temperatures: of sharpened labels, 0 … 1, between one-hot and soft.
        fast: start from `experiment=sharpen`: simulated corpus, tiny frozen encoders.
        output: folder; None: a new one in runs/sharpen.

    Returns:
        What `sharpen.json` holds; points in order of the mean entropy of their labels.
    """
    for word in overrides:
        if word.lstrip("+").split("=")[0] in ("model.target", "model.sharpen_temperature"):
            raise ConfigError(f"erc sharpen sets {word.split('=')[0]} itself; use --temperatures")
    folder = Path(output) if output else new_folder("sharpen")
    words = [*(["experiment=sharpen"] if fast else []), *overrides]
    points: list[dict[str, Any]] = []
    for name, choice in choices(TEMPERATURES if temperatures is None else temperatures).items():
        options = [f"model.target={choice[0]}", f"model.sharpen_temperature={choice[1]}"]
        place = folder / name.replace(" = ", "").lower()  # Hydra cannot read a "=" in a path
        options = options if choice[1] is not None else options[:1]
        summary = cross_validate([*words, *options], place)
        system = summary.fullest
        points.append(
            {
                "label": name,
                "target": choice[0],
                "temperature": choice[1],
                "entropy": label_entropy([*words, *options], place),
                "system": system.name,
                **{k: system[k].value for k in METRICS},
                "intervals": {k: [system[k].low, system[k].high] for k in METRICS},
            }
        )
    keep = ("simulated", "corpus", "protocol", "folds", "n", "seed")
    found = {k: getattr(summary, k) for k in keep} | {
        "points": sorted(points, key=lambda p: p["entropy"])
    }
    write_json(folder / "sharpen.json", found)
    print(table(found))
    print(f"wrote {draw(found, folder / 'sharpen.png')}")
    return found


def choices(temperatures: Sequence[float]) -> dict[str, tuple[str, float | None]]:
    """Name of each point → (target, temperature).

    >>> list(choices([0.5]))
    ['one-hot', 'T = 0.5', 'PeakL', 'soft']
    """
    sharpened = {f"T = {t:g}": ("sharpened", t) for t in temperatures}
    return {
        "one-hot": ("hard", None),
        **sharpened,
        "PeakL": ("peakl", None),
        "soft": ("soft", None),
    }


def label_entropy(overrides: Sequence[str], folder: Path) -> float:
    """Mean entropy (nats) of what is learned, over the labelled training utterances of fold 0."""
    from erc.training.assembly import target_of, training_side

    cfg = configure([*overrides, "dataset.validation_fold=0"], folder)
    data = training_side(cfg, target_of(dict(cfg.model), cfg.dataset.multilabel))
    return float(np.nanmean(entropy(data.labels.target[data.rows])))


def table(found: dict[str, Any]) -> str:
    """The points as text."""
    rows = [
        [p["label"], number(p["entropy"]), *(number(p[k]) for k in METRICS)]
        for p in found["points"]
    ]
    return "\n".join(
        [
            f"{title(found)}, {found['folds']} folds ({found['protocol']} protocol), "
            f"{found['n']} held-out utterances pooled",
            "",
            grid(["labels", "entropy", *METRICS.values()], rows),
        ]
    )


def title(found: dict[str, Any]) -> str:
    """What the scores are of."""
    return f"{'SIMULATED corpus' if found['simulated'] else 'corpus'} {found['corpus']}"


def draw(found: dict[str, Any], path: Path) -> Path:
    """Macro F1 against CCC of valence and of arousal; crosses are 95 % intervals over speakers."""
    from erc.base.figures import ACCENTS, SEQUENTIAL, figure, save

    fig, axes = figure(1, 2, (4.2, 3.6), sharey=True)
    from matplotlib import colormaps

    points = found["points"]
    y = np.array([p["f1_macro"] for p in points])
    for ax, dimension in zip(axes, KEMDY.names, strict=True):
        key = f"ccc_{dimension}"
        x = np.array([p[key] for p in points])
        ends = [np.array([p["intervals"][k] for p in points], float) for k in (key, "f1_macro")]
        bars = [abs(end.T - value) for end, value in zip(ends, (x, y), strict=True)]
        ax.errorbar(x, y, *bars[::-1], fmt="none", ecolor="#C8C8C8", elinewidth=0.7, zorder=1)
        ax.plot(x, y, "-", color="#9A9A9A", linewidth=1, zorder=2)
        for i, (p, px, py) in enumerate(zip(points, x, y, strict=True)):
            peakl = p["target"] == "peakl"
            colour = ACCENTS[1] if peakl else colormaps[SEQUENTIAL](i / len(points))
            ax.plot(px, py, "D" if peakl else "o", color=colour, label=p["label"], zorder=3)
        ax.set_xlabel(f"CCC {dimension}")
    axes[0].set_ylabel("F1 macro")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    name = Path(found["corpus"]).name
    fig.suptitle(f"From one-hot to soft labels:{' SIMULATED' * found['simulated']} corpus {name}")
    return save(fig, path)
