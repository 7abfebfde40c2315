"""Hugging Face models by id or folder: the local copy first, the network only if it answers."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from erc.base.errors import CheckpointError

T = TypeVar("T")
PATIENCE = 2.0  # seconds the hub has to answer before it counts as unreachable
MODELS = (".safetensors", ".onnx")
FILES = ("*.safetensors", "*.json", "*.onnx", "*.onnx.data", "README.md")
WORDS = ("vocab.txt", "merges.txt")  # of tokenizers that were published without a tokenizer.json
# Pickled weights; copies for other libraries, of which published models have many and large ones.
UNWANTED = ("pytorch_model*", "onnx/*", "openvino/*", "checkpoint-*/*")


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
    if not reachable():
        raise CheckpointError(
            f"{what}: '{name}' is neither a folder nor in the local Hugging Face cache, and the hub "
            f"cannot be reached; on a connected machine run `hf download {name}` and copy the "
            "cache, or give the path of a local folder"
        )
    try:
        return load(name, local_files_only=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{what}: cannot load '{name}': {_first_line(error)}") from error


def is_id(name: str) -> bool:
    """Could this be a hub id, and not a folder with a typing error in its name?

    >>> is_id("user/model"), is_id("./model"), is_id("runs/a/model"), is_id("model.onnx")
    (True, False, False, False)
    """
    plain = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name, re.ASCII)
    return bool(plain) and not Path(name).parent.exists()


def snapshot(name: str, **options: Any) -> Path:
    """The folder of a hub id, in the local cache or, if it is not there, downloaded into it.

    Only the files of a model folder are downloaded: tensors, graphs, JSON, the card; no code and
    no pickle.

    Args:
        name: hub id.
        options: of `huggingface_hub.snapshot_download`.

    Raises:
        CheckpointError: neither in the cache nor to be had.
    """
    import huggingface_hub

    only_local = options.pop("local_files_only", False)

    def load(name: str, local_files_only: bool) -> Path:
        if options.get("force_download") and local_files_only and not only_local:
            raise OSError("the copy in the cache is not wanted")
        folder = huggingface_hub.snapshot_download(
            name,
            local_files_only=local_files_only or only_local,
            allow_patterns=[*FILES, *WORDS],
            ignore_patterns=list(UNWANTED),
            **options,
        )
        names = {file.name for file in Path(folder).iterdir()}
        if "config.json" not in names or not any(name.endswith(MODELS) for name in names):
            raise OSError(
                f"the copy in {folder} lacks config.json, or weights other than pickled ones, which are "
                "never opened"
            )
        return Path(folder)

    return from_hub(load, name, "model")


def declared_licence(name: str) -> str | None:
    """What the card of a model says of its licence: in its folder, or in the local cache."""
    import huggingface_hub

    card: Any = Path(name).expanduser() / "README.md"
    if not card.is_file():
        if not is_id(name):
            return None
        card = huggingface_hub.try_to_load_from_cache(name, "README.md")
    if not isinstance(card, str | Path):
        return None
    try:
        data = huggingface_hub.ModelCard.load(Path(card), ignore_metadata_errors=True).data
    except (OSError, ValueError):
        return None
    return data.get("license_name") or data.get("license")


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


def reachable() -> bool:
    """Whether the hub answers; it is not asked where that is forbidden ($HF_HUB_OFFLINE)."""
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
