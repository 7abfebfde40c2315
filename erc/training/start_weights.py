"""Starting from the weights of another run: what fits is taken over, what does not is named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from erc.base.errors import CheckpointError
from erc.model.emotion import EmotionModel
from erc.model.folder import checkpoint
from erc.model.tokenizer import open_tokenizer


@dataclass
class Start:
    """Weights by name, the tokenizer they were trained with (None: not known), and from where."""

    weights: dict[str, Tensor]
    tokenizer: Any
    source: str


def read(place: str | Path) -> Start:
    """Weights of a run, a model folder or a `.ckpt`; no encoder is built, nothing executed.

    A folder of contrastive pre-training gives its encoders and projections alone.

    Raises:
        CheckpointError: nothing usable there.
    """
    place = Path(place)
    if place.suffix == ".ckpt":
        weights = _read_ckpt(place)
        folder = place.parent.parent / "model"  # where a run leaves its tokenizer
    else:
        folder = place if (place / checkpoint.CONFIG).exists() else place / "model"
        if not folder.is_dir():
            raise CheckpointError(
                f"'{place}' is neither a run, nor a model folder, nor a .ckpt file"
            )
        config = checkpoint.read_config(folder)
        weights = checkpoint.read_tensors(folder / checkpoint.WEIGHTS)
        if config["meta"].get("objective") == "contrastive":
            weights = {k: v for k, v in weights.items() if k.startswith("branches.")}
    words = folder / checkpoint.TOKENIZER
    return Start(weights, open_tokenizer(words) if words.is_dir() else None, str(place))


def start_from(model: EmotionModel, start: Start, tokenizer: Any = None) -> dict[str, str]:
    """Take over every part of the model whose weights all fit by name and shape.

    Args:
        model: plain, before `tuning.add_lora`; changed in place.
        start: see `read`.
        tokenizer: that the model will be used with.

    Returns:
        part → "loaded", or why not. Parts: each modality's encoder and projection, fusion, head.

    Raises:
        CheckpointError: nothing fits.
    """
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in model.state_dict().items():
        parts[_part(name)][name] = tensor
    other = tokenizer is not None and not _same_words(start.tokenizer, tokenizer)
    report = {}
    for part, wanted in parts.items():
        misfit = _misfit(wanted, start.weights)
        if not misfit and part == "text encoder" and other:
            misfit = "its tokenizer is another one, or not known"
        report[part] = misfit or "loaded"
        if not misfit:
            model.load_state_dict({k: start.weights[k] for k in wanted}, strict=False)
    if "loaded" not in report.values():
        reasons = "; ".join(f"{part}: {why}" for part, why in report.items())
        raise CheckpointError(f"{start.source}: no part of it fits this model ({reasons})")
    return report


def describe(report: dict[str, str], source: str) -> str:
    """One line for people.

    >>> describe({"speech encoder": "loaded", "head": "1 of 2 weights missing"}, "runs/x")
    'start from runs/x: speech encoder; not taken: head (1 of 2 weights missing)'
    """
    loaded = [part for part, why in report.items() if why == "loaded"]
    rest = [f"{part} ({why})" for part, why in report.items() if why != "loaded"]
    return f"start from {source}: {', '.join(loaded)}" + (
        f"; not taken: {', '.join(rest)}" if rest else ""
    )


def _read_ckpt(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise CheckpointError(f"there is no file '{path}'")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:  # a pickle can be broken in many ways
        raise CheckpointError(f"{path}: not a checkpoint of a training: {error}") from error
    return {k.removeprefix("model."): v for k, v in state.items() if k.startswith("model.")}


def _part(name: str) -> str:
    words = name.split(".")
    if words[0] != "branches":
        return words[0]
    return f"{words[1]} {'encoder' if words[2] == 'encoder' else 'projection'}"


def _misfit(wanted: dict[str, Tensor], found: dict[str, Tensor]) -> str:
    missing = [k for k in wanted if k not in found]
    if missing:
        return f"{len(missing)} of {len(wanted)} weights missing"
    shapes = [k for k, v in wanted.items() if v.shape != found[k].shape]
    return f"{len(shapes)} of {len(wanted)} weights have another shape" if shapes else ""


def _same_words(one: Any, other: Any) -> bool:
    return one is not None and one.get_vocab() == other.get_vocab()
