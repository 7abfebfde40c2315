"""Korean EmotionTTS, its emotional part: fifteen speakers of scripts, four emotions.

plain-to-emotional/ema/wav/ema00101.wav         plain sentences, each in all four emotions
plain-to-emotional/ema/transcript/ema00101.txt  the words; script/ is what was to be read
emotional-to-emotional/nea/wav/nea00101.wav     sentences that belong to one emotion each

Layout and numbers after Emotional/README.md of https://github.com/emotiontts/emotiontts_open_db:
00001–00100 neutral, 00101–00200 happy, then sad and angry. In the plain part equal last two digits are
one sentence. Public are 5 % of it: 100 plain and 200 emotional recordings.

That README has 00201–00300 angry and 00301–00400 sad. The recordings have it the other way round, and
so has this reader: the emotional sentences from 00201 on speak of grief ("my heart aches"), those from
00301 on scold ("how often do I have to tell you"), and models of other corpora hear the same in the
plain part, whose words say nothing (docs/transfer.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, did_you_mean
from erc.base.space import Space
from erc.base.text import decode, normalise
from erc.corpora.about import About
from erc.corpora.acted import Said, recordings, utterances
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="Korean EmotionTTS (conversational speech that expresses emotion and personality of robots)",
    language="Korean",
    utterances=6000,
    raters="acted",
    licence="research only, not to be passed on",
    source="https://github.com/emotiontts/emotiontts_open_db",
    how="clone it (5 % are public; ask for the rest)",
)
SPACE = Space(("neutral", "happy", "angry", "sad"))
ORDER = ("neutral", "happy", "sad", "angry")  # of the numbers; see above
FILES = "*-to-emotional/*/wav/*.wav"
NAME = re.compile(r"(em|ne)([a-z])(\d{5})")
PARTS = {"em": "plain", "ne": "emotional"}
WOMEN = {"em": "ab", "ne": "abcde"}
MEN = {"em": "fgh", "ne": "klmno"}
EACH = 100  # sentences an emotion


def read(root: Path, report: Report, *, part: str | None = None) -> Iterator[Utterance]:
    """Utterances in the order of parts, speakers and numbers.

    Folds keep speakers of one letter together: whether speaker A of the plain part is speaker A of
    the emotional part is not told.

    Args:
        root: the folder `Emotional`; recordings lie anywhere below.
        report: counts what is dropped or corrected.
        part: "plain" or "emotional" sentences; None: both.

    Raises:
        CorpusError: no recording is there.
        ConfigError: there is no such part.
    """
    if part not in (None, *PARTS.values()):
        raise ConfigError(
            f"part '{part}' is not one of {', '.join(PARTS.values())}"
            f"{did_you_mean(str(part), PARTS.values())}"
        )

    def said(path: Path) -> Said | str:
        match = NAME.fullmatch(path.stem)
        if not match:
            return "file name not understood"
        kind, letter, number = match[1], match[2], int(match[3])
        if letter not in WOMEN[kind] + MEN[kind]:
            return "unknown speaker"
        if not 1 <= number <= EACH * len(SPACE.emotions):
            return "number without emotion"
        if part not in (None, PARTS[kind]):
            return f"left out by part={part}"
        sentence = (number - 1) % EACH + 1 if kind == "em" else number
        return Said(
            id=path.stem,
            emotion=ORDER[(number - 1) // EACH],
            speaker=kind + letter,
            gender="F" if letter in WOMEN[kind] else "M",
            text=_words(path, report),
            sentence=f"{PARTS[kind]} {sentence}",
            session=letter.upper(),
        )

    found = recordings(root, "*", ABOUT, "plain-to-emotional/ema/wav/ema00001.wav")
    return utterances(found, "emotiontts", SPACE, report, said)


def _words(path: Path, report: Report) -> str | None:
    """What was said, else what was to be said; None: neither file is there."""
    for folder in ("transcript", "script"):
        file = path.parent.parent / folder / f"{path.stem}.txt"
        if file.is_file():
            return normalise(decode(file.read_bytes(), str(file))) or None
    report.correct("no transcript", str(path))
    return None
