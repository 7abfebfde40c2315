"""`plan`: options of the `model` group → `Plan`, all that is chosen around the encoders, checked.

Defaults of a fusion, what its options are and which poolings go with it are decided here alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from erc.base.errors import ConfigError, did_you_mean
from erc.model.fusion import FUSIONS, Fusion, build_fusion, fusion_options
from erc.model.pooling import NAMES, SEGMENTS, SEQUENCES

USUAL = ("single", "tensor_mixer", "trilinear")  # fusion of one, two, three modalities


@dataclass(frozen=True)
class Plan:
    """What is built around the encoders.

    Args:
        modalities: some of "speech", "text", "physiology", in that order.
        fusion: key of `fusion.FUSIONS`.
        fusion_options: options of that fusion, e.g. `{"depth": 4}`.
        dim: width of the projected vectors (with the fusion's constant, if it has one).
        speech_pooling, text_pooling: of `pooling.NAMES`; a sequence ("frames", "segments") for a
            fusion that reads sequences, and only for that.
        segments: number of means that "segments" keeps of an utterance.
        modality_dropout: probability that a training utterance loses one of its modalities (never
            the last one), so that the model learns to work without it.
        dropout: on the features before the head.
        input_dropout: on the standardised pooled features, before the projection; what keeps a
            small corpus on a large frozen encoder from being learned by heart.
        freeze_speech, freeze_text: the encoder is not trained.

    Raises:
        ConfigError: names or options that do not exist, or contradict each other.
    """

    modalities: tuple[str, ...]
    fusion: str
    fusion_options: dict[str, Any] = field(default_factory=dict)
    dim: int = 256
    speech_pooling: str = "mean"
    text_pooling: str = "first"
    segments: int = SEGMENTS
    modality_dropout: float = 0.0
    dropout: float = 0.0
    input_dropout: float = 0.0
    freeze_speech: bool = False
    freeze_text: bool = False

    def __post_init__(self) -> None:
        with torch.device("meta"):  # built without memory, to see that it can be
            fusion = self.build_fusion()
        fewer = fusion.or_fewer and len(self.modalities) < fusion.modalities
        if fusion.modalities != len(self.modalities) and not fewer:
            raise ConfigError(
                f"fusion '{self.fusion}' joins {fusion.modalities} modalities, this model has "
                f"{' and '.join(self.modalities)}; for one modality use fusion=single"
            )
        if self.modality_dropout and len(self.modalities) > 1 and fusion.needs_all:
            raise ConfigError(
                "modality_dropout needs a fusion that stands a missing modality: tensor_mixer with "
                "constant=true, or concat"
            )
        if self.segments < 1:
            raise ConfigError(f"segments {self.segments} is below 1")
        for modality, pooling in self.poolings.items():
            if pooling not in NAMES:
                raise ConfigError(
                    f"{modality}_pooling '{pooling}' is not one of {', '.join(NAMES)}"
                    f"{did_you_mean(pooling, NAMES)}"
                )
            wanted = [p for p in NAMES if (p in SEQUENCES) == fusion.needs_frames]
            if pooling not in wanted:
                raise ConfigError(
                    f"fusion '{self.fusion}' does not go with {modality}_pooling={pooling}; "
                    f"it takes {', '.join(wanted)}"
                )

    @property
    def poolings(self) -> dict[str, str]:
        """Modality → how its frames are reduced."""
        return {m: getattr(self, f"{m}_pooling", "mean") for m in self.modalities}

    @property
    def frozen(self) -> set[str]:
        """Modalities whose encoder is not trained."""
        return {m for m in self.modalities if getattr(self, f"freeze_{m}", False)}

    def build_fusion(self, scores: int = 9) -> Fusion:
        """The fusion, with random weights, for a head of so many scores."""
        dim = scores if FUSIONS.get(self.fusion, Fusion).of_scores else self.dim
        return build_fusion(self.fusion, dim, self.fusion_options)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON, without the modalities: the encoders say those."""
        values = dataclasses.asdict(self)
        del values["modalities"]
        return values


def plan(modalities: Sequence[str], options: Mapping[str, Any]) -> Plan:
    """The plan that options of the `model` group mean, so that `model=tiny model.fusion=gated` suffices.

    Options that only other fusions have are left out. A fusion that reads sequences gets them where
    a pooling gives one vector: segments of a frozen encoder, all frames of another.

    Args:
        modalities: that there are encoders for.
        options: attributes of `Plan`, see config/model/*.yaml; `fusion` None: the usual one.

    Raises:
        ConfigError: see `Plan`.

    >>> options = {"fusion": "cross_attention", "fusion_options": {"rank": 4, "heads": 2}}
    >>> made = plan(("speech", "text"), options)
    >>> made.fusion_options, made.poolings
    ({'heads': 2}, {'speech': 'frames', 'text': 'frames'})
    """
    names = [f.name for f in dataclasses.fields(Plan) if f.name != "modalities"]
    for key in options:
        if key not in names:
            raise ConfigError(
                f"model.{key} does not exist; there are {', '.join(names)}{did_you_mean(key, names)}"
            )
    fusion = options.get("fusion") or usual_fusion(modalities)
    own = fusion_options(fusion)
    others = {option for name in FUSIONS for option in fusion_options(name)} - set(own)
    given = options.get("fusion_options") or {}
    chosen = dict(options) | {
        "fusion": fusion,
        "fusion_options": {k: v for k, v in given.items() if k not in others},
    }
    if FUSIONS[fusion].needs_frames:
        for modality in ("speech", "text"):
            if options.get(f"{modality}_pooling") not in SEQUENCES:
                frozen = options.get(f"freeze_{modality}")
                chosen[f"{modality}_pooling"] = "segments" if frozen else "frames"
    return Plan(tuple(modalities), **chosen)


def usual_fusion(modalities: Sequence[str]) -> str:
    """The fusion that is taken where none is named.

    Raises:
        ConfigError: no modality.
    """
    if not modalities:
        raise ConfigError("a model needs a speech encoder, a text encoder, or both")
    return USUAL[len(modalities) - 1]
