"""An exported model run by OpenVINO; fp32, or bf16 where the CPU has it. No torch."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from erc.base.errors import CheckpointError, ConfigError
from erc.recognizer.runtimes.graphs import GraphRuntime, threads

PRECISION = {"openvino-fp32": "f32", "openvino-bf16": "bf16"}


class OpenVinoRuntime(GraphRuntime):
    """See `Runtime`. Without the hint OpenVINO computes in bf16 wherever the CPU has it."""

    def __init__(self, folder: Path, name: str):
        super().__init__(folder, name)
        try:
            import openvino
        except ImportError:
            raise ConfigError(f"{name} needs OpenVINO: pip install openvino") from None
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": PRECISION[name]}
        if threads():
            settings["INFERENCE_NUM_THREADS"] = str(threads())
        exact = settings | {"INFERENCE_PRECISION_HINT": "f32"}  # of what is small
        core, self.lock = openvino.Core(), threading.Lock()
        try:
            self.requests = {
                graph: core.compile_model(
                    path, "CPU", exact if graph == "fuse" else settings
                ).create_infer_request()
                for graph, path in self.graphs.items()
            }
        except RuntimeError as error:
            raise CheckpointError(f"{folder}: {str(error).splitlines()[0]}") from error

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        with self.lock:  # a request serves one thread, and its results lie in its own memory
            found = self.requests[graph].infer(inputs)
            return [np.array(found[i]) for i in range(len(found))]


def open(folder: Path, name: str, device: str = "auto") -> OpenVinoRuntime:
    """Load an export; raises CheckpointError, or ConfigError without the library or off the CPU."""
    if device not in ("auto", "cpu"):
        raise ConfigError(f"runtime {name} computes on the CPU, not on '{device}'")
    return OpenVinoRuntime(Path(folder), name)
