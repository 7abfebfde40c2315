"""`erc info`: what a model is and is not."""

from __future__ import annotations

from erc.cli.command import Option, command


@command(
    Option("model", "model folder, or a run's (default: as for predict)", count="?"),
    Option("--json", flag=True),
)
def info(model: str | None, json: bool) -> int:
    """Show what a model takes, was trained on and scores, and what it is not for."""
    from erc.recognizer.info import show

    return show(model, json)
