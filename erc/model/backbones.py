"""Raw waveform → hidden states, for the wav2vec2 family and for Whisper, exact under padding.

A backbone takes speech [B, T] at 16 kHz with lengths [B] (all between `min_samples` and
`max_samples`) and returns the L + 1 hidden states [B, N, D] of its transformer: the input of each
of its L layers, and the final output.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel
from transformers.audio_utils import mel_filter_bank
from transformers.masking_utils import create_bidirectional_mask

from erc.base.errors import ConfigError
from erc.model.pooling import mask

WAV2VEC2_FAMILY = ("wav2vec2", "hubert", "wavlm", "data2vec-audio")
SAMPLE_RATE = 16_000
CONTEXTS = ("real", "30s")


class Backbone(nn.Module):
    """What both kinds share; see the module's docstring.

    Attributes:
        model: the Hugging Face model.
        size: width D of a state.
        layers: number L of transformer layers.
        min_samples, max_samples: shortest and longest clip.
        padding_safe: clips of unequal length may share a batch.
    """

    model: Any  # transformers types its models' parts as little as torch does
    size: int
    layers: int
    min_samples: int
    max_samples: int | None = None
    padding_safe: bool = True

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, speech: Tensor, lengths: Tensor) -> list[Tensor]:
        raise NotImplementedError


class Wav2Vec2Backbone(Backbone):
    """Wav2Vec2Model, HubertModel, WavLMModel, Data2VecAudioModel (Baevski et al. 2020 and after).

    With layer norm in the convolutions (large and XLSR models) every frame depends on its own 400
    samples, and an attention mask makes padding harmless. With group norm (base models) the
    statistics run over time and see the padding: there, rows are run unpadded, in groups of equal
    length.

    Args:
        model: the Hugging Face model.
        spec_augment: mask random spans of frames in training (Park et al. 2019), as the model's
            own config says; skipped for batches shorter than one span.
    """

    def __init__(self, model: PreTrainedModel, spec_augment: bool = False):
        super().__init__()
        config = model.config
        if getattr(config, "add_adapter", False):
            raise ConfigError("speech models with an adapter (add_adapter=true) are not supported")
        self.model = model
        self.size, self.layers = config.hidden_size, config.num_hidden_layers
        self.spec_augment = spec_augment
        self.padding_safe = (
            config.model_type != "data2vec-audio"  # its positions are a stack of convolutions
            and config.feat_extract_norm == "layer"
            and not getattr(config, "conv_pos_batch_norm", False)
        )
        # n frames need (n − 1)·stride + kernel inputs, layer by layer backwards: 400 samples for one
        self.min_samples = 1
        for kernel, stride in reversed(self._convolutions()):
            self.min_samples = (self.min_samples - 1) * stride + kernel
        # Hugging Face asks for the gradient of the samples themselves, which nobody uses, and with it
        # for that of everything above, frozen or not.
        if hasattr(model, "feature_extractor"):
            self.model.feature_extractor._requires_grad = False
        config.apply_spec_augment = False
        if hasattr(model, "masked_spec_embed") and not spec_augment:
            model.masked_spec_embed.requires_grad_(False)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Samples → frames: n ← ⌊(n − kernel) / stride⌋ + 1 for each convolution; never below 0."""
        for kernel, stride in self._convolutions():
            lengths = (lengths - kernel).div(stride, rounding_mode="floor") + 1
        return lengths.clamp(min=0)

    def forward(self, speech: Tensor, lengths: Tensor) -> list[Tensor]:
        if self.padding_safe or bool((lengths == lengths[0]).all()):
            return self._run(speech, lengths)
        frames = int(self.frame_lengths(lengths).max())
        states = [speech.new_zeros(len(speech), frames, self.size) for _ in range(self.layers + 1)]
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero()[:, 0]
            for whole, part in zip(states, self._run(speech[rows, :length]), strict=True):
                whole[rows, : part.shape[1]] = part.to(whole.dtype)
        return states

    def _run(self, speech: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        frames = int(self.frame_lengths(torch.tensor(speech.shape[1])))
        self.model.config.apply_spec_augment = (
            self.spec_augment and frames >= self.model.config.mask_time_length
        )
        padded = None
        if lengths is not None and bool((lengths < speech.shape[1]).any()):
            padded = mask(lengths, speech.shape[1]).long()
        output = self.model(
            speech.to(self.model.dtype),
            attention_mask=padded,
            output_hidden_states=True,
        )
        states = [*output.hidden_states[:-1], output.last_hidden_state]
        # LayerDrop (Fan et al. 2019) leaves layers out in training, where only the last is asked for.
        return states[:1] * (self.layers + 1 - len(states)) + states

    def _convolutions(self) -> list[tuple[int, int]]:
        config = self.model.config
        return list(zip(config.conv_kernel, config.conv_stride, strict=True))


class WhisperBackbone(Backbone):
    """The Whisper encoder (Radford et al. 2022) on the real length of the clip instead of 30 s.

    The log-mel spectrogram is that of `WhisperFeatureExtractor`: 25 ms windows each 10 ms,
    of the clip followed by silence. The convolutions see that silence as they would in 30 s, so
    with `context="real"` the only difference is that attention does not look at it.

    Args:
        model: `WhisperEncoder`.
        context: "real" cuts the positions after the clip; "30s" runs all of them, exactly as the
            pretrained model does, and cuts afterwards (ten times the work for 3 s).
    """

    window, hop, stride = 400, 160, 2
    min_samples = hop
    max_samples: int
    filters: Tensor
    hann: Tensor

    def __init__(self, model: PreTrainedModel, context: str = "real"):
        super().__init__()
        if context not in CONTEXTS:
            raise ConfigError(f"context '{context}' is not one of {', '.join(CONTEXTS)}")
        config = model.config
        self.model, self.context = model, context
        self.size, self.layers = config.d_model, config.encoder_layers
        self.max_samples = config.max_source_positions * self.stride * self.hop
        filters = mel_filter_bank(
            num_frequency_bins=1 + self.window // 2,
            num_mel_filters=config.num_mel_bins,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            norm="slaney",
            mel_scale="slaney",
        )
        self.register_buffer("filters", torch.tensor(filters.T).float(), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Samples → frames of 20 ms: ⌈n / 320⌉."""
        return (lengths + self.stride * self.hop - 1) // (self.stride * self.hop)

    def log_mel(self, speech: Tensor, lengths: Tensor, samples: int) -> Tensor:
        """Log-mel spectrogram [B, bins, samples / 160] of each clip followed by silence.

        log10 of the power in each band, at most 8 (80 dB) below the clip's own maximum,
        then (x + 4) / 4.
        """
        speech = torch.where(mask(lengths, speech.shape[1]), speech, 0).float()
        speech = F.pad(speech, (0, samples - speech.shape[1]))
        spectrum = torch.stft(speech, self.window, self.hop, window=self.hann, return_complex=True)
        power = self.filters @ (spectrum.real.square() + spectrum.imag.square())[..., :-1]
        log = power.clamp(min=1e-10).log10()
        return (torch.maximum(log, log.amax((1, 2), keepdim=True) - 8) + 4) / 4

    def forward(self, speech: Tensor, lengths: Tensor) -> list[Tensor]:
        model, frame_lengths = self.model, self.frame_lengths(lengths)
        frames = int(frame_lengths.max())
        # Two frames of silence after the clip: what the convolutions and the last window reach.
        samples = min((frames + 2) * self.stride * self.hop, self.max_samples)
        if self.context == "30s":
            samples = self.max_samples
        with torch.no_grad(), torch.autocast(speech.device.type, enabled=False):
            mel = self.log_mel(speech[:, :samples], lengths, samples)
        mel = mel.to(model.dtype)
        hidden = F.gelu(model.conv2(F.gelu(model.conv1(mel)))).transpose(1, 2)
        attention = None
        if self.context == "real":
            hidden = hidden[:, :frames]
            if bool((frame_lengths < frames).any()):
                attention = create_bidirectional_mask(
                    config=model.config,
                    inputs_embeds=hidden,
                    attention_mask=mask(frame_lengths, frames),
                )
        hidden = hidden + model.embed_positions.weight[: hidden.shape[1]]
        hidden = F.dropout(hidden, model.dropout, self.training)
        states = [hidden]
        for layer in model.layers:
            states.append(layer(states[-1], attention))
        states[-1] = model.layer_norm(states[-1])
        return [state[:, :frames] for state in states]


def backbone(model: PreTrainedModel, context: str, spec_augment: bool) -> Backbone:
    """The backbone for a Hugging Face speech model.

    Raises:
        ConfigError: neither Whisper nor of the wav2vec2 family.
    """
    check_supported(model.config)
    if model.config.model_type == "whisper":
        return WhisperBackbone(model, context)
    return Wav2Vec2Backbone(model, spec_augment)


def check_supported(config: PretrainedConfig) -> None:
    """Raise ConfigError unless there is a backbone for this kind of model."""
    if config.model_type not in (*WAV2VEC2_FAMILY, "whisper"):
        raise ConfigError(
            f"'{config.model_type}' is not a speech model this version can run; supported: "
            f"{', '.join((*WAV2VEC2_FAMILY, 'whisper'))}"
        )
