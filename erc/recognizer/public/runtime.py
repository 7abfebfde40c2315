"""Published models as a `Runtime`: one of them, run by torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from erc.base.devices import device_of
from erc.model.encoded import Encoded
from erc.model.spec import Spec
from erc.recognizer.public.folder import Public
from erc.recognizer.public.speech import MeanHead, SpeechClassifier
from erc.recognizer.public.text import TextClassifier
from erc.recognizer.runtimes import Runtime


class PublicRuntime(Runtime):
    """See `Runtime`. What `encode` returns are the scores of the model's labels, or its dimensions.

    A published model has no fusion that could be run without its encoder: the features of a modality
    are what the model says of it.

    Args:
        public: the model's folder, described.
        device: auto | cpu | cuda.

    Raises:
        CheckpointError: it cannot be opened.
    """

    name = "torch-fp32"

    def __init__(self, public: Public, device: str = "auto"):
        self.public, self.device = public, device_of(device)
        self.space = public.space
        self.tokens: Callable[[str], list[int]] | None = None
        width = len(self.space.emotions) + len(self.space.dimensions)
        shape: dict[str, Any] = {}
        if public.modality == "text":
            text = TextClassifier(public)
            self.tokens = text.tokens
            self.model: Any = text
            shape = {"min_samples": 0, "pad_token_id": text.pad_token_id}
        else:
            speech = MeanHead(public) if public.head else SpeechClassifier(public)
            self.model = speech
            shape = {
                "min_samples": speech.min_samples,
                "max_samples": public.max_samples,
                "padding_safe": speech.padding_safe,
            }
        self.model.model.to(self.device)
        self.spec = Spec((public.modality,), {public.modality: (width,)}, **shape)

    @torch.inference_mode()
    def encode(
        self, modality: str, x: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        scores = self.model(x, lengths, self.device)
        if self.public.multilabel:  # log σ(z): softmax of these is each probability by their sum
            scores = -np.logaddexp(0, -scores)
        return scores, np.ones(len(scores), bool)

    def fuse(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        modality = self.public.modality
        there = encoded.present[modality][:, None]
        k, middle = len(self.space.emotions), self.space.middle.astype(np.float32)
        scores = encoded.pooled[modality]
        return np.where(there, scores[:, :k], 0), np.where(there, scores[:, k:], middle)
