"""Commands that train and score one run."""

from __future__ import annotations

from erc.cli.command import OVERRIDES, Option, command


@command(OVERRIDES)
def train(overrides: list[str]) -> None:
    """Train as `python train.py` does."""
    from erc.studies.experiment import run

    run(overrides)


@command(
    Option("run", "folder of a run, runs/…"),
    Option("overrides", "e.g. dataset.paths=…", count="*", metavar="KEY=VALUE"),
    Option("-o --output", "folder for results.json and predictions.csv"),
)
def evaluate(run: str, overrides: list[str], output: str | None) -> None:
    """Score a finished run again, or on another corpus."""
    from erc.studies.experiment import evaluate

    evaluate(run, overrides, output)
