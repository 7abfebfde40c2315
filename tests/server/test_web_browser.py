"""The page in a real browser: Chromium, headless.

ERC_SCREENSHOTS=1 writes docs/images/web_*.png; ERC_MODEL names the model shown (default: a tiny one).
"""

from __future__ import annotations

import pandas as pd
import pytest

from erc.base.figures import COLOURS
from erc.server.web.examples import simulated


def answered(page):
    page.locator("#erc-result .headline").wait_for(timeout=60_000)
    return page.locator("#erc-result")


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
def test_upload(opened, clips, recognizer_shown, photograph):
    page = opened()
    page.locator("#erc-audio input[type=file]").set_input_files(clips["Happy"])
    page.get_by_label("What is said").fill(simulated()[0].text)
    page.locator("#erc-audio audio, #erc-audio .waveform-container").first.wait_for(
        state="attached"
    )
    page.locator("#erc-go").click()
    result = answered(page)
    expected = recognizer_shown.predict(clips["Happy"], simulated()[0].text)
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
def test_a_phone_shows_the_answer_without_scrolling(opened):
    """And a table that is wider than it keeps the column that names its rows."""
    page = opened(viewport={"width": 390, "height": 844})
    page.get_by_role("button", name="A conversation").click()
    headline = answered(page).locator(".headline")
    page.wait_for_function("scrollY > 100")
    page.wait_for_timeout(1000)  # it scrolls smoothly
    box = headline.bounding_box()
    assert 0 <= box["y"] < 844 - box["height"]
    table = page.locator("#erc-result .scroll").first
    table.evaluate("e => e.scrollLeft = 200")
    assert table.locator("tbody tr").first.locator(":scope > *").first.bounding_box()["x"] >= 0
    assert page.locator("#erc-audio button[aria-label=Clear]:visible").count() == 0  # one Clear


@pytest.mark.slow
def test_microphone(opened):
    page = opened()
    page.get_by_role("button", name="Record audio").click()
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop").first.click()
    page.locator("#erc-audio .waveform-container").wait_for()
    page.wait_for_timeout(500)
    page.locator("#erc-go").click()
    result = answered(page)
    assert "Heard from the voice" in result.inner_text()


@pytest.mark.slow
def test_a_long_recording_gets_a_timeline(opened, photograph):
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
def test_errors_are_kind(opened, tmp_path, photograph):
    page = opened()
    broken = tmp_path / "holiday.wav"
    broken.write_bytes(b"RIFF\x24\x00\x00\x00WAVE and then nothing")
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
def test_text_alone_with_the_keyboard_alone(opened, photograph):
    page = opened(color_scheme="dark")
    buttons = page.locator("#erc-audio .controls button:visible")
    page.get_by_role("button", name="Record audio").click()
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
def test_phone(opened, scheme, photograph):
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
