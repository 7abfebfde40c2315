"""The page: what it draws, and how it behaves in a real browser (Chromium, headless).

ERC_SCREENSHOTS=1 writes docs/images/web_*.png; ERC_MODEL names the model shown (default: a tiny one).
"""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd
import pytest
import soundfile

import erc
from erc import web_figures as draw
from erc import web_words as say
from erc.figures import COLOURS
from erc.prediction import Prediction
from erc.web_answer import respond
from erc.web_examples import simulated

IMAGES = Path(__file__).parents[1] / "docs" / "images"
P = {"surprise": 0.05, "fear": 0.02, "angry": 0.03, "neutral": 0.2, "happy": 0.62, "sad": 0.05}
HAPPY = Prediction(
    "a.wav", "happy", P | {"disgust": 0.03}, 4.2, 3.4, 0.62, ("speech", "text"), True, True
)
REGIONS = {"happy": (4.0, 3.5, 0.4, 0.3), "sad": (1.8, 2.2, 0.5, 0.25)}


def tree(html: str) -> Xml.Element:
    return Xml.fromstring(f"<div>{html.replace('&', '&amp;')}</div>")


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Path:
    chosen = os.environ.get("ERC_MODEL")
    return Path(chosen) if chosen else request.getfixturevalue("run") / "model"


@pytest.fixture(scope="module")
def recognizer(model: Path) -> erc.Recognizer:
    return erc.load(model)


# --- what is drawn ---------------------------------------------------------------------------------


def test_bars_give_every_number_as_text_largest_first():
    rows = tree(draw.bars(HAPPY.probabilities, "shares")).findall(".//tr")
    assert [row[0].find("i").tail for row in rows][:2] == ["happy", "neutral"]
    assert rows[0][2].text == "62\xa0%"
    assert "width:62.0%" in rows[0][1][0].get("style")
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
    styles = [row[1][0].get("style") for row in rows]
    assert "margin-left:15.0%;width:5.0%" in styles[1]
    assert "margin-left:15.0%;width:47.0%" in styles[2]
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
    monkeypatch.setattr("erc.web_answer.explain", lambda *_: 1 / 0)
    _, shown = list(respond(recognizer, None, "안녕", 60))[-1]
    assert "Zero" not in shown
    assert "Traceback" not in shown
    assert "ZeroDivisionError" in capfd.readouterr().err  # the log has it


def test_page_says_what_it_is_not_for(recognizer):
    text = say.about(recognizer.config, recognizer.spec.modalities)
    assert "Art. 5(1)(f)" in text
    assert "Art. 50(3)" in text
    assert "simulated" in text


