"""Commands about models: what one is and is not, that it is the one to take, which are published."""

from __future__ import annotations

from erc.base.errors import ConfigError
from erc.cli.command import Option, command


@command(
    Option("model", "model folder, or a run's (default: as for predict)", count="?"),
    Option("--json", flag=True),
)
def info(model: str | None, json: bool) -> int:
    """Show what a model takes, was trained on and scores, and what it is not for."""
    from erc.recognizer.info import show

    return show(model, json)


@command(
    Option("model", "model folder, a run's, or a hub id; none: say which one answers", count="?"),
    Option("--forget", "take the newest in runs/ again", flag=True),
)
def use(model: str | None, forget: bool) -> None:
    """Choose the model that answers when none is named.

    Raises:
        CheckpointError: it is not a model folder.
    """
    from erc.model.folder.find import NONE, choose, set_default

    if model and forget:
        raise ConfigError("give a model or --forget, not both")
    if model or forget:
        set_default(model)
    folder, why = choose()
    print(f"{'the starter' if why.startswith(NONE) else folder} ({why})")


@command(
    Option("takes", "only of speech, or only of text", count="?", choices=("speech", "text")),
    Option("--json", "with the sources", flag=True),
)
def models(takes: str | None, json: bool) -> None:
    """List published models of emotion that can be opened by name."""
    from erc.recognizer.public.known import known, show

    found = [model for model in known() if takes in (None, model.takes)]
    if json:
        import json as writer

        print(writer.dumps([model.to_json() for model in found], indent=2, ensure_ascii=False))
    else:
        show(found)
