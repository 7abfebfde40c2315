"""What a model has learned from, as its folder records it: what it may be asked, and be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        dimensions: how many training rows had a rating on each; None: not recorded.
        band_hz: how far up the spectrum of nearly all training recordings reaches; None: not recorded.
        simulated: no person was recorded.
        calibrated: the temperature was fitted on other speakers than those it was scored on.
        rated: raters who disagree taught it; of folders of before, any that erc trained.
    """

    emotions: Mapping[str, int] | None = None
    dimensions: Mapping[str, int] | None = None
    band_hz: float | None = None
    simulated: bool = False
    calibrated: bool = False
    rated: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Learned:
        """Of the `config.json` of a model folder; older ones do not record everything."""
        meta, space = config["meta"], Space.from_json(config)
        results, rows = meta.get("results") or {}, meta.get("learned") or {}
        settings = meta.get("prediction") or {}
        # files of before wrote `valence` and `arousal` where `dimensions` is now
        rated = rows.get("dimensions") or rows
        # only `strict` has a side of its own to fit on: `paper` fits on the one it scores
        fitted = results.get("protocol") == "strict" and results.get("temperature") != 1
        return cls(
            emotions=_in_order(space.emotions, rows.get("emotions")),
            dimensions=_in_order(space.names, rated),
            band_hz=rows.get("band_hz"),
            simulated=bool(results.get("simulated")),
            calibrated=bool(results.get("calibrated", settings.get("calibrated", fitted))),
            rated=bool(rows.get("rated", results)),
        )

    @property
    def not_offered(self) -> tuple[str, ...]:
        """Emotions without a training row: no answer ever is one of them."""
        return tuple(e for e, rows in (self.emotions or {}).items() if not rows)

    @property
    def variety(self) -> float:
        """Effective number of emotions among the training rows; 0: not recorded."""
        rows = np.array([list((self.emotions or {}).values())], float)
        return variety(rows / rows.sum()) if rows.sum() else 0.0

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Dimensions without a training row: every answer leaves them out."""
        return tuple(name for name, rows in (self.dimensions or {}).items() if not rows)

    @property
    def missing(self) -> list[str] | None:
        """Emotions and dimensions that are not offered; None: not recorded."""
        known = self.emotions is not None or self.dimensions is not None
        return [*self.not_offered, *self.unlearned] if known else None

    def narrower(self, band_hz: float | None) -> bool | None:
        """Whether a recording lacks what the model heard in training; None: not known."""
        if band_hz is None or self.band_hz is None:
            return None
        return band_hz < NARROW * self.band_hz

    def warning(self) -> str | None:
        """The one line that every answer comes with; None: there is nothing to warn of."""
        return SIMULATED if self.simulated else None


def _in_order(
    names: tuple[str, ...], rows: Mapping[str, int | None] | None
) -> dict[str, int] | None:
    """Of these names those that were counted; None: nothing was."""
    found = {name: n for name in names if (n := (rows or {}).get(name)) is not None}
    return found or None


def counted(emotions: np.ndarray, dimensions: np.ndarray, space: Space = KEMDY) -> dict[str, Any]:
    """What `meta["learned"]` holds of training rows.

    Args:
        emotions: [N, K] targets; rows of nan taught none.
        dimensions: [N, D] targets; nan taught none.
        space: what the columns are.

    >>> counted(np.eye(7)[[3, 3, 5]], np.array([[4, np.nan]] * 3))["dimensions"]
    {'valence': 3, 'arousal': 0}
    """
    shares = (np.nan_to_num(emotions) >= SHARE).sum(0)
    rated = np.isfinite(dimensions).sum(0)
    return {
        "emotions": dict(zip(space.emotions, shares.tolist(), strict=True)),
        "dimensions": dict(zip(space.names, rated.tolist(), strict=True)),
    }
