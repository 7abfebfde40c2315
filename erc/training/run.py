"""Configuration → trained model: trainer, checkpoints, and what a run leaves behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from omegaconf import DictConfig, OmegaConf

from erc.base import devices
from erc.base.bandwidth import bandwidth
from erc.base.errors import CalibrationError, ConfigError
from erc.base.files import atomic
from erc.datasets.audit import audit
from erc.datasets.batches import BucketSampler
from erc.labels.regions import regions_of
from erc.model.folder import checkpoint
from erc.model.folder.export import keep_copy
from erc.model.folder.heard import Heard
from erc.model.folder.learned import counted
from erc.model.losses import NOT_OFFERED
from erc.scores.calibration import fit_temperature
from erc.scores.results import Results
from erc.scores.tables import results_table
from erc.training import closed_form, contrastive, evaluation, loggers
from erc.training.assembly import Assembly
from erc.training.card import card
from erc.training.checkpoints import Checkpoints
from erc.training.config import resolve
from erc.training.held_out import held_out
from erc.training.identity import identity
from erc.training.processes import ALONE, Share, joined
from erc.training.resume import BEST, alone, going_on, read
from erc.training.task import EmotionTask, make_task
from erc.training.trainer import in_one_line, make_trainer, number_format, quiet

BANDS = 200  # training recordings whose band is looked at
OBJECTIVES = {"emotion": EmotionTask, "contrastive": contrastive.ContrastiveTask}


def train(cfg: DictConfig, argv: Sequence[str] = ()) -> Any:
    """One run: data, model, training, evaluation of the held-out fold, model folder.

    Args:
        cfg: composed from config/train.yaml.
        argv: the command that was given, for the record.

    Returns:
        `Results` of the held-out fold; of a pretraining, what `pretraining.json` holds.
    """
    quiet()
    start = time.monotonic()
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    if cfg.model.objective not in (*OBJECTIVES, "closed_form"):
        allowed = " or ".join((*OBJECTIVES, "closed_form"))
        raise ConfigError(f"model.objective={cfg.model.objective} is not {allowed}")
    with joined(cfg) as share:
        return _train(cfg, argv, share, start)


def _train(cfg: DictConfig, argv: Sequence[str], share: Share, start: float) -> Any:
    run = Path(cfg.run_dir)
    with alone(run) if share.first else nullcontext():
        with share.in_turn():
            parts = Assembly(cfg)
        # "auto" no more, in all that is kept
        cfg.trainer.precision = number_format(cfg, parts.model)
        training = None if cfg.model.objective == "closed_form" else Training(parts, run, share)
        if training and not share.first:
            training.fit()
            return None
        with atomic(run / "config.yaml") as temporary:
            OmegaConf.save(OmegaConf.create(resolve(cfg)), temporary)
        print(parts.sides["train"])
        print(audit(parts.sides["train"]))
        if training is None:
            fitted = closed_form.fit(parts)
            spent = {"seconds": round(time.monotonic() - start, 1), "device": "CPU"}
            return finish(parts, run, argv, spent, fitted)
        training.fit()
        task, trainer = training.task, training.trainer
        if isinstance(task, contrastive.ContrastiveTask):
            return contrastive.finish(task, parts, run, cfg, argv)
        spent = {
            "seconds": round(time.monotonic() - start, 1),
            "device": devices.name_of(trainer.strategy.root_device),
            "precision": trainer.precision,
        }
        spent |= {"resumed": training.keeper.passed_over or True} if cfg.ckpt_path else {}
        results = finish(parts, run, argv, spent)
        loggers.record(trainer.loggers, run, trainer.global_step)
        return results


class Training:
    """What a configuration trains by gradient steps, ready to begin or to go on.

    Raises:
        CheckpointError, ConfigError: `ckpt_path` is nothing that this training goes on from.
    """

    def __init__(self, parts: Assembly, run: Path, share: Share = ALONE):
        cfg, folder = parts.cfg, run / "checkpoints"
        self.share = share
        self.task = make_task(cfg, parts, OBJECTIVES[cfg.model.objective], share)
        made_from = identity(cfg, parts.sides["train"].store.path.name)
        self.start: Path | None = None
        differ: list[str] = []
        if cfg.ckpt_path:
            anyway = cfg.resume_anyway
            self.start, differ = going_on(cfg.ckpt_path, folder, self.task, made_from, anyway)
        mine = share.rank, share.count
        self.batches = parts.loader("train", mine)
        self.valid = parts.loader("valid", mine) if len(parts.sides["valid"]) else None
        sampler, stop = cast(BucketSampler, self.batches.batch_sampler), cfg.early_stopping
        monitor = stop.monitor if self.valid else None
        self.keeper = Checkpoints(
            folder, sampler, made_from, monitor, stop.mode, cfg.checkpoint_every, differ, share
        )
        # Asked after a validation: at the end of an epoch there may be none, and old scores.
        rule = {"strict": False, "check_on_train_epoch_end": False} | dict(stop)
        stopping = [EarlyStopping(**rule)] if self.valid else []
        self.trainer = make_trainer(cfg, run, [self.keeper, *stopping], share)

    def fit(self) -> None:
        """Train to the end; the weights are then those of the best epoch.

        Raises:
            Stopped: asked to, after a checkpoint.
        """
        if not self.share.first:  # other dropout than that of the first process
            torch.manual_seed(torch.initial_seed() + self.share.rank)
        with in_one_line(self.keeper):
            self.trainer.fit(
                self.task, self.batches, self.valid, ckpt_path=self.start, weights_only=True
            )
        if self.keeper.best is not None and not self.trainer.fast_dev_run:
            self.task.load_state_dict(read(self.keeper.folder / BEST)["state_dict"])
        self.task.model.cpu()


def finish(
    parts: Assembly,
    run: Path,
    argv: Sequence[str],
    spent: dict[str, Any] | None = None,
    fitted: closed_form.Outcome | None = None,
) -> Results:
    """Calibrate, score the test side once, write what a run leaves behind.

    Args:
        spent: on the training, see `erc.base.effort`.
        fitted: what the training has learned of speakers that it held out; None: nothing.
    """
    model, cfg = parts.model, parts.cfg
    known = fitted and fitted.temperature
    temperature, calibrated = (known, True) if known else calibrate(parts)
    others = held_out(parts, temperature, fitted and fitted.held_out)
    results = evaluation.evaluate(parts, "test", temperature, calibrated, argv, run, others)
    settings = {
        "temperature": temperature,
        "wav_max_length": cfg.dataset.wav_max_length,
        "txt_max_length": cfg.dataset.txt_max_length,
        "adaptation": cfg.get("adaptation", "none"),
    }
    train = parts.sides["train"]
    settings["regions"] = regions_of(
        train.labels.hard[train.rows], train.labels.dimensions[train.rows], train.store.space
    )
    if model.physiology:
        settings["physiology_baseline"] = cfg.dataset.physiology_baseline
    checkpoint.save(
        run / "model",
        model,
        tokenizer=parts.collate.tokenizer,
        meta={"prediction": settings, "results": results.public().to_json(), "effort": spent}
        | {"learned": taught(parts), "heard": Heard.of_sides(*sides_of(parts)).to_json()}
        | {"terms": [one.to_json() for one in parts.terms]},
        card=card(results, resolve(cfg), run, spent, parts.terms),
        held_out=others,
    )
    print(results_table(results))
    print(keep_copy(run / "model", False if cfg.trainer.fast_dev_run else cfg.export))
    print(
        f"run    {run}\nmodel  {run / 'model'}    try: erc predict CLIP.wav --model {run / 'model'}"
    )
    return results


def sides_of(parts: Assembly) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(corpus, speaker) of whom training has met, its valid side included, and of whom it tests."""
    found = []
    for sides in (("train", "valid"), ("test",)):
        people: dict[tuple[str, str], None] = {}
        for side in sides:
            view = parts.sides[side]
            corpus, speaker = (view.store.column(name)[view.rows] for name in ("corpus", "speaker"))
            people |= dict.fromkeys(zip(map(str, corpus), map(str, speaker)))
        found.append(list(people))
    return found[0], found[1]


