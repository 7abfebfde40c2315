"""`erc predict`: many inputs → JSON lines, CSV or a table, written window by window."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from erc.base.emotions import EMOTIONS
from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import fingerprint
from erc.base.progress import progress
from erc.cli.inputs import Input, collect
from erc.cli.resume import Resumable
from erc.cli.rows import Json, writer
from erc.model.folder import CARD, find_folder

WINDOW = 64  # inputs computed and kept together; equal windows give bit-equal answers


@dataclass(frozen=True)
class Options:
    """What else shapes the rows of `predict`.

    Attributes:
        top_k: only so many emotions of each answer, the most probable ones.
        abstain: mark answers with a confidence below this.
        runtime, device: see `erc.load`.
    """

    top_k: int = len(EMOTIONS)
    abstain: float = 0.0
    runtime: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= len(EMOTIONS):
            raise ConfigError(f"--top-k {self.top_k}: there are {len(EMOTIONS)} emotions; give 1–7")
        if not 0 <= self.abstain <= 1:
            raise ConfigError(f"--abstain {self.abstain:g}: a confidence lies between 0 and 1")


def predict(
    files: Sequence[str],
    text: str | None = None,
    model: str | None = None,
    format: str | None = None,
    output: str | None = None,
    options: Options | None = None,
    *,
    workers: int = 2,
    overwrite: bool = False,
    quiet: bool = False,
) -> int:
    """Predict and write one row an input; see `erc predict --help`.

    With `output`, rows are kept window by window (see `erc.cli.resume`): interrupted and started
    again, the file is byte for byte what it would have been.

    Returns:
        0, or 1 if some input failed. Failures keep their row and are named on stderr.

    Raises:
        ConfigError: nothing to predict, contradicting options, or an output that is something else.
        CheckpointError: no model.
    """
    options = options or Options()
    if workers < 1:
        raise ConfigError(f"--workers {workers}: give at least one")
    form = writer(format, output, options.top_k)
    inputs = collect(files, text, getattr(sys.stdin, "buffer", None))
    folder = model_folder(model)
    sink: Resumable | _Screen = _Screen()
    if output:
        settings = _settings(folder, inputs, type(form).__name__, options)
        sink = Resumable(output, settings, overwrite)
        if sink.complete:
            _say(f"{output} is complete ({sink.rows} rows): nothing to do", quiet)
            return 1 if sink.failures else 0
        if sink.rows:
            _say(f"{output}: going on after {sink.rows} of {len(inputs)} rows", quiet)

    from erc.recognizer import load

    recognizer = load(folder, workers=workers, **_loading(options))
    try:
        results = recognizer.predict_many(one.arguments() for one in inputs[sink.rows :])
        with progress("recordings", len(inputs), quiet, sink.rows) as advance:
            for window in _windows(results):
                _keep(window, form, sink)
                advance(len(window))
        sink.append(form.tail(), 0)
        sink.finish()
    except KeyboardInterrupt:
        kept = f"; {sink.rows} of {len(inputs)} rows are kept, the same command goes on there"
        print(f"stopped{kept if output else ''}", file=sys.stderr)
        raise SystemExit(130) from None
    if output:
        failed = f", {sink.failures} failed" if sink.failures else ""
        _say(f"wrote {output}: {sink.rows} rows{failed}", quiet)
    return 1 if sink.failures else 0


def model_folder(model: str | None) -> Path:
    """The folder that was named, else $ERC_MODEL, else the newest under runs/."""
    name = model or os.environ.get("ERC_MODEL")
    if name:
        return find_folder(name)
    found = sorted(Path("runs").glob("**/model/config.json"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise CheckpointError("no model under runs/; name one with --model, or run `make demo`")
    print(f"erc: using {found[-1].parent}", file=sys.stderr)
    return found[-1].parent


class _Screen:
    """Standard output in the place of `Resumable`."""

    rows = failures = 0
    complete = False

    def append(self, text: str, rows: int, failures: int = 0) -> None:
        self.rows += rows
        self.failures += failures
        sys.stdout.write(text)
        sys.stdout.flush()

    def finish(self) -> None:
        pass


def _keep(window: list[Any], form: Json, sink: Resumable | _Screen) -> None:
    rows = [result.to_dict() for result in window]
    failed = [row for row in rows if "error" in row]
    for row in failed:
        print(f"erc predict: {row['error']}", file=sys.stderr)
    head = "" if sink.rows else form.head()
    sink.append(head + "".join(map(form.row, rows)), len(rows), len(failed))


def _windows(results: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(results)
    while window := list(islice(source, WINDOW)):
        yield window


def _settings(folder: Path, inputs: list[Input], format: str, options: Options) -> dict[str, Any]:
    """Everything that the rows depend on."""
    from erc import __version__

    return {
        "model": _model_identity(folder),
        "inputs": fingerprint([one.identity() for one in inputs]),
        "options": vars(options) | {"format": format.lower()},
        "version": __version__,
    }


def _model_identity(folder: Path) -> str:
    """By content: a copy of a model is the same model."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CARD):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append([path.relative_to(folder).as_posix(), digest])
    return fingerprint(found)


def _loading(options: Options) -> dict[str, Any]:
    return {"runtime": options.runtime, "device": options.device, "abstain": options.abstain}


def _say(message: str, quiet: bool) -> None:
    if not quiet:
        print(f"erc predict: {message}", file=sys.stderr)
