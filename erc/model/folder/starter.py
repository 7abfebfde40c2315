"""The starter: a head that comes with the package, and a public encoder → a model folder.

What is shipped in `erc/starter` (see `erc.studies.starter_build`, which makes it):

    config.json         of the model folder; `meta.encoder`: id and digest of the encoder
    head.safetensors    all weights but the encoder's
    graphs/*.onnx       the exported graphs, without weights
    graphs.json         graph → [[tensor, transposed], …], the weights behind one another; `runtime`
    held_out.npz README.md LICENSE

Nothing here needs torch. The encoder's weights are taken as float16, in which they differ from the
float32 of the hub by less than is heard, so that every copy of it makes the same model to the bit.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from erc.base import hub
from erc.base.errors import CheckpointError
from erc.base.files import atomic, cache_dir, fingerprint, read_json, sha256, write_json
from erc.model.folder import CARD, CONFIG, COPY, HELD_OUT, SCALES, WEIGHTS, write_config
from erc.model.folder.weights import shapes

NAME = "starter"  # as a model, for --model
ENCODER = "openai/whisper-tiny.en"
MEGABYTES = 151  # of its file on the hub
HERE = Path(__file__).parents[2] / NAME
HEAD, GRAPHS, RECIPE, LICENCE = "head.safetensors", "graphs", "graphs.json", "LICENSE"
VARIABLE = "ERC_ENCODER"  # a folder with the encoder
INSIDE = "branches.speech.encoder.backbone.model."  # begins the encoder's tensors in a model
OUTSIDE = re.compile(r"(model\.)?encoder\.")  # and in its own file
STANDARDIZE = "branches.speech.standardize."
WAVES = "waves"  # a constant of the graphs that is computed, see `waves`
WARNING = (
    "it learned from acted speech of three corpora and is little better than chance on other voices as "
    "they are; `erc starter` says how much"
)
SMALL = 1024  # bytes; smaller tensors stay in the graph

Tensors = dict[str, np.ndarray]


def folder(encoder: str | None = None) -> Path:
    """The starter as a model folder; put together at its first use, then taken from the cache.

    Args:
        encoder: folder of the encoder; None: that of $ERC_ENCODER, else `ENCODER` of the hub.

    Raises:
        CheckpointError: the encoder is not to be had, or is another one.
    """
    found = place()
    if not found.is_dir():
        assemble(HERE, _encoder(encoder or os.environ.get(VARIABLE)), found)
        print(
            "erc: the starter is for non-commercial use, as is what it learned from (CC BY-NC-SA 4.0); "
            f"what it can do and what not: {found / CARD}",
            file=sys.stderr,
        )
    return found


def place() -> Path:
    """Where it is, or will be."""
    config = read_json(HERE / CONFIG, CheckpointError)
    return cache_dir() / f"{NAME}-{fingerprint(config)[:12]}" / NAME


def _encoder(given: str | None) -> Path:
    if given:
        found = Path(given).expanduser()
        if not (found / WEIGHTS).is_file():
            raise CheckpointError(f"the starter's encoder: '{given}' is no folder with a {WEIGHTS}")
        return found
    try:
        return hub.snapshot(ENCODER, local_files_only=True)
    except CheckpointError:
        if hub.reachable():
            print(f"erc: fetching {ENCODER}, {MEGABYTES} MB, once", file=sys.stderr)
    try:
        return hub.snapshot(ENCODER)
    except CheckpointError:
        raise CheckpointError(
            f"the starter needs {ENCODER} ({MEGABYTES} MB), which is not in the local Hugging Face "
            f"cache, and the hub cannot be reached: on a connected machine run `hf download {ENCODER}`, "
            f"then give that folder here: erc starter --encoder FOLDER (or {VARIABLE}=FOLDER)"
        ) from None


def assemble(shipped: Path, encoder: Path, out: Path) -> None:
    """Head and encoder → a model folder with its exported copy.

    Raises:
        CheckpointError: the encoder is not the one that the head was fitted on.
    """
    from safetensors.numpy import load_file, save_file

    config, recipe = (read_json(shipped / name, CheckpointError) for name in (CONFIG, RECIPE))
    weights = load_file(shipped / HEAD) | encoder_weights(encoder)
    if digest(weights) != (wanted := config["meta"]["encoder"])["sha256"]:
        raise CheckpointError(
            f"{encoder / WEIGHTS} is not {wanted['id']}: the starter's head was fitted on that encoder"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic(out, folder=True) as made:
        save_file(weights, made / WEIGHTS)
        for name in (HELD_OUT, CARD, LICENCE):
            shutil.copy(shipped / name, made / name)
        copy = made / COPY
        copy.mkdir(parents=True)
        for name in (HELD_OUT, CARD):
            shutil.copy(shipped / name, copy / name)
        for graph, tensors in recipe["graphs"].items():
            shutil.copy(shipped / GRAPHS / graph, copy / graph)
            with (copy / f"{graph}.data").open("wb") as file:
                for tensor in tensors:
                    file.write(_laid(weights, *tensor).tobytes())
        np.save(copy / SCALES, np.stack([weights[STANDARDIZE + x] for x in ("mean", "scale")]))
        runtime = recipe["runtime"] | {"weights": sha256(made / WEIGHTS)}
        write_config(copy, config | {"runtime": runtime})
        write_config(made, config)


def encoder_weights(encoder: Path) -> Tensors:
    """The encoder's tensors by their names in a model, as float32 of float16.

    Raises:
        CheckpointError: it is no safetensors file with an encoder.
    """
    from safetensors import safe_open

    path, found = encoder / WEIGHTS, {}
    names = [name for name in shapes(path) if OUTSIDE.match(name)]
    with safe_open(path, "numpy") as file:
        for name in names:
            try:
                tensor = file.get_tensor(name)
            except TypeError as error:  # bfloat16, which numpy has not
                raise CheckpointError(f"{path}: '{name}' is neither float16 nor float32") from error
            inside = INSIDE + OUTSIDE.sub("", name, count=1)
            found[inside] = tensor.astype(np.float16).astype(np.float32)
    if not found:
        raise CheckpointError(f"{path} holds no encoder of Whisper")
    return found


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the encoder in them, as float16."""
    total = hashlib.sha256()
    for name in sorted(weights):
        if name.startswith(INSIDE):
            total.update(name.encode() + weights[name].astype("<f2").tobytes())
    return total.hexdigest()


