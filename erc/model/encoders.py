"""Speech and text encoders: any Hugging Face model by id or folder, or a tiny one without download."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from erc.base.errors import AudioError, ConfigError
from erc.model.backbones import SAMPLE_RATE, backbone, check_supported
from erc.model.pooling import mask
from erc.model.pretrained import (
    TINY_SPEECH,
    TINY_TEXT,
    build,
    config_of,
    extractor_of,
    load_model,
    parse,
    plain,
)
from erc.model.tuning import freeze_front, recompute_activations, train_last

STACKED = ("weighted", "middle")  # what `layer` says where several hidden states are kept


def middle(layers: int) -> slice:
    """The hidden states of the middle half of a transformer's layers; 0 is the input of the first.

    The first layers still hear the channel, the last ones are made for the words (Pasad, Chou and
    Livescu 2021, arXiv:2107.04734): the voice lies between.

    >>> [(middle(n).start, middle(n).stop - 1) for n in (2, 4, 6, 12, 24)]
    [(1, 2), (2, 3), (2, 5), (4, 9), (7, 18)]
    """
    return slice(layers // 4 + 1, layers - layers // 4 + 1)


class Encoder(nn.Module):
    """What encoders share: input [B, T, …] and lengths [B] → frames [B, N, D] and their lengths [B].

    Attributes:
        size: width D of a frame or token state.
        layer: hidden layer that is taken, where there is a choice.
        stacked: number of hidden states, if several are returned: [B, N, stacked, D].
        frozen: see `freeze`.
    """

    size: int
    layer: int | str | None = None
    stacked: int | None = None
    frozen: bool = False

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Number of frames that an input of `lengths` [B] gives, [B]: as many, but for speech."""
        return lengths

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same encoder, without weights."""
        raise NotImplementedError

    @property
    def network(self) -> nn.Module:
        """The pretrained part."""
        return self

    def freeze(self) -> Self:
        """No gradients, and evaluation mode (no dropout) even inside a model in training mode."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and not self.frozen)

    def half(self) -> Self:
        """Compute in bfloat16 (for prediction): weights of half the size, states come out float32."""
        self.network.to(
            torch.bfloat16
        )  # what lies around it, e.g. Whisper's mel filters, stays float32
        return self

    def _tune(
        self, model: PreTrainedModel, train_layers: int | None, checkpointing: bool
    ) -> dict[str, Any]:
        if train_layers is not None:
            train_last(model, train_layers)
        if checkpointing:
            recompute_activations(model)
        return {"train_layers": train_layers, "checkpointing": checkpointing}

    def _grad(self) -> torch.set_grad_enabled:
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen)


