"""Prediction sets in every form in which an answer can be had."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import planted
import pytest
from starlette.testclient import TestClient

import erc
from erc.__main__ import main
from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.model.folder import HELD_OUT, read_config, write_config
from erc.model.folder.held_out import HeldOut
from erc.server.answers import answers
from erc.server.app import create_app
from erc.server.settings import Settings

SHARES = np.linspace(0.1, 0.5, 19)  # at .9 the set holds what has .1444… or more, at .95 .1
SPEECH = planted.speech(1)


def recognizer(**options):
    held_out = HeldOut(shares={"speech": SHARES, "speech + text": SHARES})
    return replace(planted.recognizer(**options), held_out=held_out)


def wav() -> bytes:
    sink = io.BytesIO()
    planted.soundfile.write(sink, SPEECH, SAMPLE_RATE, format="WAV")
    return sink.getvalue()


@pytest.mark.parametrize(
    ("level", "least"), [(0.5, SHARES[9]), (0.9, SHARES[1]), (0.95, SHARES[0])]
)
def test_the_set_holds_what_is_as_probable_as_the_truth_was(level, least):
    one = recognizer(sets=level).predict(SPEECH, None, SAMPLE_RATE)
    expected = [e for e, p in one.top() if p >= least] or [one.label]
    assert list(one.prediction_set) == expected
    assert one.prediction_set[0] == one.label


def test_only_where_asked_for_and_known():
    assert recognizer().predict(SPEECH, None, SAMPLE_RATE).prediction_set is None
    assert (
        recognizer(sets=0.9).predict(text="네").prediction_set is None
    )  # of words alone: not known
    silent = recognizer(sets=0.9).predict(np.zeros(SAMPLE_RATE, np.float32), None, SAMPLE_RATE)
    assert (silent.label, silent.prediction_set) == (None, None)


def test_an_emotion_that_was_never_learned_is_in_no_set():
    learned = {
        "emotions": dict.fromkeys(KEMDY.emotions, 9) | {"fear": 0, "sad": 0},
        "valence": 1,
        "arousal": 1,
    }
    one = recognizer(sets=0.999, meta={"learned": learned}).predict(SPEECH, None, SAMPLE_RATE)
    assert set(one.prediction_set) == set(KEMDY.emotions) - {"fear", "sad"}


def test_a_turn_has_the_set_of_its_own_answer():
    heard = recognizer(sets=0.9)
    found = heard.timeline(
        np.tile(SPEECH, 3), sampling_rate=SAMPLE_RATE, vad="none", max_turn=2, overlap=1, smooth=3.0
    )
    for turn in found.turns:
        assert turn.prediction_set == heard.with_set(turn).prediction_set
        assert turn.prediction_set[0] == turn.label


def test_over_http_by_query_or_field():
    with TestClient(create_app(recognizer(), Settings()), base_url="http://127.0.0.1:8000") as http:
        expected = list(recognizer(sets=0.9).predict(SPEECH, None, SAMPLE_RATE).prediction_set)
        file = {"file": ("a.wav", wav())}
        for options in ({"params": {"sets": 0.9}}, {"data": {"sets": "0.9"}}):
            one = http.post("/v1/predict", files=file, **options).json()
            answers().one.model_validate(one)
            assert one["prediction_set"] == expected
        assert http.post("/v1/predict", files=file).json()["prediction_set"] is None
        many = http.post(
            "/v1/predict/batch", params={"sets": 0.9}, files=[("file", ("a.wav", wav()))]
        )
        assert many.json()["results"][0]["prediction_set"] == expected
        why = http.post("/v1/predict", files=file, data={"sets": "0.9", "explain": "true"}).json()
        assert why["prediction_set"] == expected
        assert why["explanation"]["shares"]
        wrong = http.post("/v1/predict", params={"sets": 9}, files=file)
        assert wrong.status_code == 422
        assert "sets" in wrong.json()["error"]["message"]
    app = create_app(planted.recognizer(), Settings())
    with TestClient(app, base_url="http://127.0.0.1:8000") as http:
        refused = http.post("/v1/predict?sets=0.9", json={"text": "네"})
        assert refused.status_code == 422
        assert "no prediction sets" in refused.json()["error"]["message"]


def test_the_command_and_python(run, kemdy19, capsys, monkeypatch):
    """Eight utterances were held out: too few for 90 %, so every emotion is in the set."""
    file, model = str(min(kemdy19.glob("wav/*/*/*.wav"))), str(run / "model")
    words = ["predict", file, "--model", model, "--quiet", "--sets", "0.9"]
    assert main([*words, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["prediction_set"]
    assert sorted(found) == sorted(KEMDY.emotions)
    assert main([*words[:-1], "0.5", "--format", "csv"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    one = erc.load(model, sets=0.5).predict(file)
    assert row["prediction_set"] == "+".join(one.prediction_set)
    assert 0 < len(one.prediction_set) < 7
    monkeypatch.setenv("COLUMNS", "200")
    assert main([*words[:-1], "0.5", "--format", "table"]) == 0
    assert f"one of {', '.join(one.prediction_set)}" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words[:-1], "90"])
    assert "between 0 and 1" in capsys.readouterr().err


def test_a_model_without_held_out_speakers_says_so(run, tmp_path):
    import shutil

    folder = shutil.copytree(run / "model", tmp_path / "model")
    (folder / HELD_OUT).unlink()
    config = read_config(folder)
    write_config(folder, config)
    with pytest.raises(ConfigError, match="no prediction sets"):
        erc.load(folder, sets=0.9)


def test_results_measure_the_sets_on_the_held_out_fold(run):
    from erc.scores.results import Results
    from erc.scores.scored import read

    found = Results.read(run)
    rows = read(run / "predictions.csv")[found.fullest.name]
    sets = found.sets
    assert (sets.level, sets.calibrated_on, sets.threshold) == (0.9, 8, 0.0)
    assert sets.coverage == 1
    assert sum(g.n for g in sets.groups if g.kind == "speaker") == rows.labelled.sum()
    assert found.risk["at random"] == pytest.approx(
        (rows.predicted != rows.label)[rows.labelled].mean()
    )
