"""`Encoded`: what lies between the encoders and the fusion. Numpy or torch; it imports neither."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

Array = TypeVar("Array", "np.ndarray", "Tensor")
MODALITIES = ("speech", "text", "physiology")  # what a model may take, in the order of every answer


@dataclass(frozen=True)
class Encoded(Generic[Array]):
    """Some utterances after their encoders, which run once: every subset, fold and head starts here.

    Attributes:
        pooled: modality → features [B, *shape], of a sequence [B, N, *shape]; zeros where missing.
        present: modality → where they say something, bool [B], of a sequence bool [B, N].
    """

    pooled: Mapping[str, Array]
    present: Mapping[str, Array]

    def only(self, use: Collection[str]) -> Encoded[Array]:
        """As if nothing but these modalities had been recorded."""
        return replace(self, present={m: p & (m in use) for m, p in self.present.items()})

    def heard_as(self, pooled: Mapping[str, Array]) -> Encoded[Array]:
        """With other features of the same utterances, e.g. speech against its speaker's baseline."""
        return replace(self, pooled={**self.pooled, **pooled})


def subsets(modalities: Sequence[str], least: int = 1) -> list[tuple[str, ...]]:
    """Modalities alone, then together.

    >>> subsets(("speech", "text"))
    [('speech',), ('text',), ('speech', 'text')]
    """
    return [s for k in range(least, len(modalities) + 1) for s in combinations(modalities, k)]
