"""Side-by-side measurement: variants interleaved in one run, medians, ratios, and equality.

A benchmark is a module `bench/<name>.py` with a docstring (its first line is the heading in
docs/performance.md) and `def run(quick: bool) -> list[Row]`, listed in `bench.BENCHMARKS`:

    compare("reading an epoch", baseline=("reference", slow), ours=[("erc", fast)],
            units=(1500, "utt"), target=5, equal=lambda a, b: abs(a - b).max(), allowed=1e-6)
    quantity("bytes on disk", "MB", baseline=("reference", 4000.0), ours=[("erc", 160.0)], target=12)
    scaling("build", "bench.data:build_many", sizes=(1, 4, 16))        # fresh process per size
    table("smallest fusion", records, plot=("GFLOP", "macro F1"))
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.isolated import Isolated, isolated, peak_rss
from bench.machine import gemm_peak

__all__ = ["Entry", "Isolated", "Row", "compare", "exponent", "isolated", "peak_rss", "quantity"]
__all__ += ["scaling", "table"]

Named = tuple[str, Callable[[], Any]]


@dataclass
class Entry:
    """One variant of a comparison. `ratio` is how many times better than the baseline it is."""

    name: str
    median: float  # seconds, or the quantity
    low: float
    high: float
    rounds: int = 1
    per_second: float | None = None
    ratio: float | None = None  # None: this is the baseline
    gflops: float | None = None  # GFLOP/s
    peak_fraction: float | None = None  # of the machine's GEMM peak of that type
    rss: float | None = None  # MB, peak of a fresh process
    error: float | None = None  # outcome of the equality check
    allowed: float | None = None

    @property
    def equal(self) -> bool:
        """Whether the equality check, if any, holds; nan does not."""
        return self.error is None or self.error <= (self.allowed or 0.0)


@dataclass
class Row:
    """One figure: its variants (baseline first) and its target."""

    what: str
    unit: str = "s"
    entries: list[Entry] = field(default_factory=list)
    target: float | None = None  # least ratio; of a scaling: highest exponent
    count: str = ""  # e.g. "1500 utt"
    check: str = ""  # what the equality check compares
    note: str = ""
    exponent: float | None = None  # of a scaling
    sizes: list[float] = field(default_factory=list)
    memory_growth: float | None = None  # of a scaling: peak of the largest / of the smallest
    records: list[dict[str, Any]] = field(default_factory=list)  # of a free table
    plot: list[str] = field(default_factory=list)  # its columns to draw: x, y, y …

    @property
    def best(self) -> float | None:
        """Ratio of the best variant that passed its equality check."""
        return max((e.ratio for e in self.entries if e.ratio and e.equal), default=None)

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None: there is none."""
        if self.target is None:
            return None
        if self.exponent is not None:
            return self.exponent <= self.target
        return self.best is not None and self.best >= self.target


