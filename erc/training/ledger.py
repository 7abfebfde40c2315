"""Under which terms a model may be used: the union of those of its data, encoders and first weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erc.base.errors import CheckpointError
from erc.base.files import read_json
from erc.base.hub import declared_licence
from erc.base.terms import Terms, from_json, of_encoder
from erc.datasets.store import Store
from erc.model.folder import CONFIG, find_folder
from erc.scores.results import anywhere

ENCODERS = ("speech_encoder", "text_encoder")
OWN = "tiny-"  # begins the name of an encoder that is trained from random weights


def made_from(model: Mapping[str, Any], start: str | None, store: Store) -> list[Terms]:
    """Terms of what a configuration names.

    Args:
        model: its group `model`.
        start: `module.load_from_checkpoint`; None: nothing.
        store: of the corpus.
    """
    found = [*store.terms]
    for key in ENCODERS:
        name = model.get(key)
        if name and not str(name).startswith(OWN):
            found.append(of_encoder(anywhere(str(name)), declared_licence(str(name))))
    if start:
        found += _of_weights(start)
    return list(dict.fromkeys(found))


def _of_weights(start: str) -> list[Terms]:
    """What a model folder carries; of a checkpoint alone nothing is known."""
    unknown = [Terms(f"weights of {anywhere(start)}")]
    try:
        if Path(start).is_file():
            return unknown
        config = read_json(find_folder(start) / CONFIG, CheckpointError)
    except CheckpointError:
        return unknown  # whoever opens it says what is wrong with it
    kept = config.get("meta", {}).get("terms")
    return from_json(kept) if kept is not None else unknown
