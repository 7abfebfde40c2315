"""What a run is made from: two runs of equal identity are the same run.

Every setting that shapes the result, the data and the version of erc. A run goes on from a checkpoint of
equal identity, a study reuses a fold of equal identity; another one is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from omegaconf import DictConfig

from erc.training.config import resolve

PLACES = (  # and the group `logger`: settings that say where and how fast, not what
    "run_dir", "cache", "ckpt_path", "resume_anyway", "checkpoint_every", "export", "dataset.paths",
    "dataset.num_proc", "dataloader.num_workers", "trainer.enable_progress_bar",
)  # fmt: skip
Identity = dict[str, Any]  # dotted key of a setting, "data" or "erc" → value


def identity(cfg: DictConfig, store: str) -> Identity:
    """Of the run of a configuration.

    Args:
        store: name of the built corpus, which follows from its rows and files.
    """
    settings = resolve(cfg)
    del settings["logger"]
    shaping = {k: v for k, v in _leaves(settings) if k not in PLACES}
    return shaping | {"data": store, "erc": version("erc")}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, for people.

    >>> differences({"seed": 0, "data": "a"}, {"seed": 1, "data": "a"})
    ['seed: 0 there, 1 here']
    """
    keys = sorted(there.keys() | here.keys())
    return [
        f"{k}: {there.get(k)} there, {here.get(k)} here"
        for k in keys
        if there.get(k) != here.get(k)
    ]


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key, value of everything in nested settings."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