def compare(
    what: str,
    baseline: Named,
    ours: Sequence[Named],
    units: tuple[float | dict[str, float], str] = (1, "run"),
    rounds: int = 5,
    warmup: int = 1,
    target: float | None = None,
    equal: Callable[[Any, Any], float | None] | None = None,
    allowed: float = 0.0,
    check: str = "",
    gflop: float | None = None,
    dtype: str | dict[str, str] = "fp32",
    rss: dict[str, float] | None = None,
    note: str = "",
) -> Row:
    """Time variants in turn (A B C A B C …), so that drift of the machine hits all alike.

    Args:
        baseline, ours: (name, function of no argument).
        units: (count, unit) that one call handles; a dict of counts by name when they differ:
            ratios are those of the time per unit.
        warmup: untimed calls of each variant.
        target: ratio of medians that some variant is to reach.
        equal: of the first results of (baseline, variant): how far they differ; at most `allowed`.
            None: this variant is not compared, e.g. a second baseline.
        check: what `equal` compares, in words.
        gflop: operations of one call; gives GFLOP/s and the fraction of the GEMM peak of `dtype`
            ("fp32", "bf16", "int8", or a dict by name).
        rss: MB by name, from `peak_rss`.
    """
    variants = [baseline, *ours]
    names = [name for name, _ in variants]
    times: dict[str, list[float]] = {name: [] for name in names}
    errors: dict[str, float] = {}
    for i in range(max(warmup, 0) + rounds):
        results = {}
        for name, function in variants:
            gc.collect()
            start = time.perf_counter()
            value = function()
            seconds = time.perf_counter() - start
            if i >= warmup:
                times[name].append(seconds)
            if i == 0 and equal:
                results[name] = value
            del value
        if i == 0 and equal:
            found = {n: equal(results[names[0]], results[n]) for n in names[1:]}
            errors = {n: float(e) for n, e in found.items() if e is not None}
    count, unit = units
    counts = count if isinstance(count, dict) else dict.fromkeys(names, count)
    types = dtype if isinstance(dtype, dict) else dict.fromkeys(names, dtype)
    base = statistics.median(times[names[0]]) / counts[names[0]]
    row = Row(what, target=target, check=check, note=note)
    row.count = f"{'/'.join(dict.fromkeys(f'{c:g}' for c in counts.values()))} {unit}"
    for name in names:
        median = statistics.median(times[name])
        entry = Entry(name, median, min(times[name]), max(times[name]), rounds)
        entry.per_second = counts[name] / median
        entry.ratio = None if name == names[0] else base / (median / counts[name])
        if gflop:
            entry.gflops = gflop / median
            entry.peak_fraction = entry.gflops / gemm_peak(types.get(name, "fp32"))
        entry.rss = (rss or {}).get(name)
        if name in errors:
            entry.error, entry.allowed = errors[name], allowed
        row.entries.append(entry)
    return row


def quantity(
    what: str,
    unit: str,
    baseline: tuple[str, float],
    ours: Sequence[tuple[str, float]],
    target: float | None = None,
    note: str = "",
) -> Row:
    """Bytes, MB or anything else of which less is better: ratio = baseline / ours."""
    row = Row(what, unit, target=target, note=note)
    for i, (name, value) in enumerate([baseline, *ours]):
        row.entries.append(Entry(name, value, value, value))
        row.entries[-1].ratio = baseline[1] / value if i else None
    return row


def scaling(
    what: str,
    call: str | Callable[[int], Any],
    sizes: Sequence[int] = (1, 4, 16),
    rounds: int = 1,
    target: float = 1.05,
    unit: str = "×",
    note: str = "",
) -> Row:
    """Time against size, with the exponent fitted to it: 1 is proportional.

    Args:
        call: "module:function" is called with the size in a fresh process, which also gives the
            peak memory; a function is called here, and may return an `Isolated` of its own.
    """
    row = Row(what, target=target, note=note, sizes=[float(s) for s in sizes])
    found: dict[int, list[tuple[float, float | None]]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            start = time.perf_counter()
            value = isolated(call, size) if isinstance(call, str) else call(size)
            seconds = time.perf_counter() - start
            own = isinstance(value, Isolated)
            found[size].append((value.seconds, value.rss) if own else (seconds, None))
    for size, runs in found.items():
        times = [seconds for seconds, _ in runs]
        entry = Entry(f"{size:g}{unit}", statistics.median(times), min(times), max(times), rounds)
        entry.rss = max((rss for _, rss in runs if rss is not None), default=None)
        entry.per_second = size / entry.median
        row.entries.append(entry)
    row.exponent = exponent(sizes, [e.median for e in row.entries])
    if row.entries[0].rss and row.entries[-1].rss:
        row.memory_growth = row.entries[-1].rss / row.entries[0].rss
    return row


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of log cost over log size, by least squares.

    >>> round(exponent([1, 4, 16], [3, 12, 48]), 6)
    1.0
    """
    x, y = [math.log(s) for s in sizes], [math.log(c) for c in costs]
    mx, my = statistics.fmean(x), statistics.fmean(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / sum((a - mx) ** 2 for a in x)


def table(
    what: str, records: list[dict[str, Any]], plot: Sequence[str] = (), note: str = ""
) -> Row:
    """Free columns, e.g. a Pareto front; `plot` names the columns to draw: x, y, y …"""
    return Row(what, unit="", records=records, plot=list(plot), note=note)
