"""metrics.csv: losses and scores while training, whole after every write, kept in checkpoints."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from erc.base.files import atomic

EVERY = 100  # rows between two writes within an epoch


class MetricsFile(CSVLogger):
    """Lightning's CSVLogger deletes the file when a run goes on, and appends to it: killed, it is cut.

    Attributes:
        rows: everything that was logged, name → value; what a checkpoint keeps and puts back.
    """

    def __init__(self, run: Path):
        super().__init__(run, name="", version="")
        self.rows: list[dict[str, float]] = []

    @property
    def experiment(self) -> MetricsFile:  # type: ignore[override]
        """Itself: nothing else writes."""
        return self

    def log_hyperparams(self, params: Any = None) -> None:
        """They are in config.yaml."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row."""
        row = {k: v.item() if isinstance(v, Tensor) else v for k, v in metrics.items()}
        self.rows.append(row | {"step": step or 0})
        if len(self.rows) % EVERY == 0:
            self.save()

    def save(self) -> None:
        """Write all rows; columns in the order of their names."""
        if not self.rows:
            return
        with (
            atomic(Path(self.log_dir) / "metrics.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, sorted(set().union(*self.rows)))
            writer.writeheader()
            writer.writerows(self.rows)

    def finalize(self, status: str) -> None:
        """Write what is left; `status` is of no matter."""
        self.save()
