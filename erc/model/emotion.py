"""EmotionModel = encoders × fusion × head: speech and transcript → emotions, valence, arousal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from erc.errors import ConfigError, did_you_mean
from erc.labels import EMOTIONS, SCALE
from erc.model.encoders import Encoder, SpeechEncoder, TextEncoder
from erc.model.fusion import build_fusion
from erc.model.pooling import POOLINGS, pooled_size


@dataclass
class Output:
    """What the model says of a batch."""

    logits: Tensor  # [B, 7], order of labels.EMOTIONS; softmax gives the distribution over raters
    valence_arousal: Tensor  # [B, 2], scale 1–5, not clipped
    features: Tensor  # [B, F], what the head reads


class Standardize(nn.Module):
    """(x − mean) / deviation of training features; the identity until `fit`."""

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from features [N, D] of the training side only.

        A feature that does not vary keeps scale 1.
        """
        if len(features) == 0 or not bool(features.isfinite().all()):
            raise ValueError(
                f"features {tuple(features.shape)} to standardise are empty or not finite"
            )
        deviation = features.std(0, correction=0)
        self.mean.copy_(features.mean(0))
        self.scale.copy_(torch.where(deviation > 0, deviation, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale


class Branch(nn.Module):
    """One modality: encoder → pooling → standardisation → projection."""

    def __init__(self, encoder: Encoder, pooling: str, vector_size: int, dropout: float = 0.0):
        super().__init__()
        if pooling not in POOLINGS:
            raise ConfigError(
                f"pooling '{pooling}' is not one of {', '.join(POOLINGS)}"
                f"{did_you_mean(pooling, POOLINGS)}"
            )
        self.encoder = encoder
        self.pooling = pooling
        self.size = pooled_size(pooling, encoder.size)
        self.standardize = Standardize(self.size)
        self.dropout = nn.Dropout(dropout)
        self.projector = nn.Linear(self.size, vector_size)

    def encode(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Pooled vectors [B, size]; a row of length 0 is not run through the encoder: zeros."""
        pooled = torch.zeros(len(lengths), self.size, device=lengths.device)
        rows = lengths.nonzero()[:, 0]
        if len(rows):
            frames, frame_lengths = self.encoder(x[rows], lengths[rows])
            pooled = pooled.index_copy(0, rows, POOLINGS[self.pooling](frames, frame_lengths))
        return pooled

    def project(self, pooled: Tensor, present: Tensor) -> Tensor:
        """Vectors for the fusion [B, vector_size]; zeros where the modality is missing."""
        vectors = self.projector(self.dropout(self.standardize(pooled)))
        return torch.where(present[:, None], vectors, 0)


class EmotionModel(nn.Module):
    """Emotion distribution, valence and arousal from speech, transcript, or both.

    Args:
        speech, text: encoders; one of them may be None.
        fusion: key of `fusion.FUSIONS`; None takes "tensor_mixer" for two encoders, "single" for one.
        fusion_options: options of that fusion, e.g. `{"depth": 4}`.
        dim: width of the projected vectors (with the fusion's constant, if it has one).
        speech_pooling, text_pooling: keys of `pooling.POOLINGS`.
        modality_dropout: probability that a training utterance loses one of its modalities (never
            both), so that the model learns to work without it.
        dropout: on the features before the head.
        input_dropout: on the standardised pooled features, before the projection; what keeps a
            small corpus on a large frozen encoder from being learned by heart.
        freeze_speech, freeze_text: the encoder is not trained.

    Raises:
        ConfigError: options that do not exist or contradict each other.
    """

    def __init__(
        self,
        speech: SpeechEncoder | None = None,
        text: TextEncoder | None = None,
        *,
        fusion: str | None = None,
        fusion_options: dict[str, Any] | None = None,
        dim: int = 256,
        speech_pooling: str = "mean",
        text_pooling: str = "first",
        modality_dropout: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        freeze_speech: bool = False,
        freeze_text: bool = False,
    ):
        super().__init__()
        encoders = {n: e for n, e in (("speech", speech), ("text", text)) if e is not None}
        if not encoders:
            raise ConfigError("a model needs a speech encoder, a text encoder, or both")
        fusion = fusion or ("tensor_mixer" if len(encoders) == 2 else "single")
        self.fusion = build_fusion(fusion, dim, dict(fusion_options or {}))
        if self.fusion.modalities != len(encoders):
            raise ConfigError(
                f"fusion '{fusion}' joins {self.fusion.modalities} modalities, this model has "
                f"{' and '.join(encoders)}; for one modality use fusion=single"
            )
        if modality_dropout and self.fusion.needs_all:
            raise ConfigError(
                "modality_dropout needs a fusion that stands a missing modality: tensor_mixer with "
                "constant=true, or concat"
            )
        pooling = {"speech": speech_pooling, "text": text_pooling}
        self.branches = nn.ModuleDict(
            {
                n: Branch(e, pooling[n], self.fusion.vector_size, input_dropout)
                for n, e in encoders.items()
            }
        )
        for name, frozen in (("speech", freeze_speech), ("text", freeze_text)):
            if frozen and name in encoders:
                encoders[name].freeze()
        self.modality_dropout = modality_dropout
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.fusion.out_features, len(EMOTIONS) + 2)
        with torch.no_grad():  # valence and arousal start in the middle of the scale
            self.head.bias[len(EMOTIONS) :] = sum(SCALE) / 2
        self.options = {
            "fusion": fusion,
            "fusion_options": dict(fusion_options or {}),
            "dim": dim,
            "speech_pooling": speech_pooling,
            "text_pooling": text_pooling,
            "modality_dropout": modality_dropout,
            "dropout": dropout,
            "input_dropout": input_dropout,
            "freeze_speech": freeze_speech,
            "freeze_text": freeze_text,
        }

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model can listen to or read: "speech", "text" or both."""
        return tuple(self.branches)

    @property
    def speech(self) -> SpeechEncoder | None:
        """The speech encoder, if there is one."""
        return self.branches["speech"].encoder if "speech" in self.branches else None

    @property
    def text(self) -> TextEncoder | None:
        """The text encoder, if there is one."""
        return self.branches["text"].encoder if "text" in self.branches else None

    def forward(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_lengths: Tensor | None = None,
    ) -> Output:
        """Speech and transcript → `Output`. A modality that is None, or a row of length 0, is missing.

        Args:
            speech: [B, T] float, 16 kHz, −1…1 (standardised per clip if `speech.normalize`).
            speech_lengths: [B] long, samples.
            input_ids: [B, S] long, token ids.
            text_lengths: [B] long, tokens.

        Raises:
            ConfigError: nothing present in some row, or a modality the model was not built for.
            AudioError: a clip too short or too long for the encoder.
        """
        return self.fuse(*self.encode(speech, speech_lengths, input_ids, text_lengths))

    def encode(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_lengths: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The part before the fusion: worth caching while the encoders are frozen.

        Returns:
            pooled: modality → [B, D], zeros where missing; present: modality → bool [B].
        """
        inputs = {"speech": (speech, speech_lengths), "text": (input_ids, text_lengths)}
        given = {name: (x, lengths) for name, (x, lengths) in inputs.items() if x is not None}
        for name, (_, lengths) in given.items():
            if name not in self.branches:
                raise ConfigError(
                    f"this model has no {name} encoder; it takes {self.modalities[0]}"
                )
            if lengths is None:
                raise ConfigError(f"{name} came without its lengths")
        if not given:
            raise ConfigError(f"nothing to predict from: give {' or '.join(self.modalities)}")
        batch, device = len(next(iter(given.values()))[1]), self.head.weight.device
        pooled, present = {}, {}
        for name, branch in self.branches.items():
            x, lengths = given.get(
                name, (None, torch.zeros(batch, dtype=torch.long, device=device))
            )
            pooled[name] = branch.encode(x, lengths)
            present[name] = lengths > 0
        return pooled, present

    def fuse(self, pooled: dict[str, Tensor], present: dict[str, Tensor]) -> Output:
        """Pooled vectors → `Output`; arguments as `encode` returns them."""
        names = self.modalities
        table = torch.stack([present[name] for name in names], -1)  # bool [B, M]
        void = ~(table.all(-1) if self.fusion.needs_all else table.any(-1))
        if bool(void.any()):
            rows = void.nonzero()[:3, 0].tolist()
            needed = " and " if self.fusion.needs_all else " or "
            raise ConfigError(
                f"this model needs {needed.join(names)} of every utterance; "
                f"missing in {int(void.sum())} of {len(void)}, first rows {rows}"
            )
        table = self._drop_modality(table)
        vectors = [
            self.branches[name].project(pooled[name], table[:, i]) for i, name in enumerate(names)
        ]
        features = self.fusion(vectors)
        scores = self.head(self.dropout(features))
        return Output(scores[:, : len(EMOTIONS)], scores[:, len(EMOTIONS) :], features)

    def _drop_modality(self, present: Tensor) -> Tensor:
        """In training, take one modality from some of the rows that have several, [B, M]."""
        if not (self.training and self.modality_dropout):
            return present
        lots = torch.rand(present.shape, device=present.device).masked_fill(~present, -1)
        victim = nn.functional.one_hot(lots.argmax(-1), present.shape[1]).bool()
        hit = torch.rand(len(present), device=present.device) < self.modality_dropout
        return present & ~(victim & (hit & (present.sum(-1) > 1))[:, None])

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same model, without weights."""
        return {
            "speech": self.speech.to_config() if self.speech else None,
            "text": self.text.to_config() if self.text else None,
            **self.options,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from `to_config()`; nothing is downloaded, the weights are random."""
        config = dict(config)
        speech, text = config.pop("speech"), config.pop("text")
        return cls(
            SpeechEncoder.from_config(speech) if speech else None,
            TextEncoder.from_config(text) if text else None,
            **config,
        )
