"""Hugging Face models by id or folder: the local copy first, the network only if it answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from erc.errors import CheckpointError

T = TypeVar("T")
PATIENCE = 2.0  # seconds the hub has to answer before it counts as unreachable


def from_hub(load: Callable[..., T], name: str | Path, what: str) -> T:
    """Call `load(name, local_files_only=…)`, a `from_pretrained`, and say in one line why it fails.

    Args:
        load: e.g. `AutoConfig.from_pretrained`.
        name: a Hugging Face id (`klue/roberta-large`) or a folder.
        what: for the message, e.g. "text encoder".

    Raises:
        CheckpointError: no such folder; not downloaded and the hub does not answer; no such id;
            a folder or cache that is incomplete.
    """
    name = str(name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        name = str(folder)
    elif folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise CheckpointError(f"{what}: there is no folder '{name}'")
    try:
        with quiet():
            return load(name, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        local_error = error
    if folder.is_dir():
        raise CheckpointError(f"{what}: cannot load folder '{name}': {_first_line(local_error)}")
    if not _reachable():
        raise CheckpointError(
            f"{what}: '{name}' is neither a folder nor in the local Hugging Face cache, and the hub "
            f"cannot be reached; on a connected machine run `hf download {name}` and copy the "
            "cache, or give the path of a local folder"
        )
    try:
        return load(name, local_files_only=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{what}: cannot load '{name}': {_first_line(error)}") from error


def check(name: str, what: str) -> None:
    """Raise what `from_hub` would raise for a missing model, without importing transformers."""
    import huggingface_hub

    def look(name: str, local_files_only: bool) -> None:
        if Path(name).is_dir():
            found = (Path(name) / "config.json").is_file()
        else:
            found = isinstance(huggingface_hub.try_to_load_from_cache(name, "config.json"), str)
        if local_files_only and not found:
            raise OSError("it holds no config.json")

    from_hub(look, name, what)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar and no table of unused weights while loading from disk: we check those."""
    if "transformers" not in sys.modules:
        yield
        return
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _reachable() -> bool:
    # The library itself retries for 23 s when there is no network.
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or os.environ.get("TRANSFORMERS_OFFLINE") == "1":
        return False
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever the HTTP library raises, there is no answer
        return False
    return True


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
