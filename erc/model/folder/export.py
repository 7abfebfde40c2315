"""A model as graphs that answer without torch, and the copy of them that a model folder keeps.

    MODEL/exports/onnx/  config.json     that of the model, and `runtime`: graphs, spec, weights, parity
                         speech.onnx …   a graph for each modality, and fuse.onnx
                         tokenizer/ README.md

OpenVINO reads the same files. Each graph has dynamic batch and time; int8 is dynamic: weights of matrix
products are stored in 8 bits with a scale for each column, activations are rounded as they come.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from erc.base.errors import CheckpointError, ConfigError
from erc.base.files import atomic, sha256
from erc.base.numbers import differences
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel
from erc.model.encoded import subsets
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder import (
    CARD,
    COPY,
    EXACT,
    HELD_OUT,
    SCALES,
    TOKENIZER,
    WEIGHTS,
    worst,
    write_config,
)  # fmt: skip
from erc.model.folder.checkpoint import load_model
from erc.model.folder.graph import check_graph
from erc.model.graphs import EncodeGraph, FuseGraph, front
from erc.model.physiology import PhysiologyEncoder
from erc.model.spec import Spec, padded, scales_of, scores

OPSET = 20
SIZES = (1, 3, 8)  # of the noise to compare on; 2 is what the exporter saw
LIMIT = 1_500_000_000  # bytes; protobuf ends at 2 GB: beyond, weights lie beside the graph
LARGE = 100_000_000  # parameters: a copy takes minutes to make, and as much disk as the model again
LIBRARIES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
}


def keep_copy(folder: Path, wanted: bool | str = "auto") -> str:
    """Write `folder/exports/onnx`, with which `erc.load(folder)` starts without torch.

    Args:
        folder: of a model with weights.
        wanted: True, False, or "auto": if the libraries are there and the model is not `LARGE`.

    Returns:
        What was done, or why nothing was, in one line.

    Raises:
        ConfigError: something else than these three.
        CheckpointError: True, and a library is missing, or the graphs do not say what torch says
            within `EXACT`.
    """
    if wanted not in (True, False, "auto"):
        raise ConfigError(f"export={wanted} is not one of auto, true, false")
    problem = ""
    if wanted is False:
        problem = "export=false"
    elif missing := missing_libraries("onnx"):
        problem = f"that needs: pip install {' '.join(missing)}"
    elif wanted == "auto" and (folder / WEIGHTS).stat().st_size > 4 * LARGE:
        problem = f"export=auto leaves out models of more than {LARGE / 1e6:g} M parameters"
    else:
        for trace in (True, False):
            try:
                off = _copy(folder, trace)
                return f"export {folder / COPY}, which starts without torch ({off:.0e} from it)"
            except Exception as error:  # whatever the exporters raise, the trained model stands
                problem = str(error).strip().partition("\n")[0]
    if wanted is True:
        raise CheckpointError(f"export=true: {folder}: {problem}")
    return f"no exported copy ({problem}); erc export {folder} --inside makes one"


def _copy(folder: Path, trace: bool) -> float:
    """Write the copy and return how far it is from torch; raises CheckpointError beyond `EXACT`."""
    net, _, config = load_model(folder)
    with atomic(folder / COPY, folder=True) as out:
        record = write(net, folder, out, config, trace=trace)
        found = compare(net, out, record)
        write_config(out, config | {"runtime": record | {"parity": found}})
        if not (off := worst(found)) <= EXACT:
            raise CheckpointError(f"its answers differ from torch by {off:.1e}")
    return off


def missing_libraries(format: str) -> list[str]:
    """What must be installed before that format can be written."""
    return [name for name in LIBRARIES[format] if not find_spec(name)]


def write(
    net: EmotionModel,
    folder: Path,
    out: Path,
    config: dict[str, Any],
    format: str = "onnx",
    int8: bool = False,
    trace: bool = False,
) -> dict[str, Any]:
    """Write the graphs of a model, its tokenizer and card, and `config.json`.

    Args:
        net: what `load_model(folder)` gave.
        folder: of the model.
        out: an empty folder.
        config: the model's `config.json`.
        format: onnx | openvino.
        int8: 8-bit weights (ONNX only).
        trace: record one run of the model instead of analysing it: a second instead of half a
            minute, but wrong where the model decides by its input. For who compares afterwards.

    Returns:
        The entry "runtime" of the `config.json` written. Its "weights" is the SHA-256 of the
        weights that the graphs were made from.

    Raises:
        CheckpointError: a tokenizer without `tokenizer.json`.
    """
    _carry(folder, out)
    record = {
        "name": f"{format}-{'int8' if int8 else 'fp32'}",
        "graphs": {key: _write(out, key, net, int8, trace) for key in (*net.branches, "fuse")},
        "spec": Spec.of(net).to_dict(),
        "front": {key: rule for key, b in net.branches.items() if (rule := front(b))},
        "weights": sha256(folder / WEIGHTS),
    }
    if scales := scales_of(net):
        np.save(out / SCALES, np.stack(scales))
    write_config(out, config | {"runtime": record})
    return record


@torch.inference_mode()
def compare(net: EmotionModel, out: Path, record: dict[str, Any]) -> dict[str, Any]:
    """How far ONNX graphs that `write` made are from the model, on noise of other sizes than it saw.

    Returns:
        max_probability, and max_valence … of every dimension: largest difference of an answer, from
        every subset of the modalities, where a scale is as long as 1–5; pooled: modality →
        ‖a − b‖ / ‖a‖ of the features a. Plain JSON.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    run = {
        key: onnxruntime.InferenceSession(
            out / file, options, providers=["CPUExecutionProvider"]
        ).run
        for key, file in record["graphs"].items()
    }
    space, errors = net.space, dict.fromkeys(net.modalities, 0.0)
    most = dict.fromkeys((f"max_{name}" for name in ("probability", *space.names)), 0.0)
    for size in SIZES:
        noise = {name: _noise(branch, size) for name, branch in net.branches.items()}
        encoded, inputs = net.encode(noise), {}
        for name, (x, lengths) in noise.items():
            a = encoded.pooled[name].numpy()
            b = run[name](None, {"x": x.numpy(), "lengths": lengths.numpy()})[0]
            b = b[:, : a.shape[1]]  # a graph may leave room at the end of a sequence
            errors[name] = max(errors[name], float(np.linalg.norm(a - b) / np.linalg.norm(a)))
            inputs[f"pooled_{name}"] = b
        for use in [net.modalities] if net.fusion.needs_all else subsets(net.modalities):
            heard = encoded.only(use)
            there = {f"present_{name}": x.numpy() for name, x in heard.present.items()}
            ours = net.fuse(heard, void_ok=True)
            logits, placed = scores(run["fuse"](None, inputs | there), space)
            p = [torch.as_tensor(x).softmax(-1).numpy() for x in (ours.logits, logits)]
            one, other = (p[0], ours.dimensions.numpy()), (p[1], placed)
            for name, off in differences(one, other, space).items():
                most[name] = max(most[name], off) if off == off else off
    return {"inputs": "noise", **most, "pooled": errors}


