"""What a model has not learned is not said: through Python, the command, HTTP, files and the page."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import planted
import pytest
from starlette.testclient import TestClient

from erc.__main__ import main
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
