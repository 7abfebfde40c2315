"""What computes a model: torch, ONNX Runtime or OpenVINO behind two calls, arrays in and out.

`encode` turns one modality of a batch into pooled features, `fuse` joins the modalities. Between
them lies all that a recognizer does cleverly: batches by length for each modality on its own, any
modality missing, Shapley shares from features that were computed once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.devices import machine
from erc.base.errors import CheckpointError, ConfigError, did_you_mean
from erc.model.encoded import Encoded

EXPORTS, RECORD = "exports", "runtime.json"
MODULES = {
    "torch-fp32": "pytorch",
    "torch-bf16": "pytorch",
    "onnx-fp32": "onnx",
    "onnx-int8": "onnx",
    "openvino-fp32": "openvino",
    "openvino-bf16": "openvino",
}


@dataclass(frozen=True)
class Spec:
    """What a model takes, and in which shape; everything a recognizer must know of it.

    Attributes:
        modalities: in the order of the fusion.
        normalize: the speech encoder wants each clip at zero mean and unit variance.
        min_samples, max_samples: shortest and longest clip.
        padding_safe: clips of unequal length may share a batch; False: group norm sees the padding.
        pad_token_id: fills a batch of token ids.
        needs_all: no modality may be missing.
        physiology: kind of input ("features", "conv"), None: not read.
        widths: modality → shape of its pooled features for one utterance.
        sequences: modalities whose features are a sequence [N, …] with a `present` for each step.
    """

    modalities: tuple[str, ...]
    widths: dict[str, tuple[int, ...]]
    normalize: bool = False
    min_samples: int = 400
    max_samples: int | None = None
    padding_safe: bool = True
    pad_token_id: int = 0
    needs_all: bool = False
    physiology: str | None = None
    sequences: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """The inverse of `to_dict`."""
        widths = {k: tuple(v) for k, v in values["widths"].items()}
        tuples = {k: tuple(values[k]) for k in ("modalities", "sequences")}
        return cls(**values | tuples | {"widths": widths})


class Runtime:
    """Interface: what one library makes of a model folder."""

    name: str
    spec: Spec

    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pooled features of one modality.

        Args:
            modality: of `spec.modalities`.
            x: float32 [B, T] samples at 16 kHz (normalised if `spec.normalize`), int64 [B, S] token
                ids, or float32 [B, T, C] physiology; padded behind each row.
            lengths: int64 [B], all > 0; all equal for speech unless `spec.padding_safe`.

        Returns:
            features float32 [B, *widths]; present, bool [B] (of a sequence, bool [B, N]).
        """
        raise NotImplementedError

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Logits float32 [B, 7], valence and arousal float32 [B, 2], of what `encode` returned.

        A row where nothing is present gets what the model says of nothing.
        """
        raise NotImplementedError

    def adapted(self, features: np.ndarray) -> Runtime:
        """The same for one speaker, of whose recordings these are the pooled features."""
        raise ConfigError(f"runtime {self.name} cannot adapt to a speaker; load with torch-fp32")


def open_runtime(
    folder: Path, config: dict[str, Any], name: str = "auto", device: str = "auto"
) -> Runtime:
    """The runtime of a model folder.

    Args:
        folder: with weights, or an export.
        config: its `config.json`.
        name: of `MODULES`; "auto": the export itself, or what `erc tune` found fastest on this
            machine, or torch-fp32.
        device: auto | cpu | cuda | cuda:1 …; only torch has a choice.

    Raises:
        ConfigError: unknown name, or its library is not installed.
        CheckpointError: the folder has no such export.
    """
    exported = config.get("runtime")
    if name == "auto":
        name = exported["name"] if exported else recorded(folder) or "torch-fp32"
    if name not in MODULES:
        raise ConfigError(
            f"runtime '{name}' is not one of auto, {', '.join(MODULES)}{did_you_mean(name, MODULES)}"
        )
    where = folder
    if exported or not name.startswith("torch"):
        where = folder if exported else folder / EXPORTS / name.split("-")[0]
        if name == "onnx-int8" and not exported:
            where = folder / EXPORTS / name
        if exported and name.split("-")[0] != exported["name"].split("-")[0]:
            raise ConfigError(f"{folder} is an export for {exported['name']}, not {name}")
        if not where.is_dir():
            int8 = " --int8" if name.endswith("int8") else ""
            raise CheckpointError(
                f"{folder} has no export for {name}; make one with "
                f"`erc export {folder} --format {name.split('-')[0]}{int8} --inside`"
            )
    return import_module(f"erc.recognizer.runtimes.{MODULES[name]}").open(where, name, device)


def recorded(folder: Path) -> str | None:
    """What `erc tune` chose for this folder on a machine like this one."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text("utf-8"))["machines"][machine()]["chosen"]
    except (ValueError, KeyError, TypeError):
        return None
