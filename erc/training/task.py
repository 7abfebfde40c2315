"""What is trained and by what: model, loss, optimiser, and the metrics of each epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NoReturn, cast

import lightning as L
import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from erc.base.errors import ConfigError, TrainingError, did_you_mean
from erc.datasets.batches import Batch
from erc.datasets.view import View
from erc.model.emotion import EmotionModel, Output
from erc.model.losses import MultiTaskLoss
from erc.scores.metrics import is_count
from erc.training import evaluation, features
from erc.training.assembly import Assembly
from erc.training.config import make
from erc.training.processes import ALONE, Share

ENCODER_LR = 1e-5
Schedule = Callable[..., Any]  # (optimizer, total_steps) → scheduler


class EmotionTask(L.LightningModule):
    """Model + loss + optimiser. Metrics are those of the whole split, once per epoch.

    Args:
        model, loss: what is trained, and by what.
        valid: the side that `val/…` metrics are of.
        lr: learning rate of everything but the encoders.
        separate_lr: learning rate by part: speech, text (the encoders), lora, layers (weights of a
            sum), attention (pooling), projector, fusion, head.
        weight_decay: on matrices; biases and norms are left alone.
        schedule: partial of a function in `erc.training.schedules`.
        monitor: the metric that `reduce_plateau` follows.
        tables: features of frozen encoders.
        adapted: the same against each speaker's own baseline. Each batch is then seen both ways, so
            that one model answers for a speaker it knows recordings of, and for one it does not.
        weight: what a batch of that size counts, see `BucketSampler.weight`.
        share: of this process in every batch.
    """

    def __init__(
        self,
        model: EmotionModel,
        loss: MultiTaskLoss,
        valid: View,
        *,
        lr: float = 1e-4,
        separate_lr: dict[str, float] | None = None,
        weight_decay: float = 0.01,
        schedule: Schedule | None = None,
        monitor: str = "val/loss",
        tables: features.Tables | None = None,
        adapted: features.Tables | None = None,
        weight: Callable[[int], float] = lambda size: 1.0,
        share: Share = ALONE,
    ):
        super().__init__()
        self.model, self.loss, self.valid, self.tables = model, loss, valid, tables or {}
        self.adapted = adapted or {}
        self.lr, self.separate_lr, self.weight_decay = lr, separate_lr or {}, weight_decay
        self.schedule, self.monitor = schedule, monitor
        self.weight, self.share = weight, share
        self._epoch: list[tuple[Tensor, ...]] = []
        self.train()  # Lightning keeps the mode it finds, and encoding features left it at eval

    def training_step(self, batch: Batch, index: int) -> Tensor:
        views = [self.tables, *([self.adapted] if self.adapted else [])]
        outputs = [features.run(self.model, batch, view) for view in views]
        batch, outputs = self._whole(batch, outputs)
        losses = [self.loss(x, batch.target, batch.dimensions, batch.offered) for x in outputs]
        total, cls, reg = (sum(part) / len(views) for part in zip(*losses, strict=True))
        # What would be written is logged, no more: a head on known features takes 2 ms a step,
        # three calls of log as much again.
        size = len(cast(Tensor, batch.rows))
        if (self.global_step + 1) % max(1, self.trainer.log_every_n_steps) == 0:
            self.log("train/loss", total, prog_bar=True, on_step=True, batch_size=size)
            self.log_dict({"train/cls": cls, "train/reg": reg}, batch_size=size)
        return total * self.weight(size)

    def _whole(self, batch: Batch, outputs: list[Output]) -> tuple[Batch, list[Output]]:
        """Rows, targets and what was said of the whole batch, of which this process had its share."""
        if self.share.count == 1:
            return batch, outputs
        names = [
            k for k in ("rows", "target", "dimensions", "offered") if getattr(batch, k) is not None
        ]
        given = [getattr(batch, k) for k in names]
        said = [part for x in outputs for part in (x.logits, x.dimensions)]
        found = self.share.gather(*given, *said)
        parts, heard = dict(zip(names, found)), found[len(names) :]
        if len(parts["rows"]) < 2 * self.share.count:
            # It may have been repeated, see `BucketSampler`.
            parts["rows"] = parts["rows"].unique()
        whole = [
            replace(x, logits=logits, dimensions=dimensions)
            for x, logits, dimensions in zip(outputs, heard[::2], heard[1::2], strict=True)
        ]
        return replace(batch, **parts), whole

    def on_before_backward(self, loss: Tensor) -> None:
        """Stop at the batch whose loss is no number; every later one would be none either."""
        if not loss.isfinite():
            self.give_up(f"the loss is {loss.item()} in batch {self.trainer.fit_loop.batch_idx} of")

    def give_up(self, what: str) -> NoReturn:
        """Raise TrainingError: what happened, and when."""
        raise TrainingError(
            f"{what} epoch {self.current_epoch}, step {self.global_step}: "
            "lower module.lr, or look at these utterances"
        )

    def validation_step(self, batch: Batch, index: int) -> None:
        out = features.run(self.model, batch, self.tables)
        found = (batch.rows, out.logits, out.dimensions, batch.target, batch.dimensions)
        self._epoch.append(tuple(cast(Tensor, t).cpu() for t in found))

    def on_validation_epoch_end(self) -> None:
        parts = [part for share in self.share.all(self._epoch) for part in share]
        self._epoch.clear()
        if self.share.count > 1:  # a batch smaller than the processes is heard by several
            rows = torch.cat([part[0] for part in parts])
            first = torch.from_numpy(np.unique(rows.numpy(), return_index=True)[1])
            parts = [tuple(torch.cat(c)[first] for c in zip(*parts, strict=True))]
        rows, logits, placed, target, rated = (torch.cat(c) for c in zip(*parts, strict=True))
        if not (logits.isfinite().all() and placed.isfinite().all()):
            self.give_up("the model answers nan in the validation of")
        scores, losses = self.scores(rows, logits, placed, target, rated)
        self.log_dict(scores)
        self.log_dict(losses, prog_bar=True)

    def scores(
        self, rows: Tensor, logits: Tensor, placed: Tensor, target: Tensor, rated: Tensor
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """`val/…` metrics, and losses, of what is said of rows [N] of the valid side."""
        every = self.valid.offered
        offered = None if every is None else torch.from_numpy(every[rows.numpy()])
        total, cls, reg = self.loss(Output(logits, placed, logits), target, rated, offered)
        probabilities = logits.double().softmax(-1).numpy()
        said = (probabilities, self.model.space.clip(placed.numpy()))
        scores = evaluation.scored("valid", self.valid, *said, rows.numpy()).evaluate()
        return (
            {f"val/{k}": float(v) for k, v in scores.items() if not is_count(k)},
            {"val/loss": total, "val/cls": cls, "val/reg": reg},
        )

    def groups(self) -> list[dict[str, Any]]:
        """What is trained, see `parameter_groups`."""
        return parameter_groups(self.model, self.lr, self.separate_lr, self.weight_decay)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.groups(), fused=self.device.type == "cuda" or None)
        if self.schedule is None:
            return optimizer
        scheduler = self.schedule(optimizer, self.trainer.estimated_stepping_batches)
        if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            plan = {"scheduler": scheduler, "interval": "epoch", "monitor": self.monitor}
        else:
            plan = {"scheduler": scheduler, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": plan}


def part(name: str) -> str:
    """Part of the model that a parameter belongs to, by its name.

    >>> part("branches.text.encoder.model.pooler.weight"), part("branches.text.projector.bias")
    ('text', 'projector')
    """
    words = name.split(".")
    if any(word.startswith("lora_") for word in words):
        return "lora"
    if words[0] != "branches":
        return words[0]
    return words[1] if words[2] == "encoder" else words[2]


def parameter_groups(
    model: torch.nn.Module, lr: float, separate_lr: dict[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Every trainable parameter in exactly one group, by learning rate and decay.

    Raises:
        ConfigError: `separate_lr` names a part that the model has not, or nothing is trainable.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ConfigError("nothing to train: every part of the model is frozen")
    parts = {part(n) for n, _ in model.named_parameters()} | {"speech", "text"}
    for name in separate_lr:
        if name not in parts:
            raise ConfigError(
                f"module.separate_lr: this model has no part '{name}', only "
                f"{', '.join(sorted(parts))}{did_you_mean(name, parts)}"
            )
    rates = {"speech": ENCODER_LR, "text": ENCODER_LR} | separate_lr
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, p in named:
        decay = weight_decay if p.ndim > 1 else 0.0
        groups.setdefault((rates.get(part(name), lr), decay), []).append(p)
    return [{"params": ps, "lr": r, "weight_decay": d} for (r, d), ps in groups.items()]


def make_task(
    cfg: DictConfig,
    parts: Assembly,
    kind: type[EmotionTask] = EmotionTask,
    share: Share = ALONE,
) -> EmotionTask:
    """The Lightning module of a configuration."""
    return kind(
        parts.model,
        parts.loss,
        parts.sides["valid"],
        lr=cfg.module.lr,
        separate_lr=dict(cfg.module.separate_lr or {}),
        weight_decay=cfg.module.weight_decay,
        schedule=make(cfg.scheduler),
        monitor=cfg.early_stopping.monitor,
        tables=parts.tables,
        adapted=parts.adapted,
        weight=parts.sampler("train").weight,
        share=share,
    )
