"""What the page shows of a long recording: strips over time, a table of turns."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Any

from erc.base.emotions import EMOTIONS
from erc.base.figures import COLOURS
from erc.recognizer.prediction import Failure
from erc.server.web.figures import colour, dot, envelope, percent, safe, seconds, ticks
from erc.timeline import Timeline, write

BINS = 600  # of the waveform
FILES = {"csv": "text/csv", "vtt": "text/vtt", "eaf": "application/xml"}
SAID = {"speaker": "speaker", "text": "said"}
KINDS = {"csv": "CSV", "vtt": "WebVTT (subtitles)", "eaf": "ELAN"}


def strips(timeline: Timeline) -> str:
    """Waveform in the colours of its emotions, their probabilities, valence and arousal."""
    end = timeline.duration or 1.0
    turns = timeline.predictions
    legend = "".join(f"<span>{dot(e)}{e}</span>" for e in EMOTIONS)
    return (
        '<section class="part"><h4>Over time</h4>'
        f'<div class="legend" aria-hidden="true">{legend}</div>'
        + _strip("sound", "wave", "0 -50 1000 100", _sound(timeline, end), "Waveform")
        + _strip("emotion", "bands", "0 0 1000 100", _bands(turns, end), _emotions(timeline))
        + "".join(
            _strip(x, "curve", "0 0 1000 100", _level(turns, end, x), _range(turns, x))
            for x in dict.fromkeys(name for turn in turns for name in turn.dimensions)
        )
        + f'<div class="lane"><span></span>{ticks(end, 6)}</div>'
        '<p class="note">Each column is a turn of speech; heights are probabilities. Valence and '
        "arousal run from 1 (bottom) to 5; the line is 3. All numbers are in the table.</p></section>"
    )  # fmt: skip


def _strip(name: str, kind: str, box: str, shapes: str, said: str) -> str:
    return (
        f'<div class="lane"><span>{name}</span><svg class="strip {kind}" viewBox="{box}" '
        f'preserveAspectRatio="none" role="img" aria-label="{safe(said)}">{shapes}</svg></div>'
    )


def _sound(timeline: Timeline, end: float) -> str:
    """The envelope twice: grey as a whole, and cut out in each turn's colour."""
    bins = timeline.envelope
    if not len(bins):
        return ""
    low, high = bins.T
    whole = envelope(low, high, BINS, 1000 * len(bins) * timeline.bin / end)
    rects = "".join(
        f'<rect x="{_at(t.start, end)}" width="{_at(t.end - t.start, end)}" y="-50" height="100" '
        f'fill="{colour(t.label)}"/>'
        for t in timeline.predictions
    )
    clip = f'<clipPath id="erc-sound">{whole}</clipPath>'
    return f'<defs>{clip}</defs>{whole}<g clip-path="url(#erc-sound)">{rects}</g>'


def _bands(turns: Iterable[Any], end: float) -> str:
    shapes = ""
    for turn in turns:
        floor = 100.0
        for emotion in EMOTIONS:
            height = 100 * turn.probabilities.get(emotion, 0.0)
            floor -= height
            shapes += (
                f'<rect x="{_at(turn.start, end)}" width="{_at(turn.end - turn.start, end)}" '
                f'y="{floor:.1f}" height="{height:.1f}" fill="{COLOURS[emotion]}"/>'
            )
    return shapes


def _level(turns: Iterable[Any], end: float, name: str) -> str:
    """A bar from the middle of the scale to the value of each turn."""
    shapes = ""
    for turn in turns:
        if name not in turn.dimensions:
            continue
        value = 25 * (5 - turn.dimensions[name])
        shapes += (
            f'<rect x="{_at(turn.start, end)}" width="{_at(turn.end - turn.start, end)}" '
            f'y="{min(50, value):.1f}" height="{max(1.5, abs(value - 50)):.1f}"/>'
        )
    return f'{shapes}<path class="zero" d="M0 50H1000"/>'


def _at(t: float, end: float) -> str:
    return f"{1000 * t / end:.2f}"


def _emotions(timeline: Timeline) -> str:
    most = ", ".join(f"{e} {percent(s)}" for e, s in timeline.shares()[:3])
    return f"Probabilities of the seven emotions over time; most: {most}"


def _range(turns: list[Any], name: str) -> str:
    values = [t.dimensions[name] for t in turns if name in t.dimensions]
    return f"{name} over time: from {min(values):.1f} to {max(values):.1f} on the scale 1–5"


def turns_table(timeline: Timeline) -> str:
    """A row a turn; it scrolls by itself and takes the keyboard's focus for that."""
    more = [name for name in ("speaker", "text") if any(getattr(t, name) for t in timeline.turns)]
    rows = "".join(_row(turn, more) for turn in timeline.turns)
    said = "".join(f'<th scope="col">{SAID[name]}</th>' for name in more)
    return (
        '<section class="part"><h4 id="erc-turns">Turns</h4><div class="scroll" tabindex="0" '
        'role="region" aria-labelledby="erc-turns"><table class="turns"><thead><tr><th scope="col">time'
        '</th><th scope="col">emotion</th><th scope="col">valence</th><th scope="col">arousal</th>'
        f"{said}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(turn: Any, more: list[str]) -> str:
    said = "".join(f'<td class="{name}">{safe(getattr(turn, name) or "")}</td>' for name in more)
    time = f"{_clock(turn.start)}–{_clock(turn.end)}"
    if isinstance(turn, Failure):
        return f'<tr><th scope="row">{time}</th><td colspan="3">{safe(turn.error)}</td>{said}</tr>'
    notes = (
        ' <abbr title="little confidence, or unlike the training data">unsure</abbr>' * turn.abstain
    )
    notes += ' <abbr title="valence and arousal do not fit the emotion">does not fit</abbr>' * bool(
        turn.conflict
    )
    emotion = (
        f"{dot(turn.label)}{turn.label} {percent(turn.confidence)}" if turn.label else turn.reason
    )
    placed = [f"{x:.1f}" if x is not None else "–" for x in (turn.valence, turn.arousal)]
    return (
        f'<tr><th scope="row">{time}</th><td>{emotion}{notes}</td>'
        f"{''.join(f'<td>{x}</td>' for x in placed)}{said}</tr>"
    )


def _clock(t: float) -> str:
    """
    >>> _clock(75.42)
    '1:15.4'
    """
    return f"{int(t // 60)}:{t % 60:04.1f}" if t < 3600 else seconds(t)


def downloads(files: Iterable[tuple[str, str, str, str]]) -> str:
    """Links that hold their file themselves, so that nothing stays on the server.

    Args:
        files: (what the link says, file name, MIME type, content).
    """
    links = "".join(
        f'<a class="download" download="{safe(name)}" href="data:{mime};base64,'
        f'{base64.b64encode(content.encode()).decode()}">{label}</a>'
        for label, name, mime, content in files
    )
    return f'<nav class="downloads" aria-label="Downloads">{links}</nav>'


def exports(timeline: Timeline, stem: str) -> str:
    """The timeline as CSV, WebVTT and ELAN."""
    files = []
    for format, mime in FILES.items():
        sink = io.StringIO()
        write(timeline, format, sink)
        files.append((f"Download {KINDS[format]}", f"{stem}.{format}", mime, sink.getvalue()))
    return downloads(files)
