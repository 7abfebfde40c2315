"""Which part of an encoder is trained, and how: the last layers, recomputed activations, LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from erc.base.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from erc.model.emotion import EmotionModel
    from erc.model.encoders import Encoder

LORA_OPTIONS = ("r", "alpha", "dropout", "targets")


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


def add_lora(model: EmotionModel, lora: dict[str, dict[str, Any] | None]) -> None:
    """Low-rank adapters (Hu et al. 2021) in the encoders: W x + (alpha / r) · B A x.

    A is [r, in], B [out, r], zero at the start; of the encoder nothing else is trained.

    Args:
        model: built and loaded; changed in place.
        lora: "speech" and "text" → None, or `r`, `alpha`, `targets` (last parts of the names of
            linear layers, e.g. q_proj) and perhaps `dropout`.

    Raises:
        ConfigError: an encoder that is not there or frozen, unknown options or targets.
    """
    for name in lora:
        if name not in ("speech", "text"):
            raise ConfigError(f"model.lora has speech and text, not '{name}'")
    for name, options in lora.items():
        if not options:
            continue
        if name not in model.branches:
            raise ConfigError(f"model.lora.{name}: this model has no {name} encoder")
        _adapt(model.branches[name].encoder, f"model.lora.{name}", options)


def _adapt(encoder: Encoder, where: str, options: dict[str, Any]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    for key in options:
        if key not in LORA_OPTIONS:
            raise ConfigError(
                f"{where} has no option '{key}'; it has {', '.join(LORA_OPTIONS)}"
                f"{did_you_mean(key, LORA_OPTIONS)}"
            )
    if encoder.frozen:
        raise ConfigError(f"{where}: the encoder is frozen; set model.freeze_… to false")
    linear = {n.split(".")[-1] for n, m in encoder.named_modules() if isinstance(m, nn.Linear)}
    targets = list(options.get("targets") or ())
    if not targets or set(targets) - linear:
        unknown = ", ".join(sorted(set(targets) - linear)) or "nothing"
        raise ConfigError(
            f"{where}.targets names {unknown}; linear layers here: {', '.join(sorted(linear))}"
        )
    config = LoraConfig(
        r=options.get("r", 8),
        lora_alpha=options.get("alpha", 16),
        lora_dropout=options.get("dropout", 0.0),
        target_modules=targets,
    )
    inject_adapter_in_model(config, encoder)  # and freezes the rest of it


def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict as if there had never been LoRA: W + (alpha / r) · B A under the old names.

    The model itself is left as it is.
    """
    state = model.state_dict()
    adapted = {n: m for n, m in model.named_modules() if hasattr(m, "get_delta_weight")}
    for name, module in adapted.items():
        weight = module.base_layer.weight + module.get_delta_weight("default")
        plain = {f"{name}.weight": weight.detach()}
        if module.base_layer.bias is not None:
            plain[f"{name}.bias"] = module.base_layer.bias.detach()
        state = {k: v for k, v in state.items() if not k.startswith(f"{name}.")} | plain
    return state
