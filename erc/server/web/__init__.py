"""The page for people: `erc web`, or `erc serve --web`. Gradio, without anything from elsewhere.

Everything that is shown is made here as HTML and SVG (`words`, `figures`, `timeline`);
Gradio brings the microphone, the upload and the wire. The page asks no other machine for anything.

Enters: a recording or a text that a person gives. Leaves: HTML. May import: base, scores, recognizer,
timeline, server.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.server.settings import Settings, is_loopback, need
from erc.server.web import words as say
from erc.server.web.answer import refused, respond
from erc.server.web.examples import Example, simulated
from erc.server.web.live import SCRIPT, can, panel, socket_of
from erc.server.web.look import HEAD, STYLE, theme

if TYPE_CHECKING:
    import gradio
    from fastapi import FastAPI

    from erc.recognizer import Recognizer

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

MB = 4000.0  # of an upload: an hour of anything
KEPT = 3600  # s that an uploaded recording lies in the temporary folder at most
TITLE = "Emotion in speech"
LABELS = """() => {
  const set = (id, values) => { const e = document.getElementById(id);
    if (e) for (const [k, v] of Object.entries(values)) e.setAttribute(k, v); };
  set("erc-status", {role: "status", "aria-live": "polite", "aria-atomic": "true"});
  set("erc-result", {role: "region", "aria-label": "Result"});
}"""

CLEAR = """() => document.getElementById("erc-live")?.setAttribute("hidden", "")"""
SHOW = """() => { const e = document.getElementById("erc-outputs");  // below the inputs on a phone
  document.getElementById("erc-live")?.setAttribute("hidden", "");
  if (e.getBoundingClientRect().top > innerHeight / 2) e.scrollIntoView({behavior: "smooth"}); }"""


def build(
    recognizer: Recognizer,
    *,
    examples: Sequence[Example] | None = None,
    max_seconds: float = 3600.0,
    live: str | None = None,
) -> gradio.Blocks:
    """The page; `mount` or `serve` shows it.

    Args:
        examples: behind buttons; None: simulated clips, made now.
        max_seconds: a longer recording is refused.
        live: path of a socket that answers while the microphone records, see `erc.server.live`;
            None: there is none, and an answer comes after the recording.

    Raises:
        ConfigError: Gradio is not installed.
    """
    need("gradio")
    import gradio as gr

    takes, learned = recognizer.spec.modalities, recognizer.learned
    empty = say.empty(recognizer.space, learned)
    hears, reads = "speech" in takes, "text" in takes and recognizer.tokens is not None
    examples = simulated(hears, reads) if examples is None else examples

    def run(recording: str | None, text: str) -> Iterator[tuple[str, str]]:
        for said, shown in respond(recognizer, recording, text, max_seconds):
            yield shown, said

    def look(recording: str | None) -> tuple[Any, Any]:
        said, shown = refused(recording, max_seconds) or (gr.skip(), gr.skip())
        return shown, said

    html = partial(gr.HTML, apply_default_css=False)
    options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as page:
        html(say.intro(recognizer.space, learned))
        status = html("", elem_id="erc-status")
        with gr.Row(elem_id="erc-columns"):
            with gr.Column(elem_id="erc-inputs", scale=4, min_width=300):
                recording = gr.Audio(
                    sources=["upload", "microphone"], type="filepath", label="Recording",
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
                if live and can(recognizer):
                    html(panel(recognizer, live))
                result = html(empty, elem_id="erc-result")
        html(say.about(recognizer.config, takes))

        given: dict[str, Any] = {"inputs": [recording, text], "outputs": [result, status]}
        anew = (
            f"() => [{json.dumps(empty)}, '']"  # an answer to another recording says nothing here
        )
        recording.upload(None, None, [result, status], js=anew)
        recording.upload(look, recording, [result, status], **options)
        gr.on([go.click, text.submit, *(button.click for button in tries)], js=SHOW)
        asked = [go.click(run, **given, **options), text.submit(run, **given, **options)]
        for button, example in zip(tries, examples):
            asked.append(
                button.click(lambda e=example: _shown(e), None, [recording, text], **options).then(
                    run, **given, **options
                )
            )
        clear.click(
            lambda: (None, "", "", empty), None, [recording, text, status, result],
            cancels=asked, js=CLEAR, **options,
        )  # fmt: skip
        page.load(None, js=LABELS)
    return page


def mount(
    app: FastAPI, recognizer: Recognizer, path: str = "/web", root_path: str = "", **options: Any
) -> FastAPI:
    """Add the page to an application.

    Args:
        root_path: below which a proxy shows the application.
        options: of `build`.
    """
    import gradio as gr

    options = {"live": socket_of(app, root_path)} | options
    script = f"<script>{SCRIPT.read_text('utf-8')}</script>"
    return gr.mount_gradio_app(
        app, build(recognizer, **options), path=path, footer_links=[], run_history=False,
        show_error=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
        theme=theme(gr), css=STYLE.read_text("utf-8"), head=HEAD + script,
        root_path=root_path + path if root_path else None,
    )  # fmt: skip


def _shown(example: Example) -> tuple[Any, str]:
    sound = None if example.samples is None else (SAMPLE_RATE, example.samples)
    return sound, example.text


def serve(folder: Path, settings: Settings, *, browser: bool = False, runtime: str = "auto") -> int:
    """Show the page on this machine until Ctrl-C.

    Args:
        settings: host and port are used.
        browser: open it.

    Raises:
        ConfigError: another address than this machine's, or one that is taken.
        CheckpointError: no model.
    """
    need("gradio")
    import webbrowser

    from fastapi import FastAPI

    from erc.recognizer import load
    from erc.server import live
    from erc.server.gate import Gate
    from erc.server.listen import bound, listen, warm
    from erc.server.metrics import Metrics
    from erc.server.service import Service

    if not is_loopback(settings.host):
        raise ConfigError(
            f"--host {settings.host} can be reached from other machines, and this page asks nobody "
            "who they are; to share it: erc serve --web --host … --api-key …"
        )
    place = bound(settings.host, settings.port)
    recognizer = load(folder, runtime=runtime)
    if warning := recognizer.learned.warning():
        print(f"erc web: {warning}", file=sys.stderr)
    warm(recognizer)

    def ready(address: str) -> None:
        print(f"erc: open {address} (Ctrl-C stops)", flush=True)
        if browser:
            webbrowser.open(address)

    app, metrics, settings = FastAPI(openapi_url=None), Metrics(), replace(settings, max_mb=MB)
    service = Service(recognizer, settings, metrics)
    live.add(app, service)
    listen(Gate(mount(app, recognizer, "/"), settings, metrics), place, ready, service.stop)
    service.close(settings.timeout)
    return 0
