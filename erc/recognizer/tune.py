"""Which runtime is fastest on this machine and exact enough for this model? Measured once, remembered.

The answer lies in `runtime.json` of the model folder, one entry for each kind of machine, and
`erc.load(folder)` follows it. On a machine that was never measured see `runtimes.choose`.
"""

from __future__ import annotations

import datetime
import json
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from erc.base.devices import machine
from erc.base.errors import CheckpointError, ErcError
from erc.base.files import write_json
from erc.model.folder import EXPORTS, read_config, worst
from erc.model.folder.find import named
from erc.recognizer import Recognizer, load, parity
from erc.recognizer.runtimes import MODULES, RECORD, installed
from erc.scores.tables import grid

# largest difference of a probability from float32 that counts as exact enough; of a model that knows
# no emotions, of a dimension, as if its scale were 1–5
EXACT = 0.01
AGREEMENT = 1.0  # share of the test utterances that must keep their label
ROUNDS = 3


def tune(
    model: str | Path, export: Sequence[str] = (), recordings: str | Path | None = None
) -> dict[str, Any]:
    """Time every runtime there is, interleaved, on the same utterances, and choose.

    Args:
        model: folder with torch weights.
        export: formats to make first ("onnx", "openvino"), into the model folder.
        recordings: folder to measure on; None: simulated speech.

    Returns:
        The entry of this machine: chosen, inputs, candidates (name → utterances_per_second,
        max_probability, label_agreement, exact), versions, date.

    Raises:
        CheckpointError: an export, which knows one runtime only.
    """
    folder = named(model)
    if "runtime" in read_config(folder):
        raise CheckpointError(f"{folder} is an export; tune the model it was made from")
    for kind in export:
        from erc.recognizer.export import into

        into(folder, format=kind, recordings=recordings)
    exact = load(folder, runtime="torch-fp32")
    inputs, what = parity.clips(exact, recordings)
    others = {name: r for name in candidates(folder) if (r := _open(folder, name))}
    found = {"torch-fp32": {"max_probability": 0.0, "label_agreement": 1.0}}
    found |= {name: parity.compare(exact, other, inputs) for name, other in others.items()}
    speeds = _race({"torch-fp32": exact} | others, inputs)
    for name, record in found.items():
        record["utterances_per_second"] = round(speeds[name], 2)
        off = record["max_probability"] if exact.space.emotions else worst(record)
        record["exact"] = off <= EXACT and record["label_agreement"] >= AGREEMENT
    chosen = max((n for n in found if found[n]["exact"]), key=speeds.__getitem__)
    entry = {
        "chosen": chosen,
        "allowed": {"max_probability": EXACT, "label_agreement": AGREEMENT},
        "inputs": what,
        "candidates": found,
        "versions": {p: v for p in ("torch", "onnxruntime", "openvino") if (v := _version(p))},
        "date": datetime.date.today().isoformat(),
    }
    _remember(folder / RECORD, entry)
    return entry


def candidates(folder: Path) -> list[str]:
    """Runtimes beside torch-fp32 that this folder and this installation allow."""
    exports = {p.name for p in (folder / EXPORTS).glob("*") if p.is_dir()}
    found = []
    for name in MODULES:
        library, _, kind = name.partition("-")
        where = name if kind == "int8" else library
        if name != "torch-fp32" and installed(name) and (library == "torch" or where in exports):
            found.append(name)
    return found


def table(entry: dict[str, Any]) -> str:
    """What `tune` found, for people."""
    base = entry["candidates"]["torch-fp32"]["utterances_per_second"]
    rows = [
        [
            f"{name} ← chosen" if name == entry["chosen"] else name,
            f"{c['utterances_per_second']:.1f}",
            f"{c['utterances_per_second'] / base:.2f} ×",
            f"{c['max_probability']:.1e}",
            f"{c['label_agreement']:.0%}",
        ]
        for name, c in entry["candidates"].items()
    ]
    return grid(["runtime", "utterances/s", "", "Δ probability", "same label"], rows) + (
        f"\non {entry['inputs']}; exact enough: Δ ≤ {EXACT:g} and every label the same"
    )


def _race(recognizers: dict[str, Recognizer], inputs: list) -> dict[str, float]:
    """Utterances per second, medians of interleaved rounds; the first one warms up."""
    times: dict[str, list[float]] = {name: [] for name in recognizers}
    for _ in range(1 + ROUNDS):
        for name, recognizer in recognizers.items():
            start = time.perf_counter()
            recognizer.answer(inputs)
            times[name].append(time.perf_counter() - start)
    return {name: len(inputs) / statistics.median(t[1:]) for name, t in times.items()}


def _open(folder: Path, name: str) -> Recognizer | None:
    try:
        return load(folder, runtime=name)
    except ErcError as error:
        print(f"erc tune: {name} is left out: {error}", file=sys.stderr)
        return None


def _remember(path: Path, entry: dict[str, Any]) -> None:
    record = json.loads(path.read_text("utf-8")) if path.is_file() else {"machines": {}}
    record["machines"][machine()] = entry
    write_json(path, record)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