class SpeechEncoder(Encoder):
    """Waveform → frames, the same for a clip alone, in a padded batch or in a bucket.

    Args:
        model: a Hugging Face model of the wav2vec2 family, or a Whisper encoder.
        layer: hidden layer to take: 0 is the input of the first layer, −1 the final output;
            "mean" averages all of them; "weighted" returns all of them, [B, N, L + 1, D], and the
            model learns their weights (`branch.LayerWeights`); "middle" returns the outputs of the
            middle half of the layers (see `middle`), and the model reads them side by side.
        normalize: this model expects every clip at zero mean and unit variance. Whoever makes the
            batch does that, per clip; `forward` takes the samples as they are.
        context: for Whisper, "real" or "30s"; see `WhisperBackbone`.
        spec_augment: for the wav2vec2 family, mask spans of frames in training.
        train_layers: train only the last so many transformer layers; None: everything.
        train_front: False keeps the convolutions below the transformer as they are.
        checkpointing: recompute activations in the backward pass instead of keeping them.

    Attributes:
        min_samples, max_samples: the shortest clip that gives a frame; the longest (or None).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        layer: int | str = -1,
        normalize: bool = False,
        context: str = "real",
        spec_augment: bool = False,
        train_layers: int | None = None,
        train_front: bool = True,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.backbone = backbone(model, context, spec_augment)
        layers = self.backbone.layers
        inside = isinstance(layer, int) and -layers - 1 <= layer <= layers
        if layer not in ("mean", *STACKED) and not inside:
            raise ConfigError(
                f"layer {layer!r} is not 0 … {layers}, negative from the end, mean, weighted or middle"
            )
        if not train_front:
            freeze_front(model)
        self.tuning = {
            **self._tune(model, train_layers, checkpointing),
            "train_front": train_front,
        }
        if layer != -1 and hasattr(model.config, "layerdrop"):
            model.config.layerdrop = 0.0  # a dropped layer would shift the numbering
        self.layer, self.normalize = layer, normalize
        self.context, self.spec_augment = context, spec_augment
        self.size = self.backbone.size
        self.min_samples, self.max_samples = self.backbone.min_samples, self.backbone.max_samples

    @classmethod
    def from_name(cls, name: str, *, normalize: bool | None = None, **options: Any) -> Self:
        """Load pretrained weights by Hugging Face id or folder, or build `tiny-…` at random.

        Args:
            name: e.g. "kresnik/wav2vec2-large-xlsr-korean", "./whisper-tiny", "tiny-wav2vec2".
            normalize: None asks the model's own feature extractor.
            options: `layer`, `context`, `spec_augment`, `train_layers`, `train_front`,
                `checkpointing` of the constructor.

        Raises:
            CheckpointError: nothing usable there.
            ConfigError: a model of another kind, or not for 16 kHz.
        """
        if name in TINY_SPEECH:
            config = TINY_SPEECH[name]
            usual = config.model_type != "whisper"
            return cls(
                build(config), normalize=usual if normalize is None else normalize, **options
            )
        config = config_of(name, "speech encoder")
        check_supported(config)
        if config.model_type == "whisper":
            model = load_model(WhisperEncoder, name, config, {r"^(model\.)?encoder\.": ""})
        else:
            model = load_model(AutoModel, name, config)
        if normalize is None:
            extractor = extractor_of(name, "speech encoder")
            if extractor.sampling_rate != SAMPLE_RATE:
                raise ConfigError(
                    f"'{name}' wants {extractor.sampling_rate} Hz; erc works at 16000"
                )
            normalize = bool(getattr(extractor, "do_normalize", False))
        return cls(model, normalize=normalize, **options)

    @property
    def network(self) -> nn.Module:
        return self.backbone.model

    @property
    def kept(self) -> slice:
        """Which hidden states are returned, where several are."""
        layers = self.backbone.layers
        return middle(layers) if self.layer == "middle" else slice(0, layers + 1)

    @property
    def stacked(self) -> int | None:  # type: ignore[override]
        """How many, if several are returned."""
        return self.kept.stop - self.kept.start if self.layer in STACKED else None

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Number of frames that `lengths` [B] samples give, [B]."""
        return self.backbone.frame_lengths(lengths)

    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of each clip.

        Args:
            speech: [B, T] float, 16 kHz; what lies beyond a row's length is not read.
            lengths: [B] long, samples, all ≥ `min_samples`.

        Returns:
            frames float32 [B, N, D], of layer="weighted" or "middle" [B, N, stacked, D], and their
            number [B].

        Raises:
            AudioError: a clip too short or too long for the encoder.
        """
        self._check(lengths)
        speech = speech[:, : int(lengths.max())]
        speech = torch.where(mask(lengths, speech.shape[1]), speech, 0)
        with self._grad():
            states = self.backbone(speech, lengths)
        if self.layer in STACKED:
            frames = torch.stack(states[self.kept], 2)
        else:
            stack = self.layer == "mean"
            frames = torch.stack(states).float().mean(0) if stack else states[self.layer]
        return frames.float(), self.frame_lengths(lengths)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same encoder, without weights."""
        return {
            "model": plain(self.backbone.model.config),
            "layer": self.layer,
            "normalize": self.normalize,
            "context": self.context,
            "spec_augment": self.spec_augment,
            **self.tuning,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from `to_config()`; nothing is downloaded, the weights are random."""
        return cls(
            build(parse(config["model"])), **{k: v for k, v in config.items() if k != "model"}
        )

    def _check(self, lengths: Tensor) -> None:
        short, long = int(lengths.min()), int(lengths.max())
        if short < self.min_samples:
            raise AudioError(
                f"a clip has {short} samples; this encoder needs "
                f"{self.min_samples} ({1000 * self.min_samples / SAMPLE_RATE:g} ms) for one frame"
            )
        if self.max_samples is not None and long > self.max_samples:
            raise AudioError(
                f"a clip lasts {long / SAMPLE_RATE:.1f} s; this encoder "
                f"has positions for {self.max_samples / SAMPLE_RATE:g} s: cut it into windows"
            )


class TextEncoder(Encoder):
    """Token ids → states of a Hugging Face text encoder (BERT, RoBERTa, ELECTRA, …).

    Args:
        model: the Hugging Face model.
        train_layers, checkpointing: as for `SpeechEncoder`.

    Attributes:
        max_tokens: the longest sequence its positions allow.
        pad_token_id: what stands beyond a row's length.
    """

    model: Any

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        train_layers: int | None = None,
        checkpointing: bool = False,
    ):
        super().__init__()
        config = model.config
        if config.is_encoder_decoder or not getattr(config, "max_position_embeddings", 0):
            raise ConfigError(f"'{config.model_type}' is not a text encoder in the manner of BERT")
        self.model = model
        if hasattr(model, "pooler"):
            self.model.pooler = None  # states are pooled here; an unused layer would never train
        self.tuning = self._tune(model, train_layers, checkpointing)
        self.size: int = config.hidden_size
        self.pad_token_id: int = config.pad_token_id or 0
        # RoBERTa numbers its positions from pad_token_id + 1.
        padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
        offset = 0 if padding is None else padding + 1
        self.max_tokens: int = config.max_position_embeddings - offset

    @classmethod
    def from_name(cls, name: str, *, vocab_size: int | None = None, **options: Any) -> Self:
        """Load by Hugging Face id or folder, or build "tiny-roberta" for `vocab_size` tokens.

        Args:
            name: e.g. "klue/roberta-large", "./my-bert", "tiny-roberta".
            vocab_size: for "tiny-…".
            options: `train_layers`, `checkpointing` of the constructor.

        Raises:
            CheckpointError: nothing usable there.
        """
        if name in TINY_TEXT:
            tiny = TINY_TEXT[name].to_dict()
            tiny |= {"vocab_size": vocab_size or tiny["vocab_size"]}
            return cls(build(parse(tiny)), **options)
        config = config_of(name, "text encoder")
        return cls(load_model(AutoModel, name, config), **options)

    def forward(self, input_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States of each token.

        Args:
            input_ids: [B, S] long; what lies beyond a row's length is not read.
            lengths: [B] long, tokens, all ≥ 1.

        Returns:
            states [B, S', D] float32 with S' = max(lengths), lengths [B].

        Raises:
            ConfigError: a text that is empty or too long, or ids of another tokenizer.
        """
        if int(lengths.min()) < 1 or int(lengths.max()) > self.max_tokens:
            raise ConfigError(
                f"texts have {int(lengths.min())} to {int(lengths.max())} tokens; this encoder takes "
                f"1 to {self.max_tokens}: truncate with dataset.txt_max_length={self.max_tokens}"
            )
        input_ids = input_ids[:, : int(lengths.max())]
        inside = mask(lengths, input_ids.shape[1])
        input_ids = torch.where(inside, input_ids, self.pad_token_id)
        if int(input_ids.max()) >= self.model.config.vocab_size:
            raise ConfigError(
                f"token id {int(input_ids.max())} is outside the encoder's vocabulary of "
                f"{self.model.config.vocab_size}: the tokenizer belongs to another model"
            )
        with self._grad():
            output = self.model(input_ids=input_ids, attention_mask=inside.long())
        return output.last_hidden_state.float(), lengths

    def to_config(self) -> dict[str, Any]:
        """Plain JSON from which `from_config` builds the same encoder, without weights."""
        return {"model": plain(self.model.config), **self.tuning}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from `to_config()`; nothing is downloaded, the weights are random."""
        return cls(
            build(parse(config["model"])), **{k: v for k, v in config.items() if k != "model"}
        )
