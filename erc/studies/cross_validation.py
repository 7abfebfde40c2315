"""One model per fold, and their scores together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from erc.scores.results import Results
from erc.scores.scored import read
from erc.scores.summary import Summary
from erc.scores.tables import summary_table
from erc.studies.experiment import configure, new_folder
from erc.training.check import check


def cross_validate(overrides: Sequence[str], folder: Path | None = None) -> Summary:
    """Train and test once per fold; a fold that has its `results.json` is not run again.

    Args:
        overrides: as for `python train.py`; `dataset.validation_fold` is set here.
        folder: of all folds.

    Returns:
        mean ± standard deviation over folds, and the scores of all held-out utterances together.
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
        count, fold = Results.read(place).folds, fold + 1
    places = [folder / f"fold{k}" for k in range(count)]
    summary = Summary.of(
        [*map(Results.read, places)], [read(p / "predictions.csv") for p in places]
    )
    summary.write(folder / "results.json")
    print(summary_table(summary))
    return summary


def audit_folds(overrides: Sequence[str]) -> None:
    """Print an audit of every fold; see `erc.datasets.audit`."""
    cfg = configure(overrides, Path("runs"))
    from erc.datasets.audit import audit
    from erc.training.assembly import training_side

    fold, count = 0, 1
    while fold < count:
        cfg.dataset.validation_fold = fold
        data = training_side(cfg)
        print(f"fold {fold}: {audit(data)}")
        count, fold = data.fold.count, fold + 1