def taught(parts: Assembly) -> dict[str, Any]:
    """How many training rows had a target that the loss looked at, and whether raters disagreed; see
    `Learned`."""
    train, weight = parts.sides["train"], parts.loss.cls_coef
    said = train.labels
    heard = train.rows[train.has("speech")]
    some = heard[np.unique(np.linspace(0, len(heard) - 1, BANDS).astype(int))] if len(heard) else []
    bands = [bandwidth(train.store.pcm(row) / np.float32(32768)) for row in some]
    band = float(np.quantile(bands, 0.05)) if bands else None
    rows = train.rows
    votes = said.soft[rows]
    rated = bool((votes.max(-1) < 1).any())  # nan: nobody voted
    return {"band_hz": band, "rated": rated} | counted(
        said.target[rows if weight > 0 else []],
        said.target_dimensions[rows if weight < 1 else []],
        train.space,
    )


def calibrate(parts: Assembly) -> tuple[float, bool]:
    """The temperature of the valid side, and whether it was fitted: else it is 1.

    Under the `paper` protocol the valid side is the held-out fold: nothing but the stopping may see it.
    """
    valid = parts.sides["valid"]
    if not len(valid) or valid.fold.protocol == "paper":
        return 1.0, False
    [said] = evaluation.predict_split(parts, "valid")
    logits = said.logits
    if valid.offered is not None:  # a row says nothing about emotions that its corpus does not have
        logits = np.where(valid.offered[valid.rows], logits, NOT_OFFERED)
    try:
        return fit_temperature(logits, valid.labels.soft[valid.rows]), True
    except CalibrationError as error:  # the model is trained all the same
        print(f"not calibrated: {error}", file=sys.stderr)
        return 1.0, False
