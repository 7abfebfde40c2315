"""Labels of a corpus and of models → the emotions that they share, and what counts as each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from erc.base.space import Dimension, Space

Meaning = Callable[[str], str | None]


def shared_emotions(
    corpus: Space, models: Sequence[Space], meaning: Meaning
) -> tuple[tuple[str, ...], list[dict[str, str | None]]]:
    """What is compared, and for the corpus and each model: label → which of these it counts as.

    A label is compared under its own name where the corpus and all models have it, else by what it
    means. A model that shares fewer than two emotions with the corpus takes no part.

    >>> same = {"joy": "happy", "calm": "neutral"}
    >>> spaces = Space(("happy", "neutral", "calm")), [Space(("joy", "neutral", "sad"))]
    >>> found, (corpus, model) = shared_emotions(*spaces, lambda x: same.get(x, x))
    >>> found, corpus["calm"], model
    (('happy', 'neutral'), 'neutral', {'joy': 'happy', 'neutral': 'neutral', 'sad': None})
    """
    own = set(corpus.emotions)
    meant = {x: meaning(x) for x in own}
    taking = [m for m in models if len({meaning(x) for x in m.emotions} & {*meant.values()}) > 1]
    everywhere = own.intersection(*(m.emotions for m in taking)) if taking else set()

    def key(label: str) -> str | None:
        found = meaning(label)
        return label if found is not None and label in everywhere else found

    both = [key(x) for x in corpus.emotions]
    for one in taking:
        known = {key(x) for x in one.emotions}
        both = [x for x in both if x in known]
    emotions = tuple(x for x in dict.fromkeys(both) if x is not None) if taking else ()
    if len(emotions) < 2:
        emotions = ()
    tables: list[dict[str, str | None]] = [
        {x: k if (k := key(x)) in emotions else None for x in space.emotions}
        for space in (corpus, *models)
    ]
    return emotions, tables


def membership(table: Mapping[str, str | None], emotions: Sequence[str]) -> np.ndarray:
    """[labels, emotions] 1 where a label counts as an emotion."""
    found = [[float(meant == e) for e in emotions] for meant in table.values()]
    return np.array(found, float).reshape(len(table), len(emotions))


def majority(
    votes: np.ndarray, counted: np.ndarray, own: Mapping[str, str | None], emotions: Sequence[str]
) -> tuple[np.ndarray, Counter[str]]:
    """[N] which of the shared emotions most raters chose; −1: none, and why not."""
    left: Counter[str] = Counter()
    truth = np.full(len(votes), -1)
    for i, (row, mass) in enumerate(zip(votes, counted)):
        if not len(emotions):
            continue
        if np.isnan(row).any() or not row.sum():
            left["without an emotion label"] += 1
            continue
        others = [v for v, meant in zip(row, own.values()) if meant is None]
        most = max(mass.max(), max(others, default=0))
        if (mass == most).sum() + sum(v == most for v in others) > 1:
            left["several emotions have most votes"] += 1
        elif mass.max() < most:
            word = list(own)[
                int(np.argmax([v if m is None else -1 for v, m in zip(row, own.values())]))
            ]
            left[f"labelled {word}, which not all models know"] += 1
        else:
            truth[i] = int(mass.argmax())
    return truth, left


def rescaled(values: np.ndarray, own: Space, scale: Dimension) -> np.ndarray:
    """Values on a dimension of `own`, on the scale that a corpus has for it: linear, end to end.

    >>> rescaled(np.array([0, 0.5]), Space((), (Dimension("valence", 0, 1),)), Dimension("valence"))
    array([1., 3.])
    """
    mine = own.dimensions[own.names.index(scale.name)]
    return scale.low + (values - mine.low) * (scale.high - scale.low) / (mine.high - mine.low)
