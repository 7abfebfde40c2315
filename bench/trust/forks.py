"""Commands in processes that are forked from one which has imported everything: a try costs no start.

Nothing that starts threads (torch, ONNX Runtime) may compute in the process that is forked.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FORK = multiprocessing.get_context("fork")


def forked(call: Callable[[], object], kill_after: float | None = None) -> int | None:
    """The exit code of a process that makes the call; negative: the signal that killed it."""
    process = FORK.Process(target=call)
    process.start()
    process.join(kill_after)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


@contextlib.contextmanager
def quietly(to: str | int = os.devnull) -> Iterator[None]:
    """Send all that this process prints to a file, or what is open; for a process that ends soon."""
    with open(to, "w", encoding="utf-8") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    sys.stdout = open(1, "w", 1, "utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", closefd=False)  # noqa: SIM115
    yield


def contents(folder: Path) -> dict[str, bytes]:
    """Name → bytes of every file below a folder; a folder that holds none has b""."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
        elif not any(path.iterdir()):
            found[path.relative_to(folder).as_posix() + "/"] = b""
    return found


def small_export(place: Path) -> Path:
    """A model folder with an exported copy; torch makes it in a process of its own."""
    folder = place / "model"
    if not folder.exists():
        assert forked(lambda: _export(folder)) == 0
    return folder


def _export(folder: Path) -> None:
    from bench.trust.model_folders import small_model
    from erc.model.folder.export import keep_copy

    with quietly():
        keep_copy(small_model(folder), True)
