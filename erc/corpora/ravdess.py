"""RAVDESS, its speech without video: 24 actors, two sentences, eight emotions; all is in the file names.

Actor_12/03-01-06-01-02-01-12.wav     modality, channel, emotion, intensity, sentence, repetition, actor

Names after https://zenodo.org/records/1188976: modality 03 audio only (01, 02: video), channel 01 speech
(02: song), actors of even number are women. Calm and neutral are two emotions here, as the corpus has
them. Intensity (normal, strong) was asked of the actors, nobody rated it: it is not read. How well 247
people recognised each recording is told in the paper's supplement, not in the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.space import Space
from erc.corpora.about import About
from erc.corpora.acted import Said, recordings, utterances
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)",
    language="English",
    utterances=1440,
    raters="acted",
    licence="CC BY-NC-SA 4.0",
    source="https://zenodo.org/records/1188976",
    how="unpack Audio_Speech_Actors_01-24.zip",
)
SPACE = Space(("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"))
FILES = "Actor_*/03-01-*.wav"
NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(0[12])-(\d\d)-(0[12])-(\d\d)")
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances in the order of actors and file names; folds keep an actor together.

    Args:
        root: the folder of `Actor_01` … `Actor_24`; recordings lie in it or anywhere below.
        report: counts what is dropped.

    Raises:
        CorpusError: no recording of RAVDESS is there.
    """
    found = recordings(root, "*-*-*-*-*-*-*", ABOUT, "Actor_12/03-01-06-01-02-01-12.wav")
    return utterances(found, "ravdess", SPACE, report, _said)


def _said(path: Path) -> Said | str:
    match = NAME.fullmatch(path.stem)
    if not match:
        return "file name not understood"
    modality, channel, emotion, _, sentence, _, actor = match.groups()
    if modality != "03":
        return "recording with video"
    if channel != "01":
        return "song, not speech"
    if not 1 <= int(emotion) <= len(SPACE.emotions):
        return "unknown code of an emotion"
    if sentence not in SENTENCES or not 1 <= int(actor) <= 24:
        return "unknown code of a sentence or an actor"
    gender = "M" if int(actor) % 2 else "F"
    text = SENTENCES[sentence]
    return Said(path.stem, SPACE.emotions[int(emotion) - 1], actor, gender, text, sentence)
