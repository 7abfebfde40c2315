"""What a model has learned from, as its folder records it: what it may be asked, and be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SIMULATED = (
    "this model was trained on simulated speech, no person was recorded: "
    "its answers mean nothing for real voices"
)


@dataclass(frozen=True)
class Learned:
    """What stands behind the answers of a model.

    Attributes:
        simulated: no person was recorded.
    """

    simulated: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Learned:
        """Of the `config.json` of a model folder."""
        results = config["meta"].get("results") or {}
        return cls(simulated=bool(results.get("simulated")))

    def warning(self) -> str | None:
        """The one line that every answer comes with; None: there is nothing to warn of."""
        return SIMULATED if self.simulated else None
