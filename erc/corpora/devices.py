"""Files of the wrist band and the chest strap, as KEMDy19 and KEMDy20 keep them → `Track`.

    KEMDy19  EDA, TEMP  value,seconds,HH:MM:SS.mmm[,segment]       no header, rows outside segments
             ECG        seconds,value,HH:MM:SS.mmm[,segment]       have no id
    KEMDy20  EDA, TEMP  start / rate (2 lines), value,timestamp[,segment]
             IBI        start (1 line), seconds,interval,timestamp[,segment]

Time is the clock's: `seconds` starts again when a device was restarted. A row whose clock cannot be
read follows the row before it. Rows with another person's id, heard while listening, keep their
value as context and lose the id. What cannot be used is counted in `Track.notes`.
"""

from __future__ import annotations

import functools
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from erc.base.errors import CorpusError
from erc.base.physiology import Signals, Span, Track, beats_of_ecg
from erc.corpora.utterance import Report, Utterance

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 1 << 23  # bytes read at once: an ECG file of an hour has 40 MB
DAY = 86_400  # s
TEAR = 10.0  # s between two rows of one segment: it is in two places
SIGNAL = {"EDA": "eda", "TEMP": "temp", "ECG": "heart", "IBI": "heart"}
CELLS = 6  # two more than any layout has: room to see a row with too many
CLOCK = re.compile(r"(\d{1,2}):(\d\d):(\d\d(?:\.\d+)?)\s*$")


class Form(NamedTuple):
    """Which cell is what, and which values a body can have; others are no contact or noise."""

    value: int
    clock: int
    header: int  # lines of the device's own
    rate: float | None  # Hz; None: as the clock says
    low: float
    high: float
    gap: float  # s; a longer step of the clock interrupts the recording


EDA, TEMP = (0.01, 100.0, 1.0), (15.0, 45.0, 1.0)  # µS, °C
FORMS = {
    "kemdy19": {
        "EDA": Form(0, 2, 0, 4.0, *EDA),
        "TEMP": Form(0, 2, 0, 4.0, *TEMP),
        "ECG": Form(1, 2, 0, None, -np.inf, np.inf, 0.1),
    },
    "kemdy20": {
        "EDA": Form(0, 1, 2, 4.0, *EDA),
        "TEMP": Form(0, 1, 2, 4.0, *TEMP),
        "IBI": Form(1, 2, 1, 1.0, 0.25, 2.5, 5.0),
    },
}


def files(root: Path, corpus: str, session: str, person: str, dialogue: str) -> dict[str, Path]:
    """Where the signals of a person lie in a corpus folder, by kind; whether they do is seen later.

    Args:
        session: two digits; person: "F", "M" (KEMDy19) or "User001F" (KEMDy20).
    """
    if corpus == "kemdy19":
        name = f"Session{session}/Original/Sess{session}{person}.csv"
    else:
        name = f"Session{session}/Sess{session}_{dialogue}_{person}.csv"
    return {kind: root / kind / name for kind in FORMS[corpus]}


def read(path: Path, form: Form, owner: str) -> Track:
    """One file, streamed.

    Args:
        form: of `FORMS`.
        owner: marks ids that are the file's own: "_F" (KEMDy19), "_User001F_" (KEMDy20).

    Returns:
        Track, its segments named without the session ("script01_F001"); empty where the file has
        no usable row.
    """
    notes: Counter[str] = Counter()
    names: dict[str, int] = {}
    parts = [_columns(table, form, names) for table in _tables(path, form, notes)]
    if not parts:
        return Track.empty(notes)
    value, other, clock, code = (np.concatenate(c) for c in zip(*parts, strict=True))
    clock = _continuous(clock, form.rate, notes)
    if _advances(value, clock) and not _advances(other, clock):
        notes["value and seconds in the other order"] += 1
        value = other
    good = np.isfinite(value) & (value >= form.low) & (value <= form.high)
    if not good.all():
        notes["value missing or impossible"] += int((~good).sum())
    value, clock, code = value[good], clock[good], code[good]
    step = np.diff(clock, prepend=clock[:1])
    run = np.cumsum((step > form.gap) | (step < -0.01))
    own = {code: _name(name) for name, code in names.items() if owner in name}
    return Track(clock, value, run, _spans(code, clock, run, own), notes)


