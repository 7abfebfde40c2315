"""One training in several processes, which `torchrun` starts: each computes its rows of every batch.

The batches are those of a training in one process. What the model says of the rows is gathered, so that
every process has the loss of the whole batch, a CCC over all of its rows too. Its gradient with respect
to the rows of process r is taken by process r, N times; torch's DDP divides the sum over N processes by
N, and what is left is the gradient of the batch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch import distributed as dist

from erc.base.errors import ConfigError

T = TypeVar("T")
PATIENCE = timedelta(
    days=2
)  # others wait while the first process builds a store or encodes a corpus
HYDRA = {".hydra", "train.log"}  # what Hydra leaves in the folder of a process


@dataclass(frozen=True)
class Share:
    """Which of `count` processes this one is. Alone, everything here gives back what it was given."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """First the first process, then all others: what it has built they find."""
        if not self.first:
            dist.barrier()
        yield
        if self.first and self.count > 1:
            dist.barrier()

    def all(self, mine: T) -> list[T]:
        """What every process has, in their order."""
        found: list[Any] = [mine]
        if self.count > 1:
            found *= self.count
            dist.all_gather_object(found, mine)
        return found

    def most(self, mine: int) -> int:
        """The largest that any process has."""
        if self.count == 1:
            return mine
        found = torch.tensor(mine, device=_device())
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def gather(self, *parts: Tensor) -> list[Tensor]:
        """Each [n, …] of the rows of this process → [N, …] of the batch, in its order, with gradients.

        They travel side by side, as one matrix of doubles, which holds every number of theirs: a small
        model would wait longer for many messages than it computes.
        """
        if self.count == 1:
            return list(parts)
        flat = [x.flatten(1) if x.ndim > 1 else x[:, None] for x in parts]
        matrix = torch.cat([x.double() for x in flat], 1)
        size = torch.tensor([len(matrix)], device=matrix.device)
        sizes = [torch.empty_like(size) for _ in range(self.count)]
        dist.all_gather(sizes, size)
        counts = torch.cat(sizes).tolist()
        order = torch.cat(
            [torch.arange(n) * self.count + r for r, n in enumerate(counts)]
        ).argsort()
        whole = _Gathered.apply(matrix, counts, self.rank)[order].split(
            [x.shape[1] for x in flat], 1
        )
        return [
            found.reshape(-1, *x.shape[1:]).to(x.dtype)
            for found, x in zip(whole, parts, strict=True)
        ]


ALONE = Share()


class _Gathered(torch.autograd.Function):
    """The rows of all processes, one process after another."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sizes: list[int], rank: int) -> Tensor:
        ctx.place = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        ctx.count = len(sizes)
        mine = rows.new_zeros(max(sizes), *rows.shape[1:])
        mine[: len(rows)] = rows
        parts = [torch.empty_like(mine) for _ in sizes]
        dist.all_gather(parts, mine)
        return torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return grad[ctx.place] * ctx.count, None, None


def _device() -> torch.device:
    """Where messages between processes lie."""
    on_gpu = dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")


@contextmanager
def joined(cfg: DictConfig) -> Iterator[Share]:
    """The processes that `torchrun` has started for this training; alone without it.

    The first process names the folder of the run, and is the only one that prints. `cfg.trainer` is set
    to as many processes and machines as there are.

    Raises:
        ConfigError: an objective that is trained in one process.
    """
    count = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1
    if count == 1:
        yield ALONE
        return
    if cfg.model.objective != "emotion":
        raise ConfigError(
            f"model.objective={cfg.model.objective} is trained in one process: start it without torchrun"
        )
    local, here = (int(os.environ[name]) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    on_gpu = cfg.trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        share = Share(dist.get_rank(), count)
        run = share.all(str(cfg.run_dir))[0]
        if not share.first and HydraConfig.initialized():
            _leave(Path(HydraConfig.get().runtime.output_dir))
        settings: dict[str, Any] = {
            "devices": here,
            "num_nodes": count // here,
            "use_distributed_sampler": False,
            "strategy": "ddp_find_unused_parameters_true",  # of a modality that no row has
        }
        for key, value in settings.items():
            OmegaConf.update(cfg, f"trainer.{key}", value, force_add=True)
        cfg.run_dir = run
        with contextlib.ExitStack() as stack:
            if not share.first:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            yield share
    finally:
        dist.destroy_process_group()


def _leave(folder: Path) -> None:
    """Remove the folder that Hydra has made for a process that writes nothing."""
    if folder.is_dir() and {path.name for path in folder.iterdir()} <= HYDRA:
        shutil.rmtree(folder)
