"""A timeline as a file: CSV, JSON, WebVTT, ELAN, a picture, or a table to read.

.csv   a turn a row: file, start and end in s, speaker, text, label, …
.json  everything, with the envelope
.vtt   WebVTT: a cue a turn, coloured by emotion, for any player beside the recording
.eaf   ELAN 3.0: tier emotion, and below it the dimensions, speaker and text
.png .svg  the plot
"""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree as Xml

from erc.base.cells import guarded
from erc.base.console import console
from erc.base.errors import ConfigError, did_you_mean
from erc.base.figures import colours
from erc.base.files import atomic
from erc.base.space import Space
from erc.model.folder.learned import SIMULATED
from erc.recognizer.prediction import NO_SPEECH, Failure, columns, row
from erc.recognizer.scales import answered, digits, legend, number
from erc.timeline.record import Record
from erc.timeline.subtitles import clock, escape

SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
MIME = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}
MAIN = "emotion"  # the tier that the others hang on; without emotions its annotations say why
SAID = ("speaker", "text")
IDENTIFIER = r"[^\W\d]\w*"  # of a class in WebVTT, which is one of CSS


class Timeline(Record):
    """A `Record` that can be written."""

    def save(self, path: str | Path) -> Path:
        """Write .csv, .json, .vtt, .eaf, .png or .svg; see `erc.timeline.files`."""
        return save(self, path)


def write(timeline: Record, format: str, sink: TextIO) -> None:
    """Write a timeline as text.

    Args:
        format: csv | json | vtt | eaf | table.
        sink: an open text file.

    Raises:
        ConfigError: no such format.
    """
    if format not in WRITERS:
        raise ConfigError(
            f"format '{format}' is not one of {', '.join(WRITERS)}{did_you_mean(format, WRITERS)}"
        )
    WRITERS[format](timeline, sink)


def save(timeline: Record, path: str | Path, format: str | None = None) -> Path:
    """Write a file, whole or not at all.

    Args:
        format: None: by the suffix.

    Raises:
        ConfigError: a suffix that says nothing.
    """
    path = Path(path)
    suffix = format or path.suffix[1:].lower()
    if suffix in PICTURES:
        from erc.timeline.plot import draw

        return draw(timeline, path)
    if suffix not in WRITERS:
        raise ConfigError(f"{path}: give it one of the suffixes {', '.join(SUFFIXES)}")
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as sink:
        write(timeline, suffix, sink)
    return path


def _csv(timeline: Record, sink: TextIO) -> None:
    fields = ["file", "start", "end", "speaker", "text", *columns(timeline.space)[1:]]
    rows = csv.DictWriter(sink, fields, lineterminator="\n")
    rows.writeheader()
    rows.writerows(guarded(row(turn)) for turn in timeline.turns)


def _json(timeline: Record, sink: TextIO) -> None:
    json.dump(timeline.to_dict(), sink, ensure_ascii=False, indent=1)
    sink.write("\n")


def _vtt(timeline: Record, sink: TextIO) -> None:
    """Cue: `happy 62 % · valence 3.8 · arousal 3.2`, below it who says what."""
    blocks = [f"WEBVTT - {escape(Path(timeline.file).name)}: emotion of each turn"]
    told = [legend(timeline.space)] if timeline.space.dimensions else []
    told += ["the number beside an emotion is its probability"] if timeline.space.emotions else []
    blocks += [f"NOTE\n{'; '.join(told)}"]
    blocks += [f"NOTE\n{SIMULATED}"] if timeline.simulated else []
    classes, hues = _classes(timeline.space), colours(timeline.space.emotions)
    style = [f"::cue(.{name}) {{ color: {hues[e]} }}" for e, name in classes.items()]
    blocks += ["\n".join(["STYLE", *style])] if style else []
    blocks += [] if timeline.turns else [f"NOTE\n{NO_SPEECH}"]
    for count, turn in enumerate(timeline.turns, 1):
        lines = [str(count), f"{clock(turn.start)} --> {clock(turn.end)}"]
        if isinstance(turn, Failure):
            lines.append(f"failed: {escape(turn.error)}")
        else:
            doubt = " (unsure)" * turn.abstain
            says_why = timeline.space.emotions or not turn.dimensions
            emotion = escape(turn.reason or "") if says_why else ""
            if turn.label:
                share = f"{turn.label} {turn.confidence:.0%}"
                emotion = f"<c.{classes[turn.label]}>{share}</c>{doubt}"
            known = answered(timeline.space, turn.dimensions)
            placed = [f"{d.name} {number(d, x)}" for d, x in known]
            lines.append(" · ".join(filter(None, [emotion, *placed])))
        if turn.text or turn.speaker:
            voice = f"<v {escape(turn.speaker)}>" if turn.speaker else ""
            lines.append(voice + escape(turn.text or "…"))
        blocks.append("\n".join(lines))
    sink.write("\n\n".join(blocks) + "\n")


def _classes(space: Space) -> dict[str, str]:
    """Emotion → its class in the style of subtitles: its name if that can be one.

    >>> _classes(Space(("sad", "very sad")))
    {'sad': 'sad', 'very sad': 'emotion-1'}
    """
    return {
        e: e if re.fullmatch(IDENTIFIER, e) else f"emotion-{k}"
        for k, e in enumerate(space.emotions)
    }


