"""Do commands that need no network open a socket? Prediction, training, a report, the demo.

python -m bench.trust.sockets [--no-demo]

Where strace is at hand it follows every process and names each socket of the internet that is made,
connected or bound. In any case a hook of the interpreter (`sys.addaudithook`) is put into every process
of Python, which sees what Python does. Sockets within the machine (UNIX, socketpair) are how processes
of one program talk, and are not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.isolated import ROOT
from bench.trust import kills

TRACE = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=socket,connect,bind,sendto"]
HOOK = """\
import os, sys
def seen(event, given):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        if not isinstance(given[-1], (str, bytes)) or event == "socket.getaddrinfo":  # a path is UNIX
            with open(os.environ["ERC_SEEN"], "a") as file:
                file.write(f"{event} {given[1:]!r}\\n")
sys.addaudithook(seen)
"""


def commands(place: Path, demo: bool) -> Iterator[tuple[str, list[str]]]:
    """What is watched, in this order."""
    root = kills.build(place).words[1]
    kills.prediction(place)
    words = [
        f"dataset.paths={root}", f"run_dir={place / 'run'}", "model=tiny", "dataset.protocol=strict",
        "trainer.accelerator=cpu", "trainer.max_epochs=1", "trainer.enable_progress_bar=false",
        "dataloader.num_workers=1", "export=false",
    ]  # fmt: skip
    yield "train, a process that reads", ["train", *words]
    yield "report", ["report", str(place / "run"), "-o", str(place / "report.html")]
    model = str(place / "model")
    yield "predict", ["predict", str(place / "recordings"), "--model", model, "-q"]
    if demo:
        yield "demo", ["demo", str(place / "demo")]


def watched(words: list[str], place: Path) -> tuple[str, list[str]]:
    """With what a command was watched, and every socket of the internet that was seen."""
    hooks, trace, seen = place / "hooks", place / "trace", place / "seen"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text(HOOK)
    seen.write_text("")
    environment = {
        "PYTHONPATH": f"{hooks}{os.pathsep}{ROOT}", "ERC_CACHE": str(place / "cache"),
        "ERC_SEEN": str(seen), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    environment |= {"HF_HUB_OFFLINE": "0"}  # that nothing is asked for is the command's own doing
    strace = [*TRACE, "-o", str(trace)] if shutil.which("strace") else []
    done = subprocess.run(
        [*strace, sys.executable, "-m", "erc", *words], env=os.environ | environment,
        capture_output=True, text=True, cwd=place, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"erc {' '.join(words)}: {done.stderr[-2000:]}"
    found = seen.read_text().splitlines()
    if strace:
        found += [line for line in trace.read_text().splitlines() if "AF_INET" in line]
    return "strace and audit hook" if strace else "audit hook", found


def attack(place: Path, demo: bool) -> Iterator[tuple[str, str, list[str]]]:
    """(command, watched with, sockets), one by one."""
    for name, words in commands(place, demo):
        yield name, *watched(words, place)


def main() -> int:
    """Print what each opened; 1 if anything."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--no-demo", action="store_true", help="which takes minutes")
    given = options.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        start = time.monotonic()
        for name, how, found in attack(Path(place), not given.no_demo):
            print(
                f"{name}: {len(found)} sockets ({how}); {time.monotonic() - start:.0f} s",
                flush=True,
            )
            for line in found[:10]:
                print(f"  {line}")
            bad, start = bad + len(found), time.monotonic()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
