"""Utterances → rater × utterance tables, and vote counts where raters are anonymous."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from erc.base.errors import LabelError
from erc.base.space import KEMDY, Space
from erc.corpora.utterance import Utterance


@dataclass(frozen=True)
class RatingTable:
    """What the raters of one group said of the utterances they share."""

    group: str
    raters: tuple[str, ...]  # R names
    ids: tuple[str, ...]  # N utterances
    space: Space  # what they rated in
    emotion: np.ndarray  # [R, N] index in `space.emotions` as float, nan: missing
    dimensions: np.ndarray  # [D, R, N] in the units of `space.dimensions`, nan: missing

    @property
    def answers(self) -> dict[str, np.ndarray]:
        """ "emotion" and the name of each dimension → its table [R, N]."""
        return {"emotion": self.emotion, **dict(zip(self.space.names, self.dimensions))}


def group_of(utterance: Utterance) -> str:
    """The people who could have rated it: its rater group, or its corpus where there is none."""
    return utterance.rater_group or utterance.corpus


def rating_matrix(utterances: Iterable[Utterance], space: Space = KEMDY) -> dict[str, RatingTable]:
    """Single ratings → one table a rater group, in the order of the utterances.

    The key is `rater_group`, or the corpus where that is empty: equal rater names in two groups are
    two people. Utterances without single ratings are left out. An emotion below 0 is missing.

    Raises:
        LabelError: a rater rated one utterance twice.
    """
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        if utterance.ratings:
            groups.setdefault(group_of(utterance), []).append(utterance)
    return {group: _table(group, members, space) for group, members in groups.items()}


def _table(group: str, utterances: list[Utterance], space: Space) -> RatingTable:
    raters = tuple(sorted({r.rater for u in utterances for r in u.ratings}))
    row = {name: i for i, name in enumerate(raters)}
    values = np.full((1 + len(space.dimensions), len(raters), len(utterances)), np.nan)
    for column, utterance in enumerate(utterances):
        if len({r.rater for r in utterance.ratings}) < len(utterance.ratings):
            raise LabelError(f"{utterance.id}: a rater of group '{group}' rated it twice; keep one")
        for rater, emotion, rated in utterance.ratings:
            values[:, row[rater], column] = emotion, *rated
    values[0][values[0] < 0] = np.nan
    ids = tuple(u.id for u in utterances)
    return RatingTable(group, raters, ids, space, values[0], values[1:])


def has_counts(utterance: Utterance) -> bool:
    """True if all that is known of its raters is two or more whole votes."""
    votes = utterance.votes
    return (
        not utterance.ratings
        and votes is not None
        and sum(votes) >= 2
        and not any(v % 1 for v in votes)
    )


def vote_matrix(utterances: Iterable[Utterance]) -> dict[str, np.ndarray]:
    """Counts of anonymous votes, corpus → [N, K], of utterances without single ratings.

    Only utterances with two or more whole votes. A corpus in which no emotion of any utterance got
    two votes is left out: those are labels ("happy", or a tie "neutral;happy"), not counts.
    """
    votes: dict[str, list[tuple[float, ...]]] = {}
    for u in utterances:
        if has_counts(u):
            votes.setdefault(u.corpus, []).append(u.votes)  # type: ignore[arg-type]
    tables = {corpus: np.array(rows, float) for corpus, rows in votes.items()}
    return {corpus: table for corpus, table in tables.items() if table.max() >= 2}


def value_counts(ratings: Any) -> tuple[np.ndarray, np.ndarray]:
    """[R, N] with nan → how often each item got each value [N, V], and the values [V], ascending."""
    ratings = np.asarray(ratings, float)
    if ratings.ndim != 2:
        raise LabelError(f"ratings must be [raters, items]; got shape {ratings.shape}")
    rater, item = np.nonzero(~np.isnan(ratings))
    values, code = np.unique(ratings[rater, item], return_inverse=True)
    n, v = ratings.shape[1], len(values)
    return np.bincount(item * v + code, minlength=n * v).reshape(n, v).astype(float), values
