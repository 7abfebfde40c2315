"""`erc predict`: many inputs → JSON lines, CSV or a table, written window by window."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from erc import __version__
from erc.base.errors import ConfigError
from erc.base.files import fingerprint
from erc.base.progress import progress
from erc.base.space import Space
from erc.cli.command import COMMERCIAL, MODEL, QUIET, Option, command
from erc.cli.predict_inputs import Input, Inputs, collect
from erc.cli.predict_resume import Resumable, Screen, alone
from erc.cli.predict_rows import FORMATS, Json, form, only_ascii
from erc.model.folder import CARD
from erc.model.folder.find import find_model

LONG = 2  # windows; a longer recording is one for `erc timeline`
WINDOW = 64  # inputs computed and kept together; equal windows give bit-equal answers


@command(
    Option(
        "files",
        "recordings, folders of them, quoted patterns ('**/*.wav'), @list.txt, "
        "table.csv (columns audio, text), or - for standard input",
        count="*", metavar="INPUT",
    ),
    Option("--text", "what is said (one recording, or none)"),
    MODEL,
    Option(
        "--format", "default: by -o, else a table on a terminal, JSON lines in a pipe",
        choices=FORMATS,
    ),
    Option("-o --output", "goes on where it was stopped; with --ray a folder", metavar="FILE"),
    Option("--overwrite", "start -o anew", flag=True),
    Option("--top-k", "the K most probable emotions (default: all)", type=int, metavar="K"),
    Option("--abstain", "mark answers below P", type=float, default=0.0, metavar="P"),
    Option(
        "--sets", "emotions that hold what most raters say this often, e.g. 0.9", type=float,
        metavar="P",
    ),
    Option("--workers", "decoding threads", type=int, default=2, metavar="N"),
    Option("--device", "auto | cpu | cuda", default="auto"),
    Option("--runtime", "auto | torch-fp32 | onnx-int8 | …", default="auto"),
    Option(
        "--ray", "many machines: local, auto or HOST:PORT of a Ray cluster; writes Parquet",
        metavar="ADDRESS",
    ),
    Option("--actors", "models at work with --ray (default: all that find room)", type=int, metavar="N"),
    Option("--cpus", "of each of them", type=float, default=1.0, metavar="N"),
    COMMERCIAL,
    QUIET,
)  # fmt: skip
def predict(
    files: list[str], text: str | None, model: str | None, format: str | None, output: str | None,
    overwrite: bool, top_k: int | None, abstain: float, sets: float | None, workers: int, device: str,
    runtime: str, ray: str | None, actors: int | None, cpus: float, commercial: bool, quiet: bool,
) -> int:  # fmt: skip
    """Emotion and dimensions (valence, arousal …) of recordings.

    With `output`, rows are kept window by window (see `predict_resume`): interrupted and started
    again, the file is byte for byte what it would have been. With `ray`, they are kept block by block
    in a folder (see `predict_parts`), and whoever is free answers.

    Returns:
        0, or 1 if some input failed or a file in a folder was not read. Failures keep their row and
        are named on stderr.

    Raises:
        ConfigError: nothing to predict, contradicting options, or an output that is something else.
        CheckpointError: no model.
    """
    if not 0 <= abstain <= 1:
        raise ConfigError(f"--abstain {abstain:g}: a confidence lies between 0 and 1")
    if workers < 1:
        raise ConfigError(f"--workers {workers}: give at least one")
    output = None if output == "-" else output
    if ray and (not output or format or top_k):
        raise ConfigError(
            "--ray writes a folder of Parquet files with all columns: give -o FOLDER, and neither "
            "--format nor --top-k"
        )
    kind = form(format, None if ray else output)
    named = collect(files, text, getattr(sys.stdin, "buffer", None))
    inputs, folder = named.found, find_model(model)
    from erc.recognizer.public.opened import config_of  # numpy: not for `erc --help`

    space = Space.from_json(config_of(folder))
    if ray:
        from erc.cli.predict_ray import spread
        from erc.recognizer.bulk import Cluster
        from erc.recognizer.info import info

        _list_unread(named, quiet)
        settings = _settings(
            folder, inputs, abstain=abstain, sets=sets, runtime=runtime, device=device
        )
        loading = {"workers": workers, "runtime": runtime, "device": device, "abstain": abstain,
                   "sets": sets, "commercial": commercial}  # fmt: skip

        facts = info(folder)
        failures = spread(
            str(output), _understood(inputs, facts["takes"]), folder, facts["id"], settings, loading,
            Cluster(ray, actors, cpus, gpus=float(device.startswith("cuda"))), overwrite,
            lambda said, extra: _say(said, extra and quiet),
        )  # fmt: skip
        return 1 if failures or named.unread else 0
    _check_top(top_k, len(space.emotions))
    rows = kind(space, top_k, only_ascii(output))
    _list_unread(named, quiet)
    with ExitStack() as stack:
        sink: Resumable | Screen = Screen()
        if output:
            settings = _settings(
                folder, inputs, top_k=top_k or len(space.emotions), abstain=abstain, sets=sets,
                runtime=runtime, device=device, format=rows.name,
            )  # fmt: skip
            stack.enter_context(alone(output))
            sink = Resumable(output, settings, overwrite)
        if sink.complete:
            _say(f"{output} is complete ({sink.rows} rows): nothing to do", quiet)
            return 1 if sink.failures or named.unread else 0
        if sink.rows:
            _say(f"{output}: going on after {sink.rows} of {len(inputs)} rows", quiet)

        from erc.base.audio import SAMPLE_RATE  # numpy: not for `erc --help`
        from erc.recognizer import load

        recognizer = load(
            folder, workers=workers, runtime=runtime, device=device, abstain=abstain, sets=sets,
            commercial=commercial,
        )  # fmt: skip
        if warning := recognizer.learned.warning():
            _say(warning, False)
        inputs = _understood(inputs, recognizer.spec.modalities)
        try:
            results = recognizer.predict_many(one.arguments() for one in inputs[sink.rows :])
            at_once, long = (recognizer.window or math.inf) / SAMPLE_RATE, 0
            with progress("recordings", len(inputs), quiet, sink.rows) as advance:
                for window in _windows(results):
                    _keep(window, rows, sink)
                    seconds = [getattr(one, "duration", None) or 0.0 for one in window]
                    long += sum(length > LONG * at_once for length in seconds)
                    advance(len(window))
            sink.append(rows.tail(), 0)
            sink.finish()
        except KeyboardInterrupt:
            kept = f"; {sink.rows} of {len(inputs)} rows are kept, the same command goes on there"
            print(f"stopped{kept if output else ''}", file=sys.stderr)
            raise SystemExit(130) from None
        if long:
            _say(
                f"{long} of the recordings are longer than {LONG} × the {at_once:g} s that the "
                "model hears at once; one answer stands for all their speech, `erc timeline` "
                "gives one for each turn",
                quiet,
            )
        if output:
            failed = f", {sink.failures} failed" if sink.failures else ""
            _say(f"wrote {output}: {sink.rows} rows{failed}", quiet)
        return 1 if sink.failures or named.unread else 0


def _check_top(top_k: int | None, emotions: int) -> None:
    if top_k is not None and not 1 <= top_k <= emotions:
        allowed = f"there are {emotions} emotions; give 1–{emotions}"
        raise ConfigError(
            f"--top-k {top_k}: {allowed if emotions else 'this model names no emotions'}"
        )


def _keep(window: list[Any], form: Json, sink: Resumable | Screen) -> None:
    rows = [result.to_dict() for result in window]
    failed = [row for row in rows if "error" in row]
    for row in failed:
        print(f"erc predict: {row['error']}", file=sys.stderr)
    head = "" if sink.rows else form.head()
    sink.append(head + "".join(map(form.row, rows)), len(rows), len(failed))


def _list_unread(named: Inputs, quiet: bool) -> None:
    """Say which files of the folders are no recordings; those that may have been meant make exit 1."""
    for path in named.unread:
        print(
            f"erc predict: not read, its name is not that of a recording: {path}", file=sys.stderr
        )
    if named.beside:
        _say(f"{named.beside} texts, tables or pictures beside the recordings are not read", quiet)


def _understood(inputs: list[Input], takes: Sequence[str]) -> list[Input]:
    """Without what the model does not take, of inputs that have more; a line says so."""
    bodies = sum(1 for one in inputs if one.body)
    if bodies and "physiology" not in takes:
        _say(f"this model has not learned physiology: that of {bodies} inputs is not used", False)
        inputs = [replace(one, body=()) for one in inputs]
    both = sum(1 for one in inputs if one.text and one.audio is not None)
    if not both or {"text", "speech"} <= set(takes):
        return inputs
    part = "text" if "speech" in takes else "audio"
    _say(f"this model takes {takes[0]} only: the {part} of {both} inputs is not used", False)
    return [
        one if not one.text or one.audio is None
        else replace(one, text=None) if part == "text"
        else replace(one, audio=None)
        for one in inputs
    ]  # fmt: skip


def _windows(results: Iterable[Any]) -> Iterator[list[Any]]:
    source = iter(results)
    while window := list(islice(source, WINDOW)):
        yield window


def _settings(folder: Path, inputs: list[Input], **options: Any) -> dict[str, Any]:
    """Everything that the rows depend on."""
    return {
        "model": _identity(folder),
        "inputs": fingerprint([one.identity() for one in inputs]),
        "options": options,
        "version": __version__,
    }


def _identity(folder: Path) -> str:
    """Of a model by content: a copy of it is the same model."""
    from erc.recognizer.public.opened import Pair, look

    if isinstance(pair := look(folder), Pair):  # whose folder only names two others
        return pair.id
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != CARD):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append([path.relative_to(folder).as_posix(), digest])
    return fingerprint(found)


def _say(message: str, quiet: bool) -> None:
    if not quiet:
        print(f"erc predict: {message}", file=sys.stderr)