def _eaf(timeline: Record, sink: TextIO) -> None:
    """ELAN Annotation Format 3.0 (EAFv3.0.xsd): the other tiers hang on the emotion's annotations."""
    document = Xml.Element(
        "ANNOTATION_DOCUMENT",
        {"AUTHOR": "erc", "DATE": datetime.now(UTC).isoformat(timespec="seconds")}
        | {"FORMAT": "3.0", "VERSION": "3.0", "xmlns:xsi": XSI}
        | {"xsi:noNamespaceSchemaLocation": SCHEMA},
    )
    header = Xml.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    path = Path(timeline.file)
    if path.is_file():
        Xml.SubElement(
            header, "MEDIA_DESCRIPTOR",
            MEDIA_URL=path.resolve().as_uri(), RELATIVE_MEDIA_URL=f"./{path.name}",
            MIME_TYPE=MIME.get(path.suffix.lower(), "audio/*"),
        )  # fmt: skip
    if timeline.simulated:
        Xml.SubElement(header, "PROPERTY", NAME="simulated").text = SIMULATED
    times = Xml.SubElement(document, "TIME_ORDER")
    tiers = {
        name: Xml.SubElement(document, "TIER", {"TIER_ID": name, "LINGUISTIC_TYPE_REF": kind} | of)
        for name, kind, of in (
            (MAIN, "emotion", {}),
            *((n, "property", {"PARENT_REF": MAIN}) for n in (*timeline.space.names, *SAID)),
        )
    }
    _time_slots(timeline, times)
    count = 0
    for i, turn in enumerate(timeline.turns, 1):
        for name, value in _annotations(turn, timeline.space):
            count += 1
            place = {"ANNOTATION_ID": f"a{count}"}
            if name == MAIN:
                parent = f"a{count}"
                place |= {"TIME_SLOT_REF1": f"ts{i}b", "TIME_SLOT_REF2": f"ts{i}e"}
            else:
                place |= {"ANNOTATION_REF": parent}
            kind = "ALIGNABLE_ANNOTATION" if name == MAIN else "REF_ANNOTATION"
            one = Xml.SubElement(Xml.SubElement(tiers[name], "ANNOTATION"), kind, place)
            Xml.SubElement(one, "ANNOTATION_VALUE").text = value
    Xml.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId").text = str(count)
    Xml.SubElement(document, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="emotion",
                   TIME_ALIGNABLE="true", GRAPHIC_REFERENCES="false")  # fmt: skip
    Xml.SubElement(document, "LINGUISTIC_TYPE", LINGUISTIC_TYPE_ID="property",
                   TIME_ALIGNABLE="false", GRAPHIC_REFERENCES="false",
                   CONSTRAINTS="Symbolic_Association")  # fmt: skip
    Xml.SubElement(document, "CONSTRAINT", STEREOTYPE="Symbolic_Association",
                   DESCRIPTION="1-1 association with a parent annotation")  # fmt: skip
    Xml.indent(document)
    sink.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    sink.write(Xml.tostring(document, "unicode") + "\n")


def _time_slots(timeline: Record, times: Xml.Element) -> None:
    """Milliseconds, in the order of time; a turn is at least one long."""
    slots = []
    for i, turn in enumerate(timeline.turns, 1):
        start = round(turn.start * 1000)
        slots += [(start, f"ts{i}b"), (max(start + 1, round(turn.end * 1000)), f"ts{i}e")]
    for value, name in sorted(slots):
        Xml.SubElement(times, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(value))


def _annotations(turn: Any, space: Space) -> list[tuple[str, str]]:
    """Tier and value, the emotion first."""
    if isinstance(turn, Failure):
        found = [(MAIN, "failed")]
    else:
        found = [(MAIN, turn.label or turn.reason)]
        found += [(d.name, f"{x:.{digits(d) + 1}f}") for d, x in answered(space, turn.dimensions)]
    said = [(tier, getattr(turn, tier)) for tier in SAID]
    return found + [(tier, _legal(value)) for tier, value in said if value]


def _legal(text: str) -> str:
    """Without characters that XML 1.0 forbids."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


def _table(timeline: Record, sink: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table, space = Table(box=None), timeline.space
    speakers = any(turn.speaker for turn in timeline.turns)
    emotions = ["emotion", "", "then"] if space.emotions else [""]
    for name in ("from", "to", *["speaker"] * speakers, *emotions, *space.names):
        table.add_column(name, no_wrap=True)
    table.add_column("text")
    for turn in timeline.turns:
        times: list[Any] = [clock(turn.start)[:-2], clock(turn.end)[:-2]]  # tenths
        times += [Text(turn.speaker or "")] * speakers
        if isinstance(turn, Failure):
            blank = [""] * (len(emotions) - 1 + len(space.names))
            table.add_row(*times, "[red]failed[/red]", *blank, Text(turn.error))
            continue
        best = [(f"[bold]{turn.reason}[/bold]", ""), ("", "")]
        if turn.label:
            best = [(f"[bold]{e}[/bold]" if not i else e, f"{p:.0%}") for i, (e, p) in
                    enumerate(turn.top(2))]  # fmt: skip
        (first, p), then = best[0], " ".join(best[1])
        known = {d.name: number(d, x) for d, x in answered(space, turn.dimensions)}
        placed = [known.get(name, "") for name in space.names]
        told = [first, p, then] if space.emotions else [first * (not any(placed))]
        table.add_row(*times, *told, *placed, Text(turn.text or ""))
    with console(file=sink) as page:
        page.print(table)
        page.print(repr(timeline), style="dim", markup=False, highlight=False)
        if space.dimensions:
            page.print(legend(space), style="dim")


WRITERS = {"csv": _csv, "json": _json, "vtt": _vtt, "eaf": _eaf, "table": _table}
PICTURES = ("png", "svg", "pdf")
SUFFIXES = [f".{name}" for name in (*WRITERS, *PICTURES) if name != "table"]
