from __future__ import annotations

import numpy as np

from erc.labels.lookup import sentence_lookup


def test_lookup_literally() -> None:
    texts = np.array(["a", "a", "a", "b", None, "a", "b", "c", None], dtype=object)
    label = np.array([1, 1, 2, 3, 1, 1, 1, 1, 2])
    # a → 1 (right), b → 3 (wrong), unknown c → most frequent 1 (right), none → 1 (wrong)
    train, test = np.arange(5), np.arange(5, 9)
    assert sentence_lookup(texts, label, train, test) == (0.5, 0.75)
    assert np.isnan(sentence_lookup(texts, label, train, test[:0])).all()
