"""Model folders: `model.safetensors`, `config.json`, `tokenizer/`, `README.md` (the card).

No pickle, and nothing of a folder is executed: the weights are plain tensors, the config plain JSON,
and encoders are built from classes of the installed transformers library.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.initialization import no_init_weights

from erc.base.emotions import EMOTIONS
from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import atomic, write_json
from erc.model.emotion import EmotionModel
from erc.model.folder import CARD, CONFIG, FORMAT, TOKENIZER, WEIGHTS, read_config
from erc.model.folder.held_out import HeldOut
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
        "emotions": list(EMOTIONS),
        "model": model.to_config(),
        "meta": meta or {},
    }
    with atomic(folder, folder=True) as temporary:
        weights = {k: v.detach().cpu().contiguous() for k, v in merged_state(model).items()}
        save_file(weights, temporary / WEIGHTS)
        write_json(temporary / CONFIG, config)
        if tokenizer is not None:
            tokenizer.save_pretrained(temporary / TOKENIZER)
        if held_out is not None:
            held_out.write(temporary)
        if card is not None:
            (temporary / CARD).write_text(card, "utf-8")


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
    words = folder / TOKENIZER
    model = load_as(EmotionModel, folder)
    return model, open_tokenizer(words) if words.is_dir() else None, read_config(folder)


def load_as(kind: type[Model], folder: Path) -> Model:
    """The model of a folder, in evaluation mode, as an object of this class; see `load_model`."""
    config = read_config(folder)
    try:
        with no_init_weights():  # random weights that are overwritten cost 8 s for a large encoder
            model = kind.from_config(config["model"])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{folder / CONFIG}: cannot build this model: {error}") from error
    load_weights(model, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return model.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def load_weights(model: EmotionModel, weights: dict[str, Tensor], where: str) -> None:
    """Put them into the model: all of it, nothing else; raises CheckpointError."""
    wanted = model.state_dict()
    problems = {
        "missing": [k for k in wanted if k not in weights],
        "unknown": [k for k in weights if k not in wanted],
        "of another shape": [
            f"{k} {tuple(v.shape)} for {tuple(wanted[k].shape)}"
            for k, v in weights.items()
            if k in wanted and v.shape != wanted[k].shape
        ],
    }
    for problem, keys in problems.items():
        if keys:
            more = ", …" if len(keys) > 3 else ""
            raise CheckpointError(
                f"{where}: {len(keys)} weights {problem}: {', '.join(keys[:3])}{more}"
            )
    model.load_state_dict(weights)
