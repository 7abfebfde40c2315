"""erc.scores.one_rater against the loops it replaces."""

from __future__ import annotations

import csv
import math

import audmetric
import numpy as np
import pytest
from planted_scores import rated
from sklearn.metrics import f1_score

from erc.base.errors import LabelError
from erc.corpora.utterance import Rating, Utterance
from erc.labels.ratings import rating_matrix
from erc.scores.metrics import evaluate
from erc.scores.one_rater import NO_COUNTERPART, anonymous_votes, named_raters, one_rater


@pytest.fixture
def rng():
    return np.random.default_rng(9)


def test_every_rater_is_scored_against_the_others(rng):
    utterances = rated(rng, 60, 4) + rated(rng, 50, 3, "B")
    macro, valence, ties = [], [], 0
    for group, raters in (("A", 4), ("B", 3)):
        for name in (f"E{r}" for r in range(raters)):
            truth, guess, rating, rest = [], [], [], []
            for u in (u for u in utterances if u.rater_group == group):
                own = [r for r in u.ratings if r.rater == name]
                others = [r for r in u.ratings if r.rater != name]
                if not own or not others:
                    continue
                votes = np.bincount([r.emotion for r in others], minlength=7)
                if (votes == votes.max()).sum() > 1:
                    ties += 1
                else:
                    truth.append(votes.argmax())
                    guess.append(own[0].emotion)
                rating.append(own[0].dimensions[0])
                rest.append(np.mean([r.dimensions[0] for r in others]))
            macro.append(f1_score(truth, guess, average="macro"))
            valence.append(audmetric.concordance_cc(rest, rating))
    found = one_rater(utterances)
    assert found["f1_macro"] == pytest.approx(np.mean(macro))
    assert found["f1_macro_std"] == pytest.approx(np.std(macro, ddof=1))
    assert found["ccc_valence"] == pytest.approx(np.mean(valence))
    assert (found["raters"], found["ties"]) == (7, ties)
    assert ties > 0
    assert all(math.isnan(found[name]) for name in NO_COUNTERPART)


def test_unanimous_raters_reach_one(rng):
    utterances = [
        Utterance(str(i), "c", None, "t", "s", "1", None, ratings=tuple(
            Rating(f"E{r}", i % 7, (1 + i % 5, 1 + i % 4)) for r in range(5)))
        for i in range(20)
    ]  # fmt: skip
    found = one_rater(utterances)
    for name in ("accuracy", "uar", "f1_macro", "f1_weighted", "ccc_valence", "ccc_arousal"):
        assert found[name] == pytest.approx(1)
    assert (found["ties"], found["n_hard"]) == (0, 20)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "utterances",
    [
        [],
        [Utterance("a", "acted", None, "t", "s", "1", (0, 0, 0, 1, 0, 0, 0))],
        [Utterance("a", "c", None, "t", "s", "1", None, ratings=(Rating("E1", 3, (4, 2)),))],
    ],
)
def test_nobody_to_compare_with_is_nan(utterances):
    found = one_rater(utterances)
    keys = evaluate(*(np.empty((0, k)) for k in (7, 2, 7)), [], np.empty((0, 2)))
    assert set(found) >= set(keys)
    assert all(math.isnan(found[k]) for k in keys if not k.startswith("n"))
    assert found["ties"] == 0


def test_anonymous_votes_are_left_out_one_by_one(rng):
    votes = rng.multinomial(6, [0.1, 0.1, 0.2, 0.3, 0.2, 0.05, 0.05], 40)
    votes[0] = [0, 0, 0, 1, 0, 0, 0]  # no rest
    truth, guess, ties = [], [], 0
    for row in votes[1:]:
        for k in np.repeat(np.arange(7), row):
            rest = row - np.eye(7)[k]
            if (rest == rest.max()).sum() > 1:
                ties += 1
            else:
                truth.append(rest.argmax())
                guess.append(k)
    found = anonymous_votes(votes)
    assert found["accuracy"] == pytest.approx(np.equal(truth, guess).mean())
    assert found["f1_macro"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert (found["n_hard"], found["ties"]) == (len(truth), ties)
    by_utterance = [
        Utterance(str(i), "v", None, "t", "s", "1", tuple(v)) for i, v in enumerate(votes)
    ]
    assert one_rater(by_utterance)["accuracy"] == found["accuracy"]
    named = rated(rng, 10, 3)  # known raters are told from votes, and win
    assert one_rater(by_utterance + named)["accuracy"] == one_rater(named)["accuracy"]


def test_anonymous_votes_refuses_shares():
    with pytest.raises(LabelError, match="whole numbers"):
        anonymous_votes([[0.9, 0, 0, 0.1, 0, 0, 0]])


def test_raters_of_one_table(rng):
    tables = rating_matrix(rated(rng, 30, 3) + rated(rng, 30, 5, "B"))
    assert named_raters([tables["B"]])["raters"] == 5
    both = named_raters(tables.values())
    a, b = (named_raters([t]) for t in tables.values())
    assert both["uar"] == pytest.approx((3 * a["uar"] + 5 * b["uar"]) / 8)


def test_crema_d_listeners(shared):
    """7,442 clips heard by 4–12 people each: a listener agrees with the rest three times in five."""
    columns = {"F": 1, "A": 2, "N": 3, "H": 4, "S": 5, "D": 6}
    path = shared / "labels" / "crema_d" / "tabulatedVotes.csv"
    with path.open(encoding="latin-1") as file:
        rows = [r for r in csv.DictReader(file) if r[""].startswith("1")]  # 1: voice only
    votes = np.zeros((len(rows), 7))
    for letter, k in columns.items():
        votes[:, k] = [float(r[letter]) for r in rows]
    found = anonymous_votes(votes)
    assert len(rows) == 7442
    assert found["n"] == votes.sum()
    assert found["accuracy"] == pytest.approx(0.592, abs=5e-4)
