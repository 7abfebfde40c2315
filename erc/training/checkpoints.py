"""Checkpoints: whole on disk, and with everything that going on needs.

`last.ckpt` is written between two optimiser steps, when all that follows from the earlier one is done:
validation, schedule, early stopping, metrics.csv. That is at the start, after every epoch, every
`checkpoint_every` steps, at the end, and when SIGTERM or Ctrl-C asks to stop. Training that goes on from
it is, on a CPU, the training that was never stopped, bit for bit. `best.ckpt` holds weights alone, of
the epoch with the best score.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from erc.base.errors import ConfigError
from erc.base.files import atomic
from erc.datasets.batches import BucketSampler
from erc.training.identity import Identity
from erc.training.metrics_file import MetricsFile
from erc.training.processes import ALONE, Share
from erc.training.resume import BEST, LAST, OURS, adopt

COUNTS = ("ready", "started", "processed", "completed")  # of Lightning's progress


class WholeFiles(TorchCheckpointIO):
    """A checkpoint is the old one or the new one, wherever the process is killed.

    Lightning's own is written in TMPDIR and moved: copied, and cut, where that is another file system.
    """

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        with atomic(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except (
                RuntimeError
            ) as error:  # torch fails once more when it closes what it cannot write
                raise error.__context__ or error from None


class Checkpoints(Checkpoint):
    """Writes `last.ckpt` and `best.ckpt`, goes on from the former, and stops where it is asked to.

    Args:
        folder: where they go.
        sampler: of the training side; put back in its place on resuming.
        made_from: kept in each checkpoint and compared on resuming.
        monitor: the metric that says which epoch is best; None: there is no `best.ckpt`.
        mode: min | max, of that metric.
        every: optimiser steps between two `last.ckpt` within an epoch.
        passed_over: differences from the checkpoint that the user wants no refusal for.
        share: of this process; the first one writes what all of them know.
    """

    def __init__(
        self,
        folder: Path,
        sampler: BucketSampler,
        made_from: Identity,
        monitor: str | None = None,
        mode: str = "min",
        every: int | None = None,
        passed_over: list[str] | None = None,
        share: Share = ALONE,
    ):
        self.folder, self.sampler, self.made_from = folder, sampler, made_from
        self.monitor, self.sign, self.every = monitor, -1 if mode == "min" else 1, every
        self.passed_over, self.share = passed_over or [], share
        self.best: float | None = None
        self._kept: tuple[int, int] | None = None  # epoch, batches done: of the checkpoint on disk
        self._place: tuple[int, int] | None = None  # … of the one being written
        self._random: Mapping[str, Any] | None = None  # to be restored before the first step
        self.asked = 0  # the signal that asked to stop

    # When: between two steps

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        self._save(trainer, (trainer.current_epoch, 0))

    def on_train_batch_start(self, trainer: L.Trainer, module: Any, batch: Any, index: int) -> None:
        if self._random is not None:
            restore(self._random)
            self._random = None
            # Lightning counts an empty step where a validation would be due at the place of return,
            # and, while it calls itself restarting, leaves out the schedule at the end of the epoch.
            trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
            trainer.fit_loop._restarting = False
        if index % trainer.accumulate_grad_batches:
            return  # gradients on the way to a step are in no checkpoint
        self.asked = self.share.most(self.asked)  # one may have been asked before another
        if self.asked or (self.every and trainer.global_step % self.every == 0):
            self._save(trainer, (trainer.current_epoch, index))

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self._save(trainer, (trainer.current_epoch, 0))

    def on_validation_end(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.sanity_checking or self.monitor is None:
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ConfigError(f"early_stopping.monitor={self.monitor} is not one of {known}")
        score = float(trainer.callback_metrics[self.monitor])
        if score == score and (self.best is None or self.sign * (score - self.best) > 0):
            self.best = score
            if not trainer.fast_dev_run:
                trainer.save_checkpoint(self.folder / BEST, weights_only=True)

    def _save(self, trainer: L.Trainer, place: tuple[int, int]) -> None:
        if place != self._kept and not trainer.fast_dev_run:
            for logger in trainer.loggers:
                logger.save()
            self._place = place
            trainer.save_checkpoint(self.folder / LAST)
            self._kept, self._place = place, None
        if self.asked:
            raise Stopped(self.asked, trainer.global_step, self.folder / LAST)

    # What

    def on_save_checkpoint(
        self, trainer: L.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        if self._place is None:  # somebody else's, at some other moment: none to go on from
            return
        epoch, batch = self._place
        checkpoint["epoch"] = epoch if batch else max(0, epoch - 1)  # of the last step
        _between_steps(checkpoint["loops"]["fit_loop"], epoch, batch)
        checkpoint[OURS] = {
            "made_from": self.made_from,
            "passed_over": self.passed_over,
            "place": self._place,
            "random": self.share.all(states()),
            "best": self.best,
            "stopped": trainer.should_stop,  # early
            "metrics": [x.rows for x in trainer.loggers if isinstance(x, MetricsFile)],
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        found = checkpoint[OURS]
        if self.passed_over:
            adopt(checkpoint, module.groups())
        self.passed_over = found["passed_over"] + self.passed_over
        self._kept, self.best = found["place"], found["best"]
        drawn = found["random"]  # of each process; of the only one before there could be several
        self._random = drawn if isinstance(drawn, dict) else drawn[self.share.rank]
        self.sampler.go_on(*found["place"])
        trainer.should_stop = found["stopped"]
        mine = [x for x in trainer.loggers if isinstance(x, MetricsFile)]
        for logger, rows in zip(mine, found["metrics"], strict=False):
            logger.rows = rows

    # Stopping

    def _listen(self, trainer: L.Trainer, module: Any) -> None:
        here = threading.current_thread() is threading.main_thread()
        for number in (signal.SIGINT, signal.SIGTERM) if here else ():
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                signal.signal(number, self._ask)

    on_sanity_check_start = on_train_start = (
        _listen  # Lightning has set, and will put back, its own
    )

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second one does not wait
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Stopped(SystemExit):
    """A training was asked to stop and has; the exit code is the one a shell gives for the signal."""

    def __init__(self, number: int, step: int, checkpoint: Path):
        super().__init__(128 + number)
        name = signal.Signals(number).name
        self.line = f"stopped by {name} after step {step}; go on with ckpt_path={checkpoint}"

    def say(self) -> None:
        """Print what happened, once the progress bar is gone."""
        print(self.line, file=sys.stderr)


def _between_steps(loop: dict[str, Any], epoch: int, batch: int) -> None:
    """Set Lightning's counters, read in some hook, to what they are between two steps.

    Args:
        loop: state of the fit loop, changed in place.
        epoch, batch: of the step to come.
    """
    for counts in (loop["epoch_progress"][kind] for kind in ("total", "current")):
        counts |= dict.fromkeys(COUNTS, epoch) | {
            "ready": epoch + 1,
            "started": epoch + (batch > 0),
        }
    inner = {k: v for k, v in loop.items() if k.startswith("epoch_loop.") and "_progress" in k}
    for name, progress in inner.items() if not batch else ():  # what an epoch counts anew
        _zero(progress, "val_loop" in name)
    batches = loop["epoch_loop.batch_progress"]
    batches["is_last_batch"] = False
    batches["current"] |= dict.fromkeys(COUNTS, batch)
    batches["total"] |= dict.fromkeys(COUNTS, batches["total"]["completed"])


def _zero(progress: dict[str, Any], everything: bool) -> None:
    """Set the counts of an epoch, or all counts, to 0."""
    for key, counts in progress.items():
        if isinstance(counts, dict):
            _zero(counts, everything or key == "current")
        elif everything and key in COUNTS:
            progress[key] = 0


def states() -> dict[str, Any]:
    """Of every random generator, in plain types."""
    drawn = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": drawn | {"state": drawn["state"] | {"key": drawn["state"]["key"].tolist()}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }


def restore(states: Mapping[str, Any]) -> None:
    """Put them back."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
