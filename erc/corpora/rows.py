"""A CSV or TSV file, as an owner publishes it → its rows by column, and where each stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from erc.base.cells import reader
from erc.base.errors import CorpusError
from erc.base.text import decode
from erc.corpora.about import About
from erc.corpora.utterance import Report

Row = dict[str, str]


def rows(
    path: Path, columns: Sequence[str], about: About, report: Report, **options: Any
) -> Iterator[tuple[str, Row]]:
    """(file and row as a spreadsheet counts, cells without blanks around them).

    Args:
        columns: those that are needed; "" is one without a name, as R writes row numbers.
        about: of the corpus, to say how to get it.
        report: refuses a row that is cut off.
        options: of `csv.reader`, e.g. `delimiter="\\t"`.

    Raises:
        CorpusError: there is no such file; a column is missing; a row has too few or too many cells.
    """
    if not path.is_file():
        raise CorpusError(
            f"{path.absolute()} is not there, a file of {about.title}. Get it: {about.how} "
            f"({about.source})"
        )
    lines = reader(decode(path.read_bytes(), str(path)), **options)
    header: list[str] = next(lines, [])
    if lost := [name or "without a name (row numbers)" for name in columns if name not in header]:
        raise CorpusError(f"{path}: no column {', '.join(lost)}; it has {', '.join(header)}")
    for number, cells in enumerate(lines, 2):  # the header is row 1
        place = f"{path.name} row {number}"
        if len(cells) == len(header):
            yield place, dict(zip(header, map(str.strip, cells), strict=True))
        elif cells:
            said = f"{place}: {len(cells)} cells, the header has {len(header)}"
            report.refuse("row not as the format says", CorpusError(said))
