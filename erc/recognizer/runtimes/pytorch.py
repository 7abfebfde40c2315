"""A model folder run by torch: fp32, or bf16 weights in the encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from erc.base.devices import device_of
from erc.model.emotion import EmotionModel, Encoded
from erc.model.folder.checkpoint import load_model
from erc.model.spec import Spec, scales_of
from erc.recognizer.runtimes import Runtime


class TorchRuntime(Runtime):
    """See `Runtime`. With bf16 the encoders compute in bfloat16; pooling and fusion stay float32."""

    def __init__(self, model: EmotionModel, name: str = "torch-fp32", device: str = "auto"):
        self.name, self.device = name, device_of(device)
        self.spec, self.scales = Spec.of(model), scales_of(model)
        self.model = model.eval().to(self.device)
        if name == "torch-bf16":
            for encoder in (model.speech, model.text):
                if encoder:
                    encoder.half()

    @torch.inference_mode()
    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        branch = self.model.branches[modality]
        n = self._tensor(lengths)
        pooled = branch.encode(self._tensor(x), n)
        return pooled.float().cpu().numpy(), branch.present(pooled, n).cpu().numpy()

    @torch.inference_mode()
    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        vectors = {name: self._tensor(x) for name, x in encoded.pooled.items()}
        there = {name: self._tensor(x) for name, x in encoded.present.items()}
        output = self.model.fuse(Encoded(vectors, there), void_ok=True)
        return output.logits.cpu().numpy(), output.dimensions.cpu().numpy()

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x if x.flags.writeable else x.copy()).to(self.device)


def open(folder: Path, name: str, device: str) -> TorchRuntime:
    """Load the weights of a model folder; raises CheckpointError."""
    return TorchRuntime(load_model(folder)[0], name, device)
