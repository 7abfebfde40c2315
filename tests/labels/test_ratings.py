"""erc.labels.ratings: who said what, as a table."""

from __future__ import annotations

import numpy as np
import pytest

from erc.base.errors import LabelError
from erc.corpora.utterance import Rating, Utterance
from erc.labels.ratings import rating_matrix, value_counts, vote_matrix

NAN = float("nan")


def utterance(i, ratings=(), votes=None, group="", corpus="c"):
    return Utterance(i, corpus, None, "t", "s", "1", votes, ratings=ratings, rater_group=group)


def test_equal_names_in_two_groups_are_two_people():
    tables = rating_matrix(
        [
            utterance("a", (Rating("E2", 3, (4, 2)), Rating("E1", 0, (1, NAN))), group="19-A"),
            utterance("b", (Rating("E1", 6, (5, 5)),), group="20"),
            utterance("c", (Rating("E1", -1, (3, 3)),), group="19-A"),  # no emotion
            utterance("d", votes=(0, 0, 0, 9, 0, 0, 1), group="19-A"),
            utterance("e", (Rating("E1", 2, (2, 2)),)),  # no group: the corpus
        ]
    )
    assert list(tables) == ["19-A", "20", "c"]
    a = tables["19-A"]
    assert (a.raters, a.ids) == (("E1", "E2"), ("a", "c"))
    np.testing.assert_array_equal(a.emotion, [[0, NAN], [3, NAN]])
    np.testing.assert_array_equal(a.dimensions[0], [[1, 3], [4, NAN]])
    np.testing.assert_array_equal(a.dimensions[1], [[NAN, 3], [2, NAN]])
    assert rating_matrix([]) == {}


def test_a_rater_who_rates_twice_is_refused():
    with pytest.raises(LabelError, match="a: a rater of group 'c' rated it twice"):
        rating_matrix([utterance("a", (Rating("E1", 3, (4, 2)), Rating("E1", 3, (4, 2))))])


def test_value_counts():
    counts, values = value_counts([[1, 2.5, NAN], [1, 1, NAN]])
    assert values.tolist() == [1, 2.5]
    assert counts.tolist() == [[2, 0], [1, 1], [0, 0]]


def test_votes_are_counts_not_labels_shares_or_rated_rows():
    rated = (Rating("E1", 3, (4, 2)),)
    kept = (0, 0, 0, 9, 0, 0, 1)
    rows = [
        utterance("a", votes=kept, corpus="crema"),
        utterance("b", votes=(0, 0, 0, 1, 0, 0, 0), corpus="crema"),  # one vote
        utterance("c", votes=(0, 0, 0, 0.9, 0, 0, 0.1), corpus="crema"),  # shares
        utterance("d", rated, kept, corpus="crema"),
        utterance("e", corpus="crema"),
        utterance("f", votes=(0, 0, 0, 1, 1, 0, 0), corpus="acted"),  # "neutral;happy"
    ]
    tables = vote_matrix(rows)
    assert list(tables) == ["crema"]
    assert tables["crema"].tolist() == [list(kept)]
