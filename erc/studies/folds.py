"""One model per fold: trained once, and known again by what it was made from.

`fold.json` beside a run holds its identity: the resolved settings, the store its data came from, the
version of erc. A finished run of equal identity is reused, a stopped one goes on from its last
checkpoint, another one is refused by name. Cross-validation, the sharpening curve and the paper's
table all train here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from erc.base.errors import ConfigError, TrainingError
from erc.base.files import read_json, write_json
from erc.studies.experiment import configure, run
from erc.training.check import check
from erc.training.config import make, quoted
from erc.training.identity import Identity, differences, identity

FILE = "fold.json"


@dataclass(frozen=True, eq=False)
class Fold:
    """One training of a study.

    Attributes:
        words: overrides of `python train.py`, the fold among them.
        folder: of the run.
        identity: what it is made from, see `erc.training.identity`.
    """

    words: tuple[str, ...]
    folder: Path
    identity: Identity

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.identity["seed"]

    def finished(self) -> bool:
        """True if this very run was made before; False if it was not, or was stopped on the way.

        Raises:
            ConfigError: the folder holds something else; names what differs.
        """
        if not (self.folder / FILE).is_file():
            if not (self.folder / "results.json").exists():
                return False
            raise ConfigError(
                f"{self.folder} holds results, but no {FILE} that says what made them: delete it, or "
                "choose another folder"
            )
        found = read_json(self.folder / FILE, ConfigError)
        if differ := differences(found["identity"], self.identity):
            raise ConfigError(
                f"{self.folder} was made from something else ({'; '.join(differ)}): delete it, or "
                "choose another folder"
            )
        return found["finished"]

    def train(self, keep_weights: bool = True) -> None:
        """Train and test it, from its last checkpoint if there is one."""
        self.write(finished=False)
        last = [f"ckpt_path={quoted(self.checkpoint)}"] if self.checkpoint.exists() else []
        run([*self.overrides(keep_weights), *last], self.folder)
        self.done(keep_weights)

    @property
    def checkpoint(self) -> Path:
        """Where a stopped training goes on from."""
        return self.folder / "checkpoints" / "last.ckpt"

    def overrides(self, keep_weights: bool) -> list[str]:
        """Of its training; a model that is not kept needs no copy."""
        return [*self.words, *["export=false"] * (not keep_weights)]

    def write(self, finished: bool) -> None:
        """What it is made from, beside the run."""
        write_json(self.folder / FILE, {"identity": self.identity, "finished": finished})

    def done(self, keep_weights: bool) -> None:
        """It is finished."""
        if not keep_weights:
            for leftover in ("checkpoints", "model"):
                shutil.rmtree(self.folder / leftover, ignore_errors=True)
        self.write(finished=True)


def single(overrides: Sequence[str], folder: Path) -> Fold:
    """The run of a configuration; its corpus is read, or found in the cache."""
    cfg, data = _open(overrides, folder)
    return Fold(tuple(overrides), folder, identity(cfg, data.store.path.name))


def folds(overrides: Sequence[str], folder: Path) -> list[Fold]:
    """Every fold of a configuration, in FOLDER/fold0, fold1, …

    Args:
        overrides: as for `python train.py`; `dataset.validation_fold` is set here.
    """
    cfg, data = _open([*overrides, "dataset.validation_fold=0"], folder)
    found = []
    for k in range(data.fold.count):
        cfg.dataset.validation_fold = k
        words = (*overrides, f"dataset.validation_fold={k}")
        made_from = identity(cfg, data.store.path.name)
        found.append(Fold(words, folder / f"fold{k}", made_from))
    return found


def train(
    wanted: Sequence[Fold],
    workers: int | None = None,
    keep_weights: bool = True,
) -> Iterator[tuple[Fold, float]]:
    """Train what is not finished; nothing is trained if some folder holds something else.

    Args:
        workers: how many at a time, each in a process of its own that prints to `log.txt` in the
            folder of its run; None: here, one after another.
        keep_weights: False deletes checkpoints and model of a finished run.

    Yields:
        each run when it is done, and the seconds it took.

    Raises:
        ConfigError: no worker, or see `Fold.finished`.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"{workers} workers train nothing; give 1 or more")
    todo = [fold for fold in wanted if not fold.finished()]
    if workers is None or not todo:
        for fold in todo:
            start = time.monotonic()
            fold.train(keep_weights)
            yield fold, time.monotonic() - start
        return
    for [fold], done in apart(_alone, [[fold] for fold in todo], workers, keep_weights):
        yield fold, done[0]


Task = Callable[[list[Fold], bool], dict[int, float]]  # trains some; seconds by their place


def apart(
    task: Task, parts: Sequence[list[Fold]], workers: int, keep_weights: bool
) -> Iterator[tuple[list[Fold], dict[int, float]]]:
    """Trainings in processes of their own, `workers` at a time, which share the processors.

    Yields:
        each part when it is done, and what `task` returned.
    """
    # spawn: a forked process would inherit torch's threads in an unknown state.
    context = multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // workers)
    with terminable(), ProcessPoolExecutor(min(workers, len(parts)), context) as pool:
        jobs = {pool.submit(_apart, task, part, threads, keep_weights): part for part in parts}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BrokenProcessPool:
            raise TrainingError(
                "a worker was stopped or killed; the same command goes on"
            ) from None
        except BaseException:  # stopped, or one failed: those under way keep a checkpoint
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises, so that this process does not die before it has stopped its workers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _apart(task: Task, part: list[Fold], threads: int, keep_weights: bool) -> dict[int, float]:
    import torch

    torch.set_num_threads(threads)
    try:
        return task(part, keep_weights)
    except SystemExit as stop:  # asked to stop: this process takes no other run
        os._exit(int(stop.code or 0))


def _alone(part: list[Fold], keep_weights: bool) -> dict[int, float]:
    start = time.monotonic()
    with log(part[0].folder):
        part[0].train(keep_weights)
    return {0: time.monotonic() - start}


@contextlib.contextmanager
def log(folder: Path) -> Iterator[None]:
    """What a run prints goes to `log.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as file, contextlib.redirect_stdout(file):
        yield


def _open(overrides: Sequence[str], folder: Path) -> tuple[DictConfig, Any]:
    cfg = configure(overrides, folder)
    check(cfg)
    return cfg, make(cfg.dataset, mode="train", cache=cfg.cache)
