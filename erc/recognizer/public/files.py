"""The files of a published model: which there are, and what they may say. Nothing is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import CheckpointError
from erc.base.files import read_json
from erc.model.folder import CONFIG, MAX_CONFIG, WEIGHTS, check_links, schema
from erc.model.folder.weights import shapes

INDEX = f"{WEIGHTS}.index.json"  # of weights in several files
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
TOKENIZER, ADAPTER = "tokenizer_config.json", "adapter_config.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")
COUNT, SIZE = schema.whole(1, 4096), schema.real(-1e6, 1e6)
EXTRACTOR = schema.record(
    {"sampling_rate": schema.whole(1, 1_000_000)},
    {
        **dict.fromkeys(("feature_size", "num_mel_bins", "n_fft", "hop_length", "stride"), COUNT),
        **dict.fromkeys(("n_samples", "nb_max_frames"), schema.whole(1, 60 * SAMPLE_RATE)),
        "chunk_length": schema.whole(1, 60),  # s
        "max_length": schema.whole(1, 6000),  # frames of 10 ms
        **dict.fromkeys(("padding_value", "mean", "std", "dither"), SIZE),
    },
    schema.plain,
)


def read(path: Path, rule: schema.Rule) -> dict[str, Any]:
    """A JSON object of reasonable size that a rule allows; raises CheckpointError."""
    if path.is_file() and path.stat().st_size > MAX_CONFIG:
        raise CheckpointError(f"{path}: more than {MAX_CONFIG >> 20} MB; this is no configuration")
    value = read_json(path, CheckpointError)
    try:
        rule(value)
    except schema.Unfit as unfit:
        raise CheckpointError(f"{path}: {unfit}") from None
    return value


def harmless(folder: Path) -> None:
    """Raise CheckpointError for what would run code, or lead to files that nobody looked at."""
    check_links(folder)
    if (folder / ADAPTER).is_file():  # transformers would load the model that it names
        raise CheckpointError(f"{folder}: is an adapter of another model; merge it into that one")
    for name in (CONFIG, PREPROCESSOR, PROCESSOR, TOKENIZER):
        if (folder / name).is_file() and _deep(read(folder / name, schema.plain), "auto_map"):
            raise CheckpointError(
                f"{folder / name}: this model comes with code of its own (auto_map), and erc runs no "
                "code of a model folder"
            )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder; raises CheckpointError, with the reason, if there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        parts = read(folder / INDEX, schema.plain).get("weight_map")
        parts = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
        if parts and all(re.fullmatch(r"[\w.-]{1,100}\.safetensors", part) for part in parts):
            return [folder / part for part in parts]
        raise CheckpointError(f"{folder / INDEX}: lists no safetensors files")
    pickled = [path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))]
    if pickled:
        raise CheckpointError(
            f"{folder}: has its weights only as {pickled[0]}, and opening such a file can run code that "
            f"is hidden in it; take a copy as {WEIGHTS} (`from_pretrained` and `save_pretrained` of "
            "transformers write one, on a machine that may run it)"
        )
    raise CheckpointError(f"{folder}: there is no {WEIGHTS}")


def tensors(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor of a folder, from the headers alone; raises CheckpointError."""
    return {name: shape for path in weight_files(folder) for name, shape in shapes(path).items()}


def extractor_of(folder: Path) -> dict[str, Any]:
    """What the feature extractor of a speech model is made from; raises CheckpointError."""
    path = folder / PROCESSOR
    value = read(path, schema.plain).get("feature_extractor") if path.is_file() else None
    if not isinstance(value, dict):  # newer folders have it inside that file
        path, value = folder / PREPROCESSOR, None
    if value is None and not path.is_file():
        raise CheckpointError(
            f"{folder}: has no {PREPROCESSOR}, which says how the model wants its sound; copy that of "
            "the encoder that it was trained from, which its card names"
        )
    value = {"sampling_rate": SAMPLE_RATE, **(value or read(path, schema.plain))}
    try:
        EXTRACTOR(value)
    except schema.Unfit as unfit:
        raise CheckpointError(f"{path}: {unfit}") from None
    if value["sampling_rate"] != SAMPLE_RATE:
        raise CheckpointError(
            f"{path}: wants {value['sampling_rate']} Hz; erc works at {SAMPLE_RATE}"
        )
    return value


def _deep(value: Any, key: str) -> bool:
    """Whether an object, or one in it, has this key."""
    if isinstance(value, dict):
        return key in value or any(_deep(one, key) for one in value.values())
    return isinstance(value, list) and any(_deep(one, key) for one in value)
