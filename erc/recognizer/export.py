"""A model folder → a model that needs no torch: ONNX Runtime or OpenVINO, with a parity report.

What is written: `erc.model.folder.export`. Here it is compared with torch on recordings, or on
simulated speech, and the card says what came out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from erc.base.errors import CheckpointError, ConfigError, did_you_mean
from erc.base.files import atomic
from erc.model.folder import CARD, EXPORTS, read_config, write_config
from erc.model.folder.checkpoint import load_model
from erc.model.folder.export import LIBRARIES, missing_libraries, write
from erc.model.folder.find import named
from erc.recognizer import load, parity


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
    folder = named(model)
    if "runtime" in read_config(folder):
        raise CheckpointError(f"{folder} is an export already; export the model it was made from")
    local = Path(model).expanduser().is_dir()
    beside = folder.resolve() if local else Path(str(model).rpartition("/")[2])
    out = Path(out or beside.with_name(f"{beside.name}-{_name(format, int8)}"))
    net, _, config = load_model(folder)
    with atomic(out, folder=True) as temporary:
        record = write(net, folder, temporary, config, format, int8)
        reference, made = load(folder, runtime="torch-fp32"), load(temporary)
        inputs, what = parity.clips(reference, recordings)
        found = parity.compare(reference, made, inputs)
        report = {"runtime": record["name"], "inputs": what, **found}
        del made
        _card(temporary / CARD, record["name"], report)
        write_config(temporary, config | {"runtime": record | {"parity": report}})
    return out


def into(model: str | Path, *, format: str = "onnx", int8: bool = False, **options: Any) -> Path:
    """`export` to MODEL/exports/, where `erc.load(MODEL, runtime=…)` finds it."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder '{model}' to write into; export it elsewhere with -o"
        )
    out = named(folder) / EXPORTS / _name(format, int8)
    return export(folder, out, format=format, int8=int8, **options)


def report(folder: str | Path) -> dict[str, Any]:
    """The parity report of an export."""
    return read_config(Path(folder))["runtime"]["parity"]


def _name(format: str, int8: bool) -> str:
    return f"{format}-int8" if int8 else format


def _check(format: str, int8: bool) -> None:
    if format not in LIBRARIES:
        raise ConfigError(
            f"format '{format}' is not one of {', '.join(LIBRARIES)}{did_you_mean(format, LIBRARIES)}"
        )
    if int8 and format == "openvino":
        raise ConfigError(
            "int8 is for --format onnx; OpenVINO computes in bf16 where the CPU has it: "
            "load with runtime='openvino-bf16'"
        )
    if missing := missing_libraries(format):
        raise ConfigError(f"--format {format} needs: pip install {' '.join(missing)}")


def _card(path: Path, runtime: str, found: dict[str, Any]) -> None:
    text = path.read_text("utf-8").rstrip() + "\n\n" if path.is_file() else ""
    path.write_text(
        f"{text}## Export\n\nThis folder runs without torch (`{runtime}`). "
        f"What the export changes:\n\n```\n{parity.table(found)}\n```\n",
        "utf-8",
    )