def _spans(
    code: np.ndarray, clock: np.ndarray, run: np.ndarray, names: dict[int, str]
) -> dict[str, Span]:
    """First and last row of each segment; the longest part of one that the clock tears apart."""
    order = np.argsort(code, kind="stable")
    cuts = np.flatnonzero(np.diff(code[order])) + 1
    spans = {}
    for rows in np.split(order, cuts):
        if len(rows) and (name := names.get(int(code[rows[0]]))):
            torn = np.abs(np.diff(clock[rows])) > TEAR
            part = max(np.split(rows, np.flatnonzero(torn) + 1), key=len)
            first, last = part[0], part[-1]
            spans[name] = Span(clock[first], clock[last], int(run[first]), int(run[last]))
    return spans


def _tables(path: Path, form: Form, notes: Counter[str]) -> Iterator[pd.DataFrame]:
    """Blocks of whole lines as tables of `CELLS` columns; the ids as categories."""
    import pandas as pd

    with path.open("rb") as handle:
        rest, first = b"", True
        while block := handle.read(BLOCK):
            block, _, rest = (rest + block).rpartition(b"\n")
            if first:
                block, first = _without_header(block, form), False
            if block.strip():
                yield _table(pd, block, form, notes)
        if first:
            rest = _without_header(rest, form)
        if rest.strip():
            yield _table(pd, rest, form, notes)


def _without_header(block: bytes, form: Form) -> bytes:
    """An E4 header begins with a time in Unix seconds, which no signal reaches."""
    block = block.removeprefix(b"\xef\xbb\xbf")
    first = re.match(rb"\s*(\d{9,})", block)
    lines = block.split(b"\n", form.header if first else 0)
    return lines[-1] if not first or len(lines) > form.header else b""


def _table(pd, block: bytes, form: Form, notes: Counter[str]) -> pd.DataFrame:
    numbers = [c for c in range(CELLS) if c < form.clock]
    kinds = dict.fromkeys(numbers, float) | {form.clock: str, form.clock + 1: "category"}
    how = {"names": range(CELLS), "header": None, "quoting": 3, "on_bad_lines": "skip"}
    how |= {"index_col": False, "skipinitialspace": True, "encoding_errors": "replace"}
    try:
        table = pd.read_csv(BytesIO(block), dtype=kinds, **how)
    except ValueError:  # a cell that is no number
        table = pd.read_csv(BytesIO(block), dtype=str, **how)
        table[numbers] = table[numbers].apply(pd.to_numeric, errors="coerce")
    extra = table.iloc[:, form.clock + 2 :].notna().any(axis=1)
    lost = block.rstrip(b"\r\n").count(b"\n") + 1 - len(table) + int(extra.sum())
    if lost:
        notes["row not understood"] += lost
    return table[~extra]


def _columns(table: pd.DataFrame, form: Form, names: dict[str, int]) -> tuple[np.ndarray, ...]:
    """Values, the other number (or the value again), clock in s (nan: unreadable), code of the id.

    `names` takes each new id with its code, from 1; 0 is a row without id.
    """
    value = table[form.value].to_numpy(float)
    other = table[1 - form.value].to_numpy(float) if form.clock == 2 else value
    clock = clock_seconds(table[form.clock].fillna("").to_numpy(object))
    ids = table[form.clock + 1].astype("category").cat
    found = [str(c).strip() for c in ids.categories]
    codes = np.array([*(names.setdefault(n, len(names) + 1) if n else 0 for n in found), 0])
    return value, other, clock, codes[ids.codes.to_numpy()]


def clock_seconds(stamps: np.ndarray) -> np.ndarray:
    """`…HH:MM:SS.mmm` → seconds since midnight, nan where that cannot be read.

    >>> clock_seconds(np.array(["16:50:49.250", "2019-05-02 00:00:01.5", "?"], object)).tolist()
    [60649.25, 1.5, nan]
    """
    text = stamps.astype("S")  # a stamp as long as the longest, ending in HH:MM:SS.mmm, is usual
    width = text.dtype.itemsize
    codes = text.view(np.uint8).reshape(-1, width)[:, -12:].astype(np.int16) - ord("0")
    if width < 12:
        codes = np.full((len(text), 12), -1, np.int16)
    digits = codes[:, [0, 1, 3, 4, 6, 7, 9, 10, 11]]
    usual = ((digits >= 0) & (digits <= 9)).all(1)
    usual &= (codes[:, [2, 5]] == 10).all(1) & (codes[:, 8] == -2)  # ":" and "." less "0"
    seconds = digits @ np.array([36000, 3600, 600, 60, 10, 1, 0.1, 0.01, 0.001])
    for i in np.flatnonzero(~usual):
        match = CLOCK.search(stamps[i])
        h, m, s = match.groups() if match else ("nan",) * 3
        seconds[i] = float(h) * 3600 + float(m) * 60 + float(s)
    return seconds


