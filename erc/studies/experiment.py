"""Whole runs: train, evaluate again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from erc.base.errors import ConfigError
from erc.scores.results import Results
from erc.scores.tables import results_table
from erc.training.check import check
from erc.training.config import claim, compose, of_run, quoted

if TYPE_CHECKING:
    from erc.training.assembly import Assembly


def run(overrides: Sequence[str], folder: Path | None = None) -> Any:
    """One training, as `python train.py OVERRIDES`, into `folder` or a new one under runs/."""
    cfg = configure(overrides, folder or new_folder("train"))
    check(cfg)
    from erc.training.run import train

    return train(cfg, ["python", "train.py", *overrides])


def configure(overrides: Sequence[str], folder: Path) -> DictConfig:
    """`compose`, with the output folder that Hydra's launcher would have chosen."""
    if any(o.startswith("-") for o in overrides):
        raise ConfigError(f"only KEY=VALUE here, not {shlex.join(overrides)}; use python train.py")
    return compose([f"run_dir={quoted(folder)}", *overrides])


def evaluate(run: str, overrides: Sequence[str] = (), output: str | None = None) -> Results:
    """Score the model of a finished run on its held-out fold, or on what `overrides` name.

    Args:
        run: folder of a run, or its `model` folder.
        overrides: e.g. `dataset.paths=…`, `dataset.validation_fold=2`.
        output: folder for results.json and predictions.csv; None prints only.
    """
    parts, config = reopen(run, overrides)
    from erc.model.folder.held_out import HeldOut
    from erc.model.spec import Spec
    from erc.training import evaluation

    temperature = config["meta"]["prediction"]["temperature"]
    calibrated = Results.from_json(config["meta"]["results"]).calibrated
    command = ["erc", "evaluate", run, *overrides]
    target = Path(output) if output else None
    known = HeldOut.read(_home(run) / "model", Spec.of(parts.model))
    results = evaluation.evaluate(parts, "test", temperature, calibrated, command, target, known)
    print(results_table(results))
    return results


def reopen(run: str, overrides: Sequence[str] = ()) -> tuple[Assembly, dict[str, Any]]:
    """Data and trained model of a finished run, and the config of its model folder.

    Raises:
        ConfigError: not the folder of a run.
    """
    folder = _home(run)
    cfg = of_run(folder, overrides)
    check(cfg)
    from erc.model.folder import checkpoint
    from erc.training.assembly import Assembly

    model, tokenizer, config = checkpoint.load_model(folder / "model")
    return Assembly(cfg, model, tokenizer), config


def _home(run: str) -> Path:
    """The folder of a run, of which its model folder may have been named."""
    return Path(run).parent if Path(run).name == "model" else Path(run)


def new_folder(name: str) -> Path:
    """Make runs/NAME/DATE_TIME; runs that start in the same second get folders of their own."""
    return claim(f"runs/{name}/{datetime.now():%Y-%m-%d_%H-%M-%S}")
