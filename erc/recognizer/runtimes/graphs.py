"""What the exported runtimes share: the record in `config.json`, padding, and `present`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import CheckpointError
from erc.model.encoded import Encoded
from erc.model.folder import SCALES, read_config
from erc.model.spec import Spec, padded
from erc.recognizer.runtimes import Runtime


class GraphRuntime(Runtime):
    """A folder written by `erc export`: a graph for each modality, and "fuse".

    Args:
        folder: of the export.
        name: of `runtimes.MODULES`.

    Raises:
        CheckpointError: not an export, or a graph is missing.
    """

    def __init__(self, folder: Path, name: str):
        record = read_config(folder).get("runtime")
        if not isinstance(record, dict):
            raise CheckpointError(f"{folder} was not written by `erc export`")
        self.name, self.spec = name, Spec.from_dict(record["spec"])
        self.front: dict[str, dict[str, int]] = record["front"]
        if (folder / SCALES).is_file():
            self.scales = tuple(np.load(folder / SCALES, allow_pickle=False))
        self.graphs = {graph: self._file(folder, file) for graph, file in record["graphs"].items()}

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph, in order."""
        raise NotImplementedError

    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        outputs = self.run(modality, {"x": self.pad(modality, x), "lengths": lengths})
        pooled = outputs[0]
        if len(outputs) > 1:
            return pooled, outputs[1]
        shape = pooled.shape[:2] if modality in self.spec.sequences else pooled.shape[:1]
        return pooled, np.ones(shape, bool)

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        inputs = {f"pooled_{name}": encoded.pooled[name] for name in self.spec.modalities}
        inputs |= {f"present_{name}": encoded.present[name] for name in self.spec.modalities}
        logits, valence_arousal = self.run("fuse", inputs)
        return logits, valence_arousal

    def pad(self, modality: str, x: np.ndarray) -> np.ndarray:
        """Zeros behind, as many as the graph asks for; see `erc.model.graphs.front`."""
        return widen(x, padded(x.shape[1], self.front.get(modality)))

    @staticmethod
    def _file(folder: Path, name: Any) -> Path:
        path = folder / str(name)
        if path.parent != folder or not path.is_file():
            raise CheckpointError(f"{folder}: there is no graph '{name}'; export the model again")
        return path


def widen(x: np.ndarray, size: int, fill: int = 0) -> np.ndarray:
    """x [B, T, …] with `size` ≥ T steps."""
    if x.shape[1] == size:
        return x
    wide = np.full((len(x), size, *x.shape[2:]), fill, x.dtype)
    wide[:, : x.shape[1]] = x
    return wide


def threads() -> int:
    """`OMP_NUM_THREADS`, which these libraries do not look at; 0: as many as they think best."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else 0
