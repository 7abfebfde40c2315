"""A table of one's own recordings: CSV, JSONL or Parquet, one utterance a row.

id, speaker, session          required
audio, text                   at least one; paths are relative to the table; a blank is no modality;
                              `path` and `file` are other names of audio
emotion                       "happy", or a tie "neutral;happy"
surprise, fear, … disgust     or seven columns of votes, which win over `emotion`
valence, arousal              1–5, blank = unrated
gender, dialogue, corpus      optional; `sentence` is another name of dialogue
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from erc.base.emotions import EMOTIONS, check_scale, emotion_index
from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean
from erc.base.text import decode, normalise, wrong_separator
from erc.corpora.utterance import Report, Utterance

FILES = "manifest.*"
SUFFIXES = (".csv", ".jsonl", ".parquet")
RECORDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aiff", ".opus")  # in lower case
REQUIRED = ("id", "speaker", "session")
GENDERS = {"f": "F", "female": "F", "m": "M", "male": "M"}  # any other word: not known
Row = dict[str, str]


def read(
    root: Path,
    report: Report,
    *,
    emotion_map: dict[str, str] | None = None,
    where: dict[str, str] | None = None,
) -> Iterator[Utterance]:
    """Utterances of a manifest, in its order.

    Two rows of one id are an error, not a drop: the table is the user's own, and which of the two
    recordings is meant only they know.

    Args:
        root: the table, or a folder that holds one `manifest.{csv,jsonl,parquet}`.
        report: counts what is dropped or corrected.
        emotion_map: further emotion words, e.g. `{"excited": "happy"}`.
        where: keep the rows whose columns have these values, e.g. `{"part": "plain"}`.

    Raises:
        CorpusError: no table, columns missing, an id twice, a row without id, speaker or session.
        LabelError: an unknown emotion, a vote that is no count, a rating off the 1–5 scale.
        ConfigError: `where` names a column that is not there.
    """
    path = _find(root)
    columns, rows = _table(path)
    votes = _check_columns(path, columns, emotion_map)
    where = _check_where(path, columns, where or {})
    corpus = path.parent.absolute().name if path.stem == "manifest" else path.stem
    seen: dict[str, str] = {}
    for place, row in rows:
        if any(row[column] != value for column, value in where.items()):
            report.drop(
                f"left out by where {' '.join(f'{c}={v}' for c, v in where.items())}", place
            )
            continue
        try:
            _check_row(row, place, seen)
            label = _label(row, votes, emotion_map, place, report)
            valence, arousal = (_rating(row, what, place) for what in ("valence", "arousal"))
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
        elif label is None and math.isnan(valence) and math.isnan(arousal):
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
                valence=valence,
                arousal=arousal,
                gender=GENDERS.get(row.get("gender", "").lower(), ""),
                dialogue=row.get("dialogue") or row.get("sentence", ""),
            )


def _find(root: Path) -> Path:
    """The table that `root` is or holds."""
    if not root.exists():
        raise CorpusError(
            f"no manifest at {root.absolute()}; give a .csv, .jsonl or .parquet file, "
            "or a folder that holds manifest.csv"
        )
    paths = [root]
    if root.is_dir():
        paths = [p for p in sorted(root.glob(FILES)) if p.suffix in SUFFIXES]
    if len(paths) != 1:
        found = f"{len(paths)} ({', '.join(p.name for p in paths)})" if paths else "none"
        raise CorpusError(
            f"{root.absolute()} must hold exactly one manifest.csv, manifest.jsonl or "
            f"manifest.parquet; found {found}. Name the file itself to choose"
        )
    if paths[0].suffix not in SUFFIXES:
        raise CorpusError(f"{root}: a manifest is {', '.join(SUFFIXES)}, not '{root.suffix}'")
    return paths[0]


def _table(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """Column names in lower case, and (file and row, cells); every row has every column."""
    try:
        lines = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}[path.suffix](path)
        named = [
            (place, {str(k).strip().lower(): _cell(v) for k, v in line.items()})
            for place, line in lines
        ]
    except (csv.Error, OSError) as error:
        raise CorpusError(f"{path}: {error}") from error
    if not named:
        raise CorpusError(f"{path}: no rows below the header; write one row an utterance")
    columns = list(dict.fromkeys(column for _, row in named for column in row))
    if "audio" not in columns:
        named, columns = _with_audio(path, named, columns)
    return columns, [(place, dict.fromkeys(columns, "") | row) for place, row in named]


def _with_audio(
    path: Path, rows: list[tuple[str, Row]], columns: list[str]
) -> tuple[list[tuple[str, Row]], list[str]]:
    """Recordings under a name that `erc predict` takes as well; under any other they are no mistake
    to pass over: the corpus would be one of texts."""
    other = next((c for c in columns if c in ("path", "file")), None)
    if other is None:
        for place, row in rows:
            for column, cell in row.items():
                if cell.lower().endswith(RECORDINGS):
                    raise CorpusError(
                        f"{place}: there is no column audio, but {column} holds {cell}; "
                        "call the column audio"
                    )
        return rows, columns
    rows = [
        (place, {"audio" if k == other else k: v for k, v in row.items()}) for place, row in rows
    ]
    return rows, ["audio" if column == other else column for column in columns]


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    table = csv.reader(io.StringIO(decode(path.read_bytes(), str(path)), newline=""), strict=True)
    header = next(table, [])
    if wrong := wrong_separator(header, ",", (*REQUIRED, "audio", "text")):
        raise CorpusError(f"{path}: {wrong} (and decimals by points)")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise CorpusError(f"{path}: two columns are named '{twice[0]}'; rename or delete one")
    for row, cells in enumerate(table, 2):  # as a spreadsheet counts: the header is row 1
        if len(cells) > len(header):
            raise CorpusError(
                f"{path.name} row {row}: {len(cells)} cells, the header has {len(header)}; "
                "quote cells that contain a comma"
            )
        if any(cells):
            yield f"{path.name} row {row}", dict(zip(header, cells, strict=False))


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for row, line in enumerate(decode(path.read_bytes(), str(path)).split("\n"), 1):
        try:
            value = json.loads(line) if line.strip() else None
        except json.JSONDecodeError as error:
            raise CorpusError(f"{path.name} row {row}: not JSON ({error})") from error
        if not isinstance(value, dict | None):
            raise CorpusError(f"{path.name} row {row}: not an object {{column: value}}")
        if value:
            yield f"{path.name} row {row}", value


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise CorpusError(f"{path}: not a Parquet file ({error})") from error
    for row, value in enumerate(rows, 1):
        yield f"{path.name} row {row}", value


def _cell(value: Any) -> str:
    blank = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if blank else str(value).strip()


def _check_columns(
    path: Path, columns: list[str], mapping: dict[str, str] | None
) -> dict[str, int] | None:
    """The seven vote columns (column → index in EMOTIONS), None if the table has none."""

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
    votes = {c: k for c in columns if (k := _vote_index(c, mapping)) is not None}
    if sorted(votes.values()) == list(range(len(EMOTIONS))):
        return votes
    if "emotion" in columns:
        return None
    if votes:
        raise missing(
            f"seven columns of votes, one each for {', '.join(EMOTIONS)}",
            "Write 0 where raters had no such choice",
        )
    if not {"valence", "arousal"} <= set(columns):
        raise missing(
            "labels",
            f"Give a column emotion, or votes in seven columns ({', '.join(EMOTIONS)}), "
            "or valence and arousal (1–5)",
        )
    return None


def _vote_index(column: str, mapping: dict[str, str] | None) -> int | None:
    try:
        return emotion_index(column, mapping=mapping)
    except LabelError:
        return None


def _check_where(path: Path, columns: list[str], where: dict[str, str]) -> dict[str, str]:
    where = {column.lower(): str(value) for column, value in where.items()}
    for column in where:
        if column not in columns:
            raise ConfigError(
                f"where: {path.name} has no column '{column}'{did_you_mean(column, columns)}; "
                f"it has {', '.join(columns)}"
            )
    return where


def _check_row(row: Row, place: str, seen: dict[str, str]) -> None:
    for column in REQUIRED:
        if not row[column]:
            raise CorpusError(f"{place}: {column} is blank; every row needs one")
    if row["id"] in seen:
        raise CorpusError(
            f"{place}: id '{row['id']}' is also that of {seen[row['id']]}; give each row its own"
        )
    seen[row["id"]] = place


def _label(
    row: Row,
    columns: dict[str, int] | None,
    mapping: dict[str, str] | None,
    place: str,
    report: Report,
) -> tuple[float, ...] | None:
    """Seven votes, from the vote columns or else from `emotion`; None: not labelled."""
    words = [word for word in row.get("emotion", "").split(";") if word.strip()]
    named = {emotion_index(word, place, mapping) for word in words}
    votes = [float(k in named) for k in range(len(EMOTIONS))]
    if columns and any(row[column] for column in columns):
        for column, k in columns.items():
            votes[k] = _number(row[column] or "0", f"votes for {column}", place)
            if not 0 <= votes[k] < math.inf:
                raise LabelError(f"{place}: {votes[k]:g} votes for {column}; counts are ≥ 0")
        if named and named != {k for k, n in enumerate(votes) if n == max(votes)}:
            report.correct("emotion differs from its votes; votes win", place)
    return tuple(votes) if any(votes) else None


def _rating(row: Row, what: str, place: str) -> float:
    cell = row.get(what, "")
    return check_scale(_number(cell, what, place), what, place) if cell else math.nan


def _number(cell: str, what: str, place: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise LabelError(f"{place}: {what} is '{cell}', not a number") from None
