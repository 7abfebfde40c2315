"""What the model learns of the votes: hard, PeakL, sharpened, soft, or weighted by rater."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from erc.base.errors import ConfigError, did_you_mean
from erc.labels import sharpen
from erc.labels.raters import RULES, learn
from erc.labels.ratings import group_of, rating_matrix

if TYPE_CHECKING:
    from erc.corpora import Utterance

TARGETS = ("hard", "soft", "peakl", "sharpened", "rater_weighted")
TIES = ("centroid", "first", "drop", "soft")
TEMPERATURE = 0.5  # of sharpened labels


def choose_target(target: str | None, use_peakl: bool, multilabel: bool) -> str:
    """The target that `model.target`, `model.use_peakl` and `dataset.multilabel` name together.

    Without a target the two older keys decide; with one, it wins.

    Raises:
        ConfigError: no such target, or the keys contradict each other.

    >>> choose_target(None, True, True), choose_target(None, True, False)
    ('peakl', 'hard')
    >>> choose_target("soft", True, True)
    'soft'
    """
    if target is None:
        return "hard" if not multilabel else "peakl" if use_peakl else "soft"
    if target not in TARGETS:
        raise ConfigError(
            f"model.target={target} is not one of {', '.join(TARGETS)}"
            f"{did_you_mean(target, TARGETS)}"
        )
    if not multilabel and target != "hard":
        raise ConfigError(
            f"model.target={target} needs the votes, and dataset.multilabel=false replaces them by "
            "their majority; leave one of the two out"
        )
    if not use_peakl and target == "peakl":
        raise ConfigError("model.target=peakl and model.use_peakl=false contradict each other")
    return target


def choose_options(
    target: str, temperature: float | None, rater_weights: str | None
) -> tuple[float, str]:
    """Temperature and rule of the target, their defaults where they are None.

    Raises:
        ConfigError: out of range, or an option of another target.
    """
    for key, value, owner in (
        ("sharpen_temperature", temperature, "sharpened"),
        ("rater_weights", rater_weights, "rater_weighted"),
    ):
        if value is not None and target != owner:
            raise ConfigError(
                f"model.{key}={value} is of model.target={owner}, and the target is {target}"
            )
    if temperature is not None and not 0 <= temperature <= 1:
        raise ConfigError(
            f"model.sharpen_temperature={temperature:g} is outside 0 (one-hot) … 1 (soft)"
        )
    if rater_weights is not None and rater_weights not in RULES:
        raise ConfigError(
            f"model.rater_weights={rater_weights} is not one of {', '.join(RULES)}"
            f"{did_you_mean(rater_weights, RULES)}"
        )
    return TEMPERATURE if temperature is None else temperature, rater_weights or RULES[0]


def choose_tie(tie: str | None, remove_deuce: bool) -> str:
    """The tie policy that `dataset.tie` and `dataset.remove_deuce` name together.

    Raises:
        ConfigError: no such policy, or the two contradict each other.
    """
    if tie is None:
        return "drop" if remove_deuce else "centroid"
    if tie not in TIES:
        raise ConfigError(
            f"dataset.tie={tie} is not one of {', '.join(TIES)}{did_you_mean(tie, TIES)}"
        )
    if remove_deuce and tie != "drop":
        raise ConfigError(
            f"dataset.remove_deuce=true drops ties, dataset.tie={tie} does not; leave one out"
        )
    return tie


def by_raters(
    utterances: Sequence[Utterance],
    training: Iterable[int],
    rule: str,
    soft: np.ndarray,
    valence_arousal: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Rater-weighted distributions [N, 7] and (valence, arousal) [N, 2] of all utterances.

    Whom to trust is learned from the utterances `training` alone. Where that says nothing (no single
    ratings, a group that training never met, nobody with weight) `soft` and `valence_arousal` stay.

    Raises:
        ConfigError: no training utterance carries single ratings.
    """
    panels = learn(utterances[i] for i in training)
    if not panels:
        raise ConfigError(
            "model.target=rater_weighted needs to know who said what, and no training utterance has "
            "single ratings; use target=soft"
        )
    places: dict[str, list[int]] = {}
    for i, u in enumerate(utterances):
        if u.ratings:
            places.setdefault(group_of(u), []).append(i)
    soft, valence_arousal = soft.copy(), valence_arousal.copy()
    for group, table in rating_matrix(utterances).items():
        if group in panels:
            for kept, found in zip(
                (soft, valence_arousal), panels[group].label(table, rule), strict=True
            ):
                kept[places[group]] = np.where(np.isnan(found), kept[places[group]], found)
    return soft, valence_arousal


def distribution(target: str, soft: np.ndarray, hard: np.ndarray, peakl: np.ndarray, t: float):
    """The learned distribution [N, 7] of every target but "rater_weighted"."""
    if target == "sharpened":
        return sharpen(soft, t)
    return {"hard": hard, "soft": soft, "peakl": peakl}[target]


def balanced(target: np.ndarray) -> np.ndarray:
    """Class weights [7] under which every emotion of `target` [N, 7] weighs the same in total.

    wₖ = N / (K · Σᵢ yᵢₖ) over the K emotions that occur, 0 for the others (scikit-learn's "balanced",
    with votes for counts). The mean weight of an utterance, Σₖ wₖ yᵢₖ, is then 1.

    >>> balanced(np.eye(7)[[0, 0, 0, 1]]).round(3).tolist()
    [0.667, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    target = target[~np.isnan(target).any(-1)]
    mass = target.sum(0)
    seen = mass > 0
    weights = np.zeros(len(mass))
    weights[seen] = len(target) / (seen.sum() * mass[seen])
    return weights
