"""What computes a model: torch, ONNX Runtime or OpenVINO behind two calls, arrays in and out.

`encode` turns one modality of a batch into pooled features, `fuse` joins the modalities. Between
them lies all that a recognizer does cleverly: batches by length for each modality on its own, any
modality missing, Shapley shares from features that were computed once.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.devices import gpu, machine
from erc.base.errors import CheckpointError, ConfigError, did_you_mean
from erc.model.adaptation import against, baseline
from erc.model.encoded import Encoded
from erc.model.folder import COPY, EXPORTS, doubt, stale
from erc.model.spec import Spec

RECORD = "runtime.json"
Scales = tuple[np.ndarray, np.ndarray]  # mean and deviation
MODULES = {
    "torch-fp32": "pytorch",
    "torch-bf16": "pytorch",
    "onnx-fp32": "onnx",
    "onnx-int8": "onnx",
    "openvino-fp32": "openvino",
    "openvino-bf16": "openvino",
}


class Runtime:
    """Interface: what one library makes of a model folder.

    Attributes:
        name: of `MODULES`.
        spec: what the model takes.
        scales: mean and deviation that its speech features are standardised with, if they are.
    """

    name: str
    spec: Spec
    scales: Scales | None = None

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
        """Logits [B, K] and dimensions [B, D] in their own units, float32, of what `encode` returned.

        K emotions and D dimensions, in the order of the model's `Space`.

        A row where nothing is present gets what the model says of nothing.
        """
        raise NotImplementedError

    def adapted(self, features: np.ndarray) -> Runtime:
        """The same for one speaker, of whose recordings these are the pooled features.

        Raises:
            ConfigError: the model was not trained on a frozen speech encoder, so that there are no
                corpus statistics to take the place of.
        """
        if self.scales is None:
            raise ConfigError(
                "this model does not standardise its speech features and cannot be adapted; train "
                "with model.freeze_speech=true and adaptation=speaker"
            )
        mean, _ = self.scales
        return Adapted(self, baseline(features, mean), mean)


class Adapted(Runtime):
    """A runtime that hears speech against one speaker's own recordings; see `erc.model.adaptation`."""

    def __init__(self, runtime: Runtime, own: np.ndarray, mean: np.ndarray):
        self.runtime, self.own, self.mean = runtime, own, mean
        self.name, self.spec = runtime.name, runtime.spec

    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.runtime.encode(modality, x, lengths)

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        heard = against(encoded.pooled["speech"], self.own, self.mean).astype(np.float32)
        return self.runtime.fuse(encoded.heard_as({"speech": heard}))

    def adapted(self, features: np.ndarray) -> Runtime:
        return self.runtime.adapted(features)


def open_runtime(
    folder: Path, config: dict[str, Any], name: str = "auto", device: str = "auto"
) -> Runtime:
    """The runtime of a model folder.

    Args:
        folder: with weights, or an export.
        config: its `config.json`.
        name: of `MODULES`, or "auto", see `choose`.
        device: auto | cpu | cuda | cuda:1 …; only torch has a choice.

    Raises:
        ConfigError: unknown name, or its library is not installed.
        CheckpointError: the folder has no such export, or one that was made from other weights.
    """
    exported = config.get("runtime")
    if name == "auto":
        name = exported["name"] if exported else choose(folder, device)
    if name not in MODULES:
        raise ConfigError(
            f"runtime '{name}' is not one of auto, {', '.join(MODULES)}{did_you_mean(name, MODULES)}"
        )
    library, _, kind = name.partition("-")
    where, int8 = folder, kind == "int8"
    if exported and library != exported["name"].partition("-")[0]:
        raise ConfigError(f"{folder} is an export for {exported['name']}, not {name}")
    if not exported and library != "torch":
        where = folder / EXPORTS / (name if int8 else library)
        again = f"`erc export {folder} --format {library}{' --int8' * int8} --inside`"
        if not where.is_dir():
            raise CheckpointError(f"{folder} has no export for {name}; make one with {again}")
        if stale(folder, where):
            raise CheckpointError(f"{where} was made from other weights; make it anew with {again}")
    if library == "torch" and not installed(name):
        why = doubt(folder) if (folder / COPY).is_dir() else f"{folder} has no exported copy"
        raise ConfigError(
            f"{why}, and torch is not installed: pip install 'erc[train]', or where it is, "
            f"`erc export {folder} --inside`"
        )
    return import_module(f"erc.recognizer.runtimes.{MODULES[name]}").open(where, name, device)


def choose(folder: Path, device: str = "auto") -> str:
    """What "auto" means for a folder with weights.

    What `erc tune` chose on this machine; else, on a CPU, the copy that training left: it starts
    in a tenth of the time and is within `EXACT` of torch; else torch.
    """
    if (best := recorded(folder)) and installed(best):
        return best
    on_gpu = device not in ("auto", "cpu") or (device == "auto" and gpu() and installed("torch"))
    copied = not on_gpu and (folder / COPY).is_dir() and installed("onnx-fp32")
    return "onnx-fp32" if copied and not doubt(folder) else "torch-fp32"


def installed(name: str) -> bool:
    """Whether the library of a runtime is there; it is not imported."""
    library = name.partition("-")[0]
    return find_spec("onnxruntime" if library == "onnx" else library) is not None


def recorded(folder: Path) -> str | None:
    """What `erc tune` chose for this folder on a machine like this one."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        chosen = json.loads(path.read_text("utf-8"))["machines"][machine()]["chosen"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return chosen if isinstance(chosen, str) and chosen in MODULES else None
