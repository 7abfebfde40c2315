"""An exported model run by ONNX Runtime; fp32, or int8 weights. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from erc.base.errors import CheckpointError, ConfigError
from erc.recognizer.runtimes.graphs import GraphRuntime, threads


class OnnxRuntime(GraphRuntime):
    """See `Runtime`."""

    def __init__(self, folder: Path, name: str):
        super().__init__(folder, name)
        try:
            import onnxruntime
        except ImportError:
            raise ConfigError(f"{name} needs ONNX Runtime: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads()
        options.log_severity_level = 3  # errors only
        # Threads that have nothing to do must not turn on the spot: others wait for that core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self.sessions = {
                graph: onnxruntime.InferenceSession(
                    path, options, providers=["CPUExecutionProvider"]
                )
                for graph, path in self.graphs.items()
            }
        except Exception as error:  # the library raises its own kinds, all of Exception
            raise CheckpointError(f"{folder}: {str(error).splitlines()[0]}") from error

    def run(self, graph: str, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return self.sessions[graph].run(None, inputs)


def open(folder: Path, name: str, device: str = "auto") -> OnnxRuntime:
    """Load an export; raises CheckpointError, or ConfigError without the library or off the CPU."""
    if device not in ("auto", "cpu"):
        raise ConfigError(f"runtime {name} computes on the CPU, not on '{device}'")
    return OnnxRuntime(Path(folder), name)
