"""The page's microphone through `/v1/live`, and files of any kind, in Chromium with a fake device."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import planted
import pytest
import soundfile

from erc.base.arrays import to_int16
from erc.base.audio import SAMPLE_RATE
from erc.recognizer.prediction import Prediction
from erc.timeline.averages import vector

pytestmark = pytest.mark.slow
LIVE = re.compile(r"/v1/live$")
LATER = 0.3  # s by which a fake device on a busy machine may move or stretch a turn
DROP = """([name, type, data]) => {
  const given = new DataTransfer(), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  given.items.add(new File([bytes], name, {type}));
  document.querySelector("#erc-audio button").dispatchEvent(
    new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: given})); }"""


@pytest.fixture(scope="module")
def meeting(tmp_path_factory) -> Path:
    """A simulated conversation of four turns."""
    file = tmp_path_factory.mktemp("meeting") / "meeting.wav"
    soundfile.write(file, to_int16(planted.conversation(4)[0]), SAMPLE_RATE)
    return file


@pytest.fixture(scope="module")
def spoken(meeting) -> str:
    return f"{meeting}%noloop"


def record(page) -> None:
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()


def stop(page) -> None:
    page.get_by_role("button", name="Stop").first.click()
    page.locator("#erc-audio .waveform-container").wait_for()


def test_turns_appear_while_somebody_speaks(opened, meeting, recognizer_shown, photograph):
    page, sent, told = opened(), [], []

    def follow(socket) -> None:
        socket.on("framesent", lambda frame: sent.append(frame))
        socket.on("framereceived", lambda frame: told.append(json.loads(frame)))

    page.on("websocket", follow)
    panel = page.locator("#erc-live")
    assert panel.is_hidden()
    record(page)
    rows = panel.locator(".turns tbody tr")
    rows.nth(3).wait_for(timeout=60_000)
    assert "raters would say so" in panel.locator(".headline").inner_text()
    assert "Simulated" in panel.locator(".banner").inner_text()
    assert page.locator("#erc-result").is_hidden()
    photograph(page, "live")
    stop(page)
    panel.get_by_role("heading", name="4 turns").wait_for()

    # what is shown is what the socket said, and that is the timeline of the sound that it got
    turns = [m["turn"] for m in told if m["type"] == "turn"]
    partial = [m["turn"] for m in told if m["type"] == "partial"]
    rate = json.loads(sent[0])["rate"]
    sound = np.frombuffer(b"".join(x for x in sent if isinstance(x, bytes)), "<i2")
    assert sent[-1] == "end"
    same = recognizer_shown.timeline(sound, sampling_rate=rate).turns
    for row, turn, want in zip(rows.all_inner_texts(), turns, same, strict=True):
        assert (turn["start"], turn["end"]) == (want.start, want.end)
        one = Prediction.from_dict(turn, want.space)
        np.testing.assert_allclose(vector(one), vector(want), atol=1e-5)
        assert f"{want.label} {100 * want.confidence:.0f}\N{NO-BREAK SPACE}%" in row
        assert f"{want.start:04.1f}" in row
    # the file's own turns, but for when the device began to play it
    file = recognizer_shown.timeline(meeting).turns
    later = turns[0]["start"] - file[0].start
    for turn, want in zip(turns, file, strict=True):
        assert turn["start"] - later == pytest.approx(want.start, abs=LATER)
        assert turn["end"] - later == pytest.approx(want.end, abs=LATER)
        one = Prediction.from_dict(turn, want.space)
        np.testing.assert_allclose(vector(one), vector(want), atol=0.1)
    spoken = sum(turn.end - turn.start for turn in file)
    assert len(partial) >= spoken / 0.5 / 2  # half of them, if this machine falls behind

    page.locator("#erc-go").click()
    page.locator("#erc-result .headline").wait_for(timeout=60_000)
    assert panel.is_hidden()


def test_without_a_place_the_recording_goes_on(opened):
    page = opened()

    def full(socket) -> None:
        message = "32 live streams are open, no more may be; try again"
        socket.send(json.dumps({"error": {"type": "Busy", "message": message}}))

    page.route_web_socket(LIVE, full)
    record(page)
    note = page.locator("#erc-live .note")
    page.wait_for_function("document.querySelector('#erc-live .note').textContent")
    assert "no more may be; try again. What is recorded is not affected." in note.inner_text()
    page.wait_for_timeout(1500)
    stop(page)
    page.locator("#erc-go").click()
    page.locator("#erc-result .headline, #erc-result .failed").wait_for(timeout=60_000)
    assert page.locator("#erc-live").is_hidden()


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_film_is_answered_and_what_is_no_sound_is_refused_in_our_words(opened, tmp_path, how):
    av = pytest.importorskip("av")
    film, notes = tmp_path / "take.mp4", tmp_path / "notes.txt"
    samples = to_int16(planted.speech(0))
    with av.open(str(film), "w") as sink:
        stream = sink.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        sink.mux([*stream.encode(frame), *stream.encode(None)])
    notes.write_text("hello there")
    page = opened()

    def give(file: Path, kind: str) -> None:
        if how == "chosen":
            page.locator("#erc-audio input[type=file]").set_input_files(file)
        else:
            data = base64.b64encode(file.read_bytes()).decode()
            page.evaluate(DROP, [file.name, kind, data])

    give(notes, "text/plain")
    refused = page.locator(".failed")
    refused.wait_for(timeout=20_000)  # nobody had to ask
    assert "notes.txt: cannot be decoded" in refused.inner_text()
    assert "Only audio" not in page.locator("body").inner_text()
    page.get_by_role("button", name="Clear").last.click()
    page.locator(".empty").wait_for()
    page.locator("#erc-audio input[type=file]").wait_for(state="attached")
    give(film, "video/mp4")
    page.locator("#erc-audio .waveform-container").wait_for(timeout=20_000)
    page.locator("#erc-go").click()
    page.locator("#erc-result .headline").wait_for(timeout=60_000)
    assert "Heard from the voice" in page.locator("#erc-result").inner_text()
