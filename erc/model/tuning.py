"""Which part of an encoder is trained, and how: the last layers, recomputed activations."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from erc.base.errors import ConfigError


def transformer_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The layers of a transformer, from the input on.

    Raises:
        ConfigError: this kind of model does not keep them in a list.
    """
    config = model.config
    number = config.encoder_layers if config.model_type == "whisper" else config.num_hidden_layers
    for module in model.modules():
        # The convolutions of wav2vec2 are a list too: of the same length only by accident.
        if isinstance(module, nn.ModuleList) and len(module) == number:
            if any(isinstance(m, nn.Conv1d) for m in module.modules()):
                continue
            return module
    raise ConfigError(
        f"cannot tell the layers of a {config.model_type}: train all of it or nothing"
    )


def train_last(model: PreTrainedModel, layers: int) -> None:
    """Leave only the last `layers` transformer layers trainable: no gradient goes below them.

    Raises:
        ConfigError: more layers than there are, or none.
    """
    found = transformer_layers(model)
    if not 1 <= layers <= len(found):
        raise ConfigError(
            f"train_layers {layers} is not 1 … {len(found)}; to train nothing, freeze the encoder"
        )
    model.requires_grad_(False)
    found[len(found) - layers :].requires_grad_(True)


def freeze_front(model: PreTrainedModel) -> None:
    """Freeze the convolutions between the waveform and the transformer of a speech model."""
    for name in ("feature_extractor", "conv1", "conv2"):
        if hasattr(model, name):
            getattr(model, name).requires_grad_(False)


def recompute_activations(model: PreTrainedModel) -> None:
    """Gradient checkpointing: keep only the input of each layer, a third more time, less memory."""
    # Without re-entry it works where the input needs no gradient: below it everything is frozen.
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
