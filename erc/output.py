"""Predictions of many files → JSON lines, CSV or a table, written as they come."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from erc.errors import CheckpointError, ConfigError
from erc.files import atomic
from erc.labels import EMOTIONS

AUDIO = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".au", ".opus"}


def predict(
    files: Sequence[str],
    text: str | None = None,
    model: str | None = None,
    format: str | None = None,
    output: str | None = None,
) -> int:
    """Predict recordings (or one transcript) and write one row each; see `erc predict --help`.

    Returns:
        0, or 1 if some input failed. Failures keep their row and are named on stderr.

    Raises:
        ConfigError: nothing to predict, or a transcript for several recordings.
        CheckpointError: no model.
    """
    if text is not None and len(files) > 1:
        raise ConfigError("--text belongs to one recording; put many into a manifest")
    if text is None and not files:
        raise ConfigError("give a recording, a folder of recordings, or --text")
    folder = model_folder(model)
    paths = list(recordings(files))
    if files and not paths:
        raise ConfigError(f"no recordings ({' '.join(sorted(AUDIO))}) in {', '.join(files)}")

    from erc.recognizer import Failure, load

    recognizer = load(folder)
    inputs = [(path, text) for path in paths] or [(None, text)]
    failures: list[Failure] = []

    def rows() -> Iterator[dict]:
        for result in recognizer.predict_many(inputs):
            if isinstance(result, Failure):
                failures.append(result)
                print(f"erc predict: {result.error}", file=sys.stderr)
            yield result.to_dict()

    with _opened(output) as sink:
        WRITERS[format or _format_of(output)](rows(), sink)
    return 1 if failures else 0


def recordings(files: Iterable[str]) -> Iterator[str]:
    """Files as they are; of folders all recordings below, sorted."""
    for name in files:
        if Path(name).is_dir():
            yield from (str(p) for p in sorted(Path(name).rglob("*")) if p.suffix.lower() in AUDIO)
        else:
            yield name


def model_folder(model: str | None) -> Path:
    """The folder that was named, else $ERC_MODEL, else the newest under runs/."""
    name = model or os.environ.get("ERC_MODEL")
    if name:
        return Path(name)
    found = sorted(Path("runs").glob("**/model/config.json"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise CheckpointError("no model under runs/; name one with --model, or run `make demo`")
    print(f"erc predict: using {found[-1].parent}", file=sys.stderr)
    return found[-1].parent


def write_json(rows: Iterable[dict], sink: TextIO) -> None:
    """One JSON object a line."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), file=sink, flush=True)


def write_csv(rows: Iterable[dict], sink: TextIO) -> None:
    """One line a recording: file, label, valence, arousal, confidence, modalities, p_…, error."""
    writer = csv.DictWriter(sink, [*FIELDS, *(f"p_{e}" for e in EMOTIONS), "error"], restval="")
    writer.writeheader()
    for row in rows:
        p = row.pop("probabilities", {})
        row["modalities"] = "+".join(row.get("modalities", ()))
        writer.writerow(row | {f"p_{e}": value for e, value in p.items()})


def write_table(rows: Iterable[dict], sink: TextIO) -> None:
    """For people: label with its probability, the runner-up, valence and arousal."""
    from rich.console import Console
    from rich.table import Table

    table = Table("file", "emotion", "", "then", "valence", "arousal", "from", box=None)
    for row in rows:
        if "error" in row:
            table.add_row(row["file"], "[red]failed[/red]")
            continue
        (best, p), (second, q), *_ = sorted(row["probabilities"].items(), key=lambda x: -x[1])
        table.add_row(
            row["file"], f"[bold]{best}[/bold]", f"{p:.0%}", f"{second} {q:.0%}",
            f"{row['valence']:.1f}", f"{row['arousal']:.1f}", " + ".join(row["modalities"]),
        )  # fmt: skip
    console = Console(file=sink)
    console.print(table)
    console.print("valence 1 negative … 5 positive, arousal 1 calm … 5 excited", style="dim")


FIELDS = ("file", "label", "valence", "arousal", "confidence", "modalities")
WRITERS = {"json": write_json, "csv": write_csv, "table": write_table}


def _format_of(output: str | None) -> str:
    return "csv" if output and output.endswith(".csv") else "json"


@contextmanager
def _opened(output: str | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
    else:
        with atomic(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
