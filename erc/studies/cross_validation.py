"""One model per fold, and their scores together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from erc.scores.results import Results
from erc.scores.scored import read
from erc.scores.summary import Summary
from erc.scores.tables import summary_table
from erc.studies.experiment import configure, new_folder
from erc.studies.folds import folds, train


def cross_validate(
    overrides: Sequence[str], folder: Path | None = None, workers: int | None = None
) -> Summary:
    """Train and test once per fold, print and write what the folds say together.

    Args:
        overrides: as for `python train.py`; `dataset.validation_fold` is set here.
        folder: of all folds; those that are finished there are not trained again.
        workers: folds at a time; see `erc.studies.folds.train`.

    Raises:
        ConfigError: a fold in `folder` was made from something else; see `Fold.finished`.
    """
    folder = folder or new_folder("cross-validation")
    wanted = folds(overrides, folder)
    for _ in train(wanted, workers):
        pass
    summary = Summary.of(
        [Results.read(fold.folder) for fold in wanted],
        [read(fold.folder / "predictions.csv") for fold in wanted],
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
