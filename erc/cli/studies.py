"""Commands of a study: many trainings with one table at the end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError
from erc.cli.command import OVERRIDES, Option, command, place


@command(
    OVERRIDES,
    Option("--workers", "folds at a time (default: one after another, on the screen)", type=int),
    Option("--at-once", "train heads on frozen encoders as one stacked model", flag=True),
    Option("-o --output", "go on there (default: a new folder in runs/…)", metavar="DIR"),
)
def cross_validate(
    overrides: list[str], workers: int | None, at_once: bool, output: str | None
) -> None:
    """Train one model per fold (seeds=5: five times); scores over folds, pooled, by seed and speaker."""
    from erc.studies.cross_validation import cross_validate

    typed = ["erc", *sys.argv[1:]]
    cross_validate(overrides, Path(output) if output else None, workers, typed, at_once)


def _emotions(words: str) -> list[str]:
    return [word.strip() for word in words.split(",")]


@command(
    Option("corpora", "corpus folders or manifests, two or more; one with options of its own: "
           "'{paths: FOLDER, emotion_map: {cross: angry}}'", type=place, count="+", metavar="CORPUS"),
    Option(
        "--encoder", "pretrained speech encoder, id or folder, e.g. openai/whisper-tiny", metavar="ID"
    ),
    Option("--set", "of the trainings, e.g. adaptation=corpus; see config/train.yaml", count="+",
           metavar="KEY=VALUE"),
    Option("--emotions", "to be told apart (default: those that all corpora have)", type=_emotions,
           metavar="EMOTION,…"),
    Option("--within", "also train on other speakers of each corpus", flag=True),
    Option("--no-pairs", "do not train on each corpus alone", flag=True),
    Option("--workers", "trainings at a time (default: one after another)", type=int),
    Option("-o --output", "go on there (default: a new folder in runs/transfer)", metavar="DIR"),
)  # fmt: skip
def transfer(
    corpora: list[Any], encoder: str | None, set: list[str] | None, emotions: list[str] | None,
    within: bool, no_pairs: bool, workers: int | None, output: str | None,
) -> None:  # fmt: skip
    """Train on all corpora but one and test on that one, each in turn: one table, with baselines.

    Raises:
        ConfigError: one corpus, no encoder, emotions that not all have, another study in DIR.
        CorpusError, CheckpointError: a corpus or the encoder cannot be read.
    """
    from erc.training.config import quoted

    settings = list(set or ())
    if encoder:
        settings.insert(0, f"model.speech_encoder={quoted(encoder)}")
    elif not any(word.startswith(("model=", "model.")) for word in settings):
        raise ConfigError(
            "erc transfer needs an encoder: --encoder openai/whisper-tiny, or a folder; or another "
            "model, e.g. --set model=tiny"
        )
    from erc.studies.transfer import transfer
    from erc.studies.transfer_table import terminal

    folder = Path(output) if output else None
    typed = shlex.join(["erc", *sys.argv[1:]])
    found = transfer(corpora, settings, folder, emotions, not no_pairs, within, workers, typed)
    print(terminal(found))


@command(
    OVERRIDES,
    Option("--trials", "of a study", type=int, default=30, metavar="N"),
    Option("--score", "a metric of the valid side", default="val/f1_macro", metavar="METRIC"),
    Option("--nested", "a study for each fold, then its best settings on that fold", flag=True),
    Option("--workers", "trials at a time, each in a process of its own", type=int, default=1),
    Option("-o --output", "go on there (default: a new folder in runs/…)", metavar="DIR"),
)
def sweep(
    overrides: list[str], trials: int, score: str, nested: bool, workers: int, output: str | None
) -> None:
    """Look for settings: vary keys that have several values, scored on speakers held out in training."""
    from erc.studies.experiment import new_folder
    from erc.studies.sweep import sweep

    if trials < 1:
        raise ConfigError(f"--trials {trials}: give at least one")
    folder = Path(output) if output else new_folder("sweep")
    sweep(overrides, folder, trials, score, nested, ["erc", *sys.argv[1:]], workers)


@command(
    OVERRIDES,
    Option("--fast", "simulated corpus, frozen tiny encoders", flag=True),
    Option(
        "--temperatures", "0 … 1 (default 0.25 0.5 0.75)", type=float, count="+", metavar="T",
    ),
    Option("-o --output", "default: a new folder in runs/sharpen", metavar="DIR"),
)  # fmt: skip
def sharpen(
    overrides: list[str], fast: bool, temperatures: list[float] | None, output: str | None
) -> None:
    """Train on labels from one-hot to soft and draw macro F1 against CCC."""
    from erc.studies.sharpening import curve

    curve(overrides, temperatures, fast, output)


@command(
    Option("--fast", "simulated corpus, small frozen encoders", flag=True),
    Option("--data", "folder of KEMDy (default: data, if it is there)", metavar="ROOT"),
    Option("--protocol", default="both", choices=("paper", "strict", "both")),
    Option("--workers", "runs at a time (default: 1; simulated: one a core)", type=int),
    Option("--at-once", "train heads on frozen encoders as one stacked model", flag=True),
    Option("-o --output", "go on there (default: runs/reproduce-…)", metavar="DIR"),
)
def reproduce(
    fast: bool, data: str | None, protocol: str, workers: int | None, at_once: bool,
    output: str | None,
) -> None:  # fmt: skip
    """Train the paper's table: three fusions, three targets, five folds; finished runs are skipped."""
    from erc.studies.reproduction import PROTOCOLS, reproduce

    protocols = PROTOCOLS if protocol == "both" else (protocol,)
    reproduce(data, fast, output, protocols, workers, at_once)
