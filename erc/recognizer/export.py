"""A model folder → a model that needs no torch: ONNX Runtime or OpenVINO, with a parity report.

    OUT/  config.json           that of the model, and `runtime`: graphs, spec, parity
          speech.onnx …         a graph for each modality, and fuse.onnx (OpenVINO: .xml and .bin)
          tokenizer/ README.md  as they were, the card with the parity report

Each graph has dynamic batch and time; int8 is dynamic: weights of matrix products are stored in 8
bits with a scale for each column, activations are rounded as they come.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim

from erc.base.errors import CheckpointError, ConfigError, did_you_mean
from erc.base.files import atomic, write_json
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder import CARD, CONFIG, TOKENIZER, find_folder, read_config
from erc.model.folder.checkpoint import load_model
from erc.model.graphs import EncodeGraph, FuseGraph, front
from erc.recognizer import load, parity
from erc.recognizer.runtimes import EXPORTS
from erc.recognizer.runtimes.pytorch import spec_of

FORMATS = ("onnx", "openvino")
OPSET = 20
LIMIT = 1_500_000_000  # bytes; protobuf ends at 2 GB: beyond, weights lie beside the graph


def export(
    model: str | Path,
    out: str | Path | None = None,
    *,
    format: str = "onnx",
    int8: bool = False,
    recordings: str | Path | None = None,
) -> Path:
    """Write a stand-alone export of a model folder.

    Args:
        model: folder with torch weights.
        out: folder to write, replaced if it exists; default MODEL-onnx, MODEL-onnx-int8 or
            MODEL-openvino, beside the model (of a hub id: here).
        format: onnx | openvino.
        int8: 8-bit weights (ONNX only).
        recordings: folder to compare on; None: simulated speech.

    Returns:
        The folder written.

    Raises:
        ConfigError: unknown format, int8 of OpenVINO, or a library that is not installed.
        CheckpointError: not a model folder with weights, or a tokenizer without `tokenizer.json`.
    """
    _check(format, int8)
    folder = find_folder(model)
    if "runtime" in read_config(folder):
        raise CheckpointError(f"{folder} is an export already; export the model it was made from")
    local = Path(model).expanduser().is_dir()
    beside = folder.resolve() if local else Path(str(model).rpartition("/")[2])
    out = Path(out or beside.with_name(f"{beside.name}-{_name(format, int8)}"))
    net, _, config = load_model(folder)
    runtime = f"{format}-{'int8' if int8 else 'fp32'}"
    with atomic(out, folder=True) as temporary:
        _carry(folder, temporary)
        graphs = {key: _write(temporary, key, net, format, int8) for key in (*net.branches, "fuse")}
        record = {
            "name": runtime,
            "graphs": graphs,
            "spec": spec_of(net).to_dict(),
            "front": {key: rule for key, b in net.branches.items() if (rule := front(b))},
        }
        write_json(temporary / CONFIG, config | {"runtime": record})
        reference, made = load(folder, runtime="torch-fp32"), load(temporary)
        inputs, what = parity.clips(reference, recordings)
        report = {"runtime": runtime, "inputs": what, **parity.compare(reference, made, inputs)}
        del made
        write_json(temporary / CONFIG, config | {"runtime": record | {"parity": report}})
        _card(temporary / CARD, runtime, report)
    return out


def into(model: str | Path, *, format: str = "onnx", int8: bool = False, **options: Any) -> Path:
    """`export` to MODEL/exports/, where `erc.load(MODEL, runtime=…)` finds it."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder '{model}' to write into; export it elsewhere with -o"
        )
    out = folder / EXPORTS / _name(format, int8)
    return export(folder, out, format=format, int8=int8, **options)


def report(folder: str | Path) -> dict[str, Any]:
    """The parity report of an export."""
    return read_config(Path(folder))["runtime"]["parity"]


def _name(format: str, int8: bool) -> str:
    return f"{format}-int8" if int8 else format


