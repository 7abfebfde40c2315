"""The model as graphs that other libraries can run: no branch on data, lengths as masks.

`EmotionModel` skips what a batch does not need (masks where nothing is padded, rows without a
recording) and groups clips by length. A graph cannot look at its data, so here everything is masked,
and what is exact for unequal lengths in torch is exact here; see `tests/recognizer/test_export.py`.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc.model.backbones import Backbone, WhisperBackbone
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel
from erc.model.encoders import SpeechEncoder, TextEncoder
from erc.model.physiology import PhysiologyEncoder
from erc.model.pooling import mask


class EncodeGraph(nn.Module):
    """`Branch.encode` of rows that are all there: (x, lengths > 0) → (features,).

    Where all frames are kept, (features [B, N, D], present bool [B, N]); N may exceed the longest
    row. Samples come padded to what `front` says.
    """

    def __init__(self, branch: Branch):
        super().__init__()
        self.branch, encoder = branch.eval(), branch.encoder
        if isinstance(encoder, SpeechEncoder):
            waves = encoder.backbone
            self.states: nn.Module = (
                WhisperStates(waves)
                if isinstance(waves, WhisperBackbone)
                else Wav2Vec2States(waves)
            )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        encoder = self.branch.encoder
        if isinstance(encoder, SpeechEncoder):
            states = self.states(torch.where(mask(lengths, x.shape[1]), x, 0), lengths)
            if encoder.stacked:
                frames = torch.stack(states[encoder.kept], 2)
            else:
                mean = encoder.layer == "mean"
                frames = torch.stack(states).mean(0) if mean else states[encoder.layer]
        elif isinstance(encoder, TextEncoder):
            inside = mask(lengths, x.shape[1])
            ids = torch.where(inside, x, encoder.pad_token_id)
            frames = encoder.model(input_ids=ids, attention_mask=inside.long()).last_hidden_state
        else:
            frames = cast(PhysiologyEncoder, encoder).frames(x, lengths)
        steps = encoder.frame_lengths(lengths)
        pooled = self.branch.reduce(frames, steps)
        if self.branch.reduction == "frames":
            return pooled, mask(steps, frames.shape[1])
        return (pooled,)


class Wav2Vec2States(nn.Module):
    """Hidden states of the wav2vec2 family; of one with group norm only for rows of equal length."""

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.model, self.masked = backbone.model, backbone.padding_safe

    def forward(self, speech: Tensor, lengths: Tensor) -> list[Tensor]:
        attention = mask(lengths, speech.shape[1]).long() if self.masked else None
        output = self.model(speech, attention_mask=attention, output_hidden_states=True)
        return [*output.hidden_states[:-1], output.last_hidden_state]


class WhisperStates(nn.Module):
    """Hidden states of Whisper's encoder; the spectrum is a convolution with windowed waves."""

    waves: Tensor

    def __init__(self, backbone: WhisperBackbone):
        super().__init__()
        self.backbone = backbone
        n = backbone.window
        angle = 2 * math.pi * torch.arange(n // 2 + 1).double()[:, None] * torch.arange(n) / n
        hann = torch.hann_window(n, dtype=torch.float64)
        waves = torch.cat([hann * angle.cos(), hann * angle.sin()])[:, None]
        self.register_buffer("waves", waves.float(), persistent=False)  # [2 · (n/2 + 1), 1, n]

    def log_mel(self, speech: Tensor) -> Tensor:
        """As `WhisperBackbone.log_mel`, of samples that are padded already."""
        b = self.backbone
        padded = F.pad(speech[:, None], (b.window // 2, b.window // 2), mode="reflect")
        cos, sin = F.conv1d(padded, self.waves, stride=b.hop)[..., :-1].chunk(2, 1)
        log = (b.filters @ (cos**2 + sin**2)).clamp(min=1e-10).log10()
        return (torch.maximum(log, log.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def forward(self, speech: Tensor, lengths: Tensor) -> list[Tensor]:
        model = self.backbone.model
        hidden = F.gelu(model.conv2(F.gelu(model.conv1(self.log_mel(speech))))).transpose(1, 2)
        hidden = hidden + model.embed_positions.weight[: hidden.shape[1]]
        attention = None
        if self.backbone.context == "real":
            inside = mask(self.backbone.frame_lengths(lengths), hidden.shape[1])[:, None, None]
            attention = torch.where(inside, 0.0, torch.finfo(hidden.dtype).min)
        states = [hidden]
        for layer in model.layers:
            states.append(layer(states[-1], attention))
        states[-1] = model.layer_norm(states[-1])
        return states


class FuseGraph(nn.Module):
    """`EmotionModel.fuse`: features and presence of every modality, in order → `outputs`."""

    def __init__(self, model: EmotionModel):
        super().__init__()
        self.model = model.eval()

    @property
    def outputs(self) -> list[str]:
        """Logits [B, K] and dimensions [B, D] in their own units; what there is none of is left out."""
        space = self.model.space
        return ["logits"] * bool(space.emotions) + ["dimensions"] * bool(space.dimensions)

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        model, half = self.model, len(given) // 2
        pooled, present = given[:half], list(given[half:])
        branches = model.branches.values()
        vectors = [b.project(x, p) for b, x, p in zip(branches, pooled, present, strict=True)]
        scores = model.head(model.fusion(vectors, present))
        emotions = len(model.space.emotions)  # slices: `tensor_split` is traced as a loop
        found = scores[:, :emotions], model.gain * scores[:, emotions:] + model.offset
        return tuple(x for x in found if x.shape[1])


def front(branch: Branch) -> dict[str, int] | None:
    """How samples are padded before the graph: T → clip(⌈T / step⌉ · step + after, least, most)."""
    backbone = getattr(branch.encoder, "backbone", None)
    if not isinstance(backbone, WhisperBackbone):
        return None
    step, most = backbone.stride * backbone.hop, backbone.max_samples
    least = most if backbone.context == "30s" else 0
    return {"step": step, "after": 2 * step, "least": least, "most": most}
