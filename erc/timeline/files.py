"""A timeline as a file: CSV, JSON, WebVTT, ELAN, a picture, or a table to read.

.csv   a turn a row: file, start and end in s, speaker, text, label, …
.json  everything, with the envelope
.vtt   WebVTT: a cue a turn, coloured by emotion, for any player beside the recording
.eaf   ELAN 3.0: tier emotion, and below it valence, arousal, speaker and text
.png .svg  the plot
"""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from xml.etree import ElementTree as Xml

from erc.base.cells import guarded
from erc.base.console import console
from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError, did_you_mean
from erc.base.files import atomic
from erc.model.folder.learned import SIMULATED
from erc.recognizer.prediction import COLUMNS, NO_SPEECH, Failure, row
from erc.timeline.record import Record
from erc.timeline.subtitles import clock, escape

SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
MIME = {".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".flac": "audio/flac", ".ogg": "audio/ogg"}
OF_EMOTION = ("valence", "arousal", "speaker", "text")  # tiers below the emotion's
SCALES = "valence 1 negative … 5 positive, arousal 1 calm … 5 excited"


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
    fields = ["file", "start", "end", "speaker", "text", *COLUMNS[1:]]
    rows = csv.DictWriter(sink, fields, lineterminator="\n")
    rows.writeheader()
    rows.writerows(guarded(row(turn)) for turn in timeline.turns)


def _json(timeline: Record, sink: TextIO) -> None:
    json.dump(timeline.to_dict(), sink, ensure_ascii=False, indent=1)
    sink.write("\n")


def _vtt(timeline: Record, sink: TextIO) -> None:
    """Cue: `happy 62 % · valence 3.8 · arousal 3.2`, below it who says what."""
    from erc.base.figures import COLOURS

    blocks = [f"WEBVTT - {escape(Path(timeline.file).name)}: emotion of each turn"]
    blocks += [f"NOTE\n{SCALES}; the number beside an emotion is its probability"]
    blocks += [f"NOTE\n{SIMULATED}"] if timeline.simulated else []
    blocks += ["\n".join(["STYLE", *(f"::cue(.{e}) {{ color: {COLOURS[e]} }}" for e in EMOTIONS)])]
    blocks += [] if timeline.turns else [f"NOTE\n{NO_SPEECH}"]
    for number, turn in enumerate(timeline.turns, 1):
        lines = [str(number), f"{clock(turn.start)} --> {clock(turn.end)}"]
        if isinstance(turn, Failure):
            lines.append(f"failed: {escape(turn.error)}")
        else:
            doubt = " (unsure)" * turn.abstain
            emotion = escape(turn.reason or "")
            if turn.label:
                emotion = f"<c.{turn.label}>{turn.label} {turn.confidence:.0%}</c>{doubt}"
            placed = [f"{name} {value:.1f}" for name, value in turn.dimensions.items()]
            lines.append(" · ".join([emotion, *placed]))
        if turn.text or turn.speaker:
            voice = f"<v {escape(turn.speaker)}>" if turn.speaker else ""
            lines.append(voice + escape(turn.text or "…"))
        blocks.append("\n".join(lines))
    sink.write("\n\n".join(blocks) + "\n")


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
            ("emotion", "emotion", {}),
            *((n, "property", {"PARENT_REF": "emotion"}) for n in OF_EMOTION),
        )
    }
    _time_slots(timeline, times)
    count = 0
    for i, turn in enumerate(timeline.turns, 1):
        for name, value in _annotations(turn):
            count += 1
            place = {"ANNOTATION_ID": f"a{count}"}
            if name == "emotion":
                parent = f"a{count}"
                place |= {"TIME_SLOT_REF1": f"ts{i}b", "TIME_SLOT_REF2": f"ts{i}e"}
            else:
                place |= {"ANNOTATION_REF": parent}
            kind = "ALIGNABLE_ANNOTATION" if name == "emotion" else "REF_ANNOTATION"
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


def _annotations(turn: Any) -> list[tuple[str, str]]:
    """Tier and value, the emotion first."""
    if isinstance(turn, Failure):
        found = [("emotion", "failed")]
    else:
        found = [("emotion", turn.label or turn.reason)]
        found += [(name, f"{value:.2f}") for name, value in turn.dimensions.items()]
    said = [("speaker", turn.speaker), ("text", turn.text)]
    return found + [(tier, _legal(value)) for tier, value in said if value]


def _legal(text: str) -> str:
    """Without characters that XML 1.0 forbids."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


def _table(timeline: Record, sink: TextIO) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    speakers = any(turn.speaker for turn in timeline.turns)
    for name in (
        "from",
        "to",
        *["speaker"] * speakers,
        "emotion",
        "",
        "then",
        "valence",
        "arousal",
    ):
        table.add_column(name, no_wrap=True)
    table.add_column("text")
    for turn in timeline.turns:
        times: list[Any] = [clock(turn.start)[:-2], clock(turn.end)[:-2]]  # tenths
        times += [Text(turn.speaker or "")] * speakers
        if isinstance(turn, Failure):
            table.add_row(*times, "[red]failed[/red]", "", "", "", "", Text(turn.error))
            continue
        best = [(f"[bold]{turn.reason}[/bold]", ""), ("", "")]
        if turn.label:
            best = [(f"[bold]{e}[/bold]" if not i else e, f"{p:.0%}") for i, (e, p) in
                    enumerate(turn.top(2))]  # fmt: skip
        placed = [f"{x:.1f}" if x is not None else "" for x in (turn.valence, turn.arousal)]
        (first, p), then = best[0], " ".join(best[1])
        table.add_row(*times, first, p, then, *placed, Text(turn.text or ""))
    with console(file=sink) as page:
        page.print(table)
        page.print(repr(timeline), style="dim", markup=False, highlight=False)
        page.print(SCALES, style="dim")


WRITERS = {"csv": _csv, "json": _json, "vtt": _vtt, "eaf": _eaf, "table": _table}
PICTURES = ("png", "svg", "pdf")
SUFFIXES = [f".{name}" for name in (*WRITERS, *PICTURES) if name != "table"]
