"""One of many trainings at once: data, model and random numbers that it has alone, before a step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from erc.base import devices
from erc.base.errors import ConfigError, TrainingError
from erc.base.files import atomic
from erc.datasets.audit import audit
from erc.datasets.batches import Batch, MemoryLoader
from erc.model.encoded import Encoded
from erc.scores.results import Results
from erc.training import loggers
from erc.training.assembly import Assembly
from erc.training.checkpoints import restore, states
from erc.training.config import resolve
from erc.training.metrics_file import MetricsFile
from erc.training.run import finish, number_format, quiet
from erc.training.stack import shape_of
from erc.training.task import make_task

TRAINER = (  # options of the trainer that mean here what they mean there; others are refused
    "accelerator", "devices", "precision", "max_epochs", "gradient_clip_val", "deterministic",
    "log_every_n_steps", "enable_progress_bar",
)  # fmt: skip
NONE = (("accumulate_grad_batches", 1), ("fast_dev_run", False))  # what says nothing


def obstacle(cfg: DictConfig) -> str | None:
    """Why a configuration is trained alone, as far as it says by itself; None: it need not be."""
    trainer, logger = cfg.trainer, str(cfg.logger.get("_target_"))
    for key, value in trainer.items():
        if key not in TRAINER and (key, value) not in NONE:
            return f"trainer.{key}={value}"
    if cfg.model.objective != "emotion":
        return f"model.objective={cfg.model.objective}"
    if not isinstance(trainer.max_epochs, int) or trainer.max_epochs < 1:
        return f"trainer.max_epochs={trainer.max_epochs}"
    if not logger.endswith("CSVLogger"):
        return f"logger {logger}"
    if "plateau" in str(cfg.scheduler.get("_target_")):
        return "a schedule that follows a score"
    if cfg.ckpt_path or cfg.checkpoint_every:
        return "checkpoints within a training"
    if not str(cfg.early_stopping.monitor).startswith("val/"):
        return f"early_stopping.monitor={cfg.early_stopping.monitor}"
    if devices.device_of_trainer(trainer.accelerator, trainer.devices).type != "cpu":
        return "a GPU"
    return None


class Net(nn.Module):
    """Model and loss. Training: features with their labels → [3] losses; else → logits, dimensions."""

    def __init__(self, parts: Assembly):
        super().__init__()
        self.model, self.loss = parts.model, parts.loss

    def forward(
        self,
        views: Sequence[dict[str, Tensor]],
        lengths: dict[str, Tensor],
        target: Tensor,
        dimensions: Tensor,
        *offered: Tensor,
    ) -> Any:
        branches = self.model.branches
        present = {m: branches[m].present(x, lengths[m]) for m, x in views[0].items()}
        said = [self.model.answer(Encoded(view, present)) for view in views]
        if not self.training:
            return said[0].logits, said[0].dimensions
        losses = [torch.stack(self.loss(one, target, dimensions, *offered)) for one in said]
        return sum(losses) / len(losses)  # type: ignore[return-value]


class Member:
    """One of the trainings: what `run.train` builds, ready for its first step.

    Args:
        cfg: its configuration; argv: its command, for the record.

    Attributes:
        obstacle: why it can only be trained alone; None: it need not be.
    """

    def __init__(self, cfg: DictConfig, argv: Sequence[str]):
        quiet()
        start = time.monotonic()
        L.seed_everything(cfg.seed, workers=True, verbose=False)
        self.cfg, self.argv, self.folder = cfg, argv, Path(cfg.run_dir)
        self.parts = parts = Assembly(cfg)
        cfg.trainer.precision = number_format(cfg, parts.model)
        with atomic(self.folder / "config.yaml") as temporary:
            OmegaConf.save(OmegaConf.create(resolve(cfg)), temporary)
        print(parts.sides["train"])
        print(audit(parts.sides["train"]))
        self.task, self.net = make_task(cfg, parts), Net(parts)
        self.random = states()
        self.generator = torch.Generator()
        self.generator.set_state(self.random["torch"])
        self.sampler = parts.sampler("train")
        self.train, self.valid = self._whole("train"), self._whole("valid")
        self.total = len(self.sampler) * cfg.trainer.max_epochs
        self.steps, self.best, self.kept = 0, None, None
        self.log, self.every = MetricsFile(self.folder), max(1, cfg.trainer.log_every_n_steps)
        stop = {"strict": False, "check_on_train_epoch_end": False} | dict(cfg.early_stopping)
        self.stop, self.sign = EarlyStopping(**stop), -1 if stop["mode"] == "min" else 1
        self.factor = self._factor()
        self.seconds = time.monotonic() - start

    best: float | None
    kept: Tensor | None

    @property
    def obstacle(self) -> str | None:
        """See the class. A sum of bf16 numbers in another order is off by more than 1e-4."""
        learned = [m for m in self.parts.model.modalities if m not in self.parts.tables]
        if learned:
            return f"{' and '.join(learned)} of which the features are not known in advance"
        if self.cfg.trainer.precision != "32-true":
            return f"trainer.precision={self.cfg.trainer.precision}, which rounds (give 32-true)"
        return None

    @property
    def kind(self) -> Any:
        """Runs of the same kind can be stacked."""
        settings = resolve(self.cfg)
        options = {k: settings[k] for k in ("module", "trainer", "dataloader", "early_stopping")}
        loss = {k: v for k, v in settings["model"].items() if "cls" in k or "reg" in k}
        loss |= {k: settings["model"].get(k) for k in ("focal_gamma", "label_smoothing", "dropout")}
        views, offered = len(self.views), self.train.offered is None if self.train else True
        plan = self.parts.model.plan.to_config()
        return str((shape_of(self.net), options, loss, plan, views, offered))

    @property
    def views(self) -> list[dict[str, Tensor]]:
        """Tables of features: as they are, and adapted."""
        return [self.parts.tables, *([self.parts.adapted] if self.parts.adapted else [])]

    def _whole(self, side: str) -> Batch | None:
        """All utterances of a side; of the valid side in the order in which it is validated."""
        if not len(self.parts.sides[side]):
            return None
        whole = cast(MemoryLoader, self.parts.loader(side)).whole
        if side == "train":
            return whole
        order = [index for batch in self.parts.sampler(side) for index in batch]
        return whole.take(torch.tensor(order))

    def _factor(self) -> Any:
        """Optimiser step → what the learning rates are multiplied by."""
        if self.task.schedule is None:
            return lambda step: 1.0
        optimizer = torch.optim.AdamW(self.task.groups())
        return cast(LambdaLR, self.task.schedule(optimizer, self.total)).lr_lambdas[0]

    def groups(self) -> list[tuple[list[str], float, float]]:
        """Parameter names, rate and decay of each group of the optimiser."""
        names = {p: f"model.{n}" for n, p in self.parts.model.named_parameters()}
        return [
            ([names[p] for p in group["params"]], group["lr"], group["weight_decay"])
            for group in self.task.groups()
        ]

    def inputs(self, whole: Batch, places: Sequence[int] | slice = slice(None)) -> list[Any]:
        """What the net is given of some utterances of a side."""
        rows = cast(Tensor, whole.rows)[places]
        views = [{m: table[rows] for m, table in view.items()} for view in self.views]
        lengths = {m: whole.modality(m)[1][places] for m in self.parts.tables}
        labels = [whole.target, whole.dimensions, whole.offered]
        return [views, lengths, *(x[places] for x in labels if x is not None)]

    def batches(self, epoch: int) -> list[list[int]]:
        """Which utterances of the training side make a batch."""
        self.sampler.set_epoch(epoch)
        return list(self.sampler)

    def logged(self, epoch: int, losses: list[float]) -> None:
        """Write the losses of a step, total, cls and reg, where the trainer would."""
        if not math.isfinite(losses[0]):
            raise TrainingError(
                f"{self.folder}: the loss is {losses[0]} in epoch {epoch}, step {self.steps}: "
                "lower module.lr, or look at these utterances"
            )
        self.steps += 1
        if self.steps % self.every == 0:
            names = ("train/loss", "train/cls", "train/reg")
            self._row(dict(zip(names, losses, strict=True)), epoch)

    def validated(self, epoch: int, logits: Tensor, placed: Tensor, weights: Tensor) -> bool:
        """Score an epoch, keep its weights [P] if they are the best; False: it was the last one."""
        side = cast(Batch, self.valid)
        if not (logits.isfinite().all() and placed.isfinite().all()):
            raise TrainingError(
                f"{self.folder}: the model answers nan in the validation of epoch {epoch}: lower "
                "module.lr, or look at these utterances"
            )
        said = (side.rows, logits, placed, side.target, side.dimensions)
        scores, losses = self.task.scores(*cast("tuple[Tensor, ...]", said))
        found = {k: torch.as_tensor(v).float() for k, v in (scores | losses).items()}
        self._row({k: v.item() for k, v in found.items()}, epoch)
        name = self.stop.monitor
        if name not in found:
            known = ", ".join(sorted(found))
            raise ConfigError(f"early_stopping.monitor={name} is not one of {known}")
        score = found[name].item()
        if score == score and (self.best is None or self.sign * (score - self.best) > 0):
            self.best, self.kept = score, weights.clone()
        stop, _ = self.stop._evaluate_stopping_criteria(found[name])
        return not stop

    def _row(self, values: dict[str, float], epoch: int) -> None:
        self.log.log_metrics(values | {"epoch": epoch}, self.steps - 1)

    @property
    def size(self) -> int:
        """Bytes of the features that it is trained on."""
        whole = cast(Batch, self.train)
        return sum(
            len(whole.speech_lengths) * table[0].numel() * table.element_size()
            for view in self.views
            for table in view.values()
        )

    def finish(self, seconds: float, count: int) -> Results:
        """Write what a run leaves behind.

        Args:
            seconds: its share of the training; count: of so many runs.
        """
        self.log.save()
        spent = {
            "seconds": round(self.seconds + seconds, 1),
            "device": devices.name_of(torch.device("cpu")),
            "precision": self.cfg.trainer.precision,
            "at_once": count,
        }
        restore(self.random | {"torch": self.generator.get_state()})
        results = finish(self.parts, self.folder, self.argv, spent)
        loggers.record([self.log], self.folder, self.steps)
        return results
