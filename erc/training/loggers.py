"""A run → metrics.csv, TensorBoard, Weights & Biases, MLflow: started and fed in one place.

metrics.csv is always written (the report reads it); `logger=` adds another one. What a logger gets:
the configuration, `train/…` and `val/…` while training, and at the end `test/…`, the confusion matrix
and the figures of the held-out fold.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import ConfigError
from erc.base.files import atomic
from erc.base.space import KEMDY
from erc.scores.metrics import confusion
from erc.scores.plots import available, calibration, confusion_matrix, png
from erc.scores.results import Results
from erc.scores.scored import read
from erc.training.config import make, resolve

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger
    from matplotlib.figure import Figure
    from omegaconf import DictConfig

PACKAGES = {"TensorBoardLogger": "tensorboard", "WandbLogger": "wandb", "MLFlowLogger": "mlflow"}


def check(options: Mapping[str, Any]) -> None:
    """Find out before anything heavy is imported whether a logger can work.

    Args:
        options: the group `logger`.

    Raises:
        ConfigError: its package is missing, or a password would be written to config.yaml.
    """
    package = PACKAGES.get(str(options.get("_target_")).rpartition(".")[2])
    if package and importlib.util.find_spec(package) is None:
        raise ConfigError(f"logger={package} needs a package: pip install 'erc[loggers]'")
    if "@" in str(options.get("tracking_uri")).partition("://")[2]:
        raise ConfigError(
            "logger.tracking_uri holds a user or password, and the configuration is saved with "
            "every run: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )


def start(cfg: DictConfig, run: Path) -> list[Logger]:
    """The loggers of a run: csv, and the one that is chosen. None for a fast dev run.

    Raises:
        ConfigError: see `check`.
    """
    from lightning.pytorch.loggers import CSVLogger

    from erc.training.metrics_file import MetricsFile

    check(cfg.logger)
    if cfg.trainer.fast_dev_run:
        return []
    uri = str(cfg.logger.get("tracking_uri") or "")
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    chosen = make(cfg.logger)
    if isinstance(chosen, CSVLogger):
        return [MetricsFile(run)]
    chosen.log_hyperparams(resolve(cfg))
    return [MetricsFile(run), chosen]


def record(loggers: Sequence[Logger], run: Path, step: int = 0) -> None:
    """Give every logger the scores, confusion matrix and figures of a finished run; close it.

    Args:
        loggers: from `start`.
        run: with results.json and predictions.csv.
        step: optimiser steps that were trained.
    """
    if not loggers:
        return
    results = Results.read(run)
    system, emotions = results.fullest, results.space.emotions
    rows = read(run / "predictions.csv", results.space)[system.name]
    rows = rows.take(rows.labelled)
    scores = {f"test/{k}": v for k, v in system.scores.items() if v == v}
    matrix = confusion(rows.label, rows.predicted, len(emotions)).tolist()
    figures = {}
    if available() and len(rows):
        figures["confusion"] = confusion_matrix(matrix, emotions)
        figures["calibration"] = calibration(rows.probabilities, rows.label)
    for logger in loggers:
        feed(logger, scores, matrix, figures, step, emotions)


def feed(
    logger: Any,
    scores: Mapping[str, float],
    matrix: Sequence[Sequence[int]],
    figures: Mapping[str, Figure],
    step: int = 0,
    emotions: Sequence[str] = KEMDY.emotions,
) -> None:
    """Scores, confusion matrix [K, K] (rows: the raters) and figures → one logger, which is closed.

    csv: confusion.csv and figures/*.png (the scores are in results.json). Others: where their own
    pages show them.
    """
    from lightning.pytorch.loggers import CSVLogger

    name, experiment = type(logger).__name__, logger.experiment
    rows: list[Any] = [[e, *row] for e, row in zip(emotions, matrix, strict=True)]
    columns: list[Any] = ["rated", *emotions]
    if isinstance(logger, CSVLogger):
        with atomic(Path(logger.log_dir or ".") / "confusion.csv") as temporary:
            lines = [",".join(map(str, row)) for row in [columns, *rows]]
            temporary.write_text("\n".join(lines) + "\n", "utf-8")
        for key, figure in figures.items():
            png(figure, Path(logger.log_dir or ".") / "figures" / f"{key}.png")
        return
    logger.log_metrics(dict(scores), step)
    if name == "TensorBoardLogger":
        lines = ["|".join(map(str, row)) for row in [columns, ["---"] * len(columns), *rows]]
        experiment.add_text("test/confusion", "\n".join(f"|{line}|" for line in lines), step)
        for key, figure in figures.items():
            experiment.add_figure(f"test/{key}", _on_white(figure), step)
        experiment.close()
    elif name == "WandbLogger":
        import wandb

        experiment.log({"test/confusion": wandb.Table(columns, rows)})
        experiment.log({f"test/{k}_figure": wandb.Image(_on_white(f)) for k, f in figures.items()})
        experiment.finish()
    elif name == "MLFlowLogger":
        table = {"columns": columns, "rows": rows}
        experiment.log_dict(logger.run_id, table, "confusion.json")
        for key, figure in figures.items():
            experiment.log_figure(logger.run_id, _on_white(figure), f"figures/{key}.png")


def _on_white(figure: Figure) -> Figure:
    figure.set_facecolor("white")
    return figure
