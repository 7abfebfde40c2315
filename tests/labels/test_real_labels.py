"""bench.real_labels on the real files: against the krippendorff package and the files' own columns."""

from __future__ import annotations

import sys
from pathlib import Path

import krippendorff
import numpy as np
import pytest

from erc.labels.agreement import alpha_from_counts

sys.path.insert(0, str(Path(__file__).parents[2]))  # bench is not installed

from bench.real_labels import crema_d, emobank, emotion_column, main


@pytest.fixture(scope="module")
def labels(shared) -> Path:
    return shared / "labels"


def test_crema_d(labels):
    clips = crema_d(labels / "crema_d" / "tabulatedVotes.csv")
    assert {name: len(found) for name, (found, _) in clips.items()} == dict.fromkeys(
        ("voice", "face", "voice and face"), 7442
    )
    for found, ties in clips.values():
        votes = np.array([u.votes for u in found])
        reference = krippendorff.alpha(value_counts=votes, level_of_measurement="nominal")
        assert alpha_from_counts(votes) == pytest.approx(reference, abs=1e-9)
        column = emotion_column(found, ties)
        assert column["majorities tied"].split(" ")[0] == column["tied according to the file"]
        assert column["majority changed by PeakL"] == "0"


def test_emobank(labels):
    for counts in emobank(labels / "emobank" / "individual_reader_ratings.csv").values():
        assert counts.sum() == 53055
        for level in ("ordinal", "interval"):
            reference = krippendorff.alpha(
                value_counts=counts, value_domain=[1, 2, 3, 4, 5], level_of_measurement=level
            )
            found = alpha_from_counts(counts, np.arange(1, 6), level)
            assert found == pytest.approx(reference, abs=1e-9)


def test_the_page_in_docs_is_what_the_script_prints(labels):
    page = Path(__file__).parents[2] / "docs" / "results_labels.md"
    assert page.read_text("utf-8") == main(labels)
