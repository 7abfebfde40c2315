"""Model folders: `model.safetensors`, `config.json`, `tokenizer/`, `README.md` (the card).

No pickle, and nothing of a folder is executed: the weights are plain tensors, the config plain JSON,
and encoders are built from classes of the installed transformers library.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.initialization import no_init_weights

from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import atomic
from erc.base.hub import quiet
from erc.base.space import Space
from erc.model.emotion import EmotionModel
from erc.model.folder import (
    CARD,
    CONFIG,
    FORMAT,
    TOKENIZER,
    WEIGHTS,
    read_config,
    verify,
    write_config,
)
from erc.model.folder.held_out import HeldOut
from erc.model.folder.weights import misfits, shapes
from erc.model.lora import merged_state
from erc.model.tokenizer import open_tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

Model = TypeVar("Model", bound=EmotionModel)


def save(
    folder: str | Path,
    model: EmotionModel,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    meta: dict[str, Any] | None = None,
    card: str | None = None,
    held_out: HeldOut | None = None,
) -> None:
    """Write a model folder; it is complete or not there, and replaces what had its name.

    Args:
        folder: where.
        model: weights are stored on the CPU as they are, but for LoRA, which is merged.
        tokenizer: of the text encoder.
        meta: what else to remember, e.g. corpus, protocol, metrics, licences (plain JSON).
        card: the text of `README.md`.
        held_out: what speakers are like whom the model was not fitted to.
    """
    config = {
        "format": FORMAT,
        **model.space.to_json(),
        "model": model.to_config(),
        "meta": meta or {},
    }
    with atomic(folder, folder=True) as temporary:
        weights = {k: v.detach().cpu().contiguous() for k, v in merged_state(model).items()}
        try:
            save_file(weights, temporary / WEIGHTS)
        except SafetensorError as error:  # a full disk
            raise CheckpointError(f"{folder}: cannot be written: {error}") from error
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary / TOKENIZER)
        if held_out is not None:
            held_out.write(temporary)
        if card is not None:
            (temporary / CARD).write_text(card, "utf-8")
        write_config(temporary, config)


def load_model(
    folder: str | Path,
) -> tuple[EmotionModel, PreTrainedTokenizerBase | None, dict[str, Any]]:
    """Open a model folder, without network.

    Returns:
        The model in evaluation mode, its tokenizer if it has one, and the whole `config.json`.

    Raises:
        CheckpointError: folder or file missing or damaged, other format version, weights that do
            not fit the config.
    """
    folder = Path(folder)
    words, config = folder / TOKENIZER, read_config(folder)
    model = load_as(EmotionModel, folder)
    verify(folder, config, words=True)
    return model, open_tokenizer(words) if words.is_dir() else None, config


def load_as(kind: type[Model], folder: Path) -> Model:
    """The model of a folder, in evaluation mode, as an object of this class; see `load_model`.

    It is first built without memory, and of what it would weigh is compared with what the file holds.
    """
    config, path = read_config(folder), folder / WEIGHTS
    space = Space.from_json(config)
    found = shapes(path)
    try:
        with (
            quiet(),
            no_init_weights(),
        ):  # random weights that are overwritten cost 8 s for a large encoder
            with torch.device("meta"):
                plan = kind.from_config(config["model"], space).state_dict()
            wanted = {name: tuple(tensor.shape) for name, tensor in plan.items()}
            if problem := misfits(wanted, found):
                raise CheckpointError(f"{path}: {problem}")
            model = kind.from_config(config["model"], space)
    except CheckpointError:
        raise
    except Exception as error:  # whatever the parts of a model raise of options that make no sense
        reason = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
        reason += " ".join(str(error).split())[:300]
        raise CheckpointError(f"{folder / CONFIG}: cannot build this model: {reason}") from error
    verify(folder, config, words=False)
    load_weights(model, read_tensors(path), str(path))
    return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises CheckpointError."""
    shapes(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def load_weights(model: EmotionModel, weights: dict[str, Tensor], where: str) -> None:
    """Put them into the model: all of it, nothing else, all finite; raises CheckpointError."""
    shapes_of = [{k: tuple(v.shape) for k, v in x.items()} for x in (model.state_dict(), weights)]
    if problem := misfits(*shapes_of):
        raise CheckpointError(f"{where}: {problem}")
    for name, tensor in weights.items():
        if tensor.numel() and not torch.stack(torch.aminmax(tensor)).isfinite().all():
            raise CheckpointError(f"{where}: '{name}' is not finite; train it again")
    model.load_state_dict(weights)
