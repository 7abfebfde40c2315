"""AI-Hub "dialogue speech for emotion classification": cp949 tables of five raters, and `<id>.wav`.

The columns are read by their place, because their names differ between the yearly files:
id, words, situation, five pairs of emotion and strength, age, gender. A strength says how strong the
emotion is, not how sure the rater was: votes are counted without it. Valence and arousal were not
rated (nan; the loss leaves them out), and speakers are not named: see `session`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from erc.base.cells import reader
from erc.base.errors import CorpusError, LabelError
from erc.base.files import bucket
from erc.base.space import KEMDY
from erc.base.text import decode, normalise
from erc.corpora.about import About
from erc.corpora.utterance import NO_RATING, Rating, Report, Utterance

ABOUT = About(
    title="AI-Hub dialogue speech for emotion classification",
    language="Korean",
    utterances=None,
    raters="5 an utterance",
    licence="AI-Hub agreement",
    source="https://aihub.or.kr",
    how="register at AI-Hub as a resident of Korea",
)
FILES = (
    "[45]*.csv"  # 4차년도.csv, 5차년도.csv, 5차년도_2차.csv, however the file system spells them
)
RATERS = 5
FIRST_RATING = 3  # after id, words, situation
COLUMNS = FIRST_RATING + 2 * RATERS + 2  # and age, gender
SESSIONS = 40
GENDERS = {"female": "F", "f": "F", "여": "F", "여자": "F", "여성": "F"}
GENDERS |= {"male": "M", "m": "M", "남": "M", "남자": "M", "남성": "M"}


def read(root: Path, report: Report) -> Iterator[Utterance]:
    """Utterances of all tables in `root`, in the order of file names and rows.

    An id that an earlier table has listed, and a row without recording or without any rater's
    emotion, are dropped and counted.

    Args:
        root: the folder of the tables; recordings lie in it or anywhere below.
        report: counts what is dropped or corrected.

    Raises:
        CorpusError: no table, or one whose rows do not have 15 cells.
        LabelError: an emotion outside the seven.
    """
    tables = sorted(root.glob(FILES))
    if not tables:
        raise CorpusError(f"{root.absolute()} holds no AI-Hub table ({FILES}, e.g. 5차년도.csv)")
    recordings = {path.stem: path for path in sorted(root.rglob("*.wav"))}
    seen: set[str] = set()
    for table in tables:
        for row, cells in _rows(table):
            place, name = f"{table.name} row {row}", cells[0]
            try:
                ratings = _ratings(cells, place, report)
            except LabelError as error:
                report.refuse("label that the scale does not have", error)
                continue
            if name in seen:
                report.drop("id listed before", place)
            elif name not in recordings:
                report.drop("recording not found", f"{place}, {name}.wav")
            elif not ratings:
                report.drop("not labelled", place)
            else:
                yield _utterance(cells, recordings[name], ratings, normalise(table.stem))
            seen.add(name)


def session(name: str) -> str:
    """One of 40 pseudo-sessions, by a hash of the utterance's id alone.

    AI-Hub knows neither sessions nor speakers: one person may be on both sides of a split, so its
    scores say nothing about unknown speakers. The split at least is the same for everybody.

    >>> session("5e258fd1305bcf3ad153a6a4")
    'hash33'
    """
    return f"hash{bucket(name, SESSIONS):02d}"


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(row as a spreadsheet counts it, its cells), below the header."""
    lines = reader(decode(path.read_bytes(), str(path), korean=True))
    for row, cells in enumerate(lines, 1):
        while len(cells) > COLUMNS and not cells[-1].strip():  # a comma at the end of the line
            cells.pop()
        if not any(cells):
            continue
        if len(cells) != COLUMNS:
            raise CorpusError(
                f"{path.name} row {row}: {len(cells)} cells; expected {COLUMNS}: id, words, "
                f"situation, {RATERS} × (emotion, strength), age, gender"
            )
        if row > 1:
            yield row, [cell.strip() for cell in cells]


def _ratings(cells: list[str], place: str, report: Report) -> tuple[Rating, ...]:
    """What each rater said; in each pair the emotion is the cell that is not a number."""
    found = []
    for k in range(RATERS):
        start = FIRST_RATING + 2 * k
        words = [c for c in cells[start : start + 2] if c and not c.replace(".", "", 1).isdigit()]
        if words:
            found.append(Rating(f"rater{k + 1}", KEMDY.index(words[0], place), NO_RATING))
    if 0 < len(found) < RATERS:
        report.correct("fewer than five raters gave an emotion", place)
    return tuple(found)


def _utterance(cells: list[str], audio: Path, ratings: tuple[Rating, ...], table: str) -> Utterance:
    group = session(cells[0])
    chosen = [r.emotion for r in ratings]
    return Utterance(
        id=cells[0],
        corpus="aihub",
        audio=audio,
        text=normalise(cells[1]) or None,
        speaker=group,
        session=group,
        votes=tuple(float(chosen.count(k)) for k in range(len(KEMDY.emotions))),
        ratings=ratings,
        rater_group=f"aihub {table}",
        gender=GENDERS.get(cells[-1].lower(), ""),
        dialogue=normalise(cells[2]),
    )
