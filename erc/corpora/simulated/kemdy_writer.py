"""Write one session as KEMDy19 or KEMDy20 lays it out on disk. The readers are kemdy19, kemdy20.

With `defects` the tree has flaws of the real ones, in the same places where that is possible:

    KEMDy19   Session01: decoy recordings in `converted/` beside all dialogues but impro01; the
              wrist band is off in impro03 and impro04 (no EDA, TEMP; empty cells)
              Session02: the last segment has no transcript
              Session03: the F file calls Sess03_impro02_F001 "…_M001"
    KEMDy20   every fourth session (1, 5, …): script06 of the second user has an empty IBI file
              every third (3, 6, …): script05 of the first user has neither EDA nor TEMP
              Session02: the last segment's id in the annotation says Sess01
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from erc.base.space import KEMDY
from erc.base.voice import SAMPLE_RATE
from erc.corpora.simulated import signals
from erc.corpora.simulated.signals import Body, Span

# A tied total joins its emotions with ";" in the order of the corpus.
TIE_ORDER = {
    "kemdy19": "neutral happy sad angry fear disgust surprise".split(),
    "kemdy20": "happy surprise angry neutral disgust fear sad".split(),
}
START = datetime(2019, 5, 2, 10, tzinfo=UTC)  # clock of Session01; one session a day
BREAK = 1800  # s on the clock before KEMDy19's improvised scenes; the devices' seconds skip it


@dataclass(frozen=True)
class Votes:
    """What ten raters say of N utterances."""

    emotion: np.ndarray  # int [N, 10], index in KEMDY.emotions
    valence: np.ndarray  # int [N, 10], 1–5
    arousal: np.ndarray  # int [N, 10], 1–5


@dataclass(frozen=True)
class Session:
    """Everything that is written of one session; lists and arrays run over its N utterances."""

    number: int
    people: tuple[str, str]  # as the ids name them: "M", "F" or "User001F", "User002M"
    ids: list[str]
    dialogues: list[str]
    person: np.ndarray  # int [N], 0 or 1, index in `people`
    start: np.ndarray  # s, [N], in the dialogue's recording
    end: np.ndarray
    origin: np.ndarray  # s, [N], start of the dialogue on the session's time line
    wavs: list[np.ndarray]  # int16
    transcripts: list[str]
    votes: list[Votes]  # per person: as KEMDy19 rates speaker and listener; KEMDy20 uses the first
    bodies: list[Body]  # per person

    def spans(self, *, only: int | None = None) -> list[Span]:
        """Segments on the session's time line, all or one person's own."""
        start, end = self.origin + self.start, self.origin + self.end
        chosen = [i for i in range(len(self.ids)) if only is None or self.person[i] == only]
        return [Span(self.ids[i], start[i], end[i]) for i in chosen]


def write_kemdy19(root: Path, s: Session, raters: list[str], defects: bool) -> None:
    """Annotation of both people, wav and txt by dialogue, EDA, TEMP and ECG of both people."""
    name = f"Session{s.number:02d}"
    for i, identity in enumerate(s.ids):
        folder = root / "wav" / name / f"Sess{s.number:02d}_{s.dialogues[i]}"
        lost = defects and s.number == 2 and i == len(s.ids) - 1
        _write_utterance(folder, identity, s.wavs[i], None if lost else s.transcripts[i], "utf-8")
        if defects and s.number == 1 and s.dialogues[i] != "impro01":
            _write_utterance(folder / "converted", identity, s.wavs[i][::2], None, "")
    off = ("impro03", "impro04") if defects and s.number == 1 else ()  # wrist band was off
    worn = np.array([d not in off for d in s.dialogues])
    for p, gender in enumerate(s.people):
        _write_body19(root, s, p, worn)
        cells = _bio_cells(s, s.bodies[p], worn)
        ids = list(s.ids)
        if defects and s.number == 3 and gender == "F" and "Sess03_impro02_F001" in ids:
            ids[ids.index("Sess03_impro02_F001")] = "Sess03_impro02_M001"
        rows = [
            [str(i + 1), _number(s.start[i]), _number(s.end[i]), *cells[i], ids[i]]
            + _rating_cells(s.votes[p], i, "kemdy19")
            for i in range(len(ids))
        ]
        first = ["Numb", "Wav", "", "ECG", "", "E4-EDA", "", "E4-TEMP", "", "Segment ID"]
        second = ["", *["start", "end"] * 4, ""]
        _write_csv(
            root / "annotation" / f"{name}_{gender}_res.csv", first, second, "", raters, rows
        )


def write_kemdy20(root: Path, s: Session, raters: list[str], defects: bool) -> None:
    """One annotation file, flat wav folder, EDA, TEMP and IBI by dialogue and user."""
    name = f"Session{s.number:02d}"
    for identity, wav, text in zip(s.ids, s.wavs, s.transcripts, strict=True):
        _write_utterance(root / "wav" / name, identity, wav, text, "cp949")
    ids = list(s.ids)
    if defects and s.number == 2:
        ids[-1] = ids[-1].replace("Sess02", "Sess01")
    rows = [
        [str(i + 1), _number(s.start[i]), _number(s.end[i]), ids[i]]
        + _rating_cells(s.votes[0], i, "kemdy20")
        for i in range(len(ids))
    ]
    first, second = ["Numb", "WAV", " ", "Segment ID"], [" ", "start", "end", " "]
    _write_csv(
        root / "annotation" / f"Sess{s.number:02d}_eval.csv", first, second, " ", raters, rows
    )
    for dialogue in dict.fromkeys(s.dialogues):
        for p in range(2):
            _write_body20(root, s, dialogue, p, defects)


def _write_utterance(
    folder: Path, identity: str, wav: np.ndarray, text: str | None, encoding: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / f"{identity}.wav"), "wb") as file:  # soundfile would fsync each
        file.setparams((1, 2, SAMPLE_RATE, len(wav), "NONE", ""))
        file.writeframes(wav.astype("<i2").tobytes())
    if text is not None:
        (folder / f"{identity}.txt").write_bytes(text.encode(encoding))


def _write_csv(
    path: Path,
    first: list[str],
    second: list[str],
    blank: str,
    raters: list[str],
    rows: list[list[str]],
) -> None:
    """Two header rows and the rows; `blank` fills the header cells that have no name."""
    for rater in ("Total Evaluation", *raters):
        first = [*first, rater, blank, blank]
        second = [*second, "Emotion", "Valence", "Arousal"]
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(row) + "\n" for row in (first, second, *rows)]
    path.write_bytes("".join(lines).encode())


def total_emotion(emotions: np.ndarray, layout: str) -> str:
    """Majority of the raters; ties are joined in the corpus's order, KEMDy20 writes "disqust".

    >>> total_emotion(np.array([3, 3, 6, 6, 4]), "kemdy20")
    'neutral;disqust'
    """
    counts = np.bincount(emotions, minlength=len(KEMDY.emotions))
    winners = {KEMDY.emotions[k] for k in np.flatnonzero(counts == counts.max())}
    total = ";".join(e for e in TIE_ORDER[layout] if e in winners)
    return total.replace("disgust", "disqust") if layout == "kemdy20" else total


def _rating_cells(votes: Votes, i: int, layout: str) -> list[str]:
    """Total and raters: emotion, valence, arousal each; numbers without trailing zeros."""
    valence, arousal = votes.valence[i], votes.arousal[i]
    means = [_number(x.sum() / len(x), 1) for x in (valence, arousal)]
    cells = [total_emotion(votes.emotion[i], layout), *means]
    for e, v, a in zip(votes.emotion[i], valence, arousal, strict=True):
        cells += [KEMDY.emotions[e], str(v), str(a)]
    return cells


def _number(x: float, digits: int = 3) -> str:
    """Decimal number without trailing zeros: 4.0 → "4"."""
    text = f"{x:.{digits}f}"
    return text.rstrip("0").rstrip(".")


def _bio_cells(s: Session, body: Body, worn: np.ndarray) -> list[list[str]]:
    """KEMDy19 columns 3–8: values of ECG, EDA and TEMP at start and end; empty where not worn."""
    ends = (s.origin + s.start, s.origin + s.end)
    columns = [_number(x, 6) for t in ends for x in body.ecg(t)]
    for track, digits in ((body.eda, 6), (body.temp, 2)):
        columns += [_number(x, digits) for t in ends for x in np.interp(t, body.times, track)]
    cells = np.array(columns).reshape(6, -1).T
    return [row.tolist() if on else [""] * 6 for row, on in zip(cells, worn, strict=True)]


def _clock(s: Session, times: np.ndarray) -> np.ndarray:
    """Session time → seconds since the midnight before it; KEMDy19 pauses before improvising."""
    improvised = [o for o, d in zip(s.origin, s.dialogues, strict=True) if d.startswith("impro")]
    pause = BREAK * (times >= improvised[0]) if improvised else 0
    return START.hour * 3600 + s.number * 60 + times + pause


def _write_body19(root: Path, s: Session, p: int, worn: np.ndarray) -> None:
    body, spans = s.bodies[p], s.spans()
    beat = np.concatenate(  # the chest strap's rows: segments and 0.2 s before each
        [np.arange(np.ceil((x.start - 0.2) * 250), np.floor(x.end * 250)) for x in spans]
    )
    beat /= signals.ECG_RATE
    chest = signals.chest_lines(
        body.ecg(beat), beat, signals.clock(_clock(s, beat)), signals.segment_ids(beat, spans)
    )
    off = s.origin[~worn].min() if not worn.all() else np.inf
    keep = body.times < off
    times = body.times[keep]
    clocks = signals.clock(_clock(s, times))
    ids = signals.segment_ids(times, spans)
    texts = {"ECG": chest}
    texts["EDA"] = signals.wrist_lines(body.eda[keep], times, clocks, ids, digits=6)
    texts["TEMP"] = signals.wrist_lines(body.temp[keep], times, clocks, ids, digits=2)
    for kind, text in texts.items():
        folder = root / kind / f"Session{s.number:02d}" / "Original"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"Sess{s.number:02d}{s.people[p]}.csv").write_bytes(text.encode())


def _write_body20(root: Path, s: Session, dialogue: str, p: int, defects: bool) -> None:
    """Files of one dialogue and user. Defects: no EDA/TEMP in some, an empty IBI file in others."""
    here = [i for i, d in enumerate(s.dialogues) if d == dialogue]
    low, high = s.origin[here[0]], s.origin[here[-1]] + s.end[here[-1]] + 1
    body, spans = s.bodies[p], [x for x in s.spans(only=p) if low <= x.start < high]
    begin = START.timestamp() + (s.number - 1) * signals.DAY + np.floor(low)  # unix s
    track = (body.times >= low) & (body.times < high)
    peaks = body.peaks()
    later, gap = peaks[1:], np.diff(peaks)
    inside = (later >= low) & (later < high)
    later, gap = later[inside], gap[inside]
    day = START.timestamp() + (s.number - 1) * signals.DAY

    def stamps(times: np.ndarray) -> list[str]:
        date = datetime.fromtimestamp(day, UTC).strftime("%Y-%m-%d ")
        return [date + c for c in signals.clock(START.hour * 3600 + times)]

    def ids(times: np.ndarray) -> list[str]:
        return signals.segment_ids(times, spans) if spans else [""] * len(times)

    header = f"{begin:.6f}\n{signals.E4_RATE:.6f}\n"
    times = body.times[track]
    texts = {}
    if not (defects and s.number % 3 == 0 and dialogue == "script05" and p == 0):
        for kind, values, digits in (("EDA", body.eda, 6), ("TEMP", body.temp, 2)):
            texts[kind] = signals.e4_lines(
                header, [values[track]], [digits], stamps(times), ids(times)
            )
    empty = defects and s.number % 4 == 1 and dialogue == "script06" and p == 1
    texts["IBI"] = (
        ""
        if empty
        else signals.e4_lines(
            f"{begin:.6f}, IBI\n", [later - np.floor(low), gap], [6, 6], stamps(later), ids(later)
        )
    )
    for kind, text in texts.items():
        folder = root / kind / f"Session{s.number:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"Sess{s.number:02d}_{dialogue}_{s.people[p]}.csv"
        (folder / name).write_bytes(text.encode())
