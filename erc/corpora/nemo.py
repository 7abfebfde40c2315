"""nEMO: nine Polish actors, 90 sentences, six emotions.

data.tsv                        file_id, emotion, raw_text, normalized_text, speaker_id, gender, age
samples/WR0_surprised_64.wav    speaker, emotion, sentence

Layout after https://github.com/amu-cai/nEMO, whose table is read: it tells the words and who spoke.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.space import Space
from erc.base.text import normalise
from erc.corpora.about import About
from erc.corpora.acted import SUFFIXES, one_vote
from erc.corpora.rows import Row, rows
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="nEMO: Dataset of Emotional Speech in Polish",
    language="Polish",
    utterances=4481,
    raters="acted",
    licence="CC BY-NC-SA 4.0",
    source="https://github.com/amu-cai/nEMO",
    how="clone it",
)
SPACE = Space(("angry", "fear", "happy", "neutral", "sad", "surprise"))
FILES = "samples/[A-Z][A-Z]0_*_*.wav"
COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender")
NAME = re.compile(r"([^_]+)_([^_]+)_(\d+)")
GENDERS = {"female": "F", "male": "M"}


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances in the order of the table; folds keep a speaker together.

    Args:
        root: the folder of `data.tsv` and `samples`.
        report: counts what is dropped.

    Raises:
        CorpusError: no table, or one without its columns.
        LabelError: an emotion outside the six.
    """
    table = rows(root / "data.tsv", COLUMNS, ABOUT, report, delimiter="\t", quoting=csv.QUOTE_NONE)
    seen: set[str] = set()
    for place, row in table:
        utterance = _utterance(root, row, place, report)
        if utterance and utterance.id in seen:
            report.drop("id listed before", f"{place}, {utterance.id}")
        elif utterance:
            seen.add(utterance.id)
            yield utterance


def _utterance(root: Path, row: Row, place: str, report: Report) -> Utterance | None:
    name = row["file_id"].removesuffix(".wav")
    match = NAME.fullmatch(name)
    if not match or match[1] != row["speaker_id"] or match[2] != row["emotion"]:
        report.drop("file name at odds with the row", f"{place}, '{row['file_id']}'")
        return None
    emotion = SPACE.emotions[SPACE.index(row["emotion"], place)]
    places = [root / "samples" / (name + suffix) for suffix in SUFFIXES]
    audio = next((path for path in places if path.is_file()), None)
    if audio is None:
        report.drop("recording not found", f"{place}, {places[0]}")
        return None
    return Utterance(
        id=name,
        corpus="nemo",
        audio=audio,
        text=normalise(row["raw_text"]) or None,
        speaker=row["speaker_id"],
        session=row["speaker_id"],
        votes=one_vote(SPACE, emotion),
        dimensions=(),
        gender=GENDERS.get(row["gender"], ""),
        dialogue=match[3],
    )
