"""Lightning's trainer, as a configuration wants it, and what it raises in one line."""

from __future__ import annotations

import inspect
import logging
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException
from omegaconf import DictConfig

from erc.base import devices
from erc.base.errors import ConfigError, did_you_mean
from erc.model.emotion import EmotionModel
from erc.training import loggers
from erc.training.checkpoints import Checkpoints, Stopped, WholeFiles
from erc.training.config import resolve
from erc.training.processes import ALONE, Share


def make_trainer(
    cfg: DictConfig, run: Path, callbacks: Sequence[L.Callback] = (), share: Share = ALONE
) -> L.Trainer:
    """Lightning's trainer, which writes whole files and, without `Checkpoints`, no checkpoint.

    Raises:
        ConfigError: an option of the trainer that does not exist, or that this machine cannot follow;
            more processes than were started.
    """
    options = dict(resolve(cfg.trainer))
    allowed = inspect.signature(L.Trainer).parameters
    for key in options:
        if key not in allowed:
            raise ConfigError(f"the trainer has no option '{key}'{did_you_mean(key, allowed)}")
    try:
        trainer = L.Trainer(
            **{"enable_model_summary": False} | options,
            logger=loggers.start(cfg, run) if share.first else False,
            callbacks=list(callbacks),
            plugins=[WholeFiles()],
            enable_checkpointing=any(isinstance(x, Checkpoints) for x in callbacks),
            default_root_dir=run,
        )
    except (MisconfigurationException, ValueError) as error:  # Lightning found a value wrong
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error
    if trainer.world_size != share.count:
        raise ConfigError(
            f"{trainer.world_size} processes are asked for (trainer.devices, trainer.num_nodes): leave "
            f"both out and start them, torchrun --nproc-per-node {trainer.world_size} train.py …"
        )
    return trainer


def number_format(cfg: DictConfig, model: EmotionModel) -> str:
    """`trainer.precision`; "auto" is decided for this machine and the widest trained layers."""
    trained = [
        layer.in_features
        for part in (model.speech, model.text, model.fusion)
        for layer in (part.modules() if part is not None else ())
        if isinstance(layer, torch.nn.Linear) and layer.weight.requires_grad
    ]
    on_gpu = next(model.parameters()).is_cuda
    devices.tune_gpu()
    return devices.precision(cfg.trainer.precision, max(trained, default=0), on_gpu)


@contextmanager
def in_one_line(keeper: Checkpoints) -> Iterator[None]:
    """What Lightning raises → what the commands say in one line."""
    try:
        yield
    except Stopped as stop:
        stop.say()
        raise
    except SIGTERMException:  # of several processes, or before the first step
        raise SystemExit(128 + signal.SIGTERM) from None
    except RuntimeError:
        if keeper.asked:  # a loader's process was asked, too, before it could turn a deaf ear
            raise SystemExit(128 + keeper.asked) from None
        raise
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # Lightning makes 1 of it
            raise KeyboardInterrupt from None
        raise
    except MisconfigurationException as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


def quiet() -> None:
    """Lightning's hints about loader workers and the like are not for our users."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
