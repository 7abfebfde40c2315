"""Commands about a corpus: make one, decode it, and what its raters and splits are like."""

from __future__ import annotations

from typing import Any

from erc.cli.command import OVERRIDES, Option, command

CORPUS = Option("corpus", "kemdy19 | … (default: what ROOT looks like)", count="?")
ROOT = Option("root", "corpus folder or manifest file", metavar="ROOT")


def word_map(pairs: str) -> dict[str, str | None]:
    """`excited=happy,xxx=` → what `emotion_map` takes; nothing behind the = is no emotion.

    >>> word_map("excited=happy,xxx=")
    {'excited': 'happy', 'xxx': None}
    """
    words = (pair.partition("=") for pair in pairs.split(","))
    return {word: meant or None for word, _, meant in words}


def scales(pairs: str) -> dict[str, list[float]]:
    """`valence=1:7,dominance=1:7` → what `dimensions` takes.

    >>> scales("valence=1:7,dominance=-1:1")
    {'valence': [1.0, 7.0], 'dominance': [-1.0, 1.0]}
    """
    words = (pair.partition("=") for pair in pairs.split(","))
    return {name: [float(x) for x in ends.split(":")] for name, _, ends in words}


MANIFEST = (  # how a manifest is read; other corpora say so themselves
    Option("--emotion-map", "what other words mean, in a manifest: excited=happy,xxx= (no emotion)",
           type=word_map, metavar="WORD=EMOTION,…"),
    Option("--emotions", "what a manifest is rated in (default: KEMDy's seven)",
           type=lambda words: words.split(","), metavar="EMOTION,…"),
    Option("--dimensions", "and on which scales (default: valence=1:5,arousal=1:5)",
           type=scales, metavar="NAME=LOW:HIGH,…"),
)  # fmt: skip


@command(
    Option("out_dir", "the corpus folder to write", metavar="OUT_DIR"),
    Option("--layout", default="kemdy19", choices=("kemdy19", "kemdy20")),
    Option("--sessions", "numbered from 1", type=int, default=20),
    Option("--utterances", "per session", type=int, default=60),
    Option("--seed", type=int, default=0),
)
def synth(out_dir: str, layout: str, sessions: int, utterances: int, seed: int) -> None:
    """Write a simulated corpus."""
    from erc.corpora.simulated import write_tree

    print(write_tree(out_dir, layout, sessions, utterances, seed))


@command(
    Option("root", "corpus folder or manifest file"),
    Option("--corpus", "one of `erc corpora` (default: by its files)"),
    Option("--folds", "number of folds by session, or 'session'", default="5"),
    Option("--workers", "recordings decoded at once", type=int, default=2),
    *MANIFEST,
)
def prepare(root: str, corpus: str | None, folds: str, workers: int, **manifest: Any) -> None:
    """Decode a corpus into the cache and report what was dropped."""
    from erc.datasets import HF_KEMD

    count = "session" if folds == "session" else int(folds)
    print(HF_KEMD(root, "all", 0, corpus, num_folds=count, num_proc=workers, **manifest))


@command(
    CORPUS,
    ROOT,
    Option("-o --output", "for agreement.json and heat maps", metavar="DIR"),
    *MANIFEST,
)
def agreement(corpus: str | None, root: str, output: str | None, **manifest: Any) -> None:
    """How far the raters of a corpus agree, and what one of them reaches."""
    from erc.scores.agreement import report

    report(root, corpus, output, **manifest)


@command(
    Option(
        "names", "corpora to tell all about (default: a line of each)", count="*", metavar="NAME"
    ),
    Option("--json", "all that is known, for programs", flag=True),
)
def corpora(names: list[str], json: bool) -> None:
    """List the corpora that can be read: language, size, raters, classes, licence, how to get them.

    Raises:
        ConfigError: there is no corpus of that name.
    """
    from json import dumps

    from erc.corpora import facts

    known = facts(names)
    if json:
        print(dumps(known, indent=2, ensure_ascii=False))
    elif names:
        print("\n\n".join(_whole(name, row) for name, row in known.items()))
    else:
        _overview(known)


SHOWN = ("name", "language", "utterances", "raters", "classes", "licence", "how to get it")


def _overview(known: dict[str, dict[str, Any]]) -> None:
    """Print one row a corpus; on a pipe as wide as it needs to be."""
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from erc.base.console import console

    table = Table(*SHOWN, box=SIMPLE_HEAD, pad_edge=False)
    for name, row in known.items():
        count = "" if row["utterances"] is None else f"{row['utterances']:,}"
        classes = len(row["emotions"]) or ", ".join(row["dimensions"])
        told = (row["language"], count, row["raters"], str(classes), row["licence"], row["how"])
        table.add_row(name, *told)
    with console(**({} if sys.stdout.isatty() else {"width": 1000})) as page:
        page.print(table)
    print("erc corpora NAME says all about one; docs/corpora.md has the sources")


def _whole(name: str, row: dict[str, Any]) -> str:
    """Every fact of one corpus, a line each."""
    from erc.base.space import space

    scales = space(row["emotions"], row["dimensions"]).dimensions
    told = {
        "language": row["language"],
        "utterances": "depends on the copy"
        if row["utterances"] is None
        else f"{row['utterances']:,}",
        "raters": row["raters"],
        "emotions": ", ".join(row["emotions"]) or "none",
        "dimensions": ", ".join(f"{d.name} {d.range}" for d in scales) or "none",
        "licence": row["licence"],
        "how to get it": row["how"],
        "source": row["source"],
        "known by": row["files"],
        "read it": f"erc check {name} FOLDER",
    }
    return "\n".join([f"{name}: {row['title']}", *(f"  {k:<15}{v}" for k, v in told.items())])


@command(OVERRIDES)
def audit(overrides: list[str]) -> None:
    """Say what crosses from training to test in each fold of a split."""
    from erc.studies.cross_validation import audit_folds

    audit_folds(overrides)
