"""What a model folder holds, and its `config.json`; readable without torch."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from erc.base import hub
from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import fingerprint, read_json, recover, sha256, write_json
from erc.base.space import KEMDY
from erc.model.folder import schema

MAX_CONFIG = 8 << 20  # bytes
FORMAT = 1  # raised when a folder written today could no longer be read
WEIGHTS, CONFIG, TOKENIZER, CARD = "model.safetensors", "config.json", "tokenizer", "README.md"
ADDED = (
    "runtime",
    "files",
)  # to a config.json by exports and `write_config`; they make no other model
USUAL = KEMDY.to_json()["dimensions"]  # what a config.json meant before it said its dimensions
EXPORTS = "exports"
COPY = f"{EXPORTS}/onnx"  # what training leaves for machines without torch
HELD_OUT = "held_out.npz"  # what speakers are like whom the model was not fitted to
SCALES = "speech.standardize.npy"  # of an export: [2, *shape], mean and deviation; for adaptation
EXACT = 1e-4  # largest difference of an answer from torch that the copy may have
USE = """\
## Use

For research on speech emotion and for tools whose users know and agree. The labels are what raters
*perceived* in acted or elicited speech, not what a person feels; scores on other languages, microphones
and kinds of speech are unknown until measured there.

Not for: judging people at work or in education (prohibited in the EU except for medical or safety
reasons, AI Act Art. 5(1)(f)), hiring, policing, lie detection, or any decision about a person. People
exposed to emotion recognition must be told (Art. 50(3)).
"""


def find_folder(name: str | Path, **options: Any) -> Path:
    """The model folder of that name: a folder, the run that holds it, or a hub id (`user/name`).

    Args:
        options: of `erc.base.hub.snapshot`; for a hub id.

    Raises:
        CheckpointError: there is none.
    """
    folder = Path(name).expanduser()
    recover(folder)
    if folder.is_dir():
        inside = folder / "model"
        return inside if (inside / CONFIG).is_file() and not (folder / CONFIG).is_file() else folder
    if not hub.is_id(str(name)):
        raise CheckpointError(f"there is no model folder '{name}'")
    return hub.snapshot(str(name), **options)


def model_id(folder: Path, config: dict[str, Any]) -> str:
    """`NAME@VERSION`: what the folder is called, and eight digits that change with every training.

    The version stands for `config.json` without what `erc tune` adds to it: architecture, data,
    scores, temperature. A copy has the version of its original, and one that says which `dimensions`
    it has that of one from before they were said.
    """
    place = folder.resolve()
    if place.parent.name == "snapshots":  # of the hub: models--user--name/snapshots/…
        name = place.parent.parent.name.removeprefix("models--").replace("--", "/")
    else:
        name = (place.parent if place.name == "model" else place).name
    own = {k: v for k, v in config.items() if k not in ADDED}
    scales = list(own.pop("dimensions", USUAL).items())  # a list: their order counts
    own |= {"dimensions": scales} if scales != list(USUAL.items()) else {}
    return f"{name}@{fingerprint(own)[:8]}"


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a model folder, every field checked; raises CheckpointError."""
    recover(folder)
    if not folder.is_dir():
        raise CheckpointError(f"there is no model folder '{folder}'")
    check_links(folder)
    path = folder / CONFIG
    if path.is_file() and path.stat().st_size > MAX_CONFIG:
        raise CheckpointError(f"{path}: more than {MAX_CONFIG >> 20} MB; this is no configuration")
    config = read_json(path, CheckpointError)
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {config.get('format')!r:.40}; this version reads {FORMAT}"
            + ("" if "format" in config else " (is this a model folder of erc?)")
        )
    try:
        schema.check(config)
    except (schema.Unfit, ConfigError) as problem:
        raise CheckpointError(f"{path}: {problem}") from None
    if "files" in config and config["files"].get(CONFIG) != _digest(config):
        raise CheckpointError(
            f"{path}: is damaged, or was changed since it was written; copy the folder again, or delete "
            "the entry 'files' if you changed it yourself"
        )
    return config


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write `config.json` last: its entry "files" says what all else in the folder hashes to.

    Left out are the card, which people edit, and the copies under `EXPORTS`, which say it themselves.
    """
    write_json(folder / CONFIG, {k: v for k, v in config.items() if k != "files"})
    written = read_json(folder / CONFIG, CheckpointError)
    own = [path for path in folder.iterdir() if path.name not in (CONFIG, CARD)]
    words = [*(folder / TOKENIZER).iterdir()] if (folder / TOKENIZER).is_dir() else []
    files = {p.relative_to(folder).as_posix(): sha256(p) for p in (*own, *words) if p.is_file()}
    write_json(folder / CONFIG, written | {"files": files | {CONFIG: _digest(written)}})


def verify(folder: Path, config: dict[str, Any], words: bool) -> None:
    """Are the files those that were written? A copy may break off, a disk loses a bit.

    Folders of earlier versions hold no hashes and pass. This is no signature: who changes a file on
    purpose can change its hash as well.

    Args:
        config: of the folder, from `read_config`, which has looked at itself.
        words: look at the tokenizer; False: at the rest.

    Raises:
        CheckpointError: one is missing or another.
    """
    for name, wanted in config.get("files", {}).items():
        path = folder / name
        if name == CONFIG or name.startswith(f"{TOKENIZER}/") != words:
            continue
        if not path.is_file():
            raise CheckpointError(f"there is no file '{path}'; copy the folder again")
        if sha256(path) != wanted:
            raise CheckpointError(
                f"{path}: is damaged, or was changed since it was written; copy the folder again, or "
                "train or export the model again"
            )


def _digest(config: dict[str, Any]) -> str:
    rest = {k: v for k, v in config.items() if k != "files"}
    if "dimensions" in rest:  # a program that sorts keys would swap them, and nobody would see it
        rest["dimensions"] = list(rest["dimensions"].items())
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_links(folder: Path) -> None:
    """No link may leave the folder; in the cache of the hub, that of the model with all its versions."""
    root = folder.resolve()
    if root.parent.name == "snapshots":
        root = root.parent.parent
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place) / name
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise CheckpointError(f"{path}: is a link that leads out of the model folder")


def stale(folder: Path, export: Path) -> bool:
    """Whether an export inside a model folder was made from other weights than lie there now."""
    made_from = read_config(export).get("runtime", {}).get("weights")
    weights = folder / WEIGHTS
    return made_from is not None and weights.is_file() and made_from != sha256(weights)


def doubt(folder: Path) -> str:
    """Why nobody who did not ask for the copy should get its answers; "": nothing speaks against it."""
    copy = folder / COPY
    record = read_config(copy).get("runtime", {})
    if stale(folder, copy) or "weights" not in record:
        return f"{copy} was not made from the weights beside it"
    off = worst(record.get("parity", {}))
    return f"{copy} is {off:.1e} from torch, more than {EXACT:.0e}" if not off <= EXACT else ""


def worst(parity: dict[str, Any]) -> float:
    """The largest difference of an answer in a parity report; nan where one is not known."""
    found = [v for k, v in parity.items() if k.startswith("max_")]
    known = all(v is not None and v == v for v in found)
    return float(max(found)) if found and known else math.nan
