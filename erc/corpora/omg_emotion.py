"""OMG-Emotion: monologues from YouTube, seven emotions, arousal 0–1 and valence −1 … 1, five raters.

omg_TrainVideos.csv, omg_ValidationVideos.csv, omg_TestVideos_WithLabels.csv: gold standard
omg_TrainTranscripts.csv, …                          words
DetailedAnnotation/train/VIDEO/utterance_1.mp4/0.txt one rater, in hundredths
VIDEO/utterance_1.mp4                                recordings, anywhere below

Layout after the README of https://github.com/knowledgetechnologyuhh/OMGEmotionChallenge, whose
prepare_data.py fetches and cuts the videos (wav or flac beside the mp4 is taken first). Scales are the
owner's gold standard, not a plain mean. Raters are numbered within a video: numbers of two videos are
two people. Without their files the majority (EmotionMaxVote) is the one vote.

The owner's sides share videos and channels, so folds keep what comes from one source together instead;
`split` reads one side. Speakers are not named: the source stands for them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.space import Dimension, Space
from erc.base.text import normalise
from erc.corpora.about import About
from erc.corpora.acted import one_vote
from erc.corpora.rows import Row, rows
from erc.corpora.utterance import Rating, Report, Utterance

ABOUT = About(
    title="One-Minute-Gradual Emotion (OMG-Emotion)",
    language="English",
    utterances=None,
    raters="5 an utterance",
    licence="CC BY-NC-SA 3.0 DE",
    source="https://github.com/knowledgetechnologyuhh/OMGEmotionChallenge",
    how="clone it; prepare_data.py fetches the videos that are still there",
)
SPACE = Space(  # in the order of the codes of EmotionMaxVote, 0–6
    ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    (Dimension("valence", -1, 1), Dimension("arousal", 0, 1)),
)
FILES = "omg_*Videos*.csv"
SIDES = {  # name → table of labels, table of words
    "train": ("omg_TrainVideos.csv", "omg_TrainTranscripts.csv"),
    "validation": ("omg_ValidationVideos.csv", "omg_ValidationTranscripts.csv"),
    "test": ("omg_TestVideos_WithLabels.csv", "omg_TestTranscripts.csv"),
}
COLUMNS = ("link", "video", "utterance", "arousal", "valence", "EmotionMaxVote")
SUFFIXES = (".wav", ".flac", ".mp4")  # the first that is there counts
HUNDREDTHS = 100  # raters moved sliders of 0–100 and −100 … 100


def read(root: Path, report: Report, *, split: str | None = None) -> Iterator[Utterance]:
    """Utterances side by side, in the order of the tables.

    Args:
        root: the folder of the tables; recordings lie anywhere below.
        report: counts what is dropped or corrected.
        split: "train", "validation" or "test"; None: all that are there.

    Raises:
        CorpusError: no table; a column is missing; a row or a rater's file is not of its form.
        LabelError: an emotion or a number that OMG-Emotion's scales do not have.
        ConfigError: there is no such split.
    """
    if split is not None and split not in SIDES:
        raise ConfigError(
            f"split '{split}' is not one of {', '.join(SIDES)}{did_you_mean(str(split), SIDES)}"
        )
    sides = [s for s in SIDES if split in (None, s) and (root / SIDES[s][0]).is_file()]
    if not sides:
        tables = ", ".join(table for table, _ in SIDES.values())
        raise CorpusError(
            f"{root.absolute()} holds no table of OMG-Emotion ({tables}). Get it: {ABOUT.how} "
            f"({ABOUT.source})"
        )
    recordings = _recordings(root)
    seen: set[str] = set()
    for side in sides:
        table, transcripts = (root / name for name in SIDES[side])
        words = _words(transcripts, report)
        for place, row in rows(table, COLUMNS, ABOUT, report):
            key = row["video"], row["utterance"].removesuffix(".mp4")
            name = "_".join(key)
            if name in seen:
                report.drop("utterance listed before; the first counts", place)
            elif key not in recordings:
                report.drop("recording not found", f"{place}, {key[0]}/…/{key[1]}.mp4")
            else:
                seen.add(name)
                raters = root / "DetailedAnnotation" / side / row["video"] / f"{key[1]}.mp4"
                try:
                    yield _utterance(row, place, recordings[key], words.get(key), raters, report)
                except LabelError as error:
                    report.refuse("label that the scale does not have", error)


def _utterance(
    row: Row, place: str, audio: Path, text: str | None, raters: Path, report: Report
) -> Utterance:
    ratings = tuple(_ratings(raters, report))
    code = row["EmotionMaxVote"].removesuffix(".0")
    if code not in map(str, range(len(SPACE.emotions))):
        raise LabelError(f"{place}: EmotionMaxVote '{code}'; 0–6 are {', '.join(SPACE.emotions)}")
    votes = one_vote(SPACE, SPACE.emotions[int(code)])
    if ratings:
        chosen = [rating.emotion for rating in ratings]
        votes = tuple(float(chosen.count(k)) for k in range(len(SPACE.emotions)))
    if text is None:
        report.correct("transcript missing, kept as speech only", place)
    source = row["link"].rpartition("=")[2]
    return Utterance(
        id=f"{row['video']}_{row['utterance'].removesuffix('.mp4')}",
        corpus="omg_emotion",
        audio=audio,
        text=text,
        speaker=source,
        session=source,
        votes=votes,
        dimensions=tuple(_scale(row[d.name], d, place) for d in SPACE.dimensions),
        ratings=ratings,
        rater_group=f"omg_emotion {row['video']}",
        dialogue=row["video"],
    )


def _ratings(folder: Path, report: Report) -> Iterator[Rating]:
    """What each rater said; nothing where their files are absent."""
    for path in sorted(folder.glob("[0-9]*.txt"), key=lambda path: (len(path.stem), path.stem)):
        for place, row in rows(path, ("arousal", "valence", "emotion"), ABOUT, report):
            where = f"{folder.parent.name}/{folder.name}/{place}"
            scales = tuple(_scale(row[d.name], d, where, HUNDREDTHS) for d in SPACE.dimensions)
            yield Rating(path.stem, SPACE.index(row["emotion"], where), scales)
            break  # one row a file


def _scale(cell: str, dimension: Dimension, place: str, unit: int = 1) -> float:
    try:
        return dimension.check(float(cell) / unit if cell else math.nan, place)
    except ValueError:
        raise LabelError(f"{place}: {dimension.name} is '{cell}', not a number") from None


def _words(path: Path, report: Report) -> dict[tuple[str, str], str]:
    """(video, utterance) → words; nothing where there is no such table or no word."""
    if not path.is_file():
        return {}
    found = rows(path, ("video", "utterance", "transcript"), ABOUT, report)
    return {
        (row["video"], row["utterance"].removesuffix(".mp4")): words
        for _, row in found
        if (words := normalise(row["transcript"]))
    }


def _recordings(root: Path) -> dict[tuple[str, str], Path]:
    """(any folder above it, utterance) → its recording."""
    found: dict[tuple[str, str], Path] = {}
    for suffix in SUFFIXES:
        for path in sorted(root.rglob(f"utterance_*{suffix}")):
            if path.is_file() and re.fullmatch(r"utterance_\d+", path.stem):
                for folder in path.relative_to(root).parts[:-1]:
                    found.setdefault((folder, path.stem), path)
    return found
