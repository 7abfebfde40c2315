"""What answering must know of a model: readable without torch, written with each export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.space import Space

if TYPE_CHECKING:
    from erc.model.emotion import EmotionModel


@dataclass(frozen=True)
class Spec:
    """What a model takes, and in which shape; everything a recognizer must know of it.

    Attributes:
        modalities: in the order of the fusion.
        normalize: the speech encoder wants each clip at zero mean and unit variance.
        min_samples, max_samples: shortest and longest clip.
        padding_safe: clips of unequal length may share a batch; False: group norm sees the padding.
        pad_token_id: fills a batch of token ids.
        needs_all: no modality may be missing.
        physiology: kind of input ("features", "conv"), None: not read.
        widths: modality → shape of its pooled features for one utterance.
        sequences: modalities whose features are a sequence [N, …] with a `present` for each step.
    """

    modalities: tuple[str, ...]
    widths: dict[str, tuple[int, ...]]
    normalize: bool = False
    min_samples: int = 400
    max_samples: int | None = None
    padding_safe: bool = True
    pad_token_id: int = 0
    needs_all: bool = False
    physiology: str | None = None
    sequences: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: EmotionModel) -> Spec:
        """The spec of a model that was built."""
        speech, text, body = model.speech, model.text, model.physiology
        widths, sequences = {}, []
        for name, branch in model.branches.items():
            steps = {"frames": (1,), "segments": (branch.segments,)}.get(branch.reduction, ())
            widths[name] = (*steps, *branch.shape)
            sequences += [name] * bool(steps)
        return cls(
            modalities=model.modalities,
            widths=widths,
            normalize=bool(speech and speech.normalize),
            min_samples=speech.min_samples if speech else 0,
            max_samples=speech.max_samples if speech else None,
            padding_safe=bool(not speech or speech.backbone.padding_safe),
            pad_token_id=text.pad_token_id if text else 0,
            needs_all=model.fusion.needs_all,
            physiology=body.kind if body else None,
            sequences=tuple(sequences),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Spec:
        """The inverse of `to_dict`."""
        widths = {k: tuple(v) for k, v in values["widths"].items()}
        tuples = {k: tuple(values[k]) for k in ("modalities", "sequences")}
        return cls(**values | tuples | {"widths": widths})


def scales_of(model: EmotionModel) -> tuple[np.ndarray, np.ndarray] | None:
    """Mean and deviation that the model standardises its speech features with; None: it does not."""
    if "speech" not in model.branches:
        return None
    standardize = model.branches["speech"].standardize
    mean, scale = (x.cpu().numpy() for x in (standardize.mean, standardize.scale))
    return None if (scale == 1).all() else (mean, scale)


def padded(steps: int, front: dict[str, int] | None) -> int:
    """How many samples a graph wants for the `steps` there are; see `erc.model.graphs.front`."""
    if not front:
        return steps
    whole = -(-steps // front["step"]) * front["step"] + front["after"]
    return min(max(whole, front["least"]), front["most"])


def scores(outputs: Sequence[np.ndarray], space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Logits [B, K] and dimensions [B, D] of what the graph "fuse" gives.

    Args:
        outputs: logits if there are emotions, then dimensions if there are some.
        space: of the model.
    """
    left, none = iter(outputs), np.zeros((len(outputs[0]), 0), np.float32)
    return next(left, none) if space.emotions else none, next(
        left, none
    ) if space.dimensions else none
