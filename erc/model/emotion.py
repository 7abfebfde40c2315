"""EmotionModel = encoders × fusion × head: speech, transcript, body → emotions and dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from erc.base.errors import ConfigError
from erc.base.space import KEMDY, Space
from erc.model.branch import Branch, Branches, Standardize
from erc.model.encoded import Encoded
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.physiology import PhysiologyEncoder
from erc.model.plan import Plan, usual_fusion

MIDDLE = 3.0  # of 1–5

__all__ = ["Branch", "EmotionModel", "Encoded", "Output", "Standardize"]


@dataclass
class Output:
    """What the model says of a batch."""

    logits: Tensor  # [B, K] in the order of `Space.emotions`; softmax: the distribution over raters
    dimensions: Tensor  # [B, D] in the units of `Space.dimensions`, not clipped
    features: Tensor  # [B, F], what the head reads


class EmotionModel(nn.Module):
    """Emotion distribution and dimensions from speech, transcript, physiology, or some of them.

    Inside, a dimension is a number on 1–5, whatever its scale; `Output` has it in its own units.

    It knows tensors only: files and the hub are above it, in `erc.model.folder`.

    Args:
        speech, text, physiology: encoders; some of them may be None.
        fusion: key of `fusion.FUSIONS`; None takes "single" for one encoder, "tensor_mixer" for two,
            "trilinear" for three.
        space: the emotions and dimensions it answers in.
        options: the others of `Plan`, e.g. `fusion_options={"depth": 4}, dim=64`.

    Raises:
        ConfigError: see `Plan`.
    """

    gain: Tensor
    offset: Tensor

    def __init__(
        self,
        speech: SpeechEncoder | None = None,
        text: TextEncoder | None = None,
        physiology: PhysiologyEncoder | None = None,
        *,
        fusion: str | None = None,
        space: Space = KEMDY,
        **options: Any,
    ):
        super().__init__()
        self.space = space
        named = (("speech", speech), ("text", text), ("physiology", physiology))
        encoders = {n: e for n, e in named if e is not None}
        self.plan = plan = Plan(tuple(encoders), fusion or usual_fusion(tuple(encoders)), **options)
        scores = len(space.emotions) + len(space.dimensions)
        self.fusion = plan.build_fusion(scores)
        for name in plan.frozen:
            encoders[name].freeze()
        size = self.fusion.vector_size
        self.branches = Branches(
            {
                name: Branch(e, plan.poolings[name], size, plan.input_dropout, plan.segments)
                for name, e in encoders.items()
            }
        )
        self.dropout = nn.Dropout(plan.dropout)
        self.head = nn.Linear(self.fusion.out_features, scores)
        with torch.no_grad():  # dimensions start in the middle of their scale
            self.head.bias[len(space.emotions) :] = MIDDLE
        # 1–5 → own units, y = gain · x + offset; on 1–5 itself exactly y = x
        gain = torch.tensor((space.high - space.low) / 4, dtype=torch.float32)
        self.register_buffer("gain", gain, persistent=False)
        offset = torch.tensor(space.low, dtype=torch.float32) - gain
        self.register_buffer("offset", offset, persistent=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model can listen to or read: "speech", "text", "physiology", or several."""
        return self.plan.modalities

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.head.weight.device

    @property
    def speech(self) -> SpeechEncoder | None:
        """The speech encoder, if there is one."""
        return cast("SpeechEncoder | None", self._encoder("speech"))

    @property
    def text(self) -> TextEncoder | None:
        """The text encoder, if there is one."""
        return cast("TextEncoder | None", self._encoder("text"))

    @property
    def physiology(self) -> PhysiologyEncoder | None:
        """The physiology encoder, if there is one."""
        return cast("PhysiologyEncoder | None", self._encoder("physiology"))

    def _encoder(self, name: str) -> nn.Module | None:
        return self.branches[name].encoder if name in self.branches else None

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
        inputs = {
            "speech": (speech, speech_lengths),
            "text": (input_ids, text_lengths),
            "physiology": (physiology, physiology_lengths),
        }
        return self.fuse(self.encode(inputs))

    def encode(
        self,
        inputs: Mapping[str, tuple[Tensor | None, Tensor | None]],
        known: Mapping[str, Tensor] | None = None,
    ) -> Encoded[Tensor]:
        """The part before the fusion, once for all that is asked of it; see `Branch.encode`.

        Args:
            inputs: modality → samples, tokens or steps, and their lengths, as `forward` takes them.
            known: modality → features that its frozen encoder has said of these rows before; of
                that modality only the lengths are looked at.
        """
        given: dict[str, tuple[Tensor, Tensor]] = {}
        for name, (x, lengths) in inputs.items():
            if x is None:
                continue
            if name not in self.branches:
                raise ConfigError(
                    f"this model has no {name} encoder; it takes {self.modalities[0]}"
                )
            if lengths is None:
                raise ConfigError(f"{name} came without its lengths")
            given[name] = x, lengths
        if not given:
            raise ConfigError(f"nothing to predict from: give {' or '.join(self.modalities)}")
        _, some = next(iter(given.values()))
        absent = torch.zeros(len(some), 0, device=self.device), torch.zeros_like(some)
        pooled, present = {}, {}
        for name, branch in self.branches.items():
            x, lengths = given.get(name, absent)
            here = (known or {}).get(name)
            pooled[name] = branch.encode(x, lengths) if here is None else here.to(x.device)
            present[name] = branch.present(pooled[name], lengths)
        return Encoded(pooled, present)

    def fuse(self, encoded: Encoded[Tensor], void_ok: bool = False) -> Output:
        """What `encode` returned → `Output`.

        Args:
            void_ok: a row that lacks everything gets what the model says of nothing, no error.

        Raises:
            ConfigError: a row lacks what the model cannot do without.
        """
        table = self._table(encoded)
        void = ~(table.all(-1) if self.fusion.needs_all else table.any(-1))
        if bool(void.any()) and (self.fusion.needs_all or not void_ok):
            rows = void.nonzero()[:3, 0].tolist()
            needed = " and " if self.fusion.needs_all else " or "
            raise ConfigError(
                f"this model needs {needed.join(self.modalities)} of every utterance; "
                f"missing in {int(void.sum())} of {len(void)}, first rows {rows}"
            )
        return self.answer(encoded)

    def _table(self, encoded: Encoded[Tensor]) -> Tensor:
        """Which modality is there, bool [B, M]."""
        present = (encoded.present[name] for name in self.modalities)
        return torch.stack([x.reshape(len(x), -1).any(-1) for x in present], -1)

    def answer(self, encoded: Encoded[Tensor]) -> Output:
        """`fuse` without a look at what is missing: the steps do not hang on any value, so that
        `torch.func.vmap` can take many models through them at once."""
        pooled, present, names = encoded.pooled, encoded.present, self.modalities
        table = self._table(encoded)
        table = self._drop_modality(table)  # bool [B, M]
        masks = [present[n] & _like(kept, present[n]) for n, kept in zip(names, table.unbind(-1))]
        vectors = [self.branches[n].project(pooled[n], m) for n, m in zip(names, masks)]
        features = self.fusion(vectors, masks)
        scores = self.head(self.dropout(features)).float()  # whatever autocast computes in
        logits, placed = scores.tensor_split([len(self.space.emotions)], 1)
        return Output(logits, self.gain * placed + self.offset, features.float())

    def _drop_modality(self, present: Tensor) -> Tensor:
        """In training, take modalities from some of the rows, never their last one, [B, M].

        A row loses one with probability `modality_dropout`; of three, then again one of the others.
        """
        if not (self.training and self.plan.modality_dropout):
            return present
        for _ in range(present.shape[1] - 1):
            present = self._drop_one(present)
        return present

    def _drop_one(self, present: Tensor) -> Tensor:
        lots = torch.rand(present.shape, device=present.device).masked_fill(~present, -1)
        victim = nn.functional.one_hot(lots.argmax(-1), present.shape[1]).bool()
        hit = torch.rand(len(present), device=present.device) < self.plan.modality_dropout
        return present & ~(victim & (hit & (present.sum(-1) > 1))[:, None])

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same model, without weights."""
        third = {"physiology": self.physiology.to_config()} if self.physiology else {}
        return {
            "speech": self.speech.to_config() if self.speech else None,
            "text": self.text.to_config() if self.text else None,
            **third,
            **self.plan.to_config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], space: Space = KEMDY) -> Self:
        """Build from `to_config()`; nothing is downloaded, the weights are random."""
        config = dict(config)
        speech, text = config.pop("speech"), config.pop("text")
        physiology = config.pop("physiology", None)
        return cls(
            SpeechEncoder.from_config(speech) if speech else None,
            TextEncoder.from_config(text) if text else None,
            PhysiologyEncoder.from_config(physiology) if physiology else None,
            space=space,
            **config,
        )


def _like(kept: Tensor, present: Tensor) -> Tensor:
    """bool [B] for a `present` of [B], [B, 1] for one of [B, N]."""
    return kept.reshape(-1, *(1,) * (present.ndim - 1))
