"""How far one gets by remembering which emotion each sentence had."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from erc.base.emotions import EMOTIONS

MARGIN = 0.1  # accuracy that a look-up may reach above the most frequent emotion


def sentence_lookup(
    texts: np.ndarray, label: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[float, float]:
    """Accuracy of the emotion a sentence mostly had in training, and of the most frequent emotion.

    A sentence that training does not know, or no transcript, gets the most frequent emotion.

    Args:
        texts, label: [N], all utterances; train, test: their rows.

    >>> texts, label = np.array(["yes", "no", "yes", "no"]), np.array([0, 1, 0, 1])
    >>> sentence_lookup(texts, label, np.array([0, 1]), np.array([2, 3]))
    (1.0, 0.5)
    """
    if not len(train) or not len(test):
        return float("nan"), float("nan")
    usual = int(np.bincount(label[train], minlength=len(EMOTIONS)).argmax())
    seen: dict[str, Counter[int]] = defaultdict(Counter)
    for i in train:
        if texts[i]:
            seen[texts[i]][int(label[i])] += 1
    said = [seen[texts[i]].most_common(1)[0][0] if texts[i] in seen else usual for i in test]
    return float((np.array(said) == label[test]).mean()), float((label[test] == usual).mean())
