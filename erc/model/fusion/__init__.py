"""Fusions: one vector per modality → features of the utterance. A new one is a file here and a line in
`FUSIONS`; what it must do says `interface.Fusion`.

Enters: vectors or sequences of each modality, and where they are present.
Leaves: features of the utterance [B, F].
May import: base.
"""

from __future__ import annotations

import inspect
from typing import Any

from erc.base.errors import ConfigError, did_you_mean
from erc.model.fusion.cross_attention import CrossAttention
from erc.model.fusion.familiar import Familiar
from erc.model.fusion.interface import Fusion
from erc.model.fusion.tensor_mixer import TensorMixer
from erc.model.fusion.trilinear import Trilinear
from erc.model.fusion.vectors import Concat, Gated, Linear, LowRank, Single

FUSIONS: dict[str, type[Fusion]] = {
    "tensor_mixer": TensorMixer,
    "concat": Concat,
    "single": Single,
    "cross_attention": CrossAttention,
    "low_rank": LowRank,
    "gated": Gated,
    "trilinear": Trilinear,
    "linear": Linear,
    "familiar": Familiar,
}


def build_fusion(name: str, dim: int, options: dict[str, Any]) -> Fusion:
    """The fusion `name` with its options.

    Raises:
        ConfigError: no such fusion or option.
    """
    allowed = fusion_options(name)
    for option in options:
        if option not in allowed:
            raise ConfigError(
                f"fusion '{name}' has no option '{option}'; it has {', '.join(allowed)}"
                f"{did_you_mean(option, allowed)}"
            )
    return FUSIONS[name](dim, **options)


def fusion_options(name: str) -> list[str]:
    """The options that a fusion has.

    Raises:
        ConfigError: no such fusion.
    """
    if name not in FUSIONS:
        raise ConfigError(
            f"fusion '{name}' is not one of {', '.join(FUSIONS)}{did_you_mean(name, FUSIONS)}"
        )
    return [p for p in inspect.signature(FUSIONS[name]).parameters if p != "dim"]
