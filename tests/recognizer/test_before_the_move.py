"""A model folder made before every file had its room answers as it did.

The run beside it is scored again in `tests/studies/test_experiment.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import erc
from erc.base.space import KEMDY
from erc.base.text import clean
from erc.corpora.simulated import write_tree
from erc.model.folder import model_id
from erc.recognizer.info import info

OLD = Path(__file__).parents[1] / "data" / "before_the_move"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """The recordings of its corpus by id, simulated anew."""
    corpus = tmp_path_factory.mktemp("old") / "corpus"
    write_tree(corpus, "kemdy19", sessions=4, utterances=12, seed=0)
    return {path.stem: path for path in corpus.glob("wav/*/*/*.wav")}


@pytest.mark.parametrize("system", ["speech", "text", "speech + text"])
def test_it_says_of_each_recording_what_the_run_said(files, system):
    rows = pd.read_csv(OLD / "predictions.csv").query("system == @system")
    assert len(rows) == 23
    words = [clean(files[name].with_suffix(".txt").read_text("utf-8")) for name in rows.id]
    inputs = [
        (files[name] if "speech" in system else None, text if "text" in system else None)
        for name, text in zip(rows.id, words, strict=True)
    ]
    said = list(erc.load(OLD).predict_many(inputs))  # the run stands for its model
    found = [list(p.probabilities.values()) for p in said]
    np.testing.assert_allclose(found, rows[[f"p_{e}" for e in KEMDY.emotions]], atol=2e-6)
    wanted = rows[["predicted_valence", "predicted_arousal"]]
    np.testing.assert_allclose([(p.valence, p.arousal) for p in said], wanted, atol=1e-5)
    assert [p.label for p in said] == list(rows.predicted)


def test_it_is_known_and_goes_on_to_the_hub(tmp_path):
    facts = info(OLD / "model")
    assert facts["takes"] == ["speech", "text"]
    assert facts["scores"]["speech + text"]["uar"] is not None
    model = erc.EmotionModel.from_pretrained(OLD)
    assert model.plan.fusion == "tensor_mixer"
    model.save_pretrained(tmp_path)
    weights = [folder / "model.safetensors" for folder in (tmp_path, OLD / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    written, old = (json.loads((w.parent / "config.json").read_text("utf-8")) for w in weights)
    said = {k: v for k, v in written.items() if k != "files"}  # the old one has no hashes yet
    assert said == old | {"dimensions": {"valence": [1, 5], "arousal": [1, 5]}}
    ids = model_id(OLD, old), model_id(tmp_path, written)
    assert ids[0].split("@")[1] == ids[1].split("@")[1]  # it is the same model
