"""Weights with the published key names → a model folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from erc.base.errors import CheckpointError
from erc.base.files import read_json
from erc.model.emotion import EmotionModel
from erc.model.folder.checkpoint import load_weights, read_tensors, save


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
    sizes = read_json(config_json, CheckpointError)
    try:
        model = EmotionModel.from_config(_published_config(sizes, tensors))
        renamed = {_rename(key, sizes["mixer"]["depth"]): value for key, value in tensors.items()}
    except KeyError as error:
        raise CheckpointError(f"{config_json}: there is no {error}") from error
    # The published model does not standardise: keep the identity.
    identity = {k: v for k, v in model.state_dict().items() if ".standardize." in k}
    load_weights(model, identity | renamed, str(checkpoint))
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
