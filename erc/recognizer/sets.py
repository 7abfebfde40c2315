"""The prediction set of an answer, at the level that somebody asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from erc.base.errors import ConfigError
from erc.model.folder.held_out import HeldOut
from erc.recognizer.prediction import Prediction
from erc.scores.sets import members, threshold


def check(level: float, held_out: HeldOut) -> None:
    """Raises ConfigError: not a level, or a model that no sets were calibrated for."""
    if not 0 < level < 1:
        raise ConfigError(
            f"sets={level:g}: how often they shall be right, between 0 and 1, e.g. 0.9"
        )
    if not held_out.shares:
        raise ConfigError(
            "this model has no prediction sets: they are calibrated on held-out speakers, and it had "
            "none (train with dataset.protocol=strict), or is of an earlier version"
        )


def with_set(prediction: Prediction, level: float, held_out: HeldOut, adapted: bool) -> Prediction:
    """The same with its set; None where there is no label, or where answers from just these modalities
    were never looked at."""
    from erc.scores.results import ADAPTED

    heard = adapted and "speech" in prediction.modalities
    shares = held_out.shares.get(" + ".join(prediction.modalities) + f", {ADAPTED}" * heard)
    if shares is None or not prediction.label:
        return replace(prediction, prediction_set=None)
    chosen = members(np.array(list(prediction.probabilities.values())), threshold(shares, level))
    among = (emotion for emotion, _ in prediction.top(int(chosen.sum())))
    return replace(prediction, prediction_set=tuple(among))
