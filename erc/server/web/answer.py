"""What the page does when it is asked: listen, explain, and put every failure kindly."""

from __future__ import annotations

import math
import queue
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import AudioError, ConfigError, ErcError
from erc.recognizer.explain import Explanation, explain
from erc.recognizer.prediction import Prediction
from erc.server.web import words as say
from erc.server.web.figures import seconds
from erc.timeline.recording import Recording
from erc.timeline.subtitles import pasted

if TYPE_CHECKING:
    from erc.recognizer import Clip, Recognizer
    from erc.timeline import Timeline

LONG = 15.0  # s; a longer recording gets a timeline
News = queue.Queue[tuple[str, Any]]


class Stopped(Exception):
    """Nobody waits for this answer any more."""


def respond(
    recognizer: Recognizer, recording: str | None, text: str, max_seconds: float
) -> Iterator[tuple[str, str]]:
    """(sentence for the live region, HTML), again and again until the answer is there."""
    yield "Listening …", say.busy(0, 1)
    try:
        yield from _answers(recognizer, recording, (text or "").strip(), max_seconds)
    except ErcError as error:
        yield _kindly(error, recording)
    except Exception:  # whatever it was, a person reads no stack trace; the log has it
        traceback.print_exc()
        message = "The program failed at this, which it should not. Its log says more"
        yield message, say.failed(message)


def refused(recording: str | None, max_seconds: float) -> tuple[str, str] | None:
    """What `respond` says of a recording that cannot be used, before anybody asks; None: it can."""
    try:
        if recording:
            _length(recording, max_seconds)
    except ErcError as error:
        return _kindly(error, recording)
    return None


def _length(recording: str, max_seconds: float) -> float:
    length = Recording(recording).duration
    if length > max_seconds:
        raise AudioError(
            f"the recording lasts {seconds(length)}; this page takes at most {seconds(max_seconds)}. "
            "Cut it, or use `erc timeline`, which takes any length"
        )
    return length


def _answers(
    recognizer: Recognizer, recording: str | None, text: str, max_seconds: float
) -> Iterator[tuple[str, str]]:
    length = _length(recording, max_seconds) if recording else 0.0
    if not recording and not text:
        raise ConfigError("there is nothing to listen to yet: record or upload something first")
    if recording and length > min(LONG, (recognizer.window or math.inf) / SAMPLE_RATE):
        yield from _long(recognizer, recording, text)
        return
    if (cues := pasted(text)) is not None:  # beside a short clip their words are what counts
        text = " ".join(cue.text for cue in cues)
    clip = recognizer.read(recording or None, text or None, name=Path(recording or "text").name)
    reason, prediction = _explained(recognizer, clip)
    yield (
        say.sentence(prediction, recognizer.learned.rated),
        say.answer(
            prediction,
            recognizer.regions,
            recognizer.abstain,
            reason,
            clip.inputs.get("speech"),
            recognizer.learned.rated,
        ),
    )


def _explained(recognizer: Recognizer, clip: Clip) -> tuple[Explanation | None, Prediction]:
    """The explanation, None for a model that cannot do without one of its modalities."""
    if recognizer.spec.needs_all and len(recognizer.spec.modalities) > 1:
        return None, recognizer.answer([clip])[0]
    reason = explain(recognizer, clip)
    return reason, reason.prediction


def _long(recognizer: Recognizer, recording: str, text: str) -> Iterator[tuple[str, str]]:
    """A timeline, computed beside while progress is shown."""
    segments = pasted(text)
    news: News = queue.Queue()
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
    yield (
        f"{len(timeline.turns)} turns, {say.mood(timeline)}",
        say.timeline_answer(
            timeline, recognizer.regions, Path(name).stem, unused=bool(text) and segments is None
        ),
    )


def _progress(news: News) -> Generator[tuple[str, str], None, Timeline]:
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


def _kindly(error: ErcError, recording: str | None) -> tuple[str, str]:
    """A message that names the recording as its owner knows it, not where it was put."""
    message = str(error).replace(recording, Path(recording).name) if recording else str(error)
    return f"That did not work: {message}", say.failed(message)
