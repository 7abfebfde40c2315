"""`erc sharpen`: the points, their order, and the figure. Training itself is stubbed here."""

from __future__ import annotations

import json

import numpy as np
import pytest
from planted_scores import answers, results

from erc.__main__ import main
from erc.base.errors import ConfigError
from erc.corpora import simulated as synthetic
from erc.scores.summary import Summary
from erc.studies import sharpening


@pytest.fixture
def runs(monkeypatch):
    """What was asked of cross_validate; scores rise with each call."""
    asked = []

    def fake(words, folder):
        asked.append((words, folder))
        names = ("speech", "text", "speech + text", "speech + text, speaker-adapted")
        rows = {s: answers(60, right=20 + 2 * len(asked), system=s) for s in names}
        return Summary.of([results(*rows.values(), corpus="c", human={"n": 1})], [rows])

    monkeypatch.setattr(sharpening, "cross_validate", fake)
    return asked


def test_curve_runs_from_one_hot_to_soft(runs, tmp_path, monkeypatch, capsys):
    corpus = tmp_path / "corpus"
    synthetic.write_tree(corpus, sessions=2, utterances=20)
    monkeypatch.setenv("ERC_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    words = [f"dataset.paths={corpus}", "dataset.sessions=2", "--temperatures", "0.5", "0.9"]
    assert main(["sharpen", "--fast", "-o", str(out), *words]) == 0
    assert [w[-1] for w, _ in runs] == [
        "model.target=hard",
        "model.sharpen_temperature=0.5",
        "model.sharpen_temperature=0.9",
        "model.target=peakl",
        "model.target=soft",
    ]
    assert all(w[0] == "experiment=sharpen" for w, _ in runs)
    assert not any("=" in str(folder.relative_to(tmp_path)) for _, folder in runs)
    found = json.loads((out / "sharpen.json").read_text())
    labels = [p["label"] for p in found["points"]]
    assert (labels[0], labels[-1]) == ("one-hot", "soft")
    entropies = [p["entropy"] for p in found["points"]]
    assert entropies[0] == 0
    assert entropies == sorted(entropies)
    assert len(np.unique(entropies)) == 5
    assert {p["system"] for p in found["points"]} == {"speech + text"}
    assert (out / "sharpen.png").read_bytes()[:4] == b"\x89PNG"
    printed = capsys.readouterr().out
    assert "SIMULATED corpus" in printed
    assert "PeakL" in printed


def test_the_target_is_not_the_users_here(runs):
    with pytest.raises(ConfigError, match="--temperatures"):
        sharpening.curve(["model.target=soft"])
    assert not runs
