"""CREMA-D: 91 actors, twelve sentences, six emotions, and what some ten people heard in each recording.

AudioWAV/1001_IEO_ANG_HI.wav          actor, sentence, emotion and level that were asked of the actor
processedResults/tabulatedVotes.csv   votes of each recording, by presentation
finishedResponses.csv                 every single answer, with finishedEmoResponses.csv
VideoDemographics.csv                 Sex of the actors

Layout after docs/README.md of https://github.com/CheyneyComputerScience/CREMA-D. Labels are what raters
said, not what was asked of the actor. With both files of answers every rater is kept; the owner's script
(processFinishedResponses.R) leaves out answers whose first click came after 10 s, so these are left out
here and the votes are those of the table. Else the votes come from the table alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.space import Dimension, Space
from erc.corpora.about import About
from erc.corpora.rows import Row, rows
from erc.corpora.utterance import Rating, Report, Utterance

ABOUT = About(
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)",
    language="English",
    utterances=7442,
    raters="4–12 an utterance",
    licence="ODbL 1.0, contents DbCL 1.0",
    source="https://github.com/CheyneyComputerScience/CREMA-D",
    how="clone it with git-lfs",
)
SPACE = Space(
    ("angry", "disgust", "fear", "happy", "neutral", "sad"), (Dimension("intensity", 0, 100),)
)
FILES = "AudioWAV/1[0-9]*_*_*_*.wav"
LETTERS = "ADFHNS"  # of the emotions, in the order of SPACE
NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})")
PRESENTATIONS = {"voice": "1", "face": "2", "both": "3"}
SLOW = 10_000  # ms until the first click; answers after more are not counted
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
Votes = tuple[tuple[float, ...], float]  # of each emotion; mean intensity


def read(root: Path, report: Report, *, presentation: str = "voice") -> Iterator[Utterance]:
    """Utterances in the order of file names; folds keep an actor together.

    Args:
        root: the folder with `AudioWAV`.
        report: counts what is dropped or corrected.
        presentation: what raters were given: "voice", "face" (without sound) or "both".

    Raises:
        CorpusError: no recordings; neither answers nor votes; a column is missing.
        LabelError: votes that are no counts.
        ConfigError: there is no such presentation.
    """
    if presentation not in PRESENTATIONS:
        raise ConfigError(
            f"presentation '{presentation}' is not one of {', '.join(PRESENTATIONS)}"
            f"{did_you_mean(str(presentation), PRESENTATIONS)}"
        )
    recordings = {path.stem: path for path in sorted(root.glob("AudioWAV/*.wav"))}
    if not recordings:
        raise CorpusError(
            f"{root.absolute()} holds no recording of CREMA-D (AudioWAV/1001_IEO_ANG_HI.wav …). "
            f"Get it: {ABOUT.how} ({ABOUT.source})"
        )
    kind = PRESENTATIONS[presentation]
    answers = _answers(root, kind, report)
    votes = (
        {} if answers else _votes(root / "processedResults" / "tabulatedVotes.csv", kind, report)
    )
    sexes = _sexes(root / "VideoDemographics.csv", report)
    for name in sorted({*recordings, *answers, *votes}):
        match = NAME.fullmatch(name)
        ratings = tuple(answers.get(name, ()))
        if not match or match[2] not in SENTENCES:
            report.drop("file name not understood", name)
        elif name not in recordings:
            report.drop("recording not found", f"{root / 'AudioWAV' / name}.wav")
        elif not ratings and name not in votes:
            report.drop("not labelled", name)
        else:
            counts, intensity = _count(ratings) if ratings else votes[name]
            yield Utterance(
                id=name,
                corpus="crema_d",
                audio=recordings[name],
                text=SENTENCES[match[2]],
                speaker=match[1],
                session=match[1],
                votes=counts,
                dimensions=(intensity,),
                ratings=ratings,
                rater_group=f"crema_d {presentation}",
                gender=sexes.get(match[1], ""),
                dialogue=match[2],
            )


def _answers(root: Path, kind: str, report: Report) -> dict[str, list[Rating]]:
    """Recording → what each rater said; the last answer of a rater who gave two counts."""
    final, first = root / "finishedResponses.csv", root / "finishedEmoResponses.csv"
    if not (final.is_file() and first.is_file()):
        return {}
    slow = {
        _question(row)
        for _, row in rows(first, ("sessionNums", "queryType", "questNum", "ttr"), ABOUT, report)
        if row["queryType"] == kind and _number(row["ttr"]) > SLOW
    }
    found: dict[str, dict[str, Rating]] = {}
    columns = (
        "localid",
        "queryType",
        "clipName",
        "sessionNums",
        "questNum",
        "respEmo",
        "respLevel",
    )
    for place, row in rows(final, columns, ABOUT, report):
        if row["queryType"] != kind:
            continue
        if _question(row) in slow:
            report.correct("answer after more than 10 s left out, as in the owner's votes", place)
            continue
        letter = row["respEmo"]
        if letter not in LETTERS or len(letter) != 1:
            report.correct("answer without an emotion left out", f"{place}, '{letter}'")
            continue
        level = _number(row["respLevel"])
        if not 0 <= level <= 100:
            report.correct("answer without an intensity", f"{place}, '{row['respLevel']}'")
            level = math.nan
        rated = found.setdefault(row["clipName"], {})
        if row["localid"] in rated:
            report.correct("second answer of a rater; the last counts", place)
        rated[row["localid"]] = Rating(row["localid"], LETTERS.index(letter), (level,))
    return {name: list(rated.values()) for name, rated in found.items()}


def _question(row: Row) -> tuple[str, ...]:
    return row["sessionNums"], row["queryType"], row["questNum"]


def _count(ratings: tuple[Rating, ...]) -> Votes:
    chosen = [rating.emotion for rating in ratings]
    levels = [r.dimensions[0] for r in ratings if not math.isnan(r.dimensions[0])]
    mean = sum(levels) / len(levels) if levels else math.nan
    return tuple(float(chosen.count(k)) for k in range(len(LETTERS))), mean


def _votes(path: Path, kind: str, report: Report) -> dict[str, Votes]:
    """Recording → votes of the owner's table; its rows of other presentations are not read."""
    if not path.is_file():
        raise CorpusError(
            f"CREMA-D has neither {path} nor finishedResponses.csv with finishedEmoResponses.csv: "
            "one of them tells what raters said"
        )
    found: dict[str, Votes] = {}
    for place, row in rows(path, ("", *LETTERS, "fileName", "meanEmoResp"), ABOUT, report):
        if not row[""].startswith(kind):  # 100001: voice, 200001: face, 300001: both
            continue
        counts = tuple(_number(row[letter]) for letter in LETTERS)
        if not all(count >= 0 for count in counts):
            said = ", ".join(f"{letter} {row[letter]}" for letter in LETTERS)
            report.refuse(
                "votes that are no counts", LabelError(f"{place}: {said}; votes are counts ≥ 0")
            )
            continue
        if row["fileName"] in found:
            report.drop("recording listed before", place)
        elif any(counts):
            level = _number(row["meanEmoResp"])
            found[row["fileName"]] = counts, level if 0 <= level <= 100 else math.nan
    return found


def _sexes(path: Path, report: Report) -> dict[str, str]:
    """Actor → "F" or "M"; nothing where the table is absent."""
    if not path.is_file():
        return {}
    known = {"Female": "F", "Male": "M"}
    table = rows(path, ("ActorID", "Sex"), ABOUT, report)
    return {row["ActorID"]: known.get(row["Sex"], "") for _, row in table}


def _number(cell: str) -> float:
    """nan: NA, blank or no number."""
    try:
        return float(cell)
    except ValueError:
        return math.nan
