"""What the tests of the server share: a recognizer, an application, and the page in Chromium."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from starlette.testclient import TestClient

import erc
from erc.base.figures import COLOURS
from erc.server.app import create_app
from erc.server.settings import Settings
from erc.server.web.examples import simulated

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def recognizer(run: Path) -> erc.Recognizer:
    return erc.load(run / "model")


@pytest.fixture(scope="module")
def http(recognizer) -> Iterator[TestClient]:
    app = create_app(recognizer, Settings(queue=64))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


# --- the page in a browser -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest) -> Path:
    """The model of the page: $ERC_MODEL, or a tiny one."""
    chosen = os.environ.get("ERC_MODEL")
    return Path(chosen) if chosen else request.getfixturevalue("run") / "model"


@pytest.fixture(scope="module")
def recognizer_shown(shown: Path) -> erc.Recognizer:
    return erc.load(shown)


@pytest.fixture(scope="module")
def address(shown: Path) -> Iterator[str]:
    pytest.importorskip("gradio")
    command = [sys.executable, "-m", "erc", "web", "--port", "0", "--model", str(shown)]
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
def spoken(clips) -> str:
    """What the microphone hears, again and again."""
    return str(clips["Sad"])


@pytest.fixture(scope="module")
def chromium(spoken):
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium on this machine")
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream"]
    arguments += ["--use-fake-ui-for-media-stream"]
    arguments += [f"--use-file-for-fake-audio-capture={spoken}"]
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


@pytest.fixture
def photograph():
    """Writes the whole page as docs/images/web_NAME.png, if asked for."""

    def take(page, name: str) -> None:
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

    return take
