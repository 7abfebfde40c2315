"""What the model learns of the votes: hard, PeakL, sharpened, soft, or weighted by rater."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from erc.base.errors import ConfigError, did_you_mean
from erc.base.space import KEMDY, Space
from erc.corpora.utterance import Utterance
from erc.labels.distributions import sharpen
from erc.labels.raters import RULES, learn
from erc.labels.ratings import group_of, rating_matrix

TARGETS = ("hard", "soft", "peakl", "sharpened", "rater_weighted")


@dataclass(frozen=True)
class Target:
    """What a model learns of the votes.

    Attributes:
        name: hard | soft | peakl | sharpened | rater_weighted.
        temperature: of "sharpened", 0 (one-hot) … 1 (soft).
        rater_weights: of "rater_weighted": reliability | dawid_skene.

    Raises:
        ConfigError: no such target or weights, or a temperature out of range.
    """

    name: str = "peakl"
    temperature: float = 0.5
    rater_weights: str = RULES[0]

    def __post_init__(self) -> None:
        for key, word, allowed in (
            ("target", self.name, TARGETS),
            ("rater_weights", self.rater_weights, RULES),
        ):
            if word not in allowed:
                raise ConfigError(
                    f"model.{key}={word} is not one of {', '.join(allowed)}"
                    f"{did_you_mean(word, allowed)}"
                )
        if not 0 <= self.temperature <= 1:
            raise ConfigError(
                f"model.sharpen_temperature={self.temperature:g} is outside 0 (one-hot) … 1 (soft)"
            )

    def distribution(self, soft: np.ndarray, hard: np.ndarray, peakl: np.ndarray) -> np.ndarray:
        """What is learned, [N, K], of every target but "rater_weighted" (see `by_raters`)."""
        if self.name == "sharpened":
            return sharpen(soft, self.temperature)
        return {"hard": hard, "soft": soft, "peakl": peakl}[self.name]


def choose_target(
    target: str | None,
    use_peakl: bool,
    multilabel: bool,
    sharpen_temperature: float | None = None,
    rater_weights: str | None = None,
) -> Target:
    """The target that these keys of `model` and `dataset.multilabel` name together; None: by default.

    Without `target` the two older keys decide; with one, it wins.

    Raises:
        ConfigError: see `Target`; or the keys contradict each other.

    >>> choose_target(None, True, True).name, choose_target(None, True, False).name
    ('peakl', 'hard')
    >>> choose_target("sharpened", True, True, 0.25).temperature
    0.25
    """
    options: dict[str, Any] = {"temperature": sharpen_temperature, "rater_weights": rater_weights}
    older = "hard" if not multilabel else "peakl" if use_peakl else "soft"
    found = Target(target or older, **{k: v for k, v in options.items() if v is not None})
    if not multilabel and found.name != "hard":
        raise ConfigError(
            f"model.target={target} needs the votes, and dataset.multilabel=false learns their "
            "majority; leave one of the two out"
        )
    if not use_peakl and found.name == "peakl":
        raise ConfigError("model.target=peakl and model.use_peakl=false contradict each other")
    for key, value, owner in (
        ("sharpen_temperature", sharpen_temperature, "sharpened"),
        ("rater_weights", rater_weights, "rater_weighted"),
    ):
        if value is not None and found.name != owner:
            raise ConfigError(
                f"model.{key}={value} is of model.target={owner}, and the target is {found.name}"
            )
    return found


def by_raters(
    utterances: Sequence[Utterance],
    training: Iterable[int],
    rule: str,
    soft: np.ndarray,
    dimensions: np.ndarray,
    space: Space = KEMDY,
) -> tuple[np.ndarray, np.ndarray]:
    """Rater-weighted distributions [N, K] and dimensions [N, D] of all utterances.

    Whom to trust is learned from the utterances `training` alone. Where that says nothing (no single
    ratings, a group that training never met, nobody with weight) `soft` and `dimensions` stay.

    Raises:
        ConfigError: no training utterance carries single ratings.
    """
    panels = learn((utterances[i] for i in training), space)
    if not panels:
        raise ConfigError(
            "model.target=rater_weighted needs to know who said what, and no training utterance has "
            "single ratings; use target=soft"
        )
    places: dict[str, list[int]] = {}
    for i, u in enumerate(utterances):
        if u.ratings:
            places.setdefault(group_of(u), []).append(i)
    soft, dimensions = soft.copy(), dimensions.copy()
    for group, table in rating_matrix(utterances, space).items():
        if group in panels:
            for kept, found in zip(
                (soft, dimensions), panels[group].label(table, rule), strict=True
            ):
                kept[places[group]] = np.where(np.isnan(found), kept[places[group]], found)
    return soft, dimensions


def balanced(target: np.ndarray) -> np.ndarray:
    """Class weights [K] under which every emotion of `target` [N, K] weighs the same in total.

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
