"""A model folder run by torch: fp32, or bf16 weights in the encoders."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from erc.base.devices import device_of
from erc.model.adaptation import adapt_model
from erc.model.emotion import EmotionModel, Encoded
from erc.model.folder.checkpoint import load_model
from erc.recognizer.runtimes import Runtime, Spec


class TorchRuntime(Runtime):
    """See `Runtime`. With bf16 the encoders compute in bfloat16; pooling and fusion stay float32."""

    def __init__(self, model: EmotionModel, name: str = "torch-fp32", device: str = "auto"):
        self.name, self.device = name, device_of(device)
        self.spec = spec_of(model)
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
        return output.logits.cpu().numpy(), output.valence_arousal.cpu().numpy()

    def adapted(self, features: np.ndarray) -> TorchRuntime:
        other = copy.copy(self)
        other.model = adapt_model(self.model, self._tensor(features))
        return other

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x if x.flags.writeable else x.copy()).to(self.device)


def spec_of(model: EmotionModel) -> Spec:
    """What a recognizer must know of a model."""
    speech, text, body = model.speech, model.text, model.physiology
    widths, sequences = {}, []
    for name, branch in model.branches.items():
        steps = {"frames": (1,), "segments": (branch.segments,)}.get(branch.reduction, ())
        widths[name] = (*steps, *branch.shape)
        sequences += [name] * bool(steps)
    return Spec(
        modalities=model.modalities,
        widths=widths,
        normalize=bool(speech and speech.normalize),
        min_samples=speech.min_samples if speech else 0,
        max_samples=speech.max_samples if speech else None,
        padding_safe=bool(not speech or speech.backbone.padding_safe),
        pad_token_id=text.pad_token_id if text else 0,
        needs_all=model.fusion.needs_all,
        physiology=body.kind if body else None,
        sequences=tuple(sequences),
    )


def open(folder: Path, name: str, device: str) -> TorchRuntime:
    """Load the weights of a model folder; raises CheckpointError."""
    return TorchRuntime(load_model(folder)[0], name, device)
