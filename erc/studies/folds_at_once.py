"""Folds and seeds of a study that differ in their data alone, trained as one stacked model.

What cannot be trained so is left to be trained alone, and a line says why.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from erc.base.errors import ConfigError
from erc.datasets import read_once
from erc.studies import folds
from erc.studies.experiment import configure
from erc.studies.folds import Fold, log
from erc.training import at_once
from erc.training.check import check
from erc.training.member import Member, obstacle
from erc.training.resume import alone

MOST = 1 << 30  # bytes of features side by side


def train(
    wanted: Sequence[Fold], workers: int | None = None, keep_weights: bool = True
) -> Iterator[tuple[Fold, float]]:
    """`erc.studies.folds.train`, which trains one by one what cannot be stacked.

    Args:
        workers: so many stacks at a time, each in a process of its own; None: one, here.
    """
    todo = [fold for fold in wanted if not fold.finished()]
    left = todo
    if workers is None or not todo:
        left = yield from together(todo, keep_weights)
    elif workers > 0:
        size = math.ceil(len(todo) / workers)
        parts = [todo[i : i + size] for i in range(0, len(todo), size)]
        for part, seconds in folds.apart(_together, parts, workers, keep_weights):
            yield from ((part[place], spent) for place, spent in seconds.items())
        left = [fold for fold in todo if not fold.finished()]
    yield from folds.train(left, workers, keep_weights)


def _together(part: list[Fold], keep_weights: bool) -> dict[int, float]:
    return {part.index(fold): seconds for fold, seconds in together(part, keep_weights)}


def together(
    todo: Sequence[Fold], keep_weights: bool
) -> Generator[tuple[Fold, float], None, list[Fold]]:
    """Train these runs at once; what each prints goes to `log.txt` in its folder.

    Yields:
        each run when it is done, and its share of the seconds.

    Returns:
        those that were left out.
    """
    left: dict[Fold, str] = {}
    kinds: dict[Any, dict[Fold, Member]] = defaultdict(dict)
    with read_once(), ExitStack() as locks:
        for fold in todo:
            member = _member(fold, keep_weights, locks)
            if isinstance(member, str):
                left[fold] = member
            else:
                kinds[member.kind][fold] = member
                at_once.share_encoders(member, next(iter(kinds[member.kind].values())))
        for members in kinds.values():
            try:
                drawn = at_once.plan(next(iter(members.values())))
            except ConfigError as error:
                left |= dict.fromkeys(members, str(error))
                continue
            size = max(1, MOST // max(member.size for member in members.values()))
            found = list(members.items())
            for part in (found[i : i + size] for i in range(0, len(found), size)):
                print(f"{len(part)} trainings at once", file=sys.stderr)
                start = time.monotonic()
                at_once.fit([member for _, member in part], drawn)
                share = (time.monotonic() - start) / len(part)
                for fold, member in part:
                    start = time.monotonic()
                    with log(fold.folder):
                        member.finish(share, len(part))
                    fold.done(keep_weights)
                    yield fold, member.seconds + share + time.monotonic() - start
    for why in dict.fromkeys(left.values()):
        names = ", ".join(fold.folder.name for fold, own in left.items() if own == why)
        print(f"one by one, because of {why}: {names}", file=sys.stderr)
    return list(left)


def _member(fold: Fold, keep_weights: bool, locks: ExitStack) -> Member | str:
    """The training, its folder locked; or why it is trained alone."""
    words = fold.overrides(keep_weights)
    cfg = configure(words, fold.folder)
    check(cfg)
    if fold.checkpoint.exists():
        return "a checkpoint to go on from"
    if why := obstacle(cfg):
        return why
    with ExitStack() as lock:
        lock.enter_context(alone(fold.folder))
        fold.write(finished=False)
        with log(fold.folder):
            member = Member(cfg, ["python", "train.py", *words])
        if member.obstacle:
            return member.obstacle
        locks.push(lock.pop_all())
    return member
