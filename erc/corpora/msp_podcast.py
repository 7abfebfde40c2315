"""MSP-Podcast: turns of podcasts, eight emotions, three scales of 1–7, five raters or more.

Labels/labels_consensus.csv     FileName, EmoClass, EmoAct, EmoVal, EmoDom, SpkrID, Gender, Split_Set
Labels/labels_detailed.csv      every rater: FileName and EmoDetail, "WORKER0000001; Neutral;
                                Neutral,Confused; A:1.0; V:4.0; D:1.0;", or (1.6, 2.0) columns
Labels/labels.txt               the same as text (1.8 and before)
Audios/MSP-PODCAST_0001_0008.wav, Transcripts/MSP-PODCAST_0001_0008.txt

Layout after the owner's page, Lotfian and Busso, "Building naturalistic emotionally balanced speech
corpus" (2019), and public readers of it, e.g. Wen Wu's for DEER (labels.txt). A rater's vote is the
primary emotion; secondary ones are not counted. `Other` (with words of the rater's own) and the codes
of the consensus O (other) and X (no agreement) are outside the label space and counted.

`session` is the owner's split. Speakers that nobody named are told apart by podcast and split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.space import Dimension, Space
from erc.base.text import decode, normalise
from erc.corpora.about import About
from erc.corpora.rows import Row, rows
from erc.corpora.utterance import Rating, Report, Utterance

ABOUT = About(
    title="MSP-Podcast",
    language="English",
    utterances=None,
    raters="5 an utterance or more",
    licence="agreement with UT Dallas, research only",
    source="https://lab-msp.com/MSP/MSP-Podcast.html",
    how="ask for the academic licence on its page; unpack Labels, Audios and Transcripts",
)
SPACE = Space(
    ("angry", "sad", "happy", "surprise", "fear", "disgust", "contempt", "neutral"),
    (Dimension("valence", 1, 7), Dimension("arousal", 1, 7), Dimension("dominance", 1, 7)),
)
FILES = "Labels/labels_consensus.csv"
CODES = dict(zip("ASHUFDCN", SPACE.emotions, strict=True))
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
SPLITS = ("Train", "Development", "Test1", "Test2", "Test3")
RATER = re.compile(  # the secondary emotions between are sometimes absent, and may be any words
    r"(WORKER\w+);\s*([^;]*);.*A:\s*([\d.]+|NaN)\s*;\s*V:\s*([\d.]+|NaN)\s*;\s*D:\s*([\d.]+|NaN)"
)
GENDERS = {"Female": "F", "Male": "M"}


def read(
    root: Path, report: Report, *, splits: Collection[str] | None = None
) -> Iterator[Utterance]:
    """Utterances in the order of the consensus table.

    Args:
        root: the folder of `Labels`, `Audios` and `Transcripts`.
        report: counts what is dropped or corrected.
        splits: values of Split_Set that are read, e.g. `["Train", "Development", "Test1"]`; None: all.

    Raises:
        CorpusError: no consensus table; a column is missing; a row or a rater's line is not of its form.
        LabelError: a code or word that is none of MSP-Podcast's.
        ConfigError: there is no such split.
    """
    for name in splits or ():
        if name not in SPLITS:
            raise ConfigError(
                f"splits: '{name}' is not one of {', '.join(SPLITS)}{did_you_mean(name, SPLITS)}"
            )
    table = root / FILES
    found = rows(table, COLUMNS, ABOUT, report)
    recordings = {path.stem: path for path in sorted((root / "Audios").rglob("*.wav"))}
    raters = _raters(root / "Labels", report) if table.is_file() else {}
    seen: set[str] = set()
    for place, row in found:
        name = row["FileName"].removesuffix(".wav")
        if splits and row["Split_Set"] not in splits:
            report.drop("left out by splits", place)
        elif name in seen:
            report.drop("recording listed before; the first counts", place)
        elif name not in recordings:
            report.drop("recording not found", f"{place}, {root / 'Audios' / name}.wav")
        else:
            seen.add(name)
            try:
                votes = _votes(row["EmoClass"], raters.get(name, {}), place, report)
            except LabelError as error:
                report.refuse("label that the scale does not have", error)
                continue
            scales = _scales((row["EmoVal"], row["EmoAct"], row["EmoDom"]), place, report)
            if votes is None and all(map(math.isnan, scales)):
                report.drop("not labelled", place)
                continue
            text = root / "Transcripts" / f"{name}.txt"
            words = normalise(decode(text.read_bytes(), str(text))) if text.is_file() else ""
            if not words:
                report.correct("transcript missing, kept as speech only", place)
            podcast = name.rsplit("_", 1)[0]
            speaker = row["SpkrID"]
            if not speaker or speaker.lower() == "unknown":
                speaker = f"unknown of {podcast} {row['Split_Set']}"
            yield Utterance(
                id=name,
                corpus="msp_podcast",
                audio=recordings[name],
                text=words or None,
                speaker=speaker,
                session=row["Split_Set"],
                votes=votes,
                dimensions=scales,
                ratings=tuple(raters.get(name, {}).values()),
                rater_group="msp_podcast",
                gender=GENDERS.get(row["Gender"], ""),
                dialogue=podcast,
            )


def _votes(
    code: str, raters: dict[str, Rating], place: str, report: Report
) -> tuple[float, ...] | None:
    """A vote a rater; without raters one for the consensus; None: no emotion of the space is meant."""
    if code == "O":  # most raters meant what has no name here: the others' votes would mislead
        report.correct("consensus is O (other): no emotion, the scales are kept", place)
        return None
    if code == "X":
        report.correct("consensus is X (no agreement), votes of raters are kept", place)
    elif code and code not in CODES:
        raise LabelError(f"{place}: EmoClass '{code}' is not one of {', '.join(CODES)}, O, X")
    chosen = [rating.emotion for rating in raters.values()]
    if not raters and code in CODES:
        chosen = [SPACE.emotions.index(CODES[code])]
    votes = tuple(float(chosen.count(k)) for k in range(len(SPACE.emotions)))
    return votes if any(votes) else None


def _scales(cells: tuple[str, str, str], place: str, report: Report) -> tuple[float, ...]:
    """Valence, arousal and dominance; nan, and a note, for what is no number on the scale."""
    values = []
    for cell, scale in zip(cells, SPACE.dimensions, strict=True):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not scale.low <= value <= scale.high:
            report.correct("rating missing or off the scale, left out", f"{place}, '{cell}'")
            value = math.nan
        values.append(value)
    return tuple(values)


def _raters(folder: Path, report: Report) -> dict[str, dict[str, Rating]]:
    """Recording → rater → what they said; empty where neither table of raters is there."""
    detailed, text = folder / "labels_detailed.csv", folder / "labels.txt"
    lines: Iterator[tuple[str, str, str]] = iter(())
    if detailed.is_file():
        lines = _table(detailed, report)
    elif text.is_file():
        lines = _text(text)
    found: dict[str, dict[str, Rating]] = {}
    for place, name, line in lines:
        match = RATER.match(line)
        if not match:
            said = f"{place}: {line!r}; expected WORKER0000001; Neutral; …; A:1.0; V:4.0; D:1.0;"
            report.refuse("rating not as the format says", CorpusError(said))
            continue
        worker, word, arousal, valence, dominance = match.groups()
        emotion = -1
        if word.strip().lower().startswith("other"):
            report.correct("a rater's 'Other' is no vote", place)
        else:
            try:
                emotion = SPACE.index(word, place)
            except LabelError as error:
                report.refuse("label that the scale does not have", error)
                continue
        rated = found.setdefault(name.removesuffix(".wav"), {})
        if worker in rated:
            report.correct("second answer of a rater; the last counts", place)
        rated[worker] = Rating(
            worker, emotion, _scales((valence, arousal, dominance), place, report)
        )
    return found


def _table(path: Path, report: Report) -> Iterator[tuple[str, str, str]]:
    """(place, recording, line of a rater) of labels_detailed.csv in either form."""
    for place, row in rows(path, ("FileName",), ABOUT, report):
        yield place, row["FileName"], row.get("EmoDetail") or _line(row, path)


def _line(row: Row, path: Path) -> str:
    worker = row.get("WorkerID") or row.get("Workers")
    wanted = ("EmoClass_Major", "EmoAct", "EmoVal", "EmoDom")
    if worker is None or any(name not in row for name in wanted):
        raise CorpusError(
            f"{path}: neither a column EmoDetail nor WorkerID, {', '.join(wanted)}; "
            f"it has {', '.join(row)}"
        )
    word, arousal, valence, dominance = (row[name] for name in wanted)
    return f"{worker}; {word}; ; A:{arousal}; V:{valence}; D:{dominance};"


def _text(path: Path) -> Iterator[tuple[str, str, str]]:
    """The same of labels.txt: a line of the recording, then one for each rater."""
    name = ""
    for number, line in enumerate(decode(path.read_bytes(), str(path)).splitlines(), 1):
        if line.startswith("MSP-PODCAST"):
            name = line.partition(";")[0].strip()
        elif line.startswith("WORKER"):
            yield f"{path.name} line {number}", name, line
