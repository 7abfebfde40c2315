"""Builds of a dataset and predictions into a file that are killed: does the same command finish them?

python -m bench.trust.kills [--builds 100] [--predictions 100] [--seed 0]

Every try is the command itself, in a forked process: SIGKILL, one half at a random moment of its
duration, the other at a random call that syncs or renames a file, before it or behind it. Then the same
command once more. What it leaves must be what a command leaves that nobody killed, byte for byte and
name for name.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from bench.trust.forks import FORK, contents, forked, quietly, small_export
from erc.base import files

CALLS = ("fsync", "replace")  # of `os`; `files._swap` is the third


class Work(NamedTuple):
    """A command, and the folder that it writes to."""

    words: list[str]
    place: Path


class Unbroken(NamedTuple):
    """What a command does that nobody kills."""

    contents: dict[str, bytes]  # of its folder
    seconds: float
    calls: int  # that sync or rename a file


def build(place: Path) -> Work:
    """`erc prepare` of a simulated corpus, into `place/out`."""
    from erc.corpora.simulated import write_tree

    root = place / "KEMDy19"
    if not root.exists():
        write_tree(root, "kemdy19", sessions=5, utterances=8, seed=0, defects=False)
        _settle(root)
    return Work(["prepare", str(root)], place / "out")


def prediction(place: Path, clips: int = 150) -> Work:
    """`erc predict FOLDER -o out/out.csv`: recordings of 0.3 to 0.8 s in three windows."""
    import numpy as np
    import soundfile

    recordings, noise = place / "recordings", np.random.default_rng(0)
    if not recordings.exists():
        recordings.mkdir(parents=True)
        for number in range(clips):
            samples = noise.normal(0, 0.1, int(noise.integers(5000, 13_000)))
            soundfile.write(recordings / f"{number:03d}.wav", samples, 16_000)
    model, out = small_export(place), place / "out"
    words = ["--model", str(model), "--runtime", "onnx-fp32", "-q", "-o", str(out / "out.csv")]
    return Work(["predict", str(recordings), *words], out)


def _settle(root: Path) -> None:
    """Until the clock of the file system has gone on: files written just now are hashed every time."""
    from erc.datasets.contents import FRESH

    newest = max(path.stat().st_ctime_ns for path in root.rglob("*"))
    while time.time_ns() - newest <= FRESH:
        time.sleep(0.1)


def command(work: Work) -> None:
    """The command, here; what it says goes nowhere."""
    from erc.cli.program import main

    os.environ["ERC_CACHE"] = str(work.place)
    with quietly():
        code = main(work.words)
    if code:
        raise SystemExit(code)


def counted(call: Callable[[int, Callable[[], Any]], Any]) -> None:
    """Let `call` (which number, what) make each call that syncs or renames a file from now on."""
    seen = 0

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def one(*given: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            return call(seen, lambda: real(*given, **named))

        return one

    for name in CALLS:
        setattr(os, name, around(getattr(os, name)))
    files._swap = around(files._swap)


def never_killed(work: Work) -> Unbroken:
    """The command, in the end and in numbers."""
    calls = FORK.Value("i", 0)

    def count(number: int, real: Callable[[], Any]) -> Any:
        calls.value = number
        return real()

    def whole() -> None:
        counted(count)
        command(work)

    start = time.monotonic()
    code = forked(whole)
    seconds = time.monotonic() - start
    assert code == 0, f"{' '.join(work.words)}: exit {code}"
    found = contents(work.place)
    shutil.rmtree(work.place)
    return Unbroken(found, seconds, calls.value)


def killed_once(work: Work, aimed: bool, draw: random.Random, unbroken: Unbroken) -> str:
    """Kill it, start it again, and compare; "" is good."""
    number, behind = draw.randint(1, unbroken.calls), draw.random() < 0.5
    after = None if aimed else draw.uniform(0, unbroken.seconds)

    def die(which: int, real: Callable[[], Any]) -> Any:
        if which == number:
            if behind:
                real()
            os.kill(os.getpid(), signal.SIGKILL)
        return real()

    def doomed() -> None:
        if aimed:
            counted(die)
        command(work)

    first = forked(doomed, after)
    again = forked(lambda: command(work))
    found = contents(work.place)
    shutil.rmtree(work.place, ignore_errors=True)
    if first not in (-signal.SIGKILL, 0) or again:
        return f"exit {first}, then {again}"
    names = found.keys() ^ unbroken.contents.keys()
    names |= {k for k, v in unbroken.contents.items() if found.get(k, v) != v}
    return f"other: {', '.join(sorted(names))}" if names else ""


def attack(make: Callable[[Path], Work], tries: int, seed: int) -> list[str]:
    """What came of each try, "" if the command ended as one that was never killed."""
    draw, found = random.Random(f"{seed}-{make.__name__}"), []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.callback(os.environ.update, ERC_CACHE=os.environ.get("ERC_CACHE", ""))
        work = make(Path(folder))
        for module in ("erc.cli.program", "erc.datasets", "erc.recognizer", "onnxruntime"):
            import_module(module)  # once, not in every process
        unbroken = never_killed(work)
        for number in range(tries):
            found.append(killed_once(work, bool(number % 2), draw, unbroken))
            if found[-1]:
                print(f"{make.__name__} {number}: {found[-1]}", flush=True)
    return found


def main() -> int:
    """Print the counts; 1 if one failed."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--builds", type=int, default=100)
    options.add_argument("--predictions", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    good = True
    for make, tries in ((build, given.builds), (prediction, given.predictions)):
        start = time.monotonic()
        found = attack(make, tries, given.seed)
        whole = found.count("")
        good &= whole == len(found)
        print(
            f"SIGKILL, {make.__name__}, seed {given.seed}: {whole} of {len(found)} end as if never "
            f"killed, nothing left over; {time.monotonic() - start:.0f} s",
            flush=True,
        )
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