def _check(format: str, int8: bool) -> None:
    if format not in FORMATS:
        raise ConfigError(
            f"format '{format}' is not one of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}"
        )
    if int8 and format == "openvino":
        raise ConfigError(
            "int8 is for --format onnx; OpenVINO computes in bf16 where the CPU has it: "
            "load with runtime='openvino-bf16'"
        )
    from importlib.util import find_spec

    needed = ("onnx", "onnxscript", "onnxruntime" if format == "onnx" else "openvino")
    if missing := [name for name in needed if not find_spec(name)]:
        raise ConfigError(f"--format {format} needs: pip install {' '.join(missing)}")


def _carry(folder: Path, out: Path) -> None:
    """Tokenizer and card as they are."""
    if (folder / TOKENIZER).is_dir():
        if not (folder / TOKENIZER / "tokenizer.json").is_file():
            raise CheckpointError(
                f"{folder / TOKENIZER} has no tokenizer.json, without which only transformers can "
                "read it; save it again with a fast tokenizer"
            )
        shutil.copytree(folder / TOKENIZER, out / TOKENIZER)
    if (folder / CARD).is_file():
        shutil.copy(folder / CARD, out / CARD)


class Plan(NamedTuple):
    """What the exporter is told of a graph."""

    graph: nn.Module
    inputs: dict[str, Tensor]  # examples
    axes: tuple[dict[int, Any], ...]  # of each input: those that vary
    outputs: list[str]


def _write(out: Path, key: str, net: EmotionModel, format: str, int8: bool) -> str:
    """One graph; returns its file's name."""
    path = out / f"{key}.onnx"
    plan = _fuse(net) if key == "fuse" else _encode(net.branches[key])
    size = sum(t.numel() * t.element_size() for t in plan.graph.state_dict().values())
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            plan.graph.eval(),
            tuple(plan.inputs.values()),
            input_names=list(plan.inputs),
            output_names=plan.outputs,
            dynamic_shapes=(plan.axes,) if key == "fuse" else plan.axes,  # it takes *given
            dynamo=True,
            opset_version=OPSET,
            verbose=False,
        )
        program.save(path, external_data=size > LIMIT)
        if int8 and key != "fuse":
            _quantise(path, size > LIMIT)
    return path.name if format == "onnx" else _openvino(path)


def _encode(branch: Branch) -> Plan:
    encoder, rule = branch.encoder, front(branch)
    if isinstance(encoder, SpeechEncoder):
        lengths = torch.tensor([8000, 5000, 7999])
        x = torch.randn(3, max(8000 + 640, rule["least"]) if rule else 8000)
        if not encoder.backbone.padding_safe:
            lengths[:] = 8000
    elif isinstance(encoder, TextEncoder):
        lengths, x = torch.tensor([9, 7, 8]), torch.ones(3, 9, dtype=torch.long)
    else:
        steps = 7 if encoder.kind == "conv" else 1
        lengths, x = torch.full((3,), steps), torch.randn(3, steps, len(encoder.mean))
    fixed = x.shape[1] == 1 or (rule and rule["least"] == rule["most"])
    x_axes = {0: Dim.DYNAMIC} | ({} if fixed else {1: Dim.DYNAMIC})
    outputs = ["features", "present"] if branch.reduction == "frames" else ["features"]
    inputs = {"x": x, "lengths": lengths}
    return Plan(EncodeGraph(branch), inputs, (x_axes, {0: Dim.DYNAMIC}), outputs)


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
    return Plan(FuseGraph(net), pooled | present, (*axes, *axes), ["logits", "valence_arousal"])


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


def _openvino(path: Path) -> str:
    import openvino

    with warnings.catch_warnings(action="ignore"):
        model = openvino.convert_model(path)
    openvino.save_model(model, path.with_suffix(".xml"), compress_to_fp16=False)
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    return path.with_suffix(".xml").name


def _card(path: Path, runtime: str, found: dict[str, Any]) -> None:
    text = path.read_text("utf-8").rstrip() + "\n\n" if path.is_file() else ""
    path.write_text(
        f"{text}## Export\n\nThis folder runs without torch (`{runtime}`). "
        f"What the export changes:\n\n```\n{parity.table(found)}\n```\n",
        "utf-8",
    )


@contextmanager
def _silence() -> Iterator[None]:
    """The exporters' remarks on operators that nobody uses are not for our users."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)
