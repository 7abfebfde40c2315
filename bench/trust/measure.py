"""What an attack cost: seconds, and memory above what was in use before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """Of one call: what came of it, seconds, MB above the start at its peak."""

    outcome: str
    seconds: float
    megabytes: float


def cost(call: Callable[[], str]) -> Cost:
    """Run it. Memory is the peak of this process, which Linux starts anew for each call."""
    before = _status("VmRSS") if _reset() else 0.0
    start = time.perf_counter()
    outcome = call()
    seconds = time.perf_counter() - start
    return Cost(outcome, seconds, max(0.0, _status("VmHWM") - before))


def _reset() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> float:
    if not os.path.exists("/proc/self/status"):
        return 0.0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1000
    return 0.0
