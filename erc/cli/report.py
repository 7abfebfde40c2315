"""Commands that draw what a run did."""

from __future__ import annotations

from erc.cli.command import Option, command


@command(
    Option("run", "folder of a run, runs/…"),
    Option("-o --output", "default: RUN/report.html", metavar="FILE.html"),
)
def report(run: str, output: str | None) -> None:
    """Write what a run did and how good it is as one HTML page."""
    from erc.studies.report import write

    print(f"wrote {write(run, output)}")


@command(
    Option("run", "folder of a run; its corpus must be there"),
    Option("-o --output", "default: the run's folder", metavar="DIR"),
    Option("--seed", type=int, default=0),
)
def embed(run: str, output: str | None, seed: int) -> None:
    """Compare the feature space of a run with the raters' valence–arousal map."""
    from erc.studies.feature_map import embed

    embed(run, output, seed)
