"""`erc info`: the page says what the folder says, and needs no model to be opened."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import load_file

from erc.__main__ import main
from erc.recognizer.info import info
from erc.scores.results import Results


def test_the_facts_of_a_trained_model(run):
    facts = info(run / "model")
    results = Results.read(run)
    assert facts["takes"] == ["speech", "text"]
    assert facts["simulated"] is True
    assert facts["protocol"].startswith("strict: fold 4 of 5 held out, 8 utterances of 2 speakers")
    assert facts["scores"]["speech + text"]["uar"] == results.fullest["uar"].value
    assert set(facts["scores"]) == {*results.systems, "one rater"}
    weights = load_file(run / "model" / "model.safetensors")
    assert facts["parameters"] == sum(w.size for w in weights.values())
    assert "work or in education" in facts["not_for"]
    assert facts["licences"]


def test_page_and_json(run, capsys):
    assert main(["info", str(run / "model")]) == 0
    page = capsys.readouterr().out
    for word in ("speech + text", "one rater", "temperature", "Not for:", "fold 4 of 5"):
        assert word in page
    assert main(["info", str(run), "--json"]) == 0  # a run's folder means its model
    assert json.loads(capsys.readouterr().out)["folder"] == str(run / "model")


def test_not_a_model(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path)])
    assert "config.json" in capsys.readouterr().err


def test_a_model_without_results(tmp_path, capsys):
    config = {"format": 1, "model": {"speech": {"model": {"model_type": "whisper"}}}, "meta": {}}
    from erc.base.space import KEMDY

    (tmp_path / "config.json").write_text(
        json.dumps(config | {"emotions": list(KEMDY.emotions)}), "utf-8"
    )
    assert main(["info", str(tmp_path)]) == 0
    assert "speech: whisper" in capsys.readouterr().out
