"""Going on from a checkpoint: is it one, and of this very training? And alone in the folder of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import Timeout
from torch import Tensor

from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import atomic, lock, sweep
from erc.training.identity import Identity, differences
from erc.training.task import EmotionTask

LAST, BEST = "last.ckpt", "best.ckpt"
OURS = "erc"  # key of what `erc.training.checkpoints` adds to Lightning's


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Make the folder of a run; nobody else trains in it meanwhile, and what the killed left is gone.

    Raises:
        ConfigError: somebody else does.
    """
    mine = lock(run / "training")
    try:
        mine.acquire(blocking=False)
    except Timeout:
        raise ConfigError(f"{run} is being trained by another process") from None
    try:
        for place in [run, *(p for p in run.rglob("*") if p.is_dir())]:
            sweep(place)
        yield
    finally:
        mine.release()


def going_on(
    place: str | Path, folder: Path, task: EmotionTask, made_from: Identity, anyway: bool = False
) -> tuple[Path, list[str]]:
    """The checkpoint to go on from, in `folder`, and what is different from when it was written.

    One that lies elsewhere is copied to `folder`, with the best weights so far: what a run needs is
    in its folder.

    Args:
        place: a `last.ckpt`, or the folder of a run.
        anyway: differences are no reason to refuse.

    Raises:
        CheckpointError: no checkpoint that a training can go on from.
        ConfigError: it was made from something else; names what.
    """
    path = Path(place)
    path = path / "checkpoints" / LAST if path.is_dir() else path
    whole = read(path)
    if (found := whole.get(OURS)) is None:
        raise CheckpointError(
            f"{path}: a training goes on from a {LAST} of this version alone; to start from its "
            f"weights: module.load_from_checkpoint={path}"
        )
    differ = differences(found["made_from"], made_from)
    if differ and not anyway:
        raise ConfigError(
            f"{path} was made from something else ({'; '.join(differ)}): resume with the settings of "
            "its run, or with resume_anyway=true, which is recorded"
        )
    if _sizes(whole["state_dict"], whole["optimizer_states"][0]["param_groups"]) != _sizes(
        task.state_dict(), task.groups()
    ):
        raise CheckpointError(f"{path} is of a model of other sizes ({'; '.join(differ)})")
    if path.parent.resolve() != folder.resolve():
        for source, name in ((path.with_name(BEST), BEST), (path, LAST)):
            if source.is_file():
                with atomic(folder / name) as temporary:
                    temporary.write_bytes(source.read_bytes())
    return folder / LAST, differ


def read(path: Path) -> dict[str, Any]:
    """A checkpoint; nothing in it is executed, tensors stay on disk until they are used.

    Raises:
        CheckpointError: there is none, or it is broken.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True, mmap=True))
    except Exception as error:  # a file can be broken in many ways
        first = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{path}: not a checkpoint of a training: {first}") from error


def _sizes(weights: Mapping[str, Tensor], groups: list[dict[str, Any]]) -> Any:
    """Of all weights, and of the groups of those that are trained."""
    return {k: v.shape for k, v in weights.items()}, [len(group["params"]) for group in groups]


def adopt(checkpoint: dict[str, Any], groups: list[dict[str, Any]]) -> None:
    """Let learning rates and decay be those of `groups`, at the checkpoint's place of the schedule."""
    for found, group in zip(checkpoint["optimizer_states"][0]["param_groups"], groups, strict=True):
        start = found.get("initial_lr", found["lr"])
        found["lr"] *= group["lr"] / start if start else 1.0
        found |= {"initial_lr": group["lr"], "weight_decay": group["weight_decay"]}
    for schedule in checkpoint["lr_schedulers"]:
        if "base_lrs" in schedule:
            schedule["base_lrs"] = [group["lr"] for group in groups]
