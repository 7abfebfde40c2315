from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from planted_scores import answers

from erc.scores.selective import CHANCE, ORACLE, TYPICAL, areas, orders, risk


def test_the_curve_is_the_share_of_errors_among_the_first():
    rng = np.random.default_rng(0)
    wrong, first = rng.random(50) < 0.3, rng.random(50)
    kept = wrong[np.argsort(-first)]
    assert risk(wrong, first) == pytest.approx([kept[: k + 1].mean() for k in range(50)])


def test_equal_ranks_are_the_mean_over_all_their_orders():
    wrong, first = np.array([True, False, True, False]), np.array([1.0, 1.0, 0.0, 0.0])
    curves = []
    for a in permutations([0, 1]):
        for b in permutations([2, 3]):
            kept = wrong[[*a, *b]]
            curves.append(np.cumsum(kept) / np.arange(1, 5))
    assert risk(wrong, first) == pytest.approx(np.mean(curves, 0))


def test_areas_lie_between_those_of_the_oracle_and_of_chance():
    typicality = np.random.default_rng(1).random(60)
    found = areas(answers(60, right=45, typicality=typicality))
    assert list(found) == [
        ORACLE, "confidence and typicality", "confidence", "typicality", CHANCE,
    ]  # fmt: skip
    assert found[CHANCE] == pytest.approx(15 / 60)
    k = np.arange(1, 61)
    assert found[ORACLE] == pytest.approx((np.maximum(0, k - 45) / k).mean())
    assert all(found[ORACLE] <= area for area in found.values())


def test_both_leaves_out_strangers_first():
    """Planted: every error is a stranger; confidence alone does not tell, typicality does."""
    plain = answers(60, right=45)
    wrong = plain.predicted != plain.label
    scored = answers(60, right=45, typicality=np.where(wrong, TYPICAL / 2, 0.5))
    found = areas(scored)
    assert found["confidence and typicality"] == found["typicality"] == found[ORACLE]
    assert found["confidence"] > found[ORACLE]
    first = orders(scored)["confidence and typicality"]
    assert first[~wrong].min() > first[wrong].max()


def test_without_typicality_or_labels():
    assert list(areas(answers(20, right=9))) == [ORACLE, "confidence", CHANCE]
    half = np.where(np.arange(20) < 10, np.nan, 0.5)
    assert "typicality" in areas(answers(20, right=9, typicality=half))
    assert areas(answers(20, right=9, label=[-1] * 20)) == {}
