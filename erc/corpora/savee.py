"""SAVEE: four English men, seven emotions; all is in the names of folders and files.

AudioData/DC/sa07.wav     speaker; emotion (a d f h n sa su); sentence of that emotion

Names after `AudioData/Info.txt` of the release; copies in one folder (`DC_sa07.wav`) are read as well.
What was said is not told. A sentence of one number is the same for all speakers, but not for all
emotions.
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
    title="Surrey Audio-Visual Expressed Emotion (SAVEE)",
    language="English",
    utterances=480,
    raters="acted",
    licence="research only, after registration",
    source="http://personal.ee.surrey.ac.uk/Personal/P.Jackson/SAVEE/",
    how="register there; unpack AudioData",
)
SPACE = Space(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))
FILES = "AudioData/[DJK][CEKL]/*.wav"
CODES = dict(zip("a d f h n sa su".split(), SPACE.emotions, strict=True))
SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(r"(?:([A-Z]{2})_)?([a-z]{1,2})(\d\d)")


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances in the order of speakers and file names; folds keep a speaker together.

    Args:
        root: the folder that holds `AudioData`; recordings lie anywhere below.
        report: counts what is dropped.

    Raises:
        CorpusError: no recording of SAVEE is there.
    """
    found = recordings(root, "*[0-9][0-9]", ABOUT, "AudioData/DC/a01.wav")
    return utterances(found, "savee", SPACE, report, _said)


def _said(path: Path) -> Said | str:
    match = NAME.fullmatch(path.stem)
    if not match:
        return "file name not understood"
    speaker = match[1] or path.parent.name
    if speaker not in SPEAKERS:
        return "unknown speaker"
    if match[2] not in CODES:
        return "unknown code of an emotion"
    sentence = match[2] + match[3]
    return Said(f"{speaker}_{sentence}", CODES[match[2]], speaker, "M", None, sentence)
