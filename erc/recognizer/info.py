"""`erc info`: the essentials of a model folder on one page, read without opening the model."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from erc.base.console import console
from erc.base.effort import words
from erc.base.errors import CheckpointError
from erc.base.space import Space
from erc.base.terms import WORD, all_of, from_json
from erc.model.encoded import MODALITIES
from erc.model.folder import CARD, CONFIG, USE, WEIGHTS, model_id, read_config
from erc.model.folder.find import choose, find_model
from erc.model.folder.heard import Heard
from erc.model.folder.learned import Learned
from erc.model.folder.weights import shapes
from erc.recognizer.public.folder import is_public
from erc.recognizer.public.opened import look
from erc.scores.metrics import cccs
from erc.scores.results import HUMAN, Human, Results, System
from erc.scores.tables import columns, number

NOT_ON_PAGE = ("f1_macro", "js_distance")
LICENCES = "- licences carried along:"  # a line of the card


def show(model: str | None = None, as_json: bool = False) -> int:
    """Print what there is to know of a model.

    Raises:
        CheckpointError: not a model folder.
    """
    folder = find_model(model)
    facts = info(folder)
    if not is_public(folder) and (warning := Learned.of(read_config(folder)).warning()):
        print(f"erc info: {warning}", file=sys.stderr)
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print(facts)
    return 0


def info(folder: Path) -> dict[str, Any]:
    """The facts of a model folder as plain JSON; None where the folder does not say.

    Keys: folder, id, default (why it answers when none is named), takes, gives, emotions and
    dimensions (name → [low, high]) of its label space, not_offered, calibrated, encoders, fusion,
    parameters, megabytes, exports, data, protocol, scores and intervals (system → metric),
    temperature, abstention, licences, terms (the same as records), commercial (whether all of them allow
    that; null: not known), notes (for whoever reads its answers), not_for.
    """
    found = look(folder)
    published = None if isinstance(found, Path) else found
    config = published.to_config() if published else read_config(folder)
    built, meta, space = config["model"], config["meta"], Space.from_json(config)
    settings, learned = meta.get("prediction", {}), Learned.of(config)
    results = (
        Results.from_json(meta["results"], str(folder / CONFIG)) if "results" in meta else None
    )
    parts = {m: built[m] for m in MODALITIES if built.get(m)}
    terms = from_json(meta.get("terms"))
    longest = settings.get("wav_max_length")
    return {
        "folder": str(folder),
        "id": published.id if published else model_id(folder, config),
        "default": _default(folder),
        "takes": list(parts),
        "gives": [
            *(e for e in space.emotions if e not in learned.not_offered),
            *(f"{d.name} {d.range}" for d in space.dimensions if d.name not in learned.unlearned),
        ],
        **space.to_json(),
        "not_offered": learned.missing,
        "calibrated": learned.calibrated,
        "encoders": {name: _encoder(part) for name, part in parts.items()},
        "fusion": built.get("fusion"),
        "longest_seconds": longest and longest / 16_000,
        "parameters": published.parameters if published else _parameters(folder / WEIGHTS),
        "megabytes": round(sum(f.stat().st_size for f in _files(folder)) / 1e6, 1),
        "exports": sorted(p.name for p in folder.glob("exports/*/") if p.is_dir()),
        "runtime": (config.get("runtime") or {}).get("name"),
        "data": results.corpus if results else ", ".join(Heard.of(config).corpora) or None,
        "simulated": results and results.simulated,
        "protocol": results and _protocol(results),
        **_scores(results, space),
        "temperature": settings.get("temperature"),
        "licences": [f"{one.of}: {one.licence}" for one in terms]
        if "terms" in meta
        else _licences(folder / CARD),
        "terms": [one.to_json() | {"commercial": one.commercial} for one in terms],
        "commercial": all_of(terms),
        "notes": meta.get("notes", []),
        "effort": meta.get("effort"),
        "imported_from": meta.get("imported_from"),
        "not_for": " ".join(USE.partition("Not for:")[2].split()),
    }


def _default(folder: Path) -> str | None:
    """What makes this the model that answers when none is named; None: another one does."""
    try:
        chosen, why = choose()
    except CheckpointError:
        return None
    return why if chosen.resolve() == folder.resolve() else None


def _encoder(part: dict[str, Any]) -> str:
    """E.g. `roberta, 2 layers of 64`."""
    config = part.get("model", part)
    if not isinstance(config, dict):
        return str(config)
    kind = config.get("model_type") or part.get("kind", "encoder")
    layers = config.get("encoder_layers") or config.get("num_hidden_layers")
    width = config.get("d_model") or config.get("hidden_size")
    return f"{kind}, {layers} layers of {width}" if layers and width else str(kind)


def _parameters(weights: Path) -> int | None:
    """Numbers in a safetensors file, by its header."""
    return sum(map(math.prod, shapes(weights).values())) if weights.is_file() else None


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file()]


def _protocol(results: Results) -> str:
    return (
        f"{results.protocol}: fold {results.fold} of {results.folds} held out, "
        f"{results.n} utterances of {results.speakers} speakers"
    )


def _shown(space: Space) -> list[str]:
    """The scores that are told of a model that answers in this space."""
    found = ["uar", "f1_weighted", "f1_macro", *cccs(space), "js_distance", "ece"]
    return found if space.emotions else list(cccs(space))


def _scores(results: Results | None, space: Space) -> dict[str, Any]:
    """`scores` and `intervals` by system, the human reference last; null where undefined."""
    if results is None:
        return {"scores": {}, "intervals": {}}
    rows: dict[str, System | Human] = {**results.systems, HUMAN: results.human}
    shown = _shown(space)
    return {
        "scores": {
            name: {m: _known(row.scores.get(m)) for m in shown} for name, row in rows.items()
        },
        "intervals": {
            name: {
                m: list(map(_known, system.intervals[m])) for m in shown if m in system.intervals
            }
            for name, system in results.systems.items()
        },
    }


def _known(value: float | None) -> float | None:
    """None for nan, which JSON has not."""
    return None if value is None or value != value else value


def _licences(card: Path) -> list[str]:
    """What the card says behind `LICENCES`, on that line or as a list below it."""
    text = card.read_text("utf-8") if card.is_file() else ""
    found = re.search(rf"^{LICENCES}(.*\n(?:  - .*\n?)*)", text, re.MULTILINE)
    lines = found[1].splitlines() if found else []
    return [line.strip().removeprefix("- ") for line in lines if line.strip()]


def _print(facts: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    made = "simulated speech (no person was recorded)" if facts["simulated"] else facts["data"]
    parameters = facts["parameters"]
    size = f"{facts['megabytes']:g} MB"
    rows = {
        "model": facts["folder"],
        "id": facts["id"],
        "default": facts["default"],
        "takes": " + ".join(facts["takes"]),
        "gives": ", ".join(facts["gives"]),
        "not offered": _missing(facts["not_offered"]),
        "encoders": "; ".join(f"{m}: {e}" for m, e in facts["encoders"].items()),
        "fusion": facts["fusion"],
        "hears": facts["longest_seconds"]
        and f"{facts['longest_seconds']:g} s at once, longer recordings in windows",
        "size": f"{parameters / 1e6:.2f} M parameters, {size}" if parameters else size,
        "exports": ", ".join(facts["exports"]),
        "runtime": facts["runtime"],
        "trained on": made,
        "imported from": facts["imported_from"],
        "tested on": facts["protocol"],
        "calibration": facts["temperature"]
        and f"temperature {facts['temperature']:.3f}"
        + ", not fitted on other data: not calibrated" * (not facts["calibrated"]),
        "training took": facts["effort"] and words(facts["effort"]),
        "licences": "; ".join(facts["licences"]),
        "commercial use": WORD[facts["commercial"]],
        "notes": "; ".join(facts["notes"]),
    }
    for name, value in rows.items():
        if value:
            table.add_row(Text(name, "dim"), Text(str(value)))
    with console(highlight=False) as page:
        page.print(table)
        if facts["scores"]:
            page.print(
                _table(facts),
                Text("below each score its 95 % interval over speakers\n", "dim"),
                sep="\n",
            )
        page.print(Text.assemble(("Not for: ", "bold red"), facts["not_for"]))


def _missing(found: list[str] | None) -> str:
    if found is None:
        return "not recorded"
    return f"{', '.join(found)} (nothing in training)" if found else ""


def _table(facts: dict[str, Any]) -> Any:
    from rich.table import Table
    from rich.text import Text

    space = Space.from_json(facts)
    told, titles = [m for m in _shown(space) if m not in NOT_ON_PAGE], columns(space)
    table = Table("", *(titles[m] for m in told), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for system, scores in facts["scores"].items():
        between = facts["intervals"].get(system, {})
        lows = [Text(_range(between.get(m)), "dim") for m in told]
        table.add_row(system, *(number(scores[m]) for m in told))
        if any(lows):
            table.add_row("", *lows)
    return table


def _range(between: list[float] | None) -> str:
    return f"{between[0]:.2f}–{between[1]:.2f}" if between and None not in between else ""
