"""How far one gets by remembering which emotion each sentence had, or by one crude cue alone.

What these reach needs no ear: a score has to be seen beside it, and a cue that names the emotion in most
utterances says that the corpus gives its labels away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from erc.base.text import folded

MARGIN = 0.1  # accuracy that a look-up of sentences may reach above the most frequent emotion
CUE_MARGIN = 0.25  # and one cue: loud and long utterances are angry or sad in honest corpora too
BINS = 12  # of a cue that is a number, equally full in training


def lookup(
    keys: np.ndarray, label: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float]:
    """Accuracy of the emotion a key mostly had in training, and of the most frequent emotion.

    A key that training does not know, or an empty one, gets the most frequent emotion.

    Args:
        keys: text [N], e.g. sentences; label: [N]; both of all utterances. train, test: their rows.

    Returns:
        nan, nan where a side is empty.

    >>> keys, label = np.array(["yes", "no", "yes", "no"]), np.array([0, 1, 0, 1])
    >>> lookup(keys, label, np.array([0, 1]), np.array([2, 3]))
    (1.0, 0.5)
    """
    if not len(train) or not len(test):
        return float("nan"), float("nan")
    usual = _usual(label[train])
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for i in train:
        if keys[i]:
            seen[keys[i]][int(label[i])] += 1
    said = [seen[keys[i]].most_common(1)[0][0] if keys[i] in seen else usual for i in test]
    return float((np.array(said) == label[test]).mean()), float((label[test] == usual).mean())


def sentences(texts: Iterable[str | None]) -> np.ndarray:
    """Texts as keys of `lookup`: case, width, spacing and punctuation do not count."""
    return np.array([folded(text or "") for text in texts], object)


def binned(cue: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Numbers [N] as keys of `lookup`: which of `BINS` bins; "" of nan."""
    known = cue[train][np.isfinite(cue[train])]
    edges = np.quantile(known, np.arange(1, BINS) / BINS) if len(known) else []
    place = np.searchsorted(edges, cue)
    return np.where(np.isfinite(cue), place.astype(str), "")


def telling_words(texts: Iterable[str | None], label: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Of each text the word that is purest in one emotion in training; "" where none was seen twice."""
    words = [{folded(w) for w in (text or "").split()} - {""} for text in texts]
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for i in train:
        for word in words[i]:
            seen[word][int(label[i])] += 1
    # (most − 1) / (n + 1): the share of its emotion, worth less the fewer utterances it stands on
    pure = {w: (max(c.values()) - 1) / (c.total() + 1) for w, c in seen.items() if c.total() > 1}
    return np.array(
        [max(sorted(ws & pure.keys()), key=pure.__getitem__, default="") for ws in words]
    )


def order(sessions: np.ndarray) -> np.ndarray:
    """Place of each utterance in its session, 0 … 1, as the corpus lists them."""
    place = np.zeros(len(sessions))
    for session in dict.fromkeys(sessions):
        rows = np.flatnonzero(sessions == session)
        place[rows] = np.arange(len(rows)) / max(len(rows) - 1, 1)
    return place


def cue_scores(
    texts: np.ndarray,
    numbers: dict[str, np.ndarray],
    label: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> dict[str, float]:
    """Accuracy of each cue alone: a word, and whatever numbers there are.

    Args:
        texts: [N]; numbers: cue → [N], e.g. duration, level, `order`; label: [N].
        train, test: rows of the two sides.
    """
    keys = {"one word": telling_words(texts, label, train)}
    keys |= {name: binned(cue, train) for name, cue in numbers.items()}
    return {name: lookup(key, label, train, test)[0] for name, key in keys.items()}


def gives_away(accuracy: float, label: np.ndarray) -> bool:
    """Is a cue right so often that a model need not listen?

    By more than `CUE_MARGIN`, and by more than three standard errors, than always naming the emotion
    that is most frequent among `label` [n], the ones that were to be named.

    >>> many, few = np.arange(700) % 7, np.arange(7)
    >>> gives_away(0.6, many), gives_away(0.3, many), gives_away(0.5, few)
    (True, False, False)
    """
    if not len(label):
        return False
    usual = float(np.bincount(label).max() / len(label))
    return accuracy > usual + max(CUE_MARGIN, 3 * (usual * (1 - usual) / len(label)) ** 0.5)


def _usual(label: np.ndarray) -> int:
    return int(np.bincount(label).argmax())
