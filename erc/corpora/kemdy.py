"""What KEMDy19 and KEMDy20 have in common: two-row headers, ten raters, wav + txt per segment."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from erc.base.cells import reader
from erc.base.errors import CorpusError, LabelError
from erc.base.space import KEMDY
from erc.base.text import clean, decode
from erc.corpora.utterance import Rating, Report

RATERS = 10
TRIPLE = ["emotion", "valence", "arousal"]
_INDEX = {word: i for i, word in enumerate(KEMDY.emotions)}  # the fast path of KEMDY.index


class Layout(NamedTuple):
    """Where one of the two corpora keeps things."""

    corpus: str  # e.g. "KEMDy19"
    annotation: re.Pattern[str]  # file name in annotation/; group 1 is the session number
    example: str  # such a file name, for messages
    id_column: int  # of "Segment ID"; the total's three columns and the raters' follow


class Row(NamedTuple):
    """One segment of an annotation file."""

    where: str  # file and row as a spreadsheet counts it: the first segment is in row 3
    number: int  # 0 for the first segment
    id: str
    cells: list[str]  # all cells, stripped
    raters: tuple[str, ...]
    total: list[str]  # emotion[;emotion…], mean valence, mean arousal
    ratings: list[str]  # 10 × (emotion, valence, arousal)


class Labels(NamedTuple):
    """Ten ratings, counted and averaged."""

    votes: tuple[float, ...]  # 7 counts, sum 10
    dimensions: tuple[float, ...]  # mean valence and arousal
    ratings: tuple[Rating, ...]


def annotation_files(root: Path, layout: Layout) -> list[tuple[Path, re.Match[str]]]:
    """The annotation files below `root`, sorted, each with the match of its name.

    Raises:
        CorpusError: the folder, its annotation or its recordings are not there.
    """
    remedy = (
        f"Expected {root / 'annotation' / layout.example} … and {root / 'wav'}. {layout.corpus} is "
        f"licensed: ask ETRI for a copy (https://nanum.etri.re.kr/share/kjnoh2/{layout.corpus}), then "
        f"`ln -s /where/it/is {root}`; or use dataset=synthetic, which needs no corpus"
    )
    if not root.is_dir():
        raise CorpusError(f"no {layout.corpus} folder at {root.absolute()}. {remedy}")
    folder = root / "annotation"
    if not folder.is_dir():
        deeper = next(root.glob("*/annotation"), None)
        hint = f"There is one in {deeper.parent}: give that folder. " if deeper else ""
        raise CorpusError(f"{root} has no folder 'annotation'. {hint}{remedy}")
    matches = [(p, layout.annotation.fullmatch(p.name)) for p in sorted(folder.iterdir())]
    files = [(path, match) for path, match in matches if match]
    if not files:
        raise CorpusError(f"{folder} holds no {layout.corpus} annotation file. {remedy}")
    if not (root / "wav").is_dir():
        raise CorpusError(f"{root} has no folder 'wav' with the recordings. {remedy}")
    return files


def rows(path: Path, layout: Layout, report: Report) -> Iterator[Row]:
    """The segments of one annotation file; cells are taken by position after a check of both headers.

    Raises:
        CorpusError: not the header of this corpus, or another number of raters.
    """
    try:
        yield from _rows(path, layout, report)
    except CorpusError as error:
        report.refuse("annotation not as the format says", error)


def _rows(path: Path, layout: Layout, report: Report) -> Iterator[Row]:
    table = reader(decode(path.read_bytes(), str(path), korean=True))
    try:
        raters = _check_header(next(table, []), next(table, []), path, layout)
        first = layout.id_column + 1 + len(TRIPLE)
        width = first + RATERS * len(TRIPLE)
        for index, line in enumerate(line for line in table if line):
            cells = [cell.strip() for cell in line]
            where = f"{path.name} row {index + 3}"
            if any(cells[width:]):
                raise CorpusError(
                    f"{where}: {len(cells)} cells, the header has {width}; "
                    "quote cells that contain a comma, or copy the file again"
                )
            if len(cells) < width and any(cells[layout.id_column + 1 :]):  # cut off, or shifted
                report.drop(
                    "row shorter than the header", f"{where}: {len(cells)} of {width} cells"
                )
                continue
            cells = cells[:width]
            total, ratings = cells[layout.id_column + 1 : first], cells[first:]
            yield Row(where, index, cells[layout.id_column], cells, raters, total, ratings)
    except csv.Error as error:
        raise CorpusError(f"{path}: not a CSV file ({error}); copy it again") from error


def labels(row: Row, report: Report) -> Labels | None:
    """Count and average the ten raters; None, and a drop in the report, if a cell is blank.

    The total columns are only compared: where they differ, the raters win and the report counts it.

    Raises:
        LabelError: an unknown emotion, or a rating off the 1–5 scale.
    """
    if any(cell.lower() in ("", "nan") for cell in row.ratings):
        report.drop("blank rating cell", row.where)
        return None
    try:
        result = _counted(row)
        agrees = _agrees(row, result)
    except LabelError as error:
        report.refuse("label that the scale does not have", error)
        return None
    if not agrees:
        report.correct("total differs from its ten raters; ratings win", row.where)
    return result


def _counted(row: Row) -> Labels:
    triples = zip(row.raters, row.ratings[::3], row.ratings[1::3], row.ratings[2::3], strict=True)
    ratings = tuple(
        Rating(
            rater, _emotion(e, row, rater), (_rating(v, 0, row, rater), _rating(a, 1, row, rater))
        )
        for rater, e, v, a in triples
    )
    count = Counter(rating.emotion for rating in ratings)
    votes = tuple(float(count[k]) for k in range(len(KEMDY.emotions)))
    means = tuple(sum(rating.dimensions[d] for rating in ratings) / RATERS for d in range(2))
    return Labels(votes, means, ratings)


def transcript(path: Path, report: Report, where: str) -> str | None:
    """The cleaned words of a .txt file; None, and a note in the report, if there are none."""
    try:
        text = clean(decode(path.read_bytes(), str(path), korean=True))
    except FileNotFoundError:
        report.correct("transcript missing, kept as speech only", where)
        return None
    except CorpusError as error:
        report.refuse("transcript that is not text", error)
        return None
    if not text:
        report.correct("transcript without words, kept as speech only", where)
    return text or None


def _check_header(top: list[str], second: list[str], path: Path, layout: Layout) -> tuple[str, ...]:
    """Names of the ten raters. Blank cells (empty in KEMDy19, one space in KEMDy20) are equal."""
    top, second = ([cell.strip().lower() for cell in line] for line in (top, second))
    at = layout.id_column
    first = at + 1 + len(TRIPLE)
    named = dict(enumerate(top))
    if (named.get(0), named.get(at), named.get(at + 1)) != (
        "numb", "segment id", "total evaluation",
    ):  # fmt: skip
        raise CorpusError(
            f"{path}: not a {layout.corpus} annotation; its first row must have 'Numb' in column 1, "
            f"'Segment ID' in {at + 1} and 'Total Evaluation' in {at + 2}, "
            f"but begins {','.join(top[:12])!r}. "
            "Is this the other KEMDy corpus, or a copy that lost its two header rows?"
        )
    raters = tuple(cell for cell in top[first:] if cell)
    if len(raters) != RATERS or not all(re.fullmatch(r"eval\d+[fm]", r) for r in raters):
        raise CorpusError(
            f"{path}: {len(raters)} raters ({', '.join(raters)}) in {len(top)} columns; "
            f"{layout.corpus} has {RATERS} (Eval01F …) in {first + 3 * RATERS} columns. "
            "Use the annotation file as distributed"
        )
    width = first + RATERS * len(TRIPLE)
    if second[at + 1 : width] != TRIPLE * (RATERS + 1) or top[first:width:3] != list(raters):
        raise CorpusError(
            f"{path}: {len(second)} columns; the second header row of {layout.corpus} must repeat "
            f"Emotion, Valence, Arousal {RATERS + 1} times, from column {at + 2} to {width}. "
            "Use the annotation file as distributed"
        )
    return tuple(f"Eval{rater[4:].upper()}" for rater in raters)


def _emotion(word: str, row: Row, rater: str) -> int:
    index = _INDEX.get(word)
    return KEMDY.index(word, f"{row.where}, {rater}") if index is None else index


def _rating(cell: str, d: int, row: Row, rater: str) -> float:
    dimension = KEMDY.dimensions[d]
    try:
        value = float(cell)
    except ValueError:
        raise LabelError(
            f"{row.where}, {rater}: {dimension.name} '{cell}' is not a number {dimension.range}"
        ) from None
    return value if 1 <= value <= 5 else dimension.check(value, f"{row.where}, {rater}")


def _agrees(row: Row, found: Labels) -> bool:
    emotion, *means = row.total
    said = {_emotion(word, row, "total") for word in emotion.split(";") if word}
    counted = {k for k, n in enumerate(found.votes) if n == max(found.votes)}
    half = 0.05 + 1e-6  # totals are rounded to one decimal
    try:
        close = [abs(float(m) - x) <= half for m, x in zip(means, found.dimensions, strict=True)]
    except ValueError:  # a blank mean
        return False
    return said == counted and all(close)
