"""How far a long command is: a bar with time left on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY = 20.0  # s between two lines of a log


@contextmanager
def progress(
    what: str, total: int, quiet: bool = False, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr while the block runs; call the yielded function with steps done.

    Args:
        what: of what, e.g. "recordings".
        total: steps in all; with one or none nothing is shown.
        quiet: show nothing.
        done: steps that an earlier run has done.

    >>> with progress("recordings", 2, quiet=True) as advance:
    ...     advance(1)
    """
    if quiet or total < 2:
        yield lambda steps: None
    elif sys.stderr.isatty():
        with _bar(what, total, done) as advance:
            yield advance
    else:
        yield _lines(what, total, done)


@contextmanager
def _bar(what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    from rich import progress as p
    from rich.console import Console

    columns = (
        p.TextColumn("{task.description}"), p.BarColumn(), p.MofNCompleteColumn(),
        p.TimeElapsedColumn(), p.TextColumn("left"), p.TimeRemainingColumn(),
    )  # fmt: skip
    with p.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)
        yield lambda steps: bar.advance(task, steps)


def _lines(what: str, total: int, done: int) -> Callable[[int], None]:
    first = start = time.monotonic()
    count = done

    def advance(steps: int) -> None:
        nonlocal count, start
        count += steps
        now = time.monotonic()
        if now - start >= EVERY and count < total:
            start = now
            left = (now - first) / (count - done) * (total - count)
            print(f"{what}: {count} of {total}, {clock(left)} left", file=sys.stderr, flush=True)

    return advance


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours if there are any.

    >>> clock(75), clock(3675)
    ('1:15', '1:01:15')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
