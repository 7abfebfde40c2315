"""`erc compare`: models side by side on the same utterances, in the terminal and as a page."""

from __future__ import annotations

import sys
from typing import Any

from erc.base.errors import ConfigError, optional
from erc.cli.command import COMMERCIAL, QUIET, Option, command
from erc.cli.corpus import MANIFEST, word_map

SUFFIXES = (".html", ".json", ".csv", ".md")


@command(
    Option(
        "models", "model folders, runs, hub ids; SPEECH+TEXT: two published ones together", count="+",
        metavar="MODEL",
    ),
    Option("--on", "corpus folders or manifests", count="+", metavar="CORPUS"),
    Option(
        "--fold", "only the held-out side of fold K of N; baselines learn from the rest (default: all "
        "utterances, baselines from other speakers)", metavar="K/N",
    ),
    Option(
        "--labels", "what labels of models mean beside the known spellings: annoyance=angry,other=",
        type=word_map, metavar="LABEL=EMOTION,…",
    ),
    Option("-o --output", "write it too, as .html, .json, .csv or .md", count="+", metavar="FILE"),
    Option("--json", "on the screen, too", flag=True),
    Option("--device", "auto | cpu | cuda", default="auto"),
    COMMERCIAL,
    *MANIFEST,
    QUIET,
)  # fmt: skip
def compare(
    models: list[str], on: list[str] | None, fold: str | None, labels: dict[str, str | None] | None,
    output: list[str] | None, json: bool, device: str, commercial: bool, quiet: bool, **manifest: Any,
) -> int:  # fmt: skip
    """Compare models on corpora: the same utterances for all, intervals, baselines, speed and size.

    Returns:
        0, or 1 if a model could not answer for a corpus.

    Raises:
        ConfigError: no corpus, a fold that there is not, a file of another kind, refused terms.
        CheckpointError, CorpusError: something of it cannot be opened at all.
    """
    from pathlib import Path

    if not on:
        raise ConfigError("erc compare: name corpora behind --on; see erc compare --help")
    for name in output or ():
        if Path(name).suffix not in SUFFIXES:
            raise ConfigError(f"{name}: give it one of the suffixes {', '.join(SUFFIXES)}")
    for kind, given in (("model", models), ("corpus", on)):
        twice = next((x for x in given if given.count(x) > 1), None)
        if twice:
            raise ConfigError(f"the {kind} '{twice}' is named twice")

    with optional("erc compare"):  # statistics and folds
        from erc.cli.compare_models import run
        from erc.studies.comparison_page import as_json, terminal, write

    found = run(models, on, fold, labels or {}, device, commercial, quiet, manifest)
    print(as_json(found) if json else terminal(found))
    for name in output or ():
        print(f"wrote {write(found, name)}", file=sys.stderr)
    return 1 if any(cell.missing for row in found.cells.values() for cell in row) else 0