# --- in a browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(model: Path) -> Iterator[str]:
    pytest.importorskip("gradio")
    command = [sys.executable, "-m", "erc", "web", "--port", "0", "--model", str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        line = next((x for x in server.stdout if "http://" in x), "")
        assert line, "the page did not start"
        yield re.search(r"http://[^ ]+", line)[0]
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {}
    for example in simulated():
        made[example.name] = folder / f"{example.name.split()[-1].lower()}.wav"
        soundfile.write(made[example.name], example.samples, 16000)
    return made


@pytest.fixture(scope="module")
def chromium(clips):
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine")
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
    arguments += ["--use-fake-ui-for-media-stream"]
    arguments += [f"--use-file-for-fake-audio-capture={clips['Sad']}"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """Opens the page; whatever is asked of another machine, or goes wrong in a script, is noted."""
    contexts, elsewhere, wrong = [], [], []

    def note(request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            elsewhere.append(request.url)

    def open_(**options):
        options = {
            "viewport": {"width": 1280, "height": 900},
            "permissions": ["microphone"],
        } | options
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        page.locator("#erc-go").wait_for()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not elsewhere
    assert not wrong


def answered(page):
    page.locator(".headline").wait_for(timeout=60_000)
    return page.locator("#erc-result")


def photograph(page, name: str) -> None:
    """The whole page as docs/images/web_NAME.png, if asked for."""
    if not os.environ.get("ERC_SCREENSHOTS"):
        return
    from PIL import Image

    page.wait_for_timeout(700)  # let the player draw its waveform
    page.evaluate("scrollTo(0, 0)")
    file = IMAGES / f"web_{name}.png"
    with Image.open(io.BytesIO(page.screenshot(full_page=True))) as shot:
        image = shot.convert("RGB")
    common = [c for _, c in sorted(image.getcolors(1 << 24), reverse=True)[:240]]
    own = [tuple(bytes.fromhex(c[1:])) for c in COLOURS.values()]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in [*own, *common] for value in colour])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(file, optimize=True)
    assert file.stat().st_size < 200_000


CONTRAST = """() => {
  const numbers = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = c => { const [r, g, b] = numbers(c).slice(0, 3).map(v => (v /= 255) <= 0.03928
      ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
      const n = numbers(c); if (n.length < 4 || n[3] === 1) return c; } return "rgb(255, 255, 255)"; };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (!own || !box.width || box.width < 3 || style.visibility === "hidden" || e.disabled) continue;
    if (["SCRIPT", "STYLE", "OPTION", "TITLE", "title"].includes(e.tagName)) continue;
    const ink = e instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(ink), light(behind(e))], large = parseFloat(style.fontSize) >= 24;
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push([e.tagName, e.textContent.trim().slice(0, 30), ratio]);
  }
  return found;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, a[href], input, textarea, select")]
  .filter(e => e.getBoundingClientRect().width > 0 && getComputedStyle(e).visibility !== "hidden")
  .filter(e => !(e.innerText || "").trim() && !e.ariaLabel && !e.title && !e.labels?.length)
  .map(e => e.outerHTML.slice(0, 120))"""


def test_an_example_is_answered_and_no_other_machine_is_asked(opened):
    page = opened()
    page.get_by_role("button", name="Happy").click()
    result = answered(page)
    label = result.locator("h2").inner_text()
    assert label in COLOURS
    assert result.locator(".bars").first.locator("tr").count() == 7
    assert "of raters would say so" in page.locator("#erc-status").inner_text()
    assert page.locator("#erc-status").get_attribute("aria-live") == "polite"
    assert page.locator("#erc-result").get_attribute("aria-label") == "Result"
    assert page.locator("footer a").count() == 0


@pytest.mark.slow
def test_upload(opened, clips, recognizer):
    page = opened()
    page.get_by_role("button", name="Upload file").click()
    page.locator("#erc-audio input[type=file]").set_input_files(clips["Happy"])
    page.get_by_label("What is said").fill(simulated()[0].text)
    page.locator("#erc-audio audio, #erc-audio .waveform-container").first.wait_for(
        state="attached"
    )
    page.locator("#erc-go").click()
    result = answered(page)
    expected = recognizer.predict(clips["Happy"], simulated()[0].text)
    assert result.locator("h2").inner_text() == expected.label
    with page.expect_download() as download:
        result.get_by_role("link", name="Download CSV").click()
    row = pd.read_csv(download.value.path()).iloc[0]
    assert row.file == "happy.wav"
    assert row.p_happy == pytest.approx(expected.probabilities["happy"], abs=1e-4)
    photograph(page, "answer")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    page.get_by_role("button", name="Clear").last.click()
    page.locator(".empty").wait_for()


@pytest.mark.slow
def test_microphone(opened):
    page = opened()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop").first.click()
    page.locator("#erc-audio .waveform-container").wait_for()
    page.wait_for_timeout(500)
    page.locator("#erc-go").click()
    result = answered(page)
    assert "Heard from the voice" in result.inner_text()
    photograph(page, "microphone")


@pytest.mark.slow
def test_a_long_recording_gets_a_timeline(opened):
    page = opened()
    page.get_by_role("button", name="A conversation").click()
    result = answered(page)
    assert result.locator(".lane svg").count() == 4
    rows = result.locator(".turns tbody tr")
    assert rows.count() == 12
    with page.expect_download() as download:
        result.get_by_role("link", name="Download CSV").click()
    table = pd.read_csv(download.value.path())
    assert list(table.columns[:3]) == ["file", "start", "end"]
    assert len(table) == 12
    assert page.evaluate(CONTRAST) == []
    photograph(page, "timeline")


@pytest.mark.slow
def test_errors_are_kind(opened, tmp_path):
    page = opened()
    broken = tmp_path / "holiday.wav"
    broken.write_bytes(b"RIFF\x24\x00\x00\x00WAVE and then nothing")
    page.get_by_role("button", name="Upload file").click()
    page.locator("#erc-audio input[type=file]").set_input_files(broken)
    page.wait_for_timeout(1000)
    page.locator("#erc-go").click()
    page.locator(".failed").wait_for(timeout=20_000)
    text = page.locator(".failed").inner_text()
    assert "holiday.wav" in text
    assert "Traceback" not in text
    assert "/" not in text.replace("e.g. `ffmpeg", "")
    photograph(page, "error")


@pytest.mark.slow
def test_text_alone_with_the_keyboard_alone(opened):
    page = opened(color_scheme="dark")
    buttons = page.locator("#erc-audio .controls button:visible")
    assert buttons.all_inner_texts() == ["Record"]  # not yet Stop, Pause, Resume
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.type("정말 행복했어 기분 최고야")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Recognise emotion"
    page.keyboard.press("Enter")
    result = answered(page)
    assert "Heard from the words" in result.inner_text()
    assert "Moments" not in result.inner_text()
    assert page.evaluate(CONTRAST) == []
    photograph(page, "text_dark")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(opened, scheme):
    page = opened(
        viewport={"width": 390, "height": 844}, color_scheme=scheme, is_mobile=True,
        has_touch=True, device_scale_factor=1.5,
    )  # fmt: skip
    page.get_by_role("button", name="A conversation").tap()
    answered(page)
    for _ in range(6):  # the player once made the page wider again and again
        page.wait_for_timeout(200)
        assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    small = page.evaluate(
        "[...document.querySelectorAll('button, a.download')].filter(e => e.innerText.trim() && "
        "e.getBoundingClientRect().width && e.getBoundingClientRect().height < 24).length"
    )
    assert small == 0
    assert page.evaluate(CONTRAST) == []
    photograph(page, f"phone_{scheme}")
