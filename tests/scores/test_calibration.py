"""Temperature and both expected calibration errors against planted truth and literal formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from erc.base.errors import CalibrationError
from erc.scores.calibration import fit_temperature
from erc.scores.metrics import ece, ece_votes


def votes(rng, n=600):
    """What a faithful model says, and ten votes drawn from it."""
    p = softmax(2 * rng.normal(size=(n, 7)), 1)
    return p, rng.multinomial(10, p) / 10


def test_the_temperature_that_was_planted_is_found():
    p, soft = votes(np.random.default_rng(0))
    assert fit_temperature(2.5 * np.log(p), soft) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_temperature_at_the_bound_is_an_error(sign):
    """Answers that point away from the votes are best when flat; right ones when sure, without end."""
    label = np.eye(7)[np.arange(70) % 7]
    with pytest.raises(
        CalibrationError, match=r"ended at .* the bound of the search \(0.05, 20.0\)"
    ):
        fit_temperature(sign * 0.5 * label, label)


def test_nothing_labelled_is_an_error():
    with pytest.raises(CalibrationError, match="no utterance of the validation side has votes"):
        fit_temperature(np.zeros((3, 7)), np.full((3, 7), np.nan))


def test_ece_votes_is_the_formula():
    rng = np.random.default_rng(1)
    q, soft = softmax(rng.normal(size=(200, 7)), 1), rng.dirichlet(np.ones(7), 200)
    confidence, share = q.max(1), soft[np.arange(200), q.argmax(1)]
    edges, expected = np.linspace(0, 1, 16), 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            gap = abs(share[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert ece_votes(q, soft) == pytest.approx(expected)


def test_a_faithful_model_is_calibrated_for_votes_and_unsure_of_the_majority():
    p, soft = votes(np.random.default_rng(2), 4000)
    assert ece_votes(p, soft) < 0.02
    assert ece(p, soft.argmax(1)) > 0.1
    loss = -(soft * log_softmax(np.log(p), 1)).sum(1).mean()
    assert loss <= -(soft * log_softmax(2 * np.log(p), 1)).sum(1).mean()
