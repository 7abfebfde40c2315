"""A published speech model run by torch: samples → the scores of its labels, or its dimensions."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import CheckpointError
from erc.base.files import write_json
from erc.model.encoders import SpeechEncoder
from erc.model.folder import CONFIG
from erc.model.pooling import mask, masked_mean
from erc.recognizer.public.files import PREPROCESSOR, weight_files
from erc.recognizer.public.folder import HEAD, Public
from erc.recognizer.public.weights import check_finite, load, load_errors

# Whose frames depend on no padding where an attention mask says what it is, tested one by one.
MASKED = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")
# Whose extractor makes every clip equally long: a second costs as much as thirty.
FIXED = ("whisper", "audio-spectrogram-transformer")
AT_ONCE = 8  # clips of these
# What transformers makes torch say of WavLM, and says of its own filters for AST, at every use.
for _said in ("Support for mismatched key_padding_mask", "At least one mel filter has all zero"):
    warnings.filterwarnings("ignore", message=_said)


class SpeechModel:
    """What all of them share: the model's own feature extractor, and batches without surprises.

    Every clip goes through the extractor alone, as `transformers.pipeline` does it, so that an answer
    depends on no neighbour in its batch.

    Args:
        public: the model's folder, described.

    Attributes:
        model: what computes, in evaluation mode.
        padding_safe: clips of unequal length may share a batch.
        min_samples: the shortest clip.
    """

    model: Any  # transformers types its models' parts as little as torch does
    padding_safe: bool
    min_samples: int

    def __init__(self, public: Public):
        self.public = public
        with load_errors(public.folder), tempfile.TemporaryDirectory() as place:
            # Of the folder it sees nothing but what was checked.
            write_json(Path(place) / CONFIG, {"model_type": public.kind})
            write_json(Path(place) / PREPROCESSOR, public.extractor)
            self.extractor = AutoFeatureExtractor.from_pretrained(
                place, local_files_only=True, trust_remote_code=False
            )

    def scores(self, inputs: dict[str, Tensor], lengths: Tensor) -> Tensor:
        """What the extractor made of clips of `lengths` [B] samples → [B, K], before any softmax."""
        raise NotImplementedError

    def __call__(self, x: np.ndarray, lengths: np.ndarray, device: torch.device) -> np.ndarray:
        """Samples float32 [B, T] with their lengths [B] → scores float32 [B, K]."""
        if self.public.kind in FIXED and len(x) > AT_ONCE:
            parts = [slice(k, k + AT_ONCE) for k in range(0, len(x), AT_ONCE)]
            return np.concatenate([self(x[part], lengths[part], device) for part in parts])
        clips = [self._extract(row[:n]) for row, n in zip(x, lengths, strict=True)]
        inputs = {name: self._stack([clip[name] for clip in clips]) for name in clips[0]}
        inputs = {name: values.to(device) for name, values in inputs.items()}
        n = torch.from_numpy(np.asarray(lengths)).to(device)
        return self.scores(inputs, n).float().cpu().numpy()

    def _extract(self, samples: np.ndarray) -> dict[str, Tensor]:
        return dict(self.extractor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt"))

    @staticmethod
    def _stack(rows: list[Tensor]) -> Tensor:
        """[1, T, …] each → [B, max T, …], zeros behind."""
        longest = max(row.shape[1] for row in rows)
        padded = rows[0].new_zeros(len(rows), longest, *rows[0].shape[2:])
        for place, row in zip(padded, rows, strict=True):
            place[: row.shape[1]] = row[0]
        return padded


class SpeechClassifier(SpeechModel):
    """`AutoModelForAudioClassification` of transformers."""

    def __init__(self, public: Public):
        super().__init__(public)
        self.model = load(AutoModelForAudioClassification, public)
        config = self.model.config
        steady = (
            public.kind in MASKED
            and config.feat_extract_norm == "layer"  # group norm sees the padding
            and not getattr(config, "conv_pos_batch_norm", False)
        )
        self.padding_safe = steady or public.kind in FIXED
        self.min_samples = _shortest(config)

    def scores(self, inputs: dict[str, Tensor], lengths: Tensor) -> Tensor:
        if self.public.kind in MASKED and bool((lengths < lengths.max()).any()):
            size = inputs["input_values"].shape[1]
            inputs = {**inputs, "attention_mask": mask(lengths, size).long()}
        return self.model(**inputs).logits


class MeanHead(SpeechModel):
    """dense → tanh → out_proj over the mean of the last hidden states.

    Published as code beside its weights, the regression head of audEERING (Wagner et al. 2023,
    arXiv:2203.07378) as well as classifiers that follow the same recipe.
    """

    def __init__(self, public: Public):
        super().__init__(public)
        with load_errors(public.folder):
            self.encoder = SpeechEncoder(load(AutoModel, public))
            weights = _head(public)
            self.head = nn.Sequential(*(nn.Linear(*w.shape[::-1]) for w, _ in weights))
            for layer, (w, b) in zip(self.head, weights, strict=True):
                layer.load_state_dict({"weight": w, "bias": b})
        self.model = nn.ModuleList([self.encoder, self.head]).eval()
        check_finite(self.model, public.folder)
        self.padding_safe = self.encoder.backbone.padding_safe
        self.min_samples = self.encoder.min_samples

    def scores(self, inputs: dict[str, Tensor], lengths: Tensor) -> Tensor:
        frames, n = self.encoder(inputs["input_values"], lengths)
        dense, out_proj = self.head
        return out_proj(torch.tanh(dense(masked_mean(frames, n))))


def _head(public: Public) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of both layers, float32."""
    found: dict[str, Tensor] = {}
    for path in weight_files(public.folder):
        with safe_open(path, "pt") as file:
            wanted = [k for k in file.keys() if k.rpartition(".")[0] in HEAD]  # noqa: SIM118
            found |= {key: file.get_tensor(key).float() for key in wanted}
    layers = [(found[f"{part}.weight"], found[f"{part}.bias"]) for part in HEAD]
    size, labels = public.config.get("hidden_size"), len(public.labels)
    if [tuple(w.shape) for w, _ in layers] != [(size, size), (labels, size)]:
        raise CheckpointError(
            f"{public.folder}: a head of {', '.join(str(tuple(w.shape)) for w, _ in layers)} does not "
            f"fit states of {size} and {labels} labels"
        )
    return layers


def _shortest(config: Any) -> int:
    """Samples that give the model something to hear."""
    if not hasattr(config, "conv_kernel") or not hasattr(config, "conv_stride"):
        return 800  # two windows of a spectrum: 25 ms each
    least = getattr(config, "squeeze_factor", 1)  # frames; SEW joins so many
    for kernel, stride in reversed(list(zip(config.conv_kernel, config.conv_stride, strict=True))):
        least = (least - 1) * stride + kernel
    return least
