"""Benchmarks: `python -m bench [NAME …] [--quick]`; see `bench.harness` for how to write one."""

BENCHMARKS = [  # modules with `run(quick) -> list[Row]`; other scripts here are studies of their own
    "data",
    "cache",
    "encoder",
    "training",
    "inference",
    "heads",
    "server",
    "growth",
    "timeline",
    "live",
    "speakers",
    "folds",
    "processes",
    "plan",
]
