"""A full disk, and a limit on the size of files: is the old there or the new, and is the place named?

python -m bench.trust.full [--tries 12] [--seed 0]

A dataset is built, recordings are predicted into a file, a model is trained, a report is drawn, each
with a random number of bytes left: as a limit on files (RLIMIT_FSIZE), and, where Linux lets us mount
one, on a file system in memory that is filled before. A command that does not get through exits with 1
and one line that names the place; every file is whole, the old one or the new one; and with room again
the same command ends as if nothing had been.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from bench.trust import kills
from bench.trust.forks import FORK, contents, quietly

ROOM = 64 << 20  # bytes of the file system that is filled
BALLAST = "ballast"
WARM = ("erc.cli.program", "erc.datasets", "erc.recognizer", "onnxruntime")
QUICK = ("prepare", "predict -o")  # which need no more than these modules
MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


class Command(NamedTuple):
    """A command that writes to a folder."""

    name: str
    words: list[str]
    exact: Callable[[str], bool]  # of a file's name: every run writes the same bytes


def commands(place: Path, room: Path) -> dict[str, Callable[[], Command]]:
    """Name → what makes those that are tried, with what they read, in `place`."""

    def prepare() -> Command:
        words = kills.build(place).words
        return Command("prepare", words, lambda name: not name.startswith("contents"))

    def predict() -> Command:
        words = [*kills.prediction(place).words[:-1], str(room / "out.csv")]
        return Command("predict -o", words, lambda name: True)

    def train(run: Path = room / "run") -> Command:
        words = [
            "train", f"dataset.paths={kills.build(place).words[1]}", f"run_dir={run}",
            f"cache={place / 'cache'}", "model=tiny", "model.freeze_speech=true",
            "model.freeze_text=true", "dataset.protocol=strict", "trainer.accelerator=cpu",
            "trainer.precision=32-true", "trainer.max_epochs=2", "export=false", "checkpoint_every=2",
            "trainer.enable_progress_bar=false", "dataloader.batch_size=4",
        ]  # fmt: skip
        again = ("predictions.csv", "metrics.csv")
        return Command("train", words, lambda name: name.endswith(again))

    def report() -> Command:
        run = place / "run"
        code, said = call(train(run).words, room)
        assert code == 0, said
        words = ["report", str(run), "-o", str(room / "report.html")]
        return Command("report", words, lambda name: False)

    return {"prepare": prepare, "predict -o": predict, "train": train, "report": report}


def call(words: list[str], room: Path, limit: int | None = None) -> tuple[int | None, str]:
    """Exit code of the command in a process of its own, and what it printed."""

    def there() -> None:
        from erc.cli.program import main

        os.environ["ERC_CACHE"] = str(room)
        with quietly(there_end):
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            raise SystemExit(main(words))

    here_end, there_end = os.pipe()  # what is said is no file
    process = FORK.Process(target=there)
    process.start()
    os.close(there_end)
    with open(here_end, encoding="utf-8", errors="replace") as file:
        said = file.read()
    process.join()
    return process.exitcode, said


def fill(room: Path, left: int) -> None:
    """Leave so many bytes."""
    system = os.statvfs(room)
    size = system.f_bavail * system.f_frsize - left
    with (room / BALLAST).open("wb") as file:
        if size > 0:
            os.posix_fallocate(file.fileno(), 0, size)


def state(room: Path) -> dict[str, bytes]:
    """Name → bytes, but for the ballast and locks."""
    found = contents(room)
    return {k: v for k, v in found.items() if k != BALLAST and not k.endswith(".lock")}


def is_whole(data: bytes) -> bool:
    """Whether it can be read to its end: `metrics.csv` grows line by line, `.run.json` counts rows."""
    if data.startswith(b"{"):
        return data.rstrip().endswith(b"}") and isinstance(json.loads(data), dict)
    lines = data.split(b"\n")
    return not lines.pop() and len({line.count(b",") for line in lines}) == 1


def clear(room: Path) -> None:
    """Empty it."""
    for path in room.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def attempt(
    command: Command, room: Path, whole: dict[str, bytes], left: int, filled: bool
) -> tuple[str, str]:
    """With so many bytes left: how it ended, and what is wrong with that ("" if nothing)."""
    clear(room)
    if filled:
        fill(room, left)
    code, said = call(command.words, room, None if filled else left)
    found = state(room)
    (room / BALLAST).unlink(missing_ok=True)
    wrong = []
    if code == 0:
        return "got through", ""
    if code != 1:
        wrong.append(f"exit {code}")
    if "Traceback" in said:
        wrong.append(f"a traceback: {said.strip()[-1500:]}")
    last = (said.strip().splitlines() or [""])[-1]
    if str(room) not in last:
        wrong.append(f"the place is not named: {last[:200]}")
    half = [
        k for k, v in found.items()
        if k in whole and command.exact(k) and v != whole[k] and not is_whole(v)
    ]  # fmt: skip
    wrong += [f"not whole: {', '.join(half)}"] * bool(half)
    wrong += [f"left over: {k}" for k in found if ".erc-part" in k]
    again, said = call(command.words, room)
    ended = state(room)
    if again:
        wrong.append(f"then exit {again}: {said[-300:]}")
    else:
        wrong += [
            f"then another {k}"
            for k in whole.keys() | ended.keys()
            if (command.exact(k) and whole.get(k) != ended.get(k)) or (k in whole) != (k in ended)
        ]
    return "refused", "; ".join(wrong)


def attack(
    place: Path, room: Path, tries: int, seed: int, filled: bool, only: str = ""
) -> Counter[str]:
    """What came of so many tries of each command."""
    found = Counter[str]()
    for module in (
        WARM if only in QUICK else (*WARM, "erc.studies.experiment", "erc.studies.report")
    ):
        import_module(module)  # once, not in every process
    for name, make in commands(place, room).items():
        if only and name != only:
            continue
        command = make()
        draw = random.Random(f"{seed}-{command.name}-{filled}")
        clear(room)
        code, said = call(command.words, room)
        assert code == 0, said
        whole = state(room)
        sizes = [len(data) for data in whole.values()]
        most = sum(sizes) if filled else max(sizes)
        for number in range(tries):
            left = 0 if not number else int(draw.random() ** 2 * most)
            outcome, wrong = attempt(command, room, whole, left, filled)
            if wrong:
                print(f"{command.name}, {left} bytes left: {wrong}", flush=True)
            found[f"{command.name}: {'BROKEN' if wrong else outcome}"] += 1
    clear(room)
    return found


def mounted(tries: int, seed: int) -> int | None:
    """The same in a file system of `ROOM` bytes; None: this system does not let us mount one."""
    with tempfile.TemporaryDirectory() as room:
        probe = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", str(ROOM), room]
        try:
            if subprocess.run([*probe, "true"], capture_output=True, check=False).returncode:
                return None
        except OSError:
            return None
        own = [sys.executable, "-m", "bench.trust.full", "--room", room]
        return subprocess.run(
            [*probe, *own, "--tries", str(tries), "--seed", str(seed)], check=False
        ).returncode


def main() -> int:
    """Print the counts; 1 if one is broken."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tries", type=int, default=12, help="of each command, both ways")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--room", type=Path, help="a small file system to fill, for nothing else")
    given = options.parse_args()
    tries, start = given.tries, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        room = given.room or place / "room"
        room.mkdir(exist_ok=True)
        found = attack(place, room, tries, given.seed, filled=given.room is not None)
    what = "full disk" if given.room else "limit on files"
    for outcome, count in sorted(found.items()):
        print(f"{what}: {count} × {outcome}")
    print(f"{what}, seed {given.seed}; {time.monotonic() - start:.0f} s", flush=True)
    broken = any("BROKEN" in outcome for outcome in found)
    if not given.room:
        inside = mounted(tries, given.seed)
        if inside is None:
            print("full disk: not tried, no file system can be mounted here")
        broken |= bool(inside)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
