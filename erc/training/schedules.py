"""Learning-rate schedules: functions of (optimizer, total_steps) and their own options.

total_steps: optimiser steps of the whole training; infinite where nothing ends it.
"""

from __future__ import annotations

import math
from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from erc.base.errors import ConfigError


def cosine_warmup(
    optimizer: Optimizer, total_steps: float, warmup: float = 0.1, floor: float = 0.0
) -> LambdaLR:
    """Linear rise over `warmup` · total steps, then half a cosine down to `floor` · lr."""
    return cosine_warmup_restarts(optimizer, total_steps, warmup, floor, cycles=1)


def cosine_warmup_restarts(
    optimizer: Optimizer,
    total_steps: float,
    warmup: float = 0.1,
    floor: float = 0.0,
    cycles: int = 3,
) -> LambdaLR:
    """`cycles` times `cosine_warmup`, one after the other (SGDR, Loshchilov & Hutter 2017).

    Raises:
        ConfigError: a training without end has no share of it.
    """
    endless = math.isinf(total_steps)
    if endless and (warmup or floor < 1):
        raise ConfigError(
            "this scheduler needs the end of the training: give trainer.max_steps or "
            "trainer.max_epochs ≥ 1, or take scheduler=constant or scheduler=reduce_plateau"
        )
    length = total_steps if endless else max(1, math.ceil(total_steps / cycles))

    def share(step: int) -> float:
        # A step beyond the planned end stays at the floor instead of starting a new cycle.
        done = (step % length) / length if step < total_steps else 1.0
        if done < warmup:
            return (step % length + 1) / math.ceil(warmup * length)
        cosine = 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
        return floor + (1 - floor) * cosine

    return LambdaLR(optimizer, share)


def reduce_plateau(
    optimizer: Optimizer,
    total_steps: float,
    factor: float = 0.5,
    patience: int = 2,
    mode: Literal["min", "max"] = "min",
) -> ReduceLROnPlateau:
    """Multiply by `factor` after `patience` epochs without improvement of the monitored metric."""
    return ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience)
