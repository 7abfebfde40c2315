"""TESS: two women, 200 words after "Say the word …", seven emotions; all is in the file names.

OAF_back_angry.wav     OAF the older, YAF the younger woman; word; emotion (ps: pleasant surprise)

Names after https://doi.org/10.5683/SP2/E8H2MF, where they lie in one folder; copies with folders
(`OAF_angry/…`) are read as well. One file is published as `OA_bite_neutral.wav`.
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
    title="Toronto emotional speech set (TESS)",
    language="English",
    utterances=2800,
    raters="acted",
    licence="CC BY-NC-ND 4.0",
    source="https://doi.org/10.5683/SP2/E8H2MF",
    how="download all files of the data set",
)
SPACE = Space(("angry", "disgust", "fear", "happy", "neutral", "pleasant surprise", "sad"))
FILES = "[OY]AF_*"  # the recordings, or the folders of them
NAME = re.compile(r"(OAF|YAF|OA)_([a-z-]+)_([a-z]+)", re.IGNORECASE)
WORDS = {emotion: emotion for emotion in SPACE.emotions} | {"ps": "pleasant surprise"}


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances in the order of their paths; folds keep a speaker together.

    Args:
        root: the folder of the recordings, or of the folders of them.
        report: counts what is dropped or corrected.

    Raises:
        CorpusError: no recording of TESS is there.
    """

    def said(path: Path) -> Said | str:
        match = NAME.fullmatch(path.stem)
        if not match:
            return "file name not understood"
        speaker, word, emotion = match[1].upper(), match[2].lower(), WORDS.get(match[3].lower())
        if emotion is None:
            return "unknown code of an emotion"
        if speaker == "OA":
            report.correct("speaker OA is OAF (known defect)", str(path))
            speaker = "OAF"
        return Said(
            f"{speaker}_{word}_{match[3].lower()}",
            emotion,
            speaker,
            "F",
            f"Say the word {word}",
            word,
        )

    found = recordings(root, "[OY]A*_*_*", ABOUT, "OAF_back_angry.wav")
    return utterances(found, "tess", SPACE, report, said)
