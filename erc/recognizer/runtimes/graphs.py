"""What the exported runtimes share: the record in `config.json`, padding, and `present`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import CheckpointError
from erc.base.space import Space
from erc.model.encoded import Encoded
from erc.model.folder import SCALES, read_config, verify
from erc.model.folder.graph import check_graph
from erc.model.spec import Spec, padded, scores
from erc.recognizer.runtimes import Runtime, Scales


class GraphRuntime(Runtime):
    """A folder written by `erc export`: a graph for each modality, and "fuse".

    Args:
        folder: of the export.
        name: of `runtimes.MODULES`.

    Raises:
        CheckpointError: not an export, or a graph is missing or not fit to be run.
    """

    def __init__(self, folder: Path, name: str):
        config = read_config(folder)
        if not (record := config.get("runtime")):
            raise CheckpointError(f"{folder} was not written by `erc export`")
        verify(folder, config, words=False)
        self.folder, self.name, self.spec = folder, name, Spec.from_dict(record["spec"])
        self.space = Space.from_json(config)
        self.front: dict[str, dict[str, int]] = record["front"]
        if (folder / SCALES).is_file():
            self.scales = self._scales(folder / SCALES)
        self.graphs = {graph: self._file(folder, file) for graph, file in record["graphs"].items()}
        if missing := {*self.spec.modalities, "fuse"} - self.graphs.keys():
            raise CheckpointError(f"{folder}: there is no graph for {min(missing)}")

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph, in order."""
        raise NotImplementedError

    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        outputs = self._run(modality, {"x": self.pad(modality, x), "lengths": lengths})
        pooled = outputs[0]
        steps = int(modality in self.spec.sequences)  # their number is the graph's to say
        width = self.spec.widths[modality]
        self._check(modality, pooled, (len(x), *pooled.shape[1 : 1 + steps], *width[steps:]))
        if len(outputs) > 1:
            return pooled, outputs[1]
        return pooled, np.ones(pooled.shape[: 1 + steps], bool)

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        inputs = {f"pooled_{name}": encoded.pooled[name] for name in self.spec.modalities}
        inputs |= {f"present_{name}": encoded.present[name] for name in self.spec.modalities}
        logits, dimensions = scores(self._run("fuse", inputs), self.space)
        rows = len(next(iter(inputs.values())))
        self._check("fuse", logits, (rows, len(self.space.emotions)))
        self._check("fuse", dimensions, (rows, len(self.space.dimensions)))
        return logits, dimensions

    def _run(self, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self.run(graph, inputs)
        except Exception as error:  # of the library's own kinds
            reason = str(error).strip().partition("\n")[0][:300]
            raise CheckpointError(
                f"{self.folder}: graph '{graph}' does not run: {reason}"
            ) from error

    def _check(self, graph: str, found: np.ndarray, shape: tuple[int, ...]) -> None:
        if found.shape != shape:
            raise CheckpointError(
                f"{self.folder}: graph '{graph}' gives {found.shape}, not {shape}; export it again"
            )

    def _scales(self, path: Path) -> Scales:
        try:  # mapped: a header that claims more than there is costs nothing
            found = np.array(np.load(path, mmap_mode="r", allow_pickle=False), np.float32)
            mean, scale = found
        except (ValueError, OSError, EOFError) as error:
            raise CheckpointError(f"{path}: no mean and deviation: {error}") from None
        if mean.shape != self.spec.widths["speech"] or not (np.isfinite(mean) & (scale > 0)).all():
            raise CheckpointError(f"{path}: no mean and deviation of {self.spec.widths['speech']}")
        return mean, scale

    def pad(self, modality: str, x: np.ndarray) -> np.ndarray:
        """Zeros behind, as many as the graph asks for; see `erc.model.graphs.front`."""
        return widen(x, padded(x.shape[1], self.front.get(modality)))

    @staticmethod
    def _file(folder: Path, name: Any) -> Path:
        path = folder / str(name)
        if path.parent != folder or path.suffix != ".onnx" or not path.is_file():
            raise CheckpointError(
                f"{folder}: there is no graph '{name}' in ONNX's format; export the model again"
            )
        check_graph(path)
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
