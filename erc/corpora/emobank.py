"""EmoBank: ten thousand English sentences, rated for valence, arousal and dominance; text only.

corpus/emobank.csv                     id, split, V, A, D, text: means over all raters
corpus/individual_reader_ratings.csv   id, V, A, D: a row for every rating, what a reader feels
corpus/individual_writer_ratings.csv   the same for what the writer is thought to express

Layout after https://github.com/JULIELab/EmoBank. The owner's split is kept: its sides are the sessions,
and a document counts as another speaker on each side, because the owner lets documents cross
(`erc audit` says how many). Raters are anonymous: reader1 of two sentences need not be the same person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from erc.base.errors import ConfigError, LabelError, did_you_mean
from erc.base.space import Dimension, Space
from erc.base.text import normalise
from erc.corpora.about import About
from erc.corpora.rows import Row, rows
from erc.corpora.utterance import Rating, Report, Utterance

ABOUT = About(
    title="EmoBank",
    language="English (text only)",
    utterances=10062,
    raters="about 5 readers and 5 writers a sentence",
    licence="CC BY-SA 4.0",
    source="https://github.com/JULIELab/EmoBank",
    how="clone it",
)
SPACE = Space((), (Dimension("valence"), Dimension("arousal"), Dimension("dominance")))
FILES = "corpus/emobank.csv"
PERSPECTIVES = ("both", "reader", "writer")
SPLITS = ("train", "dev", "test")
SCALES = ("V", "A", "D")


def read(root: Path, report: Report, *, perspective: str = "both") -> Iterator[Utterance]:
    """Sentences in the order of `emobank.csv`.

    Args:
        root: the repository, or its folder `corpus`.
        report: counts what is dropped.
        perspective: "both": means as the owner publishes them, over readers and writers; "reader",
            "writer": means over the ratings of one kind, of which the file has to be there.

    Raises:
        CorpusError: a file or column is missing.
        LabelError: a rating that is no number or off the 1–5 scale.
        ConfigError: there is no such perspective.
    """
    if perspective not in PERSPECTIVES:
        raise ConfigError(
            f"perspective '{perspective}' is not one of {', '.join(PERSPECTIVES)}"
            f"{did_you_mean(str(perspective), PERSPECTIVES)}"
        )
    folder = root / "corpus" if (root / "corpus").is_dir() else root
    wanted = PERSPECTIVES[1:] if perspective == "both" else (perspective,)
    ratings: dict[str, list[Rating]] = {}
    for kind in wanted:
        path = folder / f"individual_{kind}_ratings.csv"
        if perspective != "both" or path.is_file():
            _collect(path, kind, ratings, report)
    seen: set[str] = set()
    for place, row in rows(folder / "emobank.csv", ("id", "split", *SCALES, "text"), ABOUT, report):
        name, text = row["id"], normalise(row["text"])
        own = tuple(ratings.get(name, ()))
        if name in seen:
            report.drop("id listed before", f"{place}, {name}")
        elif row["split"] not in SPLITS:
            report.drop("unknown side of the split", f"{place}, '{row['split']}'")
        elif not text:
            report.drop("no text", place)
        elif perspective != "both" and not own:
            report.drop(f"no rating of a {perspective}", f"{place}, {name}")
        else:
            try:
                means = _rated(row, place) if perspective == "both" else _means(own)
            except LabelError as error:
                report.refuse("rating off its scale", error)
                continue
            yield _utterance(row, text, means, own, perspective)
        seen.add(name)


def document(name: str) -> str:
    """Where a sentence comes from: ids are DOCUMENT_BEGIN_END; a headline stands for itself.

    >>> document("Acephalous-Cant-believe_4_47"), document("SemEval_1006")
    ('Acephalous-Cant-believe', 'SemEval_1006')
    """
    return re.sub(r"_\d+_\d+$", "", name)


def _utterance(
    row: Row, text: str, means: tuple[float, ...], ratings: tuple[Rating, ...], perspective: str
) -> Utterance:
    source = document(row["id"])
    return Utterance(
        id=row["id"],
        corpus="emobank",
        audio=None,
        text=text,
        speaker=f"{source} ({row['split']})",
        session=row["split"],
        votes=None,
        dimensions=means,
        ratings=ratings,
        rater_group=f"emobank {perspective}",
        dialogue=source,
    )


def _collect(path: Path, kind: str, ratings: dict[str, list[Rating]], report: Report) -> None:
    """Add the ratings of a file to those of each sentence."""
    counts: dict[str, int] = {}
    for place, row in rows(path, ("id", *SCALES), ABOUT, report):
        try:
            values = _rated(row, place)
        except LabelError as error:
            report.refuse("rating off its scale", error)
            continue
        counts[row["id"]] = counts.get(row["id"], 0) + 1
        rating = Rating(f"{kind}{counts[row['id']]}", -1, values)
        ratings.setdefault(row["id"], []).append(rating)


def _rated(row: Row, place: str) -> tuple[float, ...]:
    found = []
    for letter, dimension in zip(SCALES, SPACE.dimensions, strict=True):
        try:
            found.append(dimension.check(float(row[letter]), place))
        except ValueError:
            raise LabelError(f"{place}: {letter} is '{row[letter]}', not a number") from None
    return tuple(found)


def _means(ratings: tuple[Rating, ...]) -> tuple[float, ...]:
    values = zip(*(rating.dimensions for rating in ratings), strict=True)
    return tuple(sum(column) / len(ratings) for column in values)
