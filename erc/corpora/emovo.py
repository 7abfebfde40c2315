"""EMOVO: six Italians, fourteen sentences, seven emotions; all is in the file names.

EMOVO/f1/dis-f1-b1.wav     emotion, speaker (f woman, m man), sentence

Layout after Costantini et al., "EMOVO corpus: an Italian emotional speech database" (LREC 2014):
sentences b1–b3 short, l1–l4 long, d1 and d2 questions, n1–n5 without meaning. What was said is not in
the files.
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
    title="EMOVO",
    language="Italian",
    utterances=588,
    raters="acted",
    licence="not stated; ask its authors",
    source="http://lrec-conf.org/proceedings/lrec2014/summaries/591.html",
    how="ask the authors for EMOVO.zip, or use a copy that is public; unpack it",
)
SPACE = Space(("disgust", "happy", "neutral", "fear", "angry", "surprise", "sad"))
FILES = "[fm][123]/*-[fm][123]-[bldn][1-5].wav"
CODES = dict(zip("dis gio neu pau rab sor tri".split(), SPACE.emotions, strict=True))
NAME = re.compile(r"([a-z]{3})-([fm])([123])-([bldn]\d)")


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances in the order of speakers and file names; folds keep a speaker together.

    Args:
        root: the folder of `f1` … `m3`.
        report: counts what is dropped.

    Raises:
        CorpusError: no recording of EMOVO is there.
    """
    found = recordings(root, "*-[fm][0-9]-*", ABOUT, "f1/dis-f1-b1.wav")
    return utterances(found, "emovo", SPACE, report, _said)


def _said(path: Path) -> Said | str:
    match = NAME.fullmatch(path.stem)
    if not match:
        return "file name not understood"
    code, sex, number, sentence = match.groups()
    if code not in CODES:
        return "unknown code of an emotion"
    return Said(path.stem, CODES[code], sex + number, sex.upper(), None, sentence)