def _carry(folder: Path, out: Path) -> None:
    """Tokenizer, card and what is known of held-out speakers, as they are."""
    if (folder / TOKENIZER).is_dir():
        if not (folder / TOKENIZER / "tokenizer.json").is_file():
            raise CheckpointError(
                f"{folder / TOKENIZER} has no tokenizer.json, without which only transformers can "
                "read it; save it again with a fast tokenizer"
            )
        shutil.copytree(folder / TOKENIZER, out / TOKENIZER)
    for name in (CARD, HELD_OUT):
        if (folder / name).is_file():
            shutil.copy(folder / name, out / name)


class Plan(NamedTuple):
    """What the exporter is told of a graph."""

    graph: nn.Module
    inputs: dict[str, Tensor]  # examples
    axes: tuple[dict[int, Any], ...]  # of each input: those that vary
    outputs: list[str]


def _write(out: Path, key: str, net: EmotionModel, int8: bool, trace: bool) -> str:
    """One graph; returns its file's name."""
    path = out / f"{key}.onnx"
    plan = _fuse(net) if key == "fuse" else _encode(net.branches[key])
    size = sum(t.numel() * t.element_size() for t in plan.graph.state_dict().values())
    names: dict[str, Any] = {"input_names": list(plan.inputs), "output_names": plan.outputs}
    given = plan.graph.eval(), tuple(plan.inputs.values())
    with _silence(), torch.no_grad():
        if trace:
            axes = {name: list(vary) for name, vary in zip(plan.inputs, plan.axes, strict=True)}
            torch.onnx.export(
                *given, path, dynamic_axes=axes, dynamo=False, opset_version=OPSET, **names
            )
        else:
            shapes = (plan.axes,) if key == "fuse" else plan.axes  # it takes *given
            program = torch.onnx.export(
                *given,
                dynamic_shapes=shapes,
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
                **names,
            )
            for node in cast(torch.onnx.ONNXProgram, program).model.graph.all_nodes():
                node.metadata_props.clear()  # lines and paths of the code it was made from
            cast(torch.onnx.ONNXProgram, program).save(path, external_data=size > LIMIT)
        if int8 and key != "fuse":
            _quantise(path, size > LIMIT)
    check_graph(path)  # nobody could open what is refused there
    return path.name


