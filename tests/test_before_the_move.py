"""A run made before every file had its room: its model answers as it did, its scores come out again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import erc
from erc.base.emotions import EMOTIONS
from erc.base.text import clean
from erc.recognizer.info import info
from erc.scores.results import HUMAN, Results
from erc.studies.experiment import evaluate

OLD = Path(__file__).parent / "data" / "before_the_move"


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> tuple[Path, Results]:
    """The simulated corpus of the run, written anew, and what `erc evaluate` says on it."""
    folder = tmp_path_factory.mktemp("old")
    run, corpus = folder / "run", folder / "corpus"
    shutil.copytree(OLD, run)
    words = [f"dataset.paths={corpus}", f"cache={folder / 'cache'}"]
    return corpus, evaluate(str(run), words)


def test_the_scores_come_out_again(again):
    stored, found = Results.read(OLD / "results.json"), again[1]
    assert list(found.systems) == list(stored.systems) == ["speech", "text", "speech + text"]
    for name, system in stored.systems.items():  # up to the order in which threads add
        assert found.systems[name].scores == pytest.approx(system.scores, abs=5e-5, nan_ok=True)
    assert found.human.scores == pytest.approx(stored.human.scores, abs=1e-9, nan_ok=True)
    assert HUMAN not in found.systems


@pytest.mark.parametrize("system", ["speech", "text", "speech + text"])
def test_the_recognizer_says_of_each_recording_what_the_run_said(again, system):
    rows = pd.read_csv(OLD / "predictions.csv").query("system == @system")
    assert len(rows) > 5
    recognizer = erc.load(OLD)  # the run stands for its model
    files = {path.stem: path for path in again[0].glob("wav/*/*/*.wav")}
    inputs = [
        {
            "audio": files[name] if "speech" in system else None,
            "text": clean(files[name].with_suffix(".txt").read_text("utf-8"))
            if "text" in system
            else None,
        }
        for name in rows.id
    ]
    said = list(recognizer.predict_many(inputs))
    found = [list(p.probabilities.values()) for p in said]
    np.testing.assert_allclose(found, rows[[f"p_{e}" for e in EMOTIONS]], atol=2e-6)
    dimensions = [(p.valence, p.arousal) for p in said]
    wanted = rows[["predicted_valence", "predicted_arousal"]]
    np.testing.assert_allclose(dimensions, wanted, atol=1e-5)
    assert [p.label for p in said] == list(rows.predicted)


def test_what_is_known_of_it_can_be_read():
    facts = info(OLD / "model")
    assert facts["takes"] == ["speech", "text"]
    assert facts["scores"]["speech + text"]["uar"] is not None
