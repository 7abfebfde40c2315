"""Transcripts with times: SRT, WebVTT and JSON → `Segment`s, and which turn each belongs to."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import ConfigError
from erc.base.text import decode

CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?")  # hours may be missing
VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^<>]+)>|^\s*\[([^\]]{1,60})\]:\s")  # WebVTT; WhisperX
TAG = re.compile(  # <i>, <v Ann>, <00:01.000>; {\an8} of SubStation; but not "I <3 you > all"
    r"</?(?:[bcisuv]|em|font|lang|rt|ruby|strong)(?:[.\s][^<>]*)?>|<[\d:.]{5,}>|\{\\[^{}]*\}"
)
NO_CUE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")  # begins a block of WebVTT without words


class Segment(NamedTuple):
    """What is said between two times, s."""

    start: float
    end: float
    text: str
    speaker: str | None = None


def read(source: str | Path | Iterable[Any]) -> list[Segment]:
    """Segments of a transcript, in order of their start.

    Args:
        source: path of a .srt, .vtt or .json file; or segments as such: dicts {start, end, text}
            (seconds) with or without `speaker` (further keys are ignored), triples, or a dict
            {"segments": […]}, as speech recognisers write it. In subtitles a speaker is
            `<v Ann>` of WebVTT, or `[Ann]: ` at the beginning of a cue.

    Raises:
        ConfigError: unreadable, or not what its suffix says; the message names file and line.

    >>> read([{"start": 0, "end": 1.5, "text": "hello"}])
    [Segment(start=0.0, end=1.5, text='hello', speaker=None)]
    """
    if not isinstance(source, str | Path):
        return _sorted(_values(source, "segments"))
    path = Path(source)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"{path}: a transcript with times is one of {', '.join(READERS)}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    return _sorted(reader(decode(data, str(path)), str(path)))


def align(segments: Sequence[Segment], turns: Sequence[tuple[float, float]]) -> list[int | None]:
    """Which turn each segment belongs to: the one that it overlaps longest, the earlier of equals.

    Voice activity says where turns are, the transcript says what is said in them: a segment over
    two turns goes to one of them as a whole, because nobody knows where in it the pause is; a turn
    may get several; a segment in which no speech was found gets none (`None`), for a turn made of
    it would be an answer about silence.

    Args:
        segments: in order of their start.
        turns: (start, end) in s, in order of their start.

    >>> align([Segment(0, 3, "a"), Segment(8, 9, "b")], [(0, 1), (1.5, 4)])
    [1, None]
    """
    found: list[int | None] = []
    first = 0  # turns before it end before this and all later segments begin
    for start, end, *_ in segments:
        while first < len(turns) and turns[first][1] <= start:
            first += 1
        best, longest = None, 0.0
        for i in range(first, len(turns)):
            if turns[i][0] >= end:
                break
            shared = min(end, turns[i][1]) - max(start, turns[i][0])
            if shared > longest:
                best, longest = i, shared
        found.append(best)
    return found


def clock(seconds: float, comma: bool = False) -> str:
    """Time as WebVTT writes it, to the millisecond.

    >>> clock(3661.0625)
    '01:01:01.062'
    """
    rest, milliseconds = divmod(round(seconds * 1000), 1000)
    minutes, rest = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}{'.,'[comma]}{milliseconds:03d}"


def escape(text: str) -> str:
    """Text of a WebVTT cue: on one line, and no tag or arrow can begin in it."""
    return html.escape(" ".join(text.split()), quote=False)


def pasted(text: str) -> list[Segment] | None:
    """Subtitles that somebody put where words are expected; None: they are words."""
    if "-->" not in text:
        return None
    read_as = _vtt if text.lstrip().startswith("WEBVTT") else _srt
    return _sorted(read_as(text, "the transcript"))


def _cues(text: str, name: str) -> list[Segment]:
    """SRT and WebVTT: a line with an arrow, then words.

    In WebVTT they end at an empty line. In SRT an empty line may stand among them: they end where
    the next cue begins, which is its number, where cues have one.
    """
    lines = re.split(r"\r*\n|\r", text)
    vtt = lines[0].lstrip("\ufeff \t").startswith("WEBVTT")
    arrows = [i for i, line in enumerate(lines) if "-->" in line]
    numbered = bool(arrows) and arrows[0] > 0 and lines[arrows[0] - 1].strip().isdigit()
    found, at = [], 0
    while at < len(lines):
        line, at = lines[at], at + 1
        arrow_next = at < len(lines) and "-->" in lines[at]
        if vtt and NO_CUE.match(line) and not arrow_next:
            while at < len(lines) and lines[at].strip():  # a comment may hold anything
                at += 1
            continue
        if "-->" not in line:
            continue
        where, said = f"{name} line {at}", []
        start, end = (_seconds(part, where) for part in line.split("-->", 1))
        while at < len(lines) and "-->" not in lines[at] and (lines[at] or not vtt):
            said.append(lines[at])
            at += 1
        another = at < len(lines) and "-->" in lines[at] and (vtt or numbered)
        if another and said and said[-1].strip().isdigit():
            said.pop()  # the number of the next cue
        cue = " ".join(said)
        voice = VOICE.search(cue)
        speaker = html.unescape(voice[1] or voice[2]).strip() if voice else None
        cue = cue.replace(voice[0], "", 1) if voice else cue
        found.append(_checked(start, end, html.unescape(TAG.sub("", cue)), where, speaker))
    return _unrolled(found)


def _unrolled(cues: list[Segment]) -> list[Segment]:
    """Rolling captions repeat what still stands on the screen; here everything is said once.

    They are told by their habit: most cues begin with words that the cue before them ended with.
    """
    words = [cue.text.split() for cue in cues]
    again = [0] * len(cues)
    for i in range(1, len(cues)):
        if cues[i].start <= cues[i - 1].end + 0.1:
            before, now = words[i - 1], words[i]
            lengths = range(min(len(before), len(now)), 0, -1)
            again[i] = next((n for n in lengths if before[-n:] == now[:n]), 0)
    rolling = sum(  # one word said twice, as a cue of its own, is speech
        n > 1 or 0 < n < len(w) or (n == 1 and cue.end - cue.start < 0.05)
        for cue, w, n in zip(cues, words, again)
    )
    if len(cues) < 3 or 2 * rolling < len(cues):
        return cues
    return [cue._replace(text=" ".join(w[n:])) for cue, w, n in zip(cues, words, again)]


def _srt(text: str, name: str) -> list[Segment]:
    found = _cues(text, name)
    if not found and text.strip():
        raise ConfigError(
            f"{name} line 1: no cue in it; one looks like 00:00:01,000 --> 00:00:02,500"
        )
    return found


def _vtt(text: str, name: str) -> list[Segment]:
    first = text.lstrip().partition("\n")[0].strip()
    if not re.match(r"WEBVTT(\s|$)", first):
        raise ConfigError(f"{name} line 1: a .vtt file begins with WEBVTT; is this another format?")
    return _cues(text, name)


def _json(text: str, name: str) -> list[Segment]:
    try:
        return _values(json.loads(text), name)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{name} line {error.lineno}: no JSON ({error.msg})") from None


READERS = {".srt": _srt, ".vtt": _vtt, ".json": _json}


def _values(value: Any, name: str) -> list[Segment]:
    if isinstance(value, dict) and "segments" in value:
        value = value["segments"] or []
    if isinstance(value, dict):
        raise ConfigError(
            f'{name}: expected a list of {{start, end, text}}, or {{"segments": […]}}'
        )
    found = []
    for i, one in enumerate(value, 1):
        try:
            if isinstance(one, dict):
                one = one["start"], one["end"], one["text"], one.get("speaker")
            start, end, said, speaker = Segment(*one)
            found.append(
                _checked(float(start), float(end), str(said or ""), f"{name} segment {i}", speaker)
            )
        except (KeyError, TypeError, ValueError):  # not quoted: what is said is nobody's business
            raise ConfigError(f"{name} segment {i}: needs start, end (s) and text") from None
    return found


def _checked(
    start: float, end: float, text: str, where: str, speaker: str | None = None
) -> Segment:
    if not (math.isfinite(start) and math.isfinite(end) and 0 <= start <= end):
        raise ConfigError(f"{where}: from {start} s to {end} s; times grow and are not negative")
    return Segment(start, end, " ".join(text.split()), " ".join(str(speaker or "").split()) or None)


def _seconds(text: str, where: str) -> float:
    """First word of one side of an arrow; what follows are settings of the cue."""
    word = (text.split() or [""])[0]
    match = CLOCK.fullmatch(word)
    if not match:
        raise ConfigError(f"{where}: no time beside the arrow; expected hh:mm:ss.mmm")
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


def _sorted(segments: Iterable[Segment]) -> list[Segment]:
    """In order, without those that say nothing."""
    return sorted((s for s in segments if s.text), key=lambda s: s[:2])
