"""erc.scores.panels against panels that are counted by hand, and planted worth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from planted_scores import answers
from sklearn.metrics import f1_score

from erc.corpora.utterance import Rating, Utterance
from erc.scores.metrics import ccc
from erc.scores.one_rater import one_rater
from erc.scores.panels import Panels, panels


def rated(one, right=0.6, raters=6, seed=0):
    """Utterances of `one`, each rater seeing its label with `right`, valence and arousal + noise."""
    rng = np.random.default_rng(seed)
    return [
        Utterance(
            one.id[i], "c", None, "t", one.speaker[i], "1", None, rater_group="A",
            ratings=tuple(
                Rating(f"E{r}", int(k if rng.random() < right else rng.integers(7)),
                       tuple(np.clip(va + rng.normal(0, 1, 2), 1, 5)))
                for r in range(raters)
            ),
        )
        for i, (k, va) in enumerate(zip(one.label, one.ratings))
    ]  # fmt: skip


def test_one_seat_is_one_rater_and_two_are_pairs_against_the_rest():
    one = answers(140, right=100)
    utterances = rated(one, raters=4)
    found = panels(utterances, [one])
    assert list(found.sizes) == [1, 2, 3]
    single = one_rater(utterances)
    for metric in ("accuracy", "uar", "f1_macro", "ccc_valence", "ccc_arousal"):
        assert found.sizes[1][metric].value == pytest.approx(single[metric]), metric
    said = np.array([[r.emotion for r in u.ratings] for u in utterances])
    valence = np.array([[r.dimensions[0] for r in u.ratings] for u in utterances])
    hits, agree = [], []
    for pair in itertools.combinations(range(4), 2):
        rest = [r for r in range(4) if r not in pair]
        seated, others = said[:, pair], said[:, rest]
        truth = others[:, 0][others[:, 0] == others[:, 1]]  # a tie is no truth
        seated = seated[others[:, 0] == others[:, 1]]
        hits.append((seated == truth[:, None]).mean())  # two who differ toss a coin
        agree.append(ccc(valence[:, rest].mean(1), valence[:, pair].mean(1)))
    # The twelve panels are drawn from these six, in turn but not equally often.
    assert min(hits) <= found.sizes[2]["accuracy"].value <= max(hits)
    assert found.sizes[2]["accuracy"].value == pytest.approx(np.mean(hits), abs=0.01)
    assert found.sizes[2]["ccc_valence"].value == pytest.approx(np.mean(agree), abs=0.01)


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0, 0), (35, 0, 1), (140, 3, math.inf)])
def test_worth_grows_with_the_model(right, low, high):
    one = answers(140, right=right)
    worth = panels(rated(one, raters=7), [one]).worth[one.system]["f1_macro"]
    assert low <= worth.value <= high
    assert worth.low <= worth.value <= worth.high
    assert worth.most == 6


def test_a_copy_of_a_panel_is_worth_it():
    """A model that says what the first two of seven raters say is worth about two raters."""
    one = answers(350, right=350)
    utterances = rated(one, right=0.5, raters=9, seed=3)
    others = [
        Utterance(u.id, u.corpus, None, "t", u.speaker, "1", None, rater_group="A",
                  ratings=u.ratings[3:])
        for u in utterances
    ]  # fmt: skip
    votes = np.array(
        [np.bincount([r.emotion for r in u.ratings[:3]], minlength=7) for u in utterances]
    )
    system = answers(350, right=350, probabilities=np.eye(7)[votes.argmax(1)])
    worth = panels(others, [system]).worth[system.system]["accuracy"]
    assert worth.low <= 3 <= worth.high
    assert 2 < worth.value < 4


def test_anonymous_votes_and_nobody_to_compare_with():
    one = answers(70, right=50)
    counts = np.random.default_rng(0).multinomial(5, 0.55 * np.eye(7)[one.label] + 0.45 / 7)
    voted = [
        Utterance(i, "c", None, "t", s, "1", tuple(map(float, v)))
        for i, s, v in zip(one.id, one.speaker, counts)
    ]
    found = panels(voted, [one])
    assert list(found.sizes) == [1, 2, 3, 4]
    single = one_rater(voted)["f1_macro"]
    assert found.sizes[1]["f1_macro"].value == pytest.approx(single, abs=0.03)
    assert found.sizes[3]["f1_macro"].value > single
    assert math.isnan(found.sizes[1]["ccc_valence"].value)
    assert "ccc_valence" not in found.worth[one.system]
    acted = [Utterance(i, "c", None, "t", "s", "1", (1.0, 0, 0, 0, 0, 0, 0)) for i in one.id]
    assert panels(acted, [one]) == Panels() == panels([], [])


def test_json_keeps_panels_that_do_not_end():
    one = answers(140, right=140)
    found = panels(rated(one), [one])
    again = Panels.from_json(found.to_json())
    assert again.worth == found.worth
    assert again.sizes[2]["uar"][:3] == found.sizes[2]["uar"][:3]
    assert "more than 5" in str(found.worth[one.system]["accuracy"])
    assert None in [w["value"] for w in found.to_json()["worth"][one.system].values()]


def test_macro_f1_of_a_panel_is_sklearns():
    """Seven raters who agree but one: six of them are the truth, whoever is alone."""
    one = answers(70, right=70)
    utterances = rated(one, right=1.0, raters=3)
    found = panels(utterances, [answers(70, right=40)])
    assert found.sizes[2]["f1_macro"].value == pytest.approx(1)
    model = answers(70, right=40)
    gap = f1_score(model.label, model.predicted, average="macro") - 1
    assert gap < 0
    assert str(found.worth[model.system]["f1_macro"]) == "less than 1"
