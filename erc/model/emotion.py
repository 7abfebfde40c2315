"""EmotionModel = encoders × fusion × head: speech, transcript, body → emotions, valence, arousal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from erc.base.emotions import EMOTIONS, SCALE
from erc.base.errors import ConfigError
from erc.model.branch import Branch, Standardize
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.folder.published import HubModel
from erc.model.fusion import build_fusion
from erc.model.physiology import PhysiologyEncoder
from erc.model.pooling import NAMES, SEGMENTS, SEQUENCES

__all__ = ["Branch", "EmotionModel", "Output", "Standardize"]


@dataclass
class Output:
    """What the model says of a batch."""

    logits: Tensor  # [B, 7], order of base.emotions.EMOTIONS; softmax gives the distribution over raters
    valence_arousal: Tensor  # [B, 2], scale 1–5, not clipped
    features: Tensor  # [B, F], what the head reads


class EmotionModel(HubModel, nn.Module):
    """Emotion distribution, valence and arousal from speech, transcript, physiology, or some of them.

    Args:
        speech, text, physiology: encoders; some of them may be None.
        fusion: key of `fusion.FUSIONS`; None takes "single" for one encoder, "tensor_mixer" for two,
            "trilinear" for three.
        fusion_options: options of that fusion, e.g. `{"depth": 4}`.
        dim: width of the projected vectors (with the fusion's constant, if it has one).
        speech_pooling, text_pooling: of `pooling.NAMES`; a sequence ("frames", "segments") for a
            fusion that reads sequences, and only for that.
        segments: number of means that "segments" keeps of an utterance.
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
        physiology: PhysiologyEncoder | None = None,
        *,
        fusion: str | None = None,
        fusion_options: dict[str, Any] | None = None,
        dim: int = 256,
        speech_pooling: str = "mean",
        text_pooling: str = "first",
        segments: int = SEGMENTS,
        modality_dropout: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        freeze_speech: bool = False,
        freeze_text: bool = False,
    ):
        super().__init__()
        named = (("speech", speech), ("text", text), ("physiology", physiology))
        encoders = {n: e for n, e in named if e is not None}
        if not encoders:
            raise ConfigError("a model needs a speech encoder, a text encoder, or both")
        fusion = fusion or ("single", "tensor_mixer", "trilinear")[len(encoders) - 1]
        self.fusion = build_fusion(fusion, dim, dict(fusion_options or {}))
        if self.fusion.modalities != len(encoders):
            raise ConfigError(
                f"fusion '{fusion}' joins {self.fusion.modalities} modalities, this model has "
                f"{' and '.join(encoders)}; for one modality use fusion=single"
            )
        if modality_dropout and len(encoders) > 1 and self.fusion.needs_all:
            raise ConfigError(
                "modality_dropout needs a fusion that stands a missing modality: tensor_mixer with "
                "constant=true, or concat"
            )
        pooling = {"speech": speech_pooling, "text": text_pooling, "physiology": "mean"}
        for name, frozen in (("speech", freeze_speech), ("text", freeze_text)):
            if frozen and name in encoders:
                encoders[name].freeze()
        size = self.fusion.vector_size
        self.branches = nn.ModuleDict(
            {n: Branch(e, pooling[n], size, input_dropout, segments) for n, e in encoders.items()}
        )
        for name in encoders:
            if self.fusion.needs_frames != (pooling[name] in SEQUENCES):
                wanted = [p for p in NAMES if (p in SEQUENCES) == self.fusion.needs_frames]
                raise ConfigError(
                    f"fusion '{fusion}' does not go with {name}_pooling={pooling[name]}; "
                    f"it takes {', '.join(wanted)}"
                )
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
            "segments": segments,
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

    @property
    def physiology(self) -> PhysiologyEncoder | None:
        """The physiology encoder, if there is one."""
        return self.branches["physiology"].encoder if "physiology" in self.branches else None

    def forward(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_lengths: Tensor | None = None,
        physiology: Tensor | None = None,
        physiology_lengths: Tensor | None = None,
    ) -> Output:
        """Speech and transcript → `Output`. A modality that is None, or a row of length 0, is missing.

        Args:
            speech: [B, T] float, 16 kHz, −1…1 (standardised per clip if `speech.normalize`).
            speech_lengths: [B] long, samples.
            input_ids: [B, S] long, token ids.
            text_lengths: [B] long, tokens.
            physiology: [B, T, C] float, nan where not measured; see `PhysiologyEncoder`.
            physiology_lengths: [B] long, steps.

        Raises:
            ConfigError: nothing present in some row, or a modality the model was not built for.
            AudioError: a clip too short or too long for the encoder.
        """
        return self.fuse(
            *self.encode(
                speech, speech_lengths, input_ids, text_lengths, physiology, physiology_lengths
            )
        )

    def encode(
        self,
        speech: Tensor | None = None,
        speech_lengths: Tensor | None = None,
        input_ids: Tensor | None = None,
        text_lengths: Tensor | None = None,
        physiology: Tensor | None = None,
        physiology_lengths: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The part before the fusion: worth caching while the encoders are frozen.

        Returns:
            pooled: modality → [B, D], zeros where missing; present: modality → bool [B]. For a
            fusion that reads sequences [B, N, D] and bool [B, N]. See `Branch.encode`.
        """
        inputs = {
            "speech": (speech, speech_lengths),
            "text": (input_ids, text_lengths),
            "physiology": (physiology, physiology_lengths),
        }
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
            present[name] = branch.present(pooled[name], lengths)
        return pooled, present

    def fuse(
        self, pooled: dict[str, Tensor], present: dict[str, Tensor], void_ok: bool = False
    ) -> Output:
        """Pooled vectors → `Output`; arguments as `encode` returns them.

        Args:
            void_ok: a row that lacks everything gets what the model says of nothing, no error.
        """
        names = self.modalities
        table = torch.stack([present[n].reshape(len(present[n]), -1).any(-1) for n in names], -1)
        void = ~(table.all(-1) if self.fusion.needs_all else table.any(-1))
        if bool(void.any()) and (self.fusion.needs_all or not void_ok):
            rows = void.nonzero()[:3, 0].tolist()
            needed = " and " if self.fusion.needs_all else " or "
            raise ConfigError(
                f"this model needs {needed.join(names)} of every utterance; "
                f"missing in {int(void.sum())} of {len(void)}, first rows {rows}"
            )
        table = self._drop_modality(table)  # bool [B, M]
        masks = [present[n] & _like(kept, present[n]) for n, kept in zip(names, table.unbind(-1))]
        vectors = [self.branches[n].project(pooled[n], m) for n, m in zip(names, masks)]
        features = self.fusion(vectors, masks) if self.fusion.needs_frames else self.fusion(vectors)
        scores = self.head(self.dropout(features)).float()  # whatever autocast computes in
        return Output(scores[:, : len(EMOTIONS)], scores[:, len(EMOTIONS) :], features.float())

    def _drop_modality(self, present: Tensor) -> Tensor:
        """In training, take modalities from some of the rows, never their last one, [B, M].

        A row loses one with probability `modality_dropout`; of three, then again one of the others.
        """
        if not (self.training and self.modality_dropout):
            return present
        for _ in range(present.shape[1] - 1):
            present = self._drop_one(present)
        return present

    def _drop_one(self, present: Tensor) -> Tensor:
        lots = torch.rand(present.shape, device=present.device).masked_fill(~present, -1)
        victim = nn.functional.one_hot(lots.argmax(-1), present.shape[1]).bool()
        hit = torch.rand(len(present), device=present.device) < self.modality_dropout
        return present & ~(victim & (hit & (present.sum(-1) > 1))[:, None])

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same model, without weights."""
        third = {"physiology": self.physiology.to_config()} if self.physiology else {}
        return {
            "speech": self.speech.to_config() if self.speech else None,
            "text": self.text.to_config() if self.text else None,
            **third,
            **self.options,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from `to_config()`; nothing is downloaded, the weights are random."""
        config = dict(config)
        speech, text = config.pop("speech"), config.pop("text")
        physiology = config.pop("physiology", None)
        return cls(
            SpeechEncoder.from_config(speech) if speech else None,
            TextEncoder.from_config(text) if text else None,
            PhysiologyEncoder.from_config(physiology) if physiology else None,
            **config,
        )


def _like(kept: Tensor, present: Tensor) -> Tensor:
    """bool [B] for a `present` of [B], [B, 1] for one of [B, N]."""
    return kept.reshape(-1, *(1,) * (present.ndim - 1))
