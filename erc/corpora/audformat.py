"""Any folder in audformat, the format in which audEERING and others publish corpora (`db.yaml`).

db.yaml                    name, licence, schemes, tables
db.emotion.parquet or csv  a table: files, and columns of labels
wav/…                      recordings

Format after https://audeering.github.io/audformat/; its own package reads it (`pip install
'erc[audformat]'`). Tables by files are read, all or those of `tables`; of their columns those that the
options name, else the ones whose name or scheme is emotion, speaker, text or transcription, and each
dimension. `audb.load_to(folder, name)` of the package `audb` fetches what is published; erc does not
need it.

What is rated is the folder's own: `emotions` and `dimensions` name it, as a manifest's do. An utterance
has one vote and one value for each rater that the columns name; columns that name none are one rater's,
and of two columns of one rater (a table of everything and one of a split) the first counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import ConfigError, CorpusError, LabelError, did_you_mean, optional
from erc.base.space import space
from erc.base.text import normalise
from erc.corpora.about import About
from erc.corpora.utterance import Report, Utterance

ABOUT = About(
    title="a folder in audformat",
    language="any",
    utterances=None,
    raters="a column each, or a gold standard",
    licence="that of its db.yaml",
    source="https://audeering.github.io/audformat/",
    how="audb.load_to(folder, name) fetches what is published",
)
FILES = "db.yaml"
GENDERS = {"female": "F", "male": "M"}


def read(
    root: Path,
    report: Report,
    *,
    emotion: str | None = None,
    speaker: str | None = None,
    session: str | None = None,
    text: str | None = None,
    tables: Sequence[str] | None = None,
    emotion_map: dict[Any, str | None] | None = None,
    emotions: Sequence[str] | None = None,
    dimensions: Mapping[str, Sequence[float]] | None = None,
) -> Iterator[Utterance]:
    """Utterances in the order of file names.

    Args:
        root: the folder of `db.yaml`.
        report: counts what is dropped or corrected.
        emotion, speaker, text: names of columns, or of their schemes; None: see above.
        session: column of what folds keep together; None: the speaker.
        tables: names of the tables that are read; None: all of them.
        emotion_map: further emotion words, see `Space.words`.
        emotions, dimensions: what it is rated in, see `erc.base.space.space`.

    Raises:
        CorpusError: no audformat folder; no emotions and no dimensions in it; no speakers.
        LabelError: an emotion that is not one of `emotions`; a rating off its scale.
        ConfigError: audformat is not installed; there is no such column.
    """
    with optional("this folder"):
        import audformat
    if not (root / FILES).is_file():
        raise CorpusError(f"{root.absolute()} holds no {FILES}, the header of an audformat folder")
    database = audformat.Database.load(str(root))
    own = space(emotions, dimensions)
    words = own.words(emotion_map)
    columns = _columns(database, tables)
    chosen = _pick(columns, emotion, ("emotion",))
    scales = {d.name: _pick(columns, None, (d.name,)) for d in own.dimensions}
    if not chosen and not any(scales.values()):
        raise CorpusError(
            f"{root / FILES}: no column of emotions or of {', '.join(own.names) or 'dimensions'}; its "
            f"columns are {', '.join(sorted(columns))}. Name one, e.g. dataset.emotion=…"
        )
    speakers = _pick(columns, speaker, ("speaker",))
    if not speakers:
        raise CorpusError(
            f"{root / FILES}: no column of speakers; its columns are {', '.join(sorted(columns))}. "
            "Name what may not be split between training and test: dataset.speaker=…"
        )
    sessions = _pick(columns, session, ()) if session else speakers
    texts = _pick(columns, text, ("text", "transcription", "transcript"))
    read_from = [c for found in (chosen, speakers, *scales.values()) for c in found]
    files = sorted({file for column in read_from for file in column.files})
    for file in files:
        path = Path(root, file)
        try:
            said = [str(value) for value in _by_rater(chosen, file)]
            named = [own.index(w, file, words) for w in said if words.get(w.lower(), 0) is not None]
            rated = tuple(
                d.check(_mean([float(v) for v in _by_rater(scales[d.name], file)]), file)
                for d in own.dimensions
            )
        except LabelError as error:
            report.refuse("label that the scale does not have", error)
            continue
        who = _first(speakers, file)
        if not path.is_file():
            report.drop("recording not found", str(path))
        elif who is None:
            report.drop("no speaker", str(path))
        elif not named and all(map(math.isnan, rated)):
            report.drop("not labelled", str(path))
        else:
            votes = tuple(float(named.count(k)) for k in range(len(own.emotions)))
            facts = _labels(speakers, who)
            words_of = _first(texts, file)
            spoken = _labels(texts, words_of) if words_of is not None else None
            yield Utterance(
                id=file,
                corpus=database.name,
                audio=path,
                text=normalise(str(spoken or words_of)) if words_of is not None else None,
                speaker=str(who),
                session=str(_first(sessions, file) or who),
                votes=votes if named else None,
                dimensions=rated,
                gender=GENDERS.get(str(facts.get("gender")), "") if isinstance(facts, dict) else "",
                dialogue=str(words_of) if spoken else "",
            )


class Column(NamedTuple):
    """A column of a table by files."""

    scheme: Any  # None: it has none
    rater: str
    files: list[str]  # of its table
    values: dict[str, Any]  # file → value, without blanks


def _columns(database: Any, tables: Sequence[str] | None) -> dict[str, list[Column]]:
    """Column and scheme names → columns of tables by files."""
    for name in tables or ():
        if name not in database.tables:
            raise ConfigError(
                f"audformat: no table '{name}'{did_you_mean(name, database.tables)}; "
                f"there are {', '.join(database.tables)}"
            )
    found: dict[str, list[Column]] = {}
    for table_name, table in database.tables.items():
        if not table.is_filewise or table_name not in (tables or database.tables):
            continue
        frame = table.df
        files = [str(file) for file in frame.index]
        for name, column in table.columns.items():
            values = {str(file): value for file, value in frame[name].dropna().items()}
            scheme = database.schemes.get(column.scheme_id) if column.scheme_id else None
            entry = Column(scheme, column.rater_id or "", files, values)
            for key in {name, column.scheme_id or name}:
                found.setdefault(key, []).append(entry)
    return found


def _by_rater(columns: list[Column], file: str) -> list[Any]:
    """What each rater says of a file; of two columns of one rater the first counts."""
    found: dict[str, Any] = {}
    for column in columns:
        if file in column.values:
            found.setdefault(column.rater, column.values[file])
    return list(found.values())


def _pick(columns: dict[str, list[Column]], name: str | None, usual: Sequence[str]) -> list[Column]:
    if name is not None and name not in columns:
        raise ConfigError(
            f"audformat: no column or scheme '{name}'{did_you_mean(name, columns)}; "
            f"there are {', '.join(sorted(columns))}"
        )
    names = [name] if name is not None else [n for n in usual if n in columns]
    return columns[names[0]] if names else []


def _first(columns: list[Column], file: str) -> Any:
    return next((c.values[file] for c in columns if file in c.values), None)


def _labels(columns: list[Column], value: Any) -> Any:
    """What the scheme says of a label, e.g. a speaker's gender or a sentence's words; {}: nothing."""
    for column in columns:
        labels = getattr(column.scheme, "labels", None)
        if isinstance(labels, dict) and value in labels:
            return labels[value]
    return {}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
