"""The page for people: `erc web`, or `erc serve --web`. Gradio, without anything from elsewhere.

Everything that is shown is made here as HTML and SVG (`web_words`, `web_figures`, `web_timeline`);
Gradio brings the microphone, the upload and the wire. The page asks no other machine for anything.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc import web_words as say
from erc.audio import SAMPLE_RATE
from erc.errors import AudioError, ConfigError, ErcError
from erc.explain import explain
from erc.prediction import Prediction
from erc.recording import Recording
from erc.web_examples import Example, simulated
from erc.web_figures import seconds

if TYPE_CHECKING:
    import gradio
    from fastapi import FastAPI

    from erc.recognizer import Recognizer

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

LONG = 15.0  # s; a longer recording gets a timeline
KEPT = 3600  # s that an uploaded recording lies in the temporary folder at most
STYLE = Path(__file__).parent / "templates" / "web.css"
TITLE = "Emotion in speech"
LOOK = {  # where Gradio's own parts take their colours from; everything else is in web.css
    "body_background_fill": "#f5f6f8", "block_background_fill": "#ffffff",
    "block_border_color": "#dfe3e8", "block_label_text_color": "#55606d",
    "block_title_text_color": "#16202b", "block_info_text_color": "#55606d",
    "body_text_color": "#16202b", "body_text_color_subdued": "#55606d",
    "button_primary_background_fill": "#1f5fbf", "button_primary_background_fill_hover": "#184e9f",
    "button_primary_text_color": "#ffffff", "button_secondary_background_fill": "#e4e8ee",
    "input_background_fill": "#f5f6f8", "input_placeholder_color": "#55606d",
}  # fmt: skip
DARK = LOOK | {
    "body_background_fill": "#101418", "block_background_fill": "#181d23",
    "block_border_color": "#2d353e", "block_label_text_color": "#a9b4c0",
    "block_title_text_color": "#e8ecf1", "block_info_text_color": "#a9b4c0",
    "body_text_color": "#e8ecf1", "body_text_color_subdued": "#a9b4c0",
    "button_primary_background_fill_hover": "#2f6fd0", "button_secondary_background_fill": "#2a323b",
    "input_background_fill": "#101418", "input_placeholder_color": "#a9b4c0",
}  # fmt: skip
LABELS = """() => {
  const set = (id, values) => { const e = document.getElementById(id);
    if (e) for (const [k, v] of Object.entries(values)) e.setAttribute(k, v); };
  set("erc-status", {role: "status", "aria-live": "polite", "aria-atomic": "true"});
  set("erc-result", {role: "region", "aria-label": "Result"});
}"""


class Stopped(Exception):
    """Nobody waits for this answer any more."""


def build(
    recognizer: Recognizer,
    *,
    examples: Sequence[Example] | None = None,
    max_seconds: float = 3600.0,
) -> gradio.Blocks:
    """The page; `mount` or `serve` shows it.

    Args:
        examples: behind buttons; None: simulated clips, made now.
        max_seconds: a longer recording is refused.

    Raises:
        ConfigError: Gradio is not installed.
    """
    gr = _gradio()
    takes = recognizer.spec.modalities
    hears, reads = "speech" in takes, "text" in takes and recognizer.tokens is not None
    examples = simulated(hears, reads) if examples is None else examples

    def run(recording: str | None, text: str) -> Iterator[tuple[str, str]]:
        yield from respond(recognizer, recording, text, max_seconds)

    html = partial(gr.HTML, apply_default_css=False)
    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as page:
        html(say.INTRO)
        status = html("", elem_id="erc-status")
        with gr.Row(elem_id="erc-columns"):
            with gr.Column(elem_id="erc-inputs", scale=4, min_width=300):
                recording = gr.Audio(
                    sources=["microphone", "upload"], type="filepath", label="Recording",
                    editable=False, visible=hears, buttons=[], elem_id="erc-audio",
                )  # fmt: skip
                text = gr.Textbox(
                    label="What is said (optional)" if hears else "What is said",
                    info="For a long recording: subtitles, SRT or WebVTT." if hears else None,
                    lines=2, max_lines=6, visible=reads, elem_id="erc-text",
                )  # fmt: skip
                with gr.Row(elem_id="erc-actions"):
                    go = gr.Button("Recognise emotion", variant="primary", elem_id="erc-go")
                    clear = gr.Button("Clear", variant="secondary", elem_id="erc-clear")
                if examples:
                    html(
                        '<h2 class="small">Or try a simulated voice</h2><p class="note">Made by a '
                        "program; no person was recorded.</p>"
                    )
                with gr.Row(elem_id="erc-examples"):
                    tries = [gr.Button(e.name, size="sm", min_width=80) for e in examples]
            with gr.Column(elem_id="erc-outputs", scale=7, min_width=300):
                result = html(say.EMPTY, elem_id="erc-result")
        html(say.about(recognizer.config, takes))

        given = {"inputs": [recording, text], "outputs": [status, result]}
        asked = [go.click(run, **given, **options), text.submit(run, **given, **options)]
        for button, example in zip(tries, examples):
            asked.append(
                button.click(lambda e=example: _shown(e), None, [recording, text], **options).then(
                    run, **given, **options
                )
            )
        clear.click(
            lambda: (None, "", "", say.EMPTY), None, [recording, text, status, result],
            cancels=asked, **options,
        )  # fmt: skip
        page.load(None, js=LABELS)
    return page


def mount(
    app: FastAPI, recognizer: Recognizer, path: str = "/web", **options: Any
) -> FastAPI:
    """Add the page to an application; `options` are those of `build`."""
    gr = _gradio()
    return gr.mount_gradio_app(
        app, build(recognizer, **options), path=path, footer_links=[], run_history=False,
        show_error=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
        theme=_theme(gr), css=STYLE.read_text("utf-8"),
        head='<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">',
    )  # fmt: skip


def respond(
    recognizer: Recognizer, recording: str | None, text: str, max_seconds: float
) -> Iterator[tuple[str, str]]:
    """(sentence for the live region, HTML), again and again until the answer is there."""
    yield "Listening …", say.busy(0, 1)
    try:
        yield from _answers(recognizer, recording, (text or "").strip(), max_seconds)
    except ErcError as error:
        message = _without_folder(str(error), recording)
        yield f"That did not work: {message}", say.failed(message)
    except Exception:  # whatever it was, a person reads no stack trace; the log has it
        traceback.print_exc()
        message = "The program failed at this, which it should not. Its log says more"
        yield message, say.failed(message)


def _answers(
    recognizer: Recognizer, recording: str | None, text: str, max_seconds: float
) -> Iterator[tuple[str, str]]:
    length = Recording(recording).duration if recording else 0.0
    if length > max_seconds:
        raise AudioError(
            f"the recording lasts {seconds(length)}; this page takes at most {seconds(max_seconds)}. "
            "Cut it, or use `erc timeline`, which takes any length"
        )
    if not recording and not text:
        raise ConfigError("there is nothing to listen to yet: record or upload something first")
    limits = (LONG, *((n / SAMPLE_RATE) for n in (recognizer.max_samples, recognizer.spec.max_samples) if n))
    if recording and length > min(limits):
        yield from _long(recognizer, recording, text)
        return
    clip = recognizer.read(recording or None, text or None, name=Path(recording or "text").name)
    reason, prediction = _explained(recognizer, clip)
    yield (
        say.sentence(prediction),
        say.answer(
            prediction, recognizer.regions, recognizer.abstain, reason, clip.inputs.get("speech")
        ),
    )


def _explained(recognizer: Recognizer, clip: Any) -> tuple[Any, Prediction]:
    """The explanation, None for a model that cannot do without one of its modalities."""
    if recognizer.spec.needs_all and len(recognizer.spec.modalities) > 1:
        return None, recognizer.answer([clip])[0]
    reason = explain(recognizer, clip)
    return reason, reason.prediction


def _long(recognizer: Recognizer, recording: str, text: str) -> Iterator[tuple[str, str]]:
    """A timeline, computed beside while progress is shown."""
    from erc.subtitles import READERS

    segments = None
    if "-->" in text:
        kind = ".vtt" if text.startswith("WEBVTT") else ".srt"
        segments = READERS[kind](text, "the transcript")
    news: queue.Queue[tuple[str, Any]] = queue.Queue()
    stopped = threading.Event()

    def tell(done: float, total: float) -> None:
        if stopped.is_set():
            raise Stopped
        news.put(("progress", (done, total)))

    def work() -> None:
        try:
            news.put(("done", recognizer.timeline(recording, segments, progress=tell)))
        except BaseException as error:  # raised again where the page waits
            news.put(("failed", error))

    threading.Thread(target=work, daemon=True).start()
    try:
        timeline = yield from _progress(news)
    finally:
        stopped.set()
    name = Path(recording).name
    timeline = replace(
        timeline, file=name, turns=[replace(turn, file=name) for turn in timeline.turns]
    )
    yield f"{len(timeline.turns)} turns, {say.mood(timeline)}", say.timeline_answer(
        timeline, recognizer.regions, Path(name).stem, unused=bool(text) and segments is None
    )


def _progress(news: queue.Queue[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Show progress at most four times a second; returns the timeline."""
    began = shown = time.monotonic()
    while True:
        kind, value = news.get()
        if kind == "failed":
            raise value
        if kind == "done":
            return value
        now = time.monotonic()
        if now - shown > 0.25:
            done, total = value
            left = (now - began) * (total / done - 1) if done > 0.05 * total else None
            yield "Listening …", say.busy(done, total, left)
            shown = now


