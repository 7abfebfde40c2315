"""A call in a process of its own, for its time and its peak memory.

    isolated("bench.data:build", "/tmp/corpus", 300)  →  Isolated(seconds, rss, before, value)

`python -m bench.isolated` is the other side: it reads the call as JSON and answers as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ANSWER = "\x1eANSWER "  # what a call prints besides is passed on


@dataclass(frozen=True)
class Isolated:
    """Outcome of a call in a fresh process; memory in MB."""

    seconds: float  # of the call alone, after imports
    rss: float  # highest resident size of the process; with `tree`, PSS of it and its children
    before: float  # resident size when the call began: interpreter and imports
    value: Any  # what it returned, through JSON


def isolated(
    call: str, *args: Any, tree: bool = False, env: dict[str, str] | None = None
) -> Isolated:
    """Call "module:function" with JSON-able arguments in a fresh interpreter.

    Args:
        tree: the call starts processes: sample the proportional size (PSS, shared pages counted
            once) of the whole tree every 20 ms instead of asking the kernel for one process' peak.
        env: additions to the environment, e.g. malloc settings.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.isolated", call],
        cwd=ROOT, env=os.environ | (env or {}), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    sampler = _Sampler(process.pid) if tree else None
    printed, _ = process.communicate(json.dumps(args))
    said, found, answer = printed.rpartition(ANSWER)
    if process.returncode or not found:
        raise RuntimeError(f"{call}{args} failed in its own process\n{said}")
    answer = json.loads(answer)
    if sampler:
        answer["rss"] = sampler.stop()
    return Isolated(**answer)


def peak_rss(call: str, *args: Any, tree: bool = False) -> float:
    """MB: highest resident size of a fresh process that makes this call."""
    return isolated(call, *args, tree=tree).rss


def high_water() -> float:
    """MB: highest resident size of this process so far.

    Not `ru_maxrss` where it can be helped: Linux lets a child inherit that from its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [x for x in status.read_text().splitlines() if x.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


class _Sampler(threading.Thread):
    """Highest sum of PSS over a process and its descendants, MB."""

    def __init__(self, pid: int):
        import psutil

        super().__init__(daemon=True)
        self.process, self.errors, self.peak = psutil.Process(pid), psutil.Error, 0.0
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.wait(0.02):
            try:
                family = [self.process, *self.process.children(recursive=True)]
                now = sum(p.memory_full_info().pss for p in family) / 2**20
            except (self.errors, OSError):  # one of them has just ended
                continue
            self.peak = max(self.peak, now)

    def stop(self) -> float:
        self.done.set()
        self.join()
        return self.peak


def _main(call: str) -> None:
    module, _, name = call.partition(":")
    function = getattr(importlib.import_module(module), name)
    args = json.load(sys.stdin)
    before = high_water()
    start = time.perf_counter()
    value = function(*args)
    seconds = time.perf_counter() - start
    if isinstance(value, dict) and "seconds" in value:  # it has set something up first
        seconds = value["seconds"]
    answer = {"seconds": seconds, "rss": high_water(), "before": before, "value": value}
    print(ANSWER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