def _encode(branch: Branch) -> Plan:
    (x, lengths), rule = _noise(branch, 2), front(branch)
    fixed = x.shape[1] == 1 or (rule and rule["least"] == rule["most"])
    axes = {0: Dim.DYNAMIC} | ({} if fixed else {1: Dim.DYNAMIC})
    outputs = ["features", "present"] if branch.reduction == "frames" else ["features"]
    inputs = {"x": x, "lengths": lengths}
    return Plan(EncodeGraph(branch), inputs, (axes, {0: Dim.DYNAMIC}), outputs)


def _noise(branch: Branch, size: int) -> tuple[Tensor, Tensor]:
    """x and lengths for an encoder's graph: `size` + 1 rows, of unequal length where they may be."""
    encoder, random = branch.encoder, torch.Generator().manual_seed(size)
    if isinstance(encoder, TextEncoder):
        longest = 4 * size + 1
        x = torch.randint(2, 32, (size + 1, longest), generator=random)
    elif isinstance(encoder, SpeechEncoder):
        longest = 4000 * size
        x = torch.randn(size + 1, padded(longest, front(branch)), generator=random)
    else:
        body = cast(PhysiologyEncoder, encoder)
        longest = 3 * size + 1 if body.kind == "conv" else 1
        x = torch.randn(size + 1, longest, len(body.mean), generator=random)
    lengths = torch.linspace(longest, -(-longest // 2), size + 1).long()
    if isinstance(encoder, SpeechEncoder) and not encoder.backbone.padding_safe:
        lengths[:] = longest
    return x, lengths


def _fuse(net: EmotionModel) -> Plan:
    pooled, present, axes = {}, {}, []
    for place, (name, branch) in enumerate(net.branches.items()):
        varies = branch.reduction == "frames"
        steps = {"frames": (5 + 2 * place,), "segments": (branch.segments,)}.get(
            branch.reduction, ()
        )
        pooled[f"pooled_{name}"] = torch.randn(3, *steps, *branch.shape)
        present[f"present_{name}"] = torch.ones(3, *steps, dtype=torch.bool)
        axes.append({0: Dim.DYNAMIC} | ({1: Dim.DYNAMIC} if varies else {}))
    graph = FuseGraph(net)
    return Plan(graph, pooled | present, (*axes, *axes), graph.outputs)


def _quantise(path: Path, external: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = path.with_name(f"{path.stem}.fp32.onnx")
    path.rename(full)
    quantize_dynamic(
        full,
        path,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        use_external_data_format=external,
        extra_options={"MatMulConstBOnly": True},
    )
    full.unlink()


@contextmanager
def _silence() -> Iterator[None]:
    """The exporters' remarks on operators that nobody uses are not for our users."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)
