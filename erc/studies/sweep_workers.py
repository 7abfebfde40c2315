"""Trials of a sweep in processes of their own.

The study stays with the process that gave the command: it alone proposes settings, keeps scores and
decides what is given up. A worker only trains.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import ErcError, TrainingError
from erc.studies.folds import log, terminable

if TYPE_CHECKING:
    import optuna

# Trains with these overrides in this folder → score; raises `TrialPruned`.
Train = Callable[[list[str], Path, str, Any], float]


def run(
    study: optuna.Study,
    workers: int,
    train: Train,
    propose: Callable[[], tuple[optuna.Trial, list[str], Path] | None],
    done: Callable[[optuna.Trial, float | None], None],
    score: str,
) -> None:
    """Until nothing more is proposed.

    Args:
        train: importable by its name; runs in the workers.
        propose: the next trial, its overrides and its folder; None: no more.
        done: told the score of a trial, None: it was given up.

    Raises:
        ErcError: what a training raised; the other workers are stopped.
        TrainingError: a worker was killed.
    """
    lock, context = threading.Lock(), multiprocessing.get_context("spawn")
    threads = max(1, (os.cpu_count() or 1) // workers)
    pairs = [context.Pipe() for _ in range(workers)]
    processes = [
        context.Process(target=_work, args=(theirs, train, score, threads)) for _, theirs in pairs
    ]

    def serve(pipe: Connection) -> None:
        while True:
            with lock:
                proposed = propose()
            if proposed is None:
                return
            trial, words, place = proposed
            value = _one(pipe, trial, words, place, lock)
            with lock:
                done(trial, value)

    for process, (_, theirs) in zip(processes, pairs, strict=True):
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
    with terminable(), ThreadPoolExecutor(workers) as pool:
        try:
            jobs = [pool.submit(serve, pipe) for pipe, _ in pairs]
            finished, _ = wait(jobs, return_when=FIRST_EXCEPTION)
            for job in finished:
                job.result()
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()


def _one(
    pipe: Connection, trial: optuna.Trial, words: Sequence[str], place: Path, lock: threading.Lock
) -> float | None:
    try:
        pipe.send((list(words), place))
        while True:
            said, value = pipe.recv()
            if said == "report":
                with lock:
                    trial.report(*value)
                    give_up = trial.should_prune()
                pipe.send(give_up)
            elif said == "error":
                raise value
            else:
                return value
    except (EOFError, OSError):
        raise TrainingError(
            f"the worker of trial {trial.number} was stopped or killed; the same command goes on"
        ) from None


class Remote:
    """What a training sees of its trial: `report` and `should_prune` of `optuna.Trial`."""

    def __init__(self, pipe: Connection):
        self.pipe, self.give_up = pipe, False

    def report(self, value: float, step: int) -> None:
        """Tell the study."""
        self.pipe.send(("report", (value, step)))
        self.give_up = self.pipe.recv()

    def should_prune(self) -> bool:
        """What it said to the last report."""
        return self.give_up


def _work(pipe: Connection, train: Train, score: str, threads: int) -> None:
    """A worker. Ctrl-C is for the process that gave the command, which then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import optuna
    import torch

    torch.set_num_threads(threads)
    while True:
        try:
            words, place = pipe.recv()
        except EOFError:
            return
        try:
            with log(place):
                pipe.send(("score", train(words, place, score, Remote(pipe))))
        except optuna.TrialPruned:
            pipe.send(("score", None))
        except ErcError as error:
            pipe.send(("error", error))
