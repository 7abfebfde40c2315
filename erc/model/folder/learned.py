"""What a model has learned from, as its folder records it: what it may be asked, and be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from erc.base.emotions import EMOTIONS
from erc.base.space import KEMDY, Space
from erc.model.adaptation import variety

SIMULATED = (
    "this model was trained on simulated speech, no person was recorded: "
    "its answers mean nothing for real voices"
)
NARROW = 0.75  # of the band of the training, below which a recording is narrow
SHARE = 0.01  # of a target, from which on a row teaches an emotion


@dataclass(frozen=True)
class Learned:
    """What stands behind the answers of a model.

    Attributes:
        emotions: how many training rows gave each a share of their target; None: not recorded.
        valence, arousal: how many training rows had a target; None: not recorded.
        band_hz: how far up the spectrum of nearly all training recordings reaches; None: not recorded.
        simulated: no person was recorded.
        calibrated: the temperature was fitted on other speakers than those it was scored on.
    """

    emotions: Mapping[str, int] | None = None
    valence: int | None = None
    arousal: int | None = None
    band_hz: float | None = None
    simulated: bool = False
    calibrated: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Learned:
        """Of the `config.json` of a model folder; older ones do not record everything."""
        meta = config["meta"]
        results, rows = meta.get("results") or {}, meta.get("learned") or {}
        # only `strict` has a side of its own to fit on: `paper` fits on the one it scores
        fitted = results.get("protocol") == "strict" and results.get("temperature") != 1
        return cls(
            **rows,
            simulated=bool(results.get("simulated")),
            calibrated=bool(results.get("calibrated", fitted)),
        )

    @property
    def not_offered(self) -> tuple[str, ...]:
        """Emotions without a training row: no answer ever is one of them."""
        return tuple(e for e in EMOTIONS if self.emotions is not None and not self.emotions[e])

    @property
    def variety(self) -> float:
        """Effective number of emotions among the training rows; 0: not recorded."""
        rows = np.array([list((self.emotions or {}).values())], float)
        return variety(rows / rows.sum()) if rows.sum() else 0.0

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Dimensions without a training row: every answer leaves them out."""
        return tuple(name for name in ("valence", "arousal") if getattr(self, name) == 0)

    @property
    def missing(self) -> list[str] | None:
        """Emotions and dimensions that are not offered; None: not recorded."""
        return None if self.emotions is None else [*self.not_offered, *self.unlearned]

    def narrower(self, band_hz: float | None) -> bool | None:
        """Whether a recording lacks what the model heard in training; None: not known."""
        if band_hz is None or self.band_hz is None:
            return None
        return band_hz < NARROW * self.band_hz

    def warning(self) -> str | None:
        """The one line that every answer comes with; None: there is nothing to warn of."""
        return SIMULATED if self.simulated else None


def counted(emotions: np.ndarray, dimensions: np.ndarray, space: Space = KEMDY) -> dict[str, Any]:
    """What `meta["learned"]` holds of training rows.

    Args:
        emotions: [N, 7] targets; rows of nan taught none.
        dimensions: [N, 2] targets; nan taught none.

    >>> counted(np.eye(7)[[3, 3, 5]], np.array([[4, np.nan]] * 3))["emotions"]["neutral"]
    2
    """
    shares = (np.nan_to_num(emotions) >= SHARE).sum(0)
    rated = np.isfinite(dimensions).sum(0)
    return {
        "emotions": dict(zip(space.emotions, shares.tolist(), strict=True)),
        **dict(zip(space.names, rated.tolist(), strict=True)),
    }