def _continuous(clock: np.ndarray, rate: float | None, notes: Counter[str]) -> np.ndarray:
    """Midnight passed: a day on. Unreadable: one step after the row before."""
    known = np.flatnonzero(np.isfinite(clock))
    if len(known) < len(clock):
        notes["clock not readable, taken from the order of rows"] += len(clock) - len(known)
    if not len(known):
        return np.arange(len(clock)) / (rate or 250.0)
    days = np.cumsum(np.diff(clock[known], prepend=clock[known[0]]) < -DAY / 2)
    clock = clock.copy()
    clock[known] += DAY * days
    if len(known) == len(clock):
        return clock
    step = 1 / rate if rate else float(np.median(np.diff(clock[known]))) if len(known) > 1 else 0.0
    before = known[np.maximum(np.searchsorted(known, np.arange(len(clock)), "right") - 1, 0)]
    return clock[before] + (np.arange(len(clock)) - before) * step


def _advances(x: np.ndarray, clock: np.ndarray) -> bool:
    """True if the numbers go on as the clock does: they are seconds, not a signal."""
    step = np.diff(clock)
    near = np.abs(np.diff(x) - step) <= 0.3 * np.abs(step) + 1e-6
    return len(x) > 8 and bool(near.mean() > 0.8)


class Reader:
    """Signals of utterances. The files of the last few people are kept; for any number of threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._track = functools.lru_cache(16)(_track)
        self._noted: set[Path] = set()

    def signals(self, u: Utterance, report: Report) -> Signals | None:
        """What was measured of an utterance, and a line in `report` for each kind that was not."""
        tracks = {}
        for kind, path in (u.physiology or {}).items():
            owners = {"kemdy19": f"_{u.gender}", "kemdy20": f"_{u.speaker}{u.gender}_"}
            track = self.track(kind, path, u.id, u.corpus, owners.get(u.corpus, ""))
            with self._lock:
                fresh = path not in self._noted
                self._noted.add(path)
            if fresh and track:
                for note, count in track.notes.items():
                    report.correct(f"{kind} file: {note}", f"{path} ({count} times)")
            reason = _missing(track, _name(u.id))
            if reason:
                report.correct(f"{kind}: {reason}, kept without", f"{u.id}, {path}")
            elif track:
                tracks[SIGNAL[kind]] = track
        return Signals.cut(tracks, _name(u.id))

    def given(self, files: Mapping[str, Path], segment: str) -> Signals:
        """What was measured of a segment, from files that somebody names.

        Args:
            files: kind (EDA, TEMP, ECG, IBI) → file in either layout.
            segment: as the rows of the files are marked; a file that marks none is all of it.

        Raises:
            CorpusError: a file that is not there, or says nothing of the segment.
        """
        tracks = {}
        for kind, path in files.items():
            track = self.track(kind, path, segment)
            if reason := _missing(track, _name(segment)):
                raise CorpusError(f"{path}: {reason} ({kind} of {segment})")
            if track:
                tracks[SIGNAL[kind]] = track
        found = Signals.cut(tracks, _name(segment))
        if found is None:
            raise CorpusError(f"{segment}: no file of its body is named")
        return found

    def track(
        self, kind: str, path: Path, segment: str, corpus: str = "", owner: str = ""
    ) -> Track | None:
        """One file; None: there is none. Outside KEMDy one without any segment is all of this one."""
        with self._lock:  # parsing holds the interpreter anyway
            track = self._track(path, kind, corpus, owner)
        if track and corpus not in FORMS and not track.spans and len(track.times):
            whole = Span(track.times[0], track.times[-1], int(track.run[0]), int(track.run[-1]))
            track = replace(track, spans={_name(segment): whole})
        return track


def _name(segment: str) -> str:
    """A segment without its session, as `read` names it."""
    return segment.partition("_")[2] or segment


def _track(path: Path, kind: str, corpus: str, owner: str) -> Track | None:
    if not path.is_file():
        return None
    track = read(path, FORMS[corpus if corpus in FORMS else _layout(path, kind)][kind], owner)
    return beats_of_ecg(track) if kind == "ECG" else track


def _layout(path: Path, kind: str) -> str:
    """Whose files look like this one: KEMDy20's begin with a header of the wrist band."""
    with path.open("rb") as file:
        header = re.match(rb"(\xef\xbb\xbf)?\s*\d{9,}", file.read(64))
    return "kemdy20" if kind == "IBI" or (header and kind != "ECG") else "kemdy19"


def _missing(track: Track | None, segment: str) -> str:
    """Why a file tells nothing of a segment, or ""."""
    if track is None:
        return "no file"
    if not len(track.times):
        return "file without a usable row"
    return "" if segment in track.spans else "segment not in the file"
