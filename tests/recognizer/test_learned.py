"""What a model has not learned is not said: through Python, the command, HTTP, files and the page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import planted
import pytest
from starlette.testclient import TestClient

from erc.__main__ import main
from erc.base.space import KEMDY, Dimension, Space
from erc.model.folder.learned import Learned, counted
from erc.server.answers import answers
from erc.server.app import create_app
from erc.server.settings import Settings
from erc.server.web import words as say
from erc.timeline import write
from erc.timeline.plot import figure

OLD = Path(__file__).resolve().parents[1] / "data/before_the_move/model"  # simulated, no record
SIMULATED = {"results": {"simulated": True}}


def recording(seed: int = 3) -> bytes:
    sink = io.BytesIO()
    planted.soundfile.write(sink, planted.speech(seed), 16_000, format="WAV")
    return sink.getvalue()


def http(recognizer) -> TestClient:
    return TestClient(create_app(recognizer, Settings()), base_url="http://127.0.0.1:8000")


def written(timeline, format: str) -> str:
    sink = io.StringIO()
    write(timeline, format, sink)
    return sink.getvalue()


class TestSimulated:
    @pytest.fixture(params=[True, False])
    def simulated(self, request) -> bool:
        return request.param

    @pytest.fixture
    def recognizer(self, simulated):
        return planted.recognizer(meta=SIMULATED if simulated else None)

    def test_in_python_and_every_file(self, recognizer, simulated):
        answer = recognizer.predict(recording())
        assert answer.simulated is answer.to_dict()["simulated"] is simulated
        assert ("SIMULATED" in repr(answer)) is simulated
        found = recognizer.timeline(recording(), vad="none")
        assert found.to_dict()["simulated"] is found.turns[0].simulated is simulated
        [row] = csv.DictReader(io.StringIO(written(found, "csv")))
        assert row["simulated"] == str(simulated)
        assert ("simulated speech" in written(found, "vtt")) is simulated
        assert ("SIMULATED" in written(found, "table")) is simulated
        properties = Xml.fromstring(written(found, "eaf")).findall("HEADER/PROPERTY")
        assert ("simulated" in {p.get("NAME") for p in properties}) is simulated
        assert ("SIMULATED" in figure(found).axes[0].get_title(loc="left")) is simulated

    def test_over_http(self, recognizer, simulated):
        with http(recognizer) as client:
            assert client.get("/info").json()["simulated"] is simulated
            one = client.post("/v1/predict", json={"text": "좋아"}).json()
            assert one["simulated"] is simulated

    def test_the_page_says_it_above_the_answer(self, recognizer, simulated):
        html = say.answer(recognizer.predict(recording()), {})
        timeline = recognizer.timeline(recording(), vad="none")
        for page in (html, say.timeline_answer(timeline, {}, "a", False)):
            assert ('class="banner"' in page.partition('class="headline"')[0]) is simulated

    def test_the_command(self, capsys):
        model = ["--model", str(OLD), "--quiet"]
        assert main(["predict", "--text", "좋아", "--format", "csv", *model]) == 0
        out, err = capsys.readouterr()
        assert [row["simulated"] for row in csv.DictReader(io.StringIO(out))] == ["True"]
        assert err.count("simulated speech") == 1
        assert main(["info", str(OLD), "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["simulated"] is True
        assert err.count("simulated speech") == 1


NEUTRAL_AND_SAD = {"learned": {
    "emotions": dict.fromkeys(KEMDY.emotions, 0) | {"neutral": 40, "sad": 2, "angry": 9},
    "valence": 0, "arousal": 51,
}}  # fmt: skip


class TestNeverLearned:
    """Emotions and dimensions without a training row."""

    @pytest.fixture
    def recognizer(self):
        return planted.recognizer(meta=NEUTRAL_AND_SAD)

    def test_masked_emotions_have_probability_zero_and_the_others_their_ratio(self, recognizer):
        full = planted.recognizer().predict(recording()).probabilities
        found = recognizer.predict(recording())
        assert found.label in ("neutral", "sad", "angry")
        assert [e for e, p in found.probabilities.items() if p == 0] == [
            "surprise", "fear", "happy", "disgust",
        ]  # fmt: skip
        rest = sum(full[e] for e in ("neutral", "sad", "angry"))
        for emotion in ("neutral", "sad", "angry"):
            assert found.probabilities[emotion] == pytest.approx(full[emotion] / rest)

    def test_a_dimension_is_none_in_every_form(self, recognizer):
        one = recognizer.predict(recording())
        assert (one.valence, one.conflict) == (None, None)
        assert 1 <= one.arousal <= 5
        found = recognizer.timeline(planted.conversation(2)[0], sampling_rate=16_000, smooth=3.0)
        assert [turn.valence for turn in found.turns] == [None, None]
        assert found.curves().valence.isna().all()
        assert all(turn["valence"] is None for turn in found.to_dict()["turns"])
        assert {row["valence"] for row in csv.DictReader(io.StringIO(written(found, "csv")))} == {
            ""
        }
        for format in ("vtt", "eaf", "table"):
            text = written(found, format)
            assert "valence None" not in text
            assert "nan" not in text
        lines = [text.get_label() for text in figure(found).axes[-1].get_lines()]
        assert "arousal" in lines
        assert "valence" not in lines
        page = say.timeline_answer(found, {}, "a", False) + say.answer(one, {})
        assert 'aria-label="valence' not in page
        assert 'class="plane"' not in page
        assert "Not offered:</b> surprise, fear, happy, disgust" in page

    def test_over_http(self, recognizer):
        with http(recognizer) as client:
            one = client.post("/v1/predict", json={"text": "좋아", "explain": True}).json()
            answers().one.model_validate(one)
            assert one["valence"] is None
            assert one["probabilities"]["surprise"] == 0
            missing = client.get("/info").json()["not_offered"]
            assert missing == ["surprise", "fear", "happy", "disgust", "valence"]

    def test_a_model_of_dimensions_only_names_no_emotion(self):
        rows = {"emotions": dict.fromkeys(KEMDY.emotions, 0), "valence": 9, "arousal": 9}
        recognizer = planted.recognizer(meta={"learned": rows})
        one = recognizer.predict(recording())
        assert (one.label, one.probabilities, one.confidence) == (None, {}, None)
        assert one.reason == "this model has learned no emotion"
        assert one.valence is not None
        found = recognizer.timeline(recording(), vad="none")
        assert "no emotion" in say.timeline_answer(found, {}, "a", False)
        figure(found)
        assert ": this model has learned no emotion; valence" in repr(one)

    def test_older_folders_answer_as_before_and_say_not_recorded(self, capsys):
        assert main(["info", str(OLD)]) == 0
        assert "not recorded" in capsys.readouterr().out
        assert main(["predict", "--text", "좋아", "--model", str(OLD)]) == 0
        row = json.loads(capsys.readouterr().out)
        assert all(row["probabilities"].values())
        assert row["valence"] is not None


@pytest.mark.parametrize(
    ("results", "calibrated"),
    [
        ({"protocol": "strict", "temperature": 0.65}, True),
        ({"protocol": "strict", "temperature": 1.0}, False),
        ({"protocol": "fixed", "temperature": 1.0}, False),
        ({"protocol": "paper", "temperature": 0.8}, False),  # fitted on what it is scored on
        ({"protocol": "paper", "temperature": 0.8, "calibrated": True}, True),
        ({}, False),
    ],
)
def test_calibrated_is_said_only_where_other_data_was_there(results, calibrated):
    assert Learned.of({"meta": {"results": results}}).calibrated is calibrated


def test_training_rows_are_counted():
    nan = np.nan
    targets = np.array([[0, 0, 0.5, 0.5, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0], [nan] * 7])
    found = counted(targets, np.array([[nan, 2], [nan, 3], [nan, nan]]))
    assert {e: n for e, n in found["emotions"].items() if n} == {"angry": 1, "neutral": 2}
    assert found["dimensions"] == {"valence": 0, "arousal": 2}
    own = Space(("joy", "boredom"), (Dimension("dominance", 1, 7),))
    found = counted(np.eye(2)[[1, 1]], np.array([[nan], [6]]), own)
    assert found == {"emotions": {"joy": 0, "boredom": 2}, "dimensions": {"dominance": 1}}
    learned = Learned.of({"meta": {"learned": found}, **own.to_json()})
    assert (learned.not_offered, learned.unlearned, learned.missing) == (("joy",), (), ["joy"])
