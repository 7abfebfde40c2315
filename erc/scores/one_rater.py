"""What a person reaches on the model's own metrics: one rater against the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from erc.base.errors import LabelError
from erc.base.space import KEMDY, Space
from erc.labels import soft as distribution
from erc.labels import tied
from erc.labels.ratings import RatingTable, rating_matrix, vote_matrix
from erc.scores.metrics import evaluate

if TYPE_CHECKING:
    from erc.corpora.utterance import Utterance


class Judged(NamedTuple):
    """What one rater said of N utterances, beside what the others said."""

    label: np.ndarray  # [N, K] one-hot
    soft: np.ndarray  # [N, K] distribution of the others' votes; nan: nobody to compare with
    rated: np.ndarray  # [N, D] on each dimension; nan: not rated
    truth: np.ndarray  # [N, D] means of the others


# A rater gives one emotion, no distribution: in these a single vote cannot compete.
NO_COUNTERPART = ("auroc", "js_distance", "kl", "entropy_correlation", "brier", "ece", "ece_votes")


def one_rater(utterances: Iterable[Utterance], space: Space = KEMDY) -> dict[str, float]:
    """What one person reaches on these utterances, against the others.

    `named_raters` of the single ratings; where there are none, `anonymous_votes` of the vote counts;
    where there are none either (one acted label each), every score is nan.
    """
    utterances = list(utterances)
    tables = rating_matrix(utterances, space)
    votes = vote_matrix(utterances)
    if votes and not tables:
        return anonymous_votes(np.concatenate(list(votes.values())), space)
    return named_raters(tables.values(), space)


def named_raters(tables: Iterable[RatingTable], space: Space = KEMDY) -> dict[str, float]:
    """Leave one rater out: each rater scored like a model, the other raters being the truth.

    Emotion: the rater's label against the majority of the others' votes; where those tie there is no
    truth, so the utterance is left out for this rater and counted in `ties`. Dimensions: the
    rating against the mean of the others (CCC). Raters of all groups count equally, however many
    utterances they rated.

    Returns:
        the keys of `erc.scores.metrics.evaluate` averaged over raters (`n…` too: utterances per rater);
        `<metric>_std` between raters (ddof 1); `raters`; `ties`, summed over raters. nan where there is
        no counterpart (`NO_COUNTERPART`) or nobody to compare with.
    """
    scores = [_leave_out(table, r) for table in tables for r in range(len(table.raters))]
    return _summary(scores or [_score(*_nothing(0, space), space)], len(scores))


def anonymous_votes(votes: Any, space: Space = KEMDY) -> dict[str, float]:
    """Leave one vote out, where raters are anonymous: each vote against the majority of the rest.

    Args:
        votes: [N, K] whole numbers ≥ 0; utterances with one vote have no rest and are left out.

    Returns:
        as `named_raters`, pooled over all votes: `n…` and `ties` count votes; `raters` and the
        `_std` are nan.

    Raises:
        LabelError: fractional or negative votes.
    """
    _, weights, judged = leave_vote(votes, space)
    return _summary([_score(*judged, space, weights=weights)], np.nan)


def anonymous_values(counts: Any, values: Any) -> tuple[np.ndarray, ...]:
    """Leave one rating out where raters are anonymous: each rating, and the mean of the item's others.

    Args:
        counts: [items, V], how often each value was given; items with one rating are left out.
        values: [V] the values.

    Returns:
        others, own, weights, item, each [M]: `erc.scores.metrics.ccc(others, own, weights)` is what one
        rating reaches, `erc.scores.statistics.interval` with clusters `item` how sure that is.

    >>> others, own, _, _ = anonymous_values([[2, 0, 1]], [1, 2, 3])
    >>> own.tolist(), others.tolist()
    ([1.0, 3.0], [2.0, 1.0])
    """
    counts, values = np.asarray(counts, float), np.asarray(values, float)
    item, k = np.nonzero(counts * (counts.sum(1, keepdims=True) >= 2))
    own, number = values[k], counts.sum(1)[item]
    return ((counts @ values)[item] - own) / (number - 1), own, counts[item, k], item


def leave_vote(votes: Any, space: Space = KEMDY) -> tuple[np.ndarray, np.ndarray, Judged]:
    """Each kind of vote of each utterance against the rest of its votes: the arguments of `_score`.

    Returns:
        utterance [M] of `votes`, weights [M], and what was said, [M, …] each.
    """
    votes = np.asarray(votes, float).reshape(-1, len(space.emotions))
    if not ((votes >= 0) & (votes % 1 == 0)).all():
        raise LabelError("anonymous_votes needs counts of votes (whole numbers ≥ 0)")
    utterance, own = np.nonzero(votes * (votes.sum(1, keepdims=True) >= 2))
    one_hot = np.eye(len(space.emotions))[own]
    soft = distribution(votes[utterance] - one_hot)
    return utterance, votes[utterance, own], Judged(one_hot, soft, *_nothing(len(own), space)[2:])


def _leave_out(table: RatingTable, rater: int) -> dict[str, float]:
    """Scores of one rater of one table."""
    return _score(*against_others(table, rater), table.space)


def against_others(table: RatingTable, rater: int) -> Judged:
    """What one rater said, and what the others did: the arguments of `_score`."""
    kinds = np.arange(len(table.space.emotions))
    chose = (table.emotion[..., None] == kinds).astype(float)  # [R, N, K]
    others = chose.sum(0) - chose[rater]
    rated = chose[rater].any(-1) & others.any(-1)
    label, soft, said, truth = _nothing(len(table.ids), table.space)
    label[rated], soft[rated] = chose[rater][rated], distribution(others[rated])
    for column, values in enumerate(table.dimensions):
        rest = np.delete(values, rater, 0)
        count = (~np.isnan(rest)).sum(0)
        rated = ~np.isnan(values[rater]) & (count > 0)
        said[rated, column] = values[rater][rated]
        truth[rated, column] = np.nansum(rest, 0)[rated] / count[rated]
    return Judged(label, soft, said, truth)


def _nothing(n: int, space: Space) -> Judged:
    """Unlabelled arguments of `_score`; the label is a placeholder that no metric looks at."""
    k = len(space.emotions)
    label = np.tile(np.eye(1, k), (n, 1))
    said, truth = np.full((2, n, len(space.dimensions)), np.nan)
    return Judged(label, np.full((n, k), np.nan), said, truth)


def _score(
    label: np.ndarray,
    soft: np.ndarray,
    said: np.ndarray,
    truth: np.ndarray,
    space: Space,
    weights: Any = None,
) -> dict[str, float]:
    tie = tied(soft)
    known = ~np.isnan(soft).any(-1)
    hard = np.where(known & ~tie, np.nan_to_num(soft).argmax(-1), -1)
    scores = evaluate(label, said, soft, hard, truth, weights, space=space)
    ties = float(tie.sum() if weights is None else tie @ weights)
    return scores | dict.fromkeys(NO_COUNTERPART, np.nan) | {"ties": ties}


def _summary(scores: list[dict[str, float]], raters: float) -> dict[str, float]:
    """Mean and standard deviation over raters, leaving out those without a score."""
    summary, spread = {}, {}
    for name in scores[0]:
        x = np.array([s[name] for s in scores])
        x = x[~np.isnan(x)]
        summary[name] = float(x.mean()) if len(x) else np.nan
        if not name.startswith("n") and name != "ties":
            spread[f"{name}_std"] = float(x.std(ddof=1)) if len(x) > 1 else np.nan
    summary["ties"] = sum(s["ties"] for s in scores)
    return summary | spread | {"raters": float(raters)}
