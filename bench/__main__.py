"""Measure and report.

python -m bench               # every benchmark, each in a process of its own, then the report
python -m bench data [--quick]
python -m bench report        # docs/performance.md and its plots, from bench/results/*.json
python -m bench machine       # this machine and its GEMM peaks
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import inspect
import json
import subprocess
import sys
import time

from bench import BENCHMARKS, machine, report


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 1 if a benchmark failed or an equality check does not hold."""
    parser = argparse.ArgumentParser("python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}, "
                        "report or machine; none: all")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="reduced sizes")
    parser.add_argument("--no-save", action="store_true", help="print only")
    args = parser.parse_args(argv)
    unknown = [n for n in args.names if n not in (*BENCHMARKS, "report", "machine")]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    if args.names == ["report"]:
        print(*report.write(), sep="\n")
        return 0
    if args.names == ["machine"]:
        print(json.dumps(machine.describe(peaks=True), indent=2))
        return 0
    names = args.names or BENCHMARKS
    if len(names) == 1:
        return measure(names[0], args.quick, not args.no_save)
    return measure_all(names, [*["--quick"] * args.quick, *["--no-save"] * args.no_save])


def measure_all(names: list[str], options: list[str]) -> int:
    """One process each: neither memory nor thread settings of one reach the next."""
    start = time.perf_counter()
    failed = [n for n in names if subprocess.call([sys.executable, "-m", "bench", n, *options])]
    print(f"\nall of it took {time.perf_counter() - start:.0f} s")
    if failed:
        print(f"failed or not equal: {', '.join(failed)}")
    if "--no-save" not in options:
        print(*report.write(), sep="\n")
    return int(bool(failed))


def measure(name: str, quick: bool, save: bool) -> int:
    """Run one benchmark, print its rows and merge them into the machine's results."""
    module = importlib.import_module(f"bench.{name}")
    start = time.perf_counter()
    rows = module.run(quick)
    record = {
        "about": inspect.getdoc(module),
        "command": f"python -m bench {name}{' --quick' * quick}",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "seconds": round(time.perf_counter() - start, 1),
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    print(f"\n{report.heading(record)}  ({record['seconds']:.0f} s)\n")
    print("\n\n".join(report.tables(rows)))
    if save:
        print(f"\nmerged into {report.merge(name, record, quick)}")
    return int(not all(entry.equal for row in rows for entry in row.entries))


def commit() -> str:
    """Short hash of HEAD, with + if the tree differs from it."""

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + "+" * bool(git("status", "--porcelain", "-uno"))


if __name__ == "__main__":
    sys.exit(main())
