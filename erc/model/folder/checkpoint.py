"""Model folders: `model.safetensors`, `config.json`, `tokenizer/`, `README.md` (the card).

No pickle, and nothing of a folder is executed: the weights are plain tensors, the config plain JSON,
and encoders are built from classes of the installed transformers library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.initialization import no_init_weights

from erc.base.emotions import EMOTIONS
from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import atomic, write_json
from erc.model.emotion import EmotionModel
from erc.model.folder import CARD, CONFIG, FORMAT, TOKENIZER, WEIGHTS, read_config, read_json
from erc.model.tokenizer import load_tokenizer
from erc.model.tuning import merged_state

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


def save(
    folder: str | Path,
    model: EmotionModel,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    meta: dict[str, Any] | None = None,
    card: str | None = None,
) -> None:
    """Write a model folder; it is complete or not there, and replaces what had its name.

    Args:
        folder: where.
        model: weights are stored on the CPU as they are, but for LoRA, which is merged.
        tokenizer: of the text encoder.
        meta: what else to remember, e.g. corpus, protocol, metrics, licences (plain JSON).
        card: the text of `README.md`.
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
    config = read_config(folder)
    try:
        with no_init_weights():  # random weights that are overwritten cost 8 s for a large encoder
            model = EmotionModel.from_config(config["model"])
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{folder / CONFIG}: cannot build this model: {error}") from error
    _load_weights(model, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    tokenizer = None
    if (folder / TOKENIZER).is_dir():
        tokenizer = load_tokenizer(str(folder / TOKENIZER))
    return model.eval(), tokenizer, config


def import_reference(
    checkpoint: str | Path, config_json: str | Path, out_dir: str | Path
) -> EmotionModel:
    """Turn a checkpoint with the published key names into a model folder (without tokenizer).

    Args:
        checkpoint: safetensors with `model.wav_model.*`, `model.txt_model.*`, the two projectors, and
            `model.mlp_mixer.*` or `model.simple_concat.*`.
        config_json: sizes: `audio` and `text` (Hugging Face configs), `mixer`.
        out_dir: the folder to write.

    Raises:
        CheckpointError: a file is unreadable, a key unknown or missing, a shape does not fit.
    """
    tensors = read_tensors(Path(checkpoint))
    sizes = read_json(Path(config_json))
    try:
        model = EmotionModel.from_config(_published_config(sizes, tensors))
        renamed = {_rename(key, sizes["mixer"]["depth"]): value for key, value in tensors.items()}
    except KeyError as error:
        raise CheckpointError(f"{config_json}: there is no {error}") from error
    # The published model does not standardise: keep the identity.
    identity = {k: v for k, v in model.state_dict().items() if ".standardize." in k}
    _load_weights(model, identity | renamed, str(checkpoint))
    save(out_dir, model, meta={"imported_from": Path(checkpoint).name})
    return model.eval()


def _published_config(sizes: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    mixer = sizes["mixer"]
    config = {
        "speech": {"model": sizes["audio"], "normalize": True},
        "text": {"model": sizes["text"]},
        "dim": mixer["image_size"],
        "fusion": "concat",
    }
    if any(key.startswith("model.mlp_mixer.") for key in keys):
        config["fusion"] = "tensor_mixer"
        config["fusion_options"] = {
            "patch_size": mixer["patch_size"],
            "mixer_dim": mixer["dim"],
            "depth": mixer["depth"],
            "token_expansion": mixer["expansion_factor"],
            "channel_expansion": mixer["expansion_factor_token"],
            "constant": False,
        }
    return config


def _rename(key: str, depth: int) -> str:
    """Published key → ours; an unknown key stays as it is and is then reported.

    >>> _rename("model.mlp_mixer.2.0.fn.3.bias", depth=12)
    'fusion.mixer.0.tokens.3.bias'
    """
    block = re.fullmatch(r"model\.mlp_mixer\.(\d+)\.([01])\.(norm|fn\.\d)\.(weight|bias)", key)
    if block:
        number, part, layer, kind = block.groups()
        name = ("token", "channel")[int(part)]
        layer = f"{name}_norm" if layer == "norm" else f"{name}s.{layer.removeprefix('fn.')}"
        return f"fusion.mixer.{int(number) - 2}.{layer}.{kind}"
    for old, new in {
        "model.wav_model.": "branches.speech.encoder.backbone.model.",
        "model.txt_model.": "branches.text.encoder.model.",
        "model.wav_projector.": "branches.speech.projector.",
        "model.txt_projector.": "branches.text.projector.",
        "model.simple_concat.0.": "fusion.layers.0.",
        "model.simple_concat.2.": "head.",
        "model.mlp_mixer.1.": "fusion.embed.",
        f"model.mlp_mixer.{depth + 2}.": f"fusion.mixer.{depth}.",
        f"model.mlp_mixer.{depth + 4}.": "head.",  # after the layer norm and the mean
    }.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def read_tensors(path: Path) -> dict[str, Tensor]:
    """A safetensors file; raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a whole safetensors file: {error}") from error


def _load_weights(model: EmotionModel, weights: dict[str, Tensor], where: str) -> None:
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
