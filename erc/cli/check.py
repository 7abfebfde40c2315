"""`erc check`: what is wrong with a corpus, before it costs a training run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.console import console
from erc.cli.check_findings import ERROR, NOTE, SEVERITIES, WARNING, remedy_of, severity_of
from erc.cli.command import QUIET, Option, command
from erc.cli.corpus import CORPUS, MANIFEST, ROOT

if TYPE_CHECKING:
    from erc.cli.check_corpus import Diagnosis

EXAMPLES = 3


@command(
    CORPUS,
    ROOT,
    Option("--json", "every finding with all its places", flag=True),
    Option("--workers", "recordings read at once", type=int, default=4),
    *MANIFEST,
    QUIET,
)
def check(
    corpus: str | None,
    root: str,
    json: bool,
    workers: int,
    quiet: bool,
    **manifest: Any,
) -> int:
    """Find what is wrong with a corpus before it costs a training run.

    Returns:
        1 if there are errors, else 0.

    Raises:
        ConfigError, CorpusError: there is no such corpus at all.
    """
    from json import dumps

    from erc.cli.check_corpus import examine

    found = examine(Path(root), corpus, workers, quiet, manifest)
    if json:
        print(dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        show(found)
    return 1 if found.count(ERROR) else 0


def show(found: Diagnosis) -> None:
    """Print for people: each finding, what to do about it, and the first places."""
    from rich.padding import Padding
    from rich.text import Text

    colour = {ERROR: "bold red", WARNING: "yellow", NOTE: "dim"}
    counts = ", ".join(f"{found.count(s)} {s}{'s' * (found.count(s) != 1)}" for s in SEVERITIES)
    with console() as page:
        for name, places in found.findings.items():
            kind = severity_of(name)
            title = Text(f"{kind}  {len(places)}  {name}", colour[kind])
            page.print(title + Text(f": {remedy_of(name)}", "default"))
            more = [f"… and {len(places) - EXAMPLES} more (--json has all)"]
            for place in places[:EXAMPLES] + more * (len(places) > EXAMPLES):
                short = Text(place.replace(f"{found.root}/", ""), overflow="fold")
                page.print(Padding(short, (0, 0, 0, 9)))
        page.print(
            f"{found.root} ({' + '.join(found.corpora)}): {found.utterances} utterances, "
            f"{found.recordings} recordings, {found.hours:.2f} h; {counts}",
            style="bold", highlight=False, markup=False,
        )  # fmt: skip