def waves(window: int) -> np.ndarray:
    """Windowed cosines and sines [2 (n / 2 + 1), 1, n], as in `erc.model.graphs.WhisperStates`."""
    angle = 2 * np.pi * np.outer(np.arange(window // 2 + 1), np.arange(window)) / window
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return np.concatenate([hann * np.cos(angle), hann * np.sin(angle)])[:, None].astype("<f4")


def _laid(weights: Mapping[str, np.ndarray], name: str, transposed: bool) -> np.ndarray:
    """A tensor as a graph has it."""
    if name.startswith(WAVES):
        return waves(int(name.removeprefix(f"{WAVES} ")))
    return np.ascontiguousarray(weights[name].T if transposed else weights[name], "<f4")


def pack(made: Path, out: Path, card: str, licence: str) -> None:
    """The inverse of `assemble`: a model folder with an exported copy → what is shipped.

    Needs the library onnx.
    """
    import onnx
    from onnx import numpy_helper
    from onnx.external_data_helper import set_external_data
    from safetensors.numpy import load_file, save_file

    weights = load_file(made / WEIGHTS)
    config = read_json(made / CONFIG, CheckpointError)
    exported = read_json(made / COPY / CONFIG, CheckpointError)["runtime"]
    config.pop("files")
    config["meta"]["encoder"] = {"id": ENCODER, "sha256": digest(weights)}
    recipe: dict[str, Any] = {"graphs": {}, "runtime": exported}
    exported.pop("weights")
    with atomic(out, folder=True) as new:
        if (out / "__init__.py").is_file():
            shutil.copy(out / "__init__.py", new)
        (new / GRAPHS).mkdir()
        for graph in exported["graphs"].values():
            model, tensors, at = onnx.load(made / COPY / graph), [], 0
            _as_initializers(model.graph)
            for one in model.graph.initializer:
                value = numpy_helper.to_array(one)
                if value.nbytes <= SMALL:
                    continue
                if (found := _found(value, weights)) is None:  # the filters of the spectrum
                    continue
                tensors.append(found)
                set_external_data(one, f"{graph}.data", at, value.nbytes)
                one.ClearField("raw_data")
                one.data_location = onnx.TensorProto.EXTERNAL
                at += value.nbytes
            (new / GRAPHS / graph).write_bytes(model.SerializeToString())
            recipe["graphs"][graph] = tensors
        own = {k: v for k, v in weights.items() if not k.startswith(INSIDE)}
        save_file(own, new / HEAD)
        shutil.copy(made / HELD_OUT, new)
        (new / CARD).write_text(card, "utf-8")
        (new / LICENCE).write_text(licence, "utf-8")
        write_json(new / RECIPE, recipe)
        write_json(new / CONFIG, config)


def _as_initializers(graph: Any) -> None:
    """Large constants that are nodes become what can lie in another file."""
    for node in list(graph.node):
        tensors = [a.t for a in node.attribute if a.name == "value" and a.HasField("t")]
        if node.op_type == "Constant" and tensors and tensors[0].ByteSize() > SMALL:
            graph.initializer.append(tensors[0])
            graph.initializer[-1].name = node.output[0]
            graph.node.remove(node)


def _found(value: np.ndarray, weights: Tensors) -> tuple[str, bool] | None:
    """Which tensor of a model a constant of its graph is, and whether transposed; None: of none."""
    for name, one in weights.items():
        for turned in (False, True):
            other = one.T if turned else one
            if other.shape == value.shape and np.array_equal(other, value):
                return name, turned
    if value.ndim == 3 and np.allclose(waves(value.shape[-1]), value, rtol=0, atol=1e-6):
        return f"{WAVES} {value.shape[-1]}", False
    return None
