"""One model per fold, and their scores together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.files import write_json
from erc.scores.tables import crossval_table
from erc.studies.experiment import configure, new_folder
from erc.training.config import check


def cross_validate(overrides: Sequence[str], folder: Path | None = None) -> dict[str, Any]:
    """Train and test once per fold; a fold that has its `results.json` is not run again.

    Args:
        overrides: as for `python train.py`; `dataset.validation_fold` is set here.
        folder: of all folds.

    Returns:
        `mean` and `std` (ddof 1) over folds, and `pooled`: the scores of all held-out utterances
        together, with `intervals` over speakers. Each system → metric → value.
    """
    folder = folder or new_folder("cross-validation")
    fold, count = 0, 1
    while fold < count:
        words = [*overrides, f"dataset.validation_fold={fold}"]
        place = folder / f"fold{fold}"
        if not (place / "results.json").exists():
            cfg = configure(words, place)
            check(cfg)
            from erc.training.run import train

            train(cfg, ["python", "train.py", *words])
        count, fold = json.loads((place / "results.json").read_text())["folds"], fold + 1
    summary = pool([folder / f"fold{k}" for k in range(count)])
    write_json(folder / "results.json", summary)
    print(crossval_table(summary))
    return summary


def audit_folds(overrides: Sequence[str]) -> None:
    """Print an audit of every fold; see `erc.datasets.audit`."""
    cfg = configure(overrides, Path("runs"))
    from erc.datasets.audit import audit
    from erc.training.config import make

    fold, count = 0, 1
    while fold < count:
        cfg.dataset.validation_fold = fold
        data = make(cfg.dataset, mode="train", cache=cfg.cache)
        print(f"fold {fold}: {audit(data)}")
        count, fold = data.folds, fold + 1


def pool(folders: Sequence[Path]) -> dict[str, Any]:
    """Join the `results.json` and `predictions.csv` of folds."""
    import pandas as pd

    from erc.scores import metrics
    from erc.scores.statistics import interval
    from erc.training.evaluation import arrays_of_frame

    found = [json.loads((f / "results.json").read_text("utf-8")) for f in folders]
    frame = pd.concat([pd.read_csv(f / "predictions.csv", dtype={"id": str}) for f in folders])
    keep = ("simulated", "corpus", "protocol", "folds", "seed", "command", "versions")
    summary: dict[str, Any] = {k: found[-1][k] for k in keep}
    summary |= {
        "n": sum(r["n"] for r in found),
        "mean": {},
        "std": {},
        "pooled": {},
        "intervals": {},
    }
    for system in found[0]["scores"]:
        rows = [r["scores"][system] for r in found]
        values = {
            k: np.array([np.nan if r[k] is None else r[k] for r in rows], float) for k in rows[0]
        }
        summary["mean"][system] = {k: float(v.mean()) for k, v in values.items()}
        summary["std"][system] = {
            k: float(v.std(ddof=1)) if len(v) > 1 else float("nan") for k, v in values.items()
        }
        part = frame[frame.system == system]
        if len(part):
            spread = interval(metrics.evaluate, arrays_of_frame(part), part.speaker.to_numpy())
            summary["pooled"][system] = {k: v.value for k, v in spread.items()}
            summary["intervals"][system] = {k: [v.low, v.high] for k, v in spread.items()}
    return summary