def _shown(example: Example) -> tuple[Any, str]:
    sound = None if example.samples is None else (SAMPLE_RATE, example.samples)
    return sound, example.text


def _without_folder(message: str, recording: str | None) -> str:
    """A message that names the recording as its owner knows it, not where it was put."""
    return message.replace(recording, Path(recording).name) if recording else message


def _gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise ConfigError(f"the page needs {error.name}: pip install 'erc[serve]'") from None
    return gradio


def _theme(gr: Any) -> Any:
    """Fonts of the system, one accent, generous corners."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "sans-serif"]
    return gr.themes.Base(
        font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"],
        neutral_hue="slate", primary_hue="blue", radius_size="lg",
    ).set(  # fmt: skip
        **LOOK | {f"{key}_dark": value for key, value in DARK.items()}
    )


def serve(
    model: str | None,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    browser: bool = False,
    runtime: str = "auto",
    ready: Callable[[str], None] | None = None,
) -> int:
    """Show the page on this machine until Ctrl-C.

    Args:
        browser: open it.
        ready: told the address once the page answers.

    Raises:
        ConfigError: another address than this machine's, or one that is taken.
        CheckpointError: no model.
    """
    _gradio()
    import webbrowser

    import uvicorn
    from fastapi import FastAPI

    from erc.output import model_folder
    from erc.recognizer import load
    from erc.server.run import bound, warm
    from erc.server.settings import Settings, is_loopback

    if not is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, and this page asks nobody who they "
            "are; to share it: erc serve --web --host … --api-key …"
        )
    place = bound(Settings(host=host, port=port))
    recognizer = load(model_folder(model), runtime=runtime)
    warm(recognizer)
    app = mount(FastAPI(openapi_url=None), recognizer, "/")
    address = f"http://{host}:{place.getsockname()[1]}"

    class Server(uvicorn.Server):
        """Says where it listens."""

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            print(f"erc: open {address} (Ctrl-C stops)", flush=True)
            if browser:
                webbrowser.open(address)
            if ready:
                ready(address)

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    try:
        Server(config).run([place])
    except KeyboardInterrupt:
        print("erc: stopped", file=sys.stderr)
    return 0
