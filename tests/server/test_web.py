"""The page: what it draws and what it answers. In a browser: `test_web_browser.py`."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd
import planted
import pytest
import soundfile

from erc.base.figures import COLOURS
from erc.base.space import KEMDY
from erc.recognizer.prediction import Prediction
from erc.server.web import figures as draw
from erc.server.web import words as say
from erc.server.web.answer import refused, respond
from erc.server.web.examples import simulated

P = {"surprise": 0.05, "fear": 0.02, "angry": 0.03, "neutral": 0.2, "happy": 0.62, "sad": 0.05}
HAPPY = Prediction(
    "a.wav", "happy", P | {"disgust": 0.03}, {"valence": 4.2, "arousal": 3.4}, 0.62,
    ("speech", "text"), True, True,
)  # fmt: skip
REGIONS = {"happy": (4.0, 3.5, 0.4, 0.3), "sad": (1.8, 2.2, 0.5, 0.25)}


def share(bar: Xml.Element) -> dict[str, float]:
    """Lengths of a bar in %, by what they are."""
    pairs = re.findall(r"([\w-]+):(-?[\d.]+)%", bar.get("style"))
    return {name: float(value) for name, value in pairs}


def tree(html: str) -> Xml.Element:
    return Xml.fromstring(f"<div>{html.replace('&', '&amp;')}</div>")


# --- what is drawn ---------------------------------------------------------------------------------


def test_bars_give_every_number_as_text_largest_first():
    rows = tree(draw.bars(HAPPY.probabilities, "shares")).findall(".//tr")
    assert [row[0].find("i").tail for row in rows][:2] == ["happy", "neutral"]
    assert rows[0][2].text == "62\xa0%"
    assert [share(row[1][0])["width"] for row in rows] == [62, 20, 5, 5, 3, 3, 2]
    assert COLOURS["happy"] in rows[0][1][0].get("style")


def test_plane_puts_point_and_ellipses_where_the_scales_say():
    svg = tree(draw.plane([HAPPY], REGIONS)).find(".//svg")
    one = max(float(t.get("x")) for t in svg.iter("text") if t.text == "1")
    five = max(float(t.get("x")) for t in svg.iter("text") if t.text == "5")
    mark = svg.find("circle")
    assert float(mark.get("cx")) == pytest.approx(one + (4.2 - 1) / 4 * (five - one))
    happy, sad = svg.findall("ellipse")
    assert float(happy.get("cx")) == pytest.approx(one + 0.75 * (five - one))
    assert float(happy.get("rx")) == pytest.approx(0.1 * (five - one))  # 0.4 of four steps
    assert float(happy.get("cy")) < float(sad.get("cy"))  # more excited is higher
    assert "valence 4.2" in svg.get("aria-label")


def test_plane_without_regions_says_so():
    html = draw.plane([HAPPY], {})
    assert "<ellipse" not in html
    assert "does not know" in html


def test_shares_are_a_walk_that_ends_at_the_confidence():
    rows = tree(draw.shares(HAPPY, 0.2, {"speech": -0.05, "text": 0.47})).findall(".//tr")
    known, voice, text, answer = [share(row[1][0]) for row in rows]
    start = known["width"]
    assert (voice["margin-left"] + voice["width"], voice["width"]) == (start, 5)  # back by 5
    assert (text["margin-left"], text["width"]) == (voice["margin-left"], 47)  # forth by 47
    assert text["margin-left"] + text["width"] == answer["width"] == 62
    assert [row[2].text for row in rows] == ["20\xa0%", "−5", "+47", "62\xa0%"]


def test_words_of_a_stranger_stay_words():
    html = draw.words([("<img onerror=x>", 0.1), ("${alert(1)}", -0.1), ("{{x}}", 0.0)], "happy")
    assert "<img" not in html
    assert "${" not in html
    assert "{{" not in html


def test_waveform_of_silence_and_of_one_sample():
    for samples in (np.zeros(16000, np.float32), np.ones(1, np.float32)):
        html = draw.moments(samples, [(0.0, len(samples) / 16000, 0.0)], "sad")
        assert "nan" not in html
        assert "No single moment decides" in html


def test_notes_say_what_to_be_careful_about():
    text = say.notes(HAPPY, 0.7)
    assert "Not sure" in text
    assert "does not fit together" in text
    assert "close call" not in text
    near = replace(HAPPY, probabilities=HAPPY.probabilities | {"happy": 0.43, "neutral": 0.39})
    assert "close call</b> between <i>happy</i> and <i>neutral" in say.notes(near, 0.7)


def test_answer_carries_its_csv(recognizer):
    example = simulated()[0]
    reason = recognizer.explain(example.samples, example.text, 16000)
    html = say.answer(reason.prediction, {}, 0.0, reason, example.samples / 32768)
    data = base64.b64decode(re.search(r"data:text/csv;base64,([^\"]+)", html)[1])
    row = pd.read_csv(io.BytesIO(data)).iloc[0]
    assert row.label == reason.prediction.label
    assert row.p_happy == pytest.approx(reason.prediction.probabilities["happy"])


def test_the_voices_are_those_that_their_program_makes(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    from make_voices import voices

    made = voices().values()
    for example, (samples, text) in zip(simulated(), made, strict=True):
        assert example.text == text
        assert len(example.samples) == len(samples)
        assert np.corrcoef(example.samples, samples)[0, 1] > 0.99  # Vorbis


# --- what it answers -------------------------------------------------------------------------------


def test_errors_are_one_kind_sentence_without_folders(recognizer, tmp_path, monkeypatch, capfd):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF no more")
    said, shown = list(respond(recognizer, str(broken), "", 60))[-1]
    assert "broken.wav" in shown
    assert str(tmp_path) not in shown + said
    assert "nothing to listen to" in list(respond(recognizer, None, " ", 60))[-1][0]
    soundfile.write(tmp_path / "long.wav", np.zeros(16000 * 5), 16000)
    assert "at most 4 s" in list(respond(recognizer, str(tmp_path / "long.wav"), "", 4))[-1][0]
    monkeypatch.setattr("erc.server.web.answer.explain", lambda *_: 1 / 0)
    _, shown = list(respond(recognizer, None, "안녕", 60))[-1]
    assert "Zero" not in shown
    assert "Traceback" not in shown
    assert "ZeroDivisionError" in capfd.readouterr().err  # the log has it


def test_page_says_what_it_is_not_for(recognizer):
    text = say.about(recognizer.config, recognizer.spec.modalities)
    assert "Art. 5(1)(f)" in text
    assert "Art. 50(3)" in text
    assert "simulated" in text


def test_a_model_that_no_rater_taught_does_not_speak_of_raters(run):
    from erc.model.folder import read_config
    from erc.model.folder.learned import Learned

    assert Learned.of(read_config(run / "model")).rated
    p = Prediction("a", "happy", {"happy": 0.62, "sad": 0.38}, {}, 0.62, ("speech",), abstain=True)
    acted = say.answer(p, {}, 0.7, rated=False) + say.sentence(p, rated=False)
    assert "rater" not in acted
    assert "No emotion has 70" in acted
    config = {"emotions": ["happy", "sad"], "dimensions": {}, "meta": {}, "model": {}}
    assert not Learned.of(config).rated
    assert "No raters taught this model" in say.about(config, ("speech",))
    assert "rater" not in say.intro(KEMDY, Learned())


def test_a_dimension_that_was_never_learned_is_not_promised():
    from erc.model.folder.learned import Learned

    half = Learned(dimensions={"valence": 0, "arousal": 9})
    page = say.intro(KEMDY, half) + say.empty(KEMDY, half)
    assert "excited" in page
    assert "pleasant" not in page
    assert "valence" not in page


# --- while somebody speaks -------------------------------------------------------------------------


def test_the_live_panel_offers_what_the_model_learned_and_says_what_it_is(recognizer):
    from erc.server.web.live import can, panel

    html = panel(recognizer, '/a"b/v1/live')
    found = Xml.fromstring(html)
    assert found.get("hidden") is not None
    assert found.get("data-socket") == '/a"b/v1/live'
    says = json.loads(found.get("data-says"))
    assert list(says["colours"]) == [
        row.get("data-emotion") for row in found.findall(".//tr[@data-emotion]")
    ]
    assert says["colours"]["happy"] == COLOURS["happy"]
    assert says["digits"] == {"valence": 1, "arousal": 1}
    assert "Simulated" in html
    assert can(recognizer)
    assert not can(planted.recognizer(modalities=("text",)))


@pytest.mark.parametrize(("root", "socket"), [("", "/v1/live"), ("/erc", "/erc/v1/live")])
def test_the_microphone_is_live_where_the_application_has_a_socket(recognizer, root, socket):
    from fastapi import FastAPI

    from erc.server.app import create_app
    from erc.server.settings import Settings
    from erc.server.web.live import socket_of

    app = create_app(recognizer, Settings(root_path=root)).app
    assert socket_of(app, root) == socket
    assert socket_of(FastAPI()) is None
    assert app.state.service.close(60)


def test_a_recording_is_refused_before_anybody_asks(tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("no sound")
    said, shown = refused(str(notes), 60)
    assert "notes.txt: cannot be decoded" in shown
    assert str(tmp_path) not in shown + said
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    assert refused(str(tmp_path / "a.wav"), 60) is None
    assert "at most 0.5 s" in refused(str(tmp_path / "a.wav"), 0.5)[0]
    assert refused(None, 60) is None
