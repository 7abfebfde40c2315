"""A table of one's own recordings: CSV, JSONL or Parquet, one utterance a row.

id, speaker, session          required
audio, text                   at least one; paths are relative to the table; a blank is no modality;
                              `path` and `file` are other names of audio
emotion                       "happy", or a tie "neutral;happy"
surprise, fear, … disgust     or columns of votes for every emotion, which win over `emotion`
valence, arousal              1–5, blank = unrated
gender, dialogue, corpus      optional; `sentence` is another name of dialogue
eda, temp, ibi, ecg           optional: files of a wrist band or chest strap as KEMDy has them; rows that
                              are marked with the id of the utterance are its own, without marks all

Emotions and dimensions are KEMDy's, or those that the options `emotions` and `dimensions` name; each
then has a column of its name.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.space import Dimension, Space, space
from erc.base.text import normalise
from erc.corpora.about import YOURS, About
from erc.corpora.manifest_table import REQUIRED, Row, Table, find_table, read_table
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="your own recordings",
    language="any",
    utterances=None,
    raters="votes or one label",
    licence=YOURS,
    source="docs/own_corpus.md",
    how="write a table, one row an utterance",
)
FILES = "manifest.*"
BODY = ("eda", "temp", "ibi", "ecg")
KNOWN = {*REQUIRED, *BODY}
KNOWN |= {*"audio text emotion gender dialogue sentence corpus raters".split()}
GENDERS = {"f": "F", "female": "F", "m": "M", "male": "M"}  # any other word: not known


def read(
    root: Path,
    report: Report,
    *,
    emotion_map: dict[Any, str | None] | None = None,
    where: dict[str, str] | None = None,
    emotions: Sequence[str] | None = None,
    dimensions: Mapping[str, Sequence[float]] | None = None,
    licence: str | None = None,
) -> Iterator[Utterance]:
    """Utterances of a manifest, in its order.

    Two rows of one id are an error, not a drop: the table is the user's own, and which of the two
    recordings is meant only they know.

    Args:
        root: the table, or a folder that holds one `manifest.{csv,jsonl,parquet}`.
        report: counts what is dropped or corrected.
        emotion_map: further emotion words, e.g. `{"excited": "happy", "xxx": None}`; see
            `Space.words`. A column of votes of that name follows it too.
        where: keep the rows whose columns have these values, e.g. `{"part": "plain"}`.
        emotions, dimensions: what the recordings are rated in, see `erc.base.space.space`, e.g.
            `["happy", "bored", "angry"]` and `{"valence": [1, 7], "dominance": [1, 7]}`.
        licence: of the recordings, as their owner declares it; None: unknown. Nothing is read by it: it
            is kept as `Corpus.licences`.

    Raises:
        CorpusError: no table, columns missing, an id twice, a row without id, speaker or session.
        LabelError: an unknown emotion, a vote that is no count, a rating off its scale.
        ConfigError: `where` names a column that is not there, `emotion_map` what is no emotion;
            `emotions` and `dimensions` do not make a label space.
    """
    path = find_table(root)
    rows = read_table(path)
    columns = rows.columns
    own = space(emotions, dimensions)
    words = own.words(emotion_map)
    votes = _check_columns(path, columns, own, words)
    where = _check_where(path, columns, where or {})
    if votes:
        _count_other_votes(rows, {*KNOWN, *own.names, *words, *where}, report)
    corpus = path.parent.absolute().name if path.stem == "manifest" else path.stem
    seen: dict[str, str] = {}
    for place, row in rows:
        if any(row[column] != value for column, value in where.items()):
            report.drop(
                f"left out by where {' '.join(f'{c}={v}' for c, v in where.items())}", place
            )
            continue
        try:
            _check_row(row, place, seen, rows.twice)
            label = _label(row, votes, own, words, place, report)
            rated = tuple(_rating(row, dimension, place) for dimension in own.dimensions)
        except CorpusError as error:
            report.refuse("row not as the format says", error)
            continue
        except LabelError as error:
            report.refuse("label that the scale does not have", error)
            continue
        audio = path.parent / row["audio"] if row.get("audio") else None
        text = normalise(row.get("text", "")) or None
        if audio is None and text is None:
            report.drop("neither audio nor text", place)
        elif audio and not audio.is_file():
            report.drop("recording not found", f"{place}, {audio}")
        elif label is None and all(map(math.isnan, rated)):
            report.drop("not labelled", place)
        else:
            yield Utterance(
                id=row["id"],
                corpus=row.get("corpus") or corpus,
                audio=audio,
                text=text,
                speaker=row["speaker"],
                session=row["session"],
                votes=label,
                dimensions=rated,
                gender=GENDERS.get(row.get("gender", "").lower(), ""),
                dialogue=row.get("dialogue") or row.get("sentence", ""),
                physiology={kind.upper(): path.parent / row[kind] for kind in BODY if row.get(kind)}
                or None,
            )


def _check_columns(
    path: Path, columns: list[str], own: Space, words: Mapping[str, int | None]
) -> dict[str, int] | None:
    """The columns of votes (column → index of the emotion), of every emotion; None: there are none."""

    def missing(what: str, remedy: str) -> CorpusError:
        return CorpusError(f"{path}: no {what}; its columns are {', '.join(columns)}. {remedy}")

    lost = [name for name in REQUIRED if name not in columns]
    if lost:
        raise missing(
            f"column {', '.join(lost)}",
            "Speaker and session decide what may not be split between training and test: "
            "without sessions repeat the speaker there, without known speakers repeat "
            "the recording or dialogue an utterance comes from in both",
        )
    if "audio" not in columns and "text" not in columns:
        raise missing("column audio or text", "Give at least one of them")
    votes = {c: k for c in columns if (k := words.get(c)) is not None}
    absent = [name for k, name in enumerate(own.emotions) if k not in votes.values()]
    if votes and absent:
        others = [c for c in columns if c not in votes]
        hints = [did_you_mean(name, others) for name in absent]
        raise missing(
            f"column of votes for {', '.join(map(''.join, zip(absent, hints)))}",
            f"It has some for {', '.join(votes)}: write 0 in a column where raters had no such "
            "choice, or rename columns that hold no votes",
        )
    if votes:
        return votes
    if not {"emotion", *own.names} & set(columns):
        scales = " and ".join(f"{d.name} ({d.range})" for d in own.dimensions)
        raise missing(
            "labels",
            f"Give a column emotion, or votes in {len(own.emotions)} columns "
            f"({', '.join(own.emotions)}), or ratings: {scales}",
        )
    return None


def _count_other_votes(rows: Table, known: Collection[str], report: Report) -> None:
    """Count what stands in further columns of counts: nobody should lose votes without noticing."""
    for column in rows.columns:
        if column not in known and column in rows.counts:
            for place, row in rows:
                if row[column].strip("0"):
                    report.correct(
                        f"'{column}' names no emotion, its numbers are not read as votes "
                        f"(dataset.emotion_map={{{column}: …}} says what it means)",
                        place,
                    )


def _check_where(path: Path, columns: list[str], where: dict[str, str]) -> dict[str, str]:
    where = {column.lower(): str(value) for column, value in where.items()}
    for column in where:
        if column not in columns:
            raise ConfigError(
                f"where: {path.name} has no column '{column}'{did_you_mean(column, columns)}; "
                f"it has {', '.join(columns)}"
            )
    return where


def _check_row(row: Row, place: str, seen: dict[str, str], twice: Collection[int]) -> None:
    for column in REQUIRED:
        if not row[column]:
            raise CorpusError(f"{place}: {column} is blank; every row needs one")
    if hash(row["id"]) not in twice:  # `seen` would be the largest thing in memory
        return
    if row["id"] in seen:
        raise CorpusError(
            f"{place}: id '{row['id']}' is also that of {seen[row['id']]}; give each row its own"
        )
    seen[row["id"]] = place


def _label(
    row: Row,
    columns: dict[str, int] | None,
    own: Space,
    known: Mapping[str, int | None],
    place: str,
    report: Report,
) -> tuple[float, ...] | None:
    """A vote for each emotion, from the vote columns or else from `emotion`; None: not labelled."""
    said = [w for w in map(str.strip, row.get("emotion", "").lower().split(";")) if w]
    named = {own.index(w, place, known) for w in said if known.get(w, 0) is not None}
    votes = [float(k in named) for k in range(len(own.emotions))]
    if columns and any(row[column] for column in columns):
        votes = [0.0] * len(votes)
        for column, k in columns.items():
            count = _number(row[column] or "0", f"votes for {column}", place)
            if not 0 <= count < math.inf:
                raise LabelError(f"{place}: {count:g} votes for {column}; counts are ≥ 0")
            votes[k] += count
        if named and named != {k for k, n in enumerate(votes) if n == max(votes)}:
            report.correct("emotion differs from its votes; votes win", place)
    return tuple(votes) if any(votes) else None


def _rating(row: Row, dimension: Dimension, place: str) -> float:
    cell = row.get(dimension.name, "")
    return dimension.check(_number(cell, dimension.name, place), place) if cell else math.nan


def _number(cell: str, what: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise LabelError(f"{place}: {what} is '{cell}', not a number") from None
