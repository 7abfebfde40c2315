"""Low-rank adapters in the encoders, and the weights as if there had never been any."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from erc.base.errors import ConfigError, did_you_mean
from erc.model.emotion import EmotionModel
from erc.model.encoders import Encoder

OPTIONS = ("r", "alpha", "dropout", "targets")


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
        if key not in OPTIONS:
            raise ConfigError(
                f"{where} has no option '{key}'; it has {', '.join(OPTIONS)}"
                f"{did_you_mean(key, OPTIONS)}"
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
