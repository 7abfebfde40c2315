"""EMO-DB: ten Germans, ten sentences, seven emotions; all is in the file names.

wav/03a01Fa.wav     speaker 03, sentence a01, emotion F (Freude), version a
erkennung.txt       share of 20 listeners who recognised the emotion, how natural they found it

Names after http://emodb.bilderbar.info/docu/ and Burkhardt et al., "A database of German emotional
speech" (2005); columns of `erkennung.txt` after the example of https://audeering.github.io/audformat/.
The table says only how many of 20 recognised the emotion that was meant, not what the others heard: so
the acted emotion is the one vote, and `least_recognised` leaves out what too few heard.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, CorpusError
from erc.base.space import Space
from erc.corpora.about import About
from erc.corpora.acted import Said, recordings, utterances
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="Berlin Database of Emotional Speech (EMO-DB)",
    language="German",
    utterances=535,
    raters="acted; 20 listeners, their share of recognition",
    licence="CC0 1.0 (as audEERING publishes it)",
    source="http://emodb.bilderbar.info/",
    how="download and unpack download.zip",
)
SPACE = Space(("angry", "boredom", "disgust", "fear", "happy", "sad", "neutral"))
FILES = "wav/[01][0-9][ab][01][0-9][WLEAFTN]*.wav"
CODES = dict(zip("WLEAFTN", SPACE.emotions, strict=True))
NAME = re.compile(r"(\d\d)([ab]\d\d)([A-Z])([a-z]?)(?:xx)?")
MEN = ("03", "10", "11", "12", "15")
WOMEN = ("08", "09", "13", "14", "16")
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def read(root: Path, report: Report, *, least_recognised: float = 0.0) -> Iterator[Utterance]:
    """Utterances in the order of file names; folds keep a speaker together.

    Args:
        root: the folder with `wav`.
        report: counts what is dropped.
        least_recognised: 0–1; recordings whose emotion a smaller share of listeners recognised are left
            out. The 535 of the release were recognised by 80 % or more.

    Raises:
        CorpusError: no recording of EMO-DB; `least_recognised` without `erkennung.txt`, or a line of it
            without a number.
        ConfigError: `least_recognised` is not within 0–1.
    """
    if not 0 <= least_recognised <= 1:
        raise ConfigError(f"least_recognised is {least_recognised:g}; it is a share, 0–1")
    found = recordings(root / "wav", "[01][0-9][ab]*", ABOUT, "wav/03a01Fa.wav")
    shares = _shares(root / "erkennung.txt", report) if least_recognised else {}

    def said(path: Path) -> Said | str:
        match = NAME.fullmatch(path.stem)
        if not match:
            return "file name not understood"
        speaker, sentence, code, version = match.groups()
        if speaker not in MEN + WOMEN:
            return "unknown speaker"
        if code not in CODES:
            return "unknown code of an emotion"
        name = speaker + sentence + code + version
        if least_recognised and name not in shares:
            return "not in erkennung.txt"
        if shares.get(name, 1.0) < least_recognised:
            return "recognised by fewer listeners than least_recognised"
        gender = "M" if speaker in MEN else "F"
        return Said(name, CODES[code], speaker, gender, SENTENCES.get(sentence), sentence)

    return utterances(found, "emodb", SPACE, report, said)


def _shares(path: Path, report: Report) -> dict[str, float]:
    """Recording → share of listeners (0–1) who recognised its emotion."""
    if not path.is_file():
        raise CorpusError(
            f"{path.absolute()} is not there; it says what share of listeners recognised a recording. "
            f"Get it: {ABOUT.how} ({ABOUT.source}), or set least_recognised=0"
        )
    found: dict[str, float] = {}
    # Latin-1 with no-break spaces: Satz, erkannt (90,00) and natuerlich, parted by blanks.
    for number, line in enumerate(path.read_bytes().decode("latin-1").splitlines(), 1):
        cells = line.replace("\xa0", " ").split()
        if not cells or number == 1:
            continue
        try:
            percent = float(cells[1].replace(",", "."))
        except (IndexError, ValueError):
            error = CorpusError(
                f"{path.name} line {number}: {line!r}; expected 03a01Fa.wav 90,00 60,00"
            )
            report.refuse("line of erkennung.txt not as the format says", error)
            continue
        found[cells[0].removesuffix(".wav").removesuffix("xx")] = percent / 100
    return found
