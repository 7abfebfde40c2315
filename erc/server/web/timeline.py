"""What the page shows of a long recording: strips over time, a table of turns."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import Any

from erc.base.space import Dimension, Space
from erc.recognizer.prediction import Failure
from erc.recognizer.scales import count, number, one_scale, share
from erc.server.web.figures import colour, dot, envelope, percent, safe, seconds, ticks
from erc.timeline import Timeline, write

BINS = 600  # of the waveform
FILES = {"csv": "text/csv", "vtt": "text/vtt", "eaf": "application/xml"}
SAID = {"speaker": "speaker", "text": "said"}
KINDS = {"csv": "CSV", "vtt": "WebVTT (subtitles)", "eaf": "ELAN"}


def strips(timeline: Timeline) -> str:
    """Waveform in the colours of its emotions, their probabilities, and the dimensions."""
    end, space = timeline.duration or 1.0, timeline.space
    turns = timeline.predictions
    legend = "".join(f"<span>{dot(e, space)}{e}</span>" for e in space.emotions)
    drawn = [d for d in space.dimensions if any(d.name in turn.dimensions for turn in turns)]
    bands = _strip("emotion", "bands", "0 0 1000 100", _bands(turns, end), _emotions(timeline))
    heights = "; heights are probabilities" * bool(space.emotions)
    return (
        '<section class="part"><h4>Over time</h4>'
        f'<div class="legend" aria-hidden="true">{legend}</div>'
        + _strip("sound", "wave", "0 -50 1000 100", _sound(timeline, end), "Waveform")
        + (bands if space.emotions else "")
        + "".join(
            _strip(d.name, "curve", "0 0 1000 100", _level(turns, end, d), _range(turns, d))
            for d in drawn
        )
        + f'<div class="lane"><span></span>{ticks(end, 6)}</div>'
        f'<p class="note">Each column is a turn of speech{heights}.{_scales(drawn)} All numbers are in '
        "the table.</p></section>"
    )  # fmt: skip


def _scales(drawn: list[Dimension]) -> str:
    """What the heights of the curves mean."""
    if not drawn:
        return ""
    if not (scale := one_scale(drawn)):
        return " Dimensions run from the lowest (bottom) to the highest value of their scale."
    names = " and ".join(filter(None, (", ".join(d.name for d in drawn[:-1]), drawn[-1].name)))
    low, middle, high = (f"{x:g}".replace("-", "−") for x in (scale.low, scale.middle, scale.high))
    runs = "runs" if len(drawn) == 1 else "run"
    return f" {names.capitalize()} {runs} from {low} (bottom) to {high}; the line is {middle}."


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
        f'fill="{colour(t.label, timeline.space)}"/>'
        for t in timeline.predictions
    )
    clip = f'<clipPath id="erc-sound">{whole}</clipPath>'
    return f'<defs>{clip}</defs>{whole}<g clip-path="url(#erc-sound)">{rects}</g>'


def _bands(turns: Iterable[Any], end: float) -> str:
    shapes = ""
    for turn in turns:
        floor = 100.0
        for emotion in turn.space.emotions:
            height = 100 * turn.probabilities.get(emotion, 0.0)
            floor -= height
            shapes += (
                f'<rect x="{_at(turn.start, end)}" width="{_at(turn.end - turn.start, end)}" '
                f'y="{floor:.1f}" height="{height:.1f}" fill="{colour(emotion, turn.space)}"/>'
            )
    return shapes


def _level(turns: Iterable[Any], end: float, dimension: Dimension) -> str:
    """A bar from the middle of the scale to the value of each turn."""
    shapes = ""
    for turn in turns:
        if dimension.name not in turn.dimensions:
            continue
        value = 100 * (1 - share(dimension, turn.dimensions[dimension.name]))
        shapes += (
            f'<rect x="{_at(turn.start, end)}" width="{_at(turn.end - turn.start, end)}" '
            f'y="{min(50, value):.1f}" height="{max(1.5, abs(value - 50)):.1f}"/>'
        )
    return f'{shapes}<path class="zero" d="M0 50H1000"/>'


def _at(t: float, end: float) -> str:
    return f"{1000 * t / end:.2f}"


def _emotions(timeline: Timeline) -> str:
    most = ", ".join(f"{e} {percent(s)}" for e, s in timeline.shares()[:3])
    many = count(len(timeline.space.emotions))
    return f"Probabilities of the {many} emotions over time; most: {most}"


def _range(turns: Iterable[Any], d: Dimension) -> str:
    values = [t.dimensions[d.name] for t in turns if d.name in t.dimensions]
    low, high = number(d, min(values)), number(d, max(values))
    return f"{d.name} over time: from {low} to {high} on the scale {d.range}"


def turns_table(timeline: Timeline) -> str:
    """A row a turn; it scrolls by itself and takes the keyboard's focus for that."""
    more = [name for name in ("speaker", "text") if any(getattr(t, name) for t in timeline.turns)]
    rows = "".join(_row(turn, more, timeline.space) for turn in timeline.turns)
    columns = ["time", "emotion", *timeline.space.names, *(SAID[name] for name in more)]
    head = "".join(f'<th scope="col">{name}</th>' for name in columns)
    return (
        '<section class="part"><h4 id="erc-turns">Turns</h4><div class="scroll" tabindex="0" '
        f'role="region" aria-labelledby="erc-turns"><table class="turns"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _row(turn: Any, more: list[str], space: Space) -> str:
    said = "".join(f'<td class="{name}">{safe(getattr(turn, name) or "")}</td>' for name in more)
    time = f"{_clock(turn.start)}–{_clock(turn.end)}"
    if isinstance(turn, Failure):
        wide = 1 + len(space.dimensions)
        error = f'<td colspan="{wide}">{safe(turn.error)}</td>'
        return f'<tr><th scope="row">{time}</th>{error}{said}</tr>'
    notes = (
        ' <abbr title="little confidence, or unlike the training data">unsure</abbr>' * turn.abstain
    )
    notes += ' <abbr title="valence and arousal do not fit the emotion">does not fit</abbr>' * bool(
        turn.conflict
    )
    emotion = (
        f"{dot(turn.label, space)}{turn.label} {percent(turn.confidence)}"
        if turn.label
        else turn.reason
    )
    known = turn.dimensions
    placed = [number(d, known[d.name]) if d.name in known else "–" for d in space.dimensions]
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
