"""Corpus → one merged table, and folds that no speaker crosses. Also `python -m fire erc.preprocess`.

Enters: `Utterance`s of a corpus. Leaves: a table with every column the corpus has, the rows of each
side of a fold. May import: base, corpora.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc import corpora
from erc.base.errors import ConfigError, CorpusError, did_you_mean
from erc.base.files import atomic
from erc.base.space import KEMDY, Space
from erc.corpora.utterance import Report, Utterance

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS = ("paper", "strict", "fixed")
STRICT_STRIDE = 8  # every 8th training session stops training early under the strict protocol


@dataclass(repr=False)
class TotalTable:
    """All utterances of a corpus, and what was left out. `str()` is a summary for people."""

    name: str
    root: Path
    df: pd.DataFrame  # one row an utterance; columns as `make_total_df` says
    report: Report
    simulated: bool = False  # no person was recorded
    space: Space = KEMDY  # what it is rated in

    def __str__(self) -> str:
        df = self.df
        tied = df.emotion.str.contains(";")
        kinds = df.emotion.value_counts()
        top = ", ".join(
            f"{kind} {n}" for kind, n in kinds[kinds.index.str.contains(";")][:3].items()
        )
        has_audio, has_text = df.audio.notna(), df.text.notna()
        lines = [
            f"{'SIMULATED ' if self.simulated else ''}{self.name}  {self.root}",
            f"{len(df)} utterances, {_distinct(df, 'session')} sessions, "
            f"{_distinct(df, 'speaker')} speakers",
            f"speech and text {(has_audio & has_text).sum()}, speech only "
            f"{(has_audio & ~has_text).sum()}, text only {(~has_audio & has_text).sum()}",
            ", ".join(f"{e} {kinds.get(e, 0)}" for e in self.space.emotions),
            f"ties {tied.sum()}" + (f" ({top})" if top else ""),
        ]
        for what in self.space.names:
            rated = df[what].dropna()
            lines.append(
                f"{what} {rated.mean():.2f} ± {rated.std():.2f} (mean ± standard deviation)"
                if len(rated)
                else f"{what} unrated"
            )
        return "\n".join([*lines, str(self.report)])

    __repr__ = __str__


def make_total_df(
    base_path: str,
    dataset_name: str | None = None,
    save_path: str | None = None,
    **options: Any,
) -> TotalTable:
    """Read a corpus into one table.

    Columns: id, corpus, audio, text, speaker, gender, session, dialogue, emotion (the majority;
    ties joined by ";"; "" if not labelled), votes in a column for each emotion, a column for each
    dimension (valence and arousal, 1–5), raters (how many).

    Args:
        base_path: corpus folder, manifest, or a folder that holds the KEMDy folders.
        dataset_name: kemdy19 | kemdy20 | manifest …; None: what the folder looks like.
        save_path: also write the table there, .csv or .parquet; it is a manifest in its own right.
        options: those of the corpus: `reference_rows` (`erc.corpora.kemdy19.read`), `emotion_map`,
            `where` (`erc.corpora.manifest.read`).

    Raises:
        ConfigError: unknown corpus name or file type.
        CorpusError, LabelError: the corpus is missing or broken.
    """
    import pandas as pd

    if save_path and Path(save_path).suffix not in (".csv", ".parquet"):
        raise ConfigError(f"save_path '{save_path}' must end in .csv or .parquet")
    corpus = corpora.find(base_path, dataset_name, **options)
    rows = [_row(u, corpus.space) for u in corpus.utterances]
    df = pd.DataFrame(rows)
    for column in ("audio", "text"):  # a missing one stays None, whatever dtype pandas would infer
        df[column] = pd.Series([row[column] for row in rows], dtype=object)
    if save_path:
        _save(df, Path(save_path))
    return TotalTable(corpus.name, corpus.root, df, corpus.report, corpus.simulated, corpus.space)


def get_folds(sessions: Sequence[str], num_folds: int | str = 5) -> list[list[str]]:
    """Sorted sessions cut into contiguous groups, as equal as possible, the larger ones first.

    Args:
        sessions: names, repeated or not.
        num_folds: 2 or more, or "session" for one session a fold (leave one speaker out where
            session = speaker).

    Raises:
        ConfigError: fewer sessions than folds, or not a number of folds.

    >>> get_folds(["s1", "s2", "s3", "s4", "s5"], 2)
    [['s1', 's2', 's3'], ['s4', 's5']]
    """
    names = sorted({str(s) for s in sessions})
    count = len(names) if num_folds == "session" else num_folds
    if not isinstance(count, int) or isinstance(count, bool) or count < 2:
        raise ConfigError(
            f"num_folds is {num_folds!r} for {len(names)} sessions; give a number ≥ 2, or 'session' "
            "for one fold a session (of at least two)"
        )
    if len(names) < count:
        raise ConfigError(
            f"{len(names)} sessions ({', '.join(names)}) cannot make {count} folds; "
            f"give num_folds ≤ {len(names)}"
        )
    size, larger = divmod(len(names), count)
    cuts = [i * size + min(i, larger) for i in range(count + 1)]
    return [names[a:b] for a, b in pairwise(cuts)]


@dataclass(frozen=True)
class Fold:
    """One fold held out of `count`: which utterances train, stop training early, and test."""

    number: int  # 0 … count − 1
    count: int
    protocol: str  # paper | strict | fixed
    sides: dict[str, list[int]]  # "train", "valid", "test" → indices of utterances, ascending


def split(
    sessions: Iterable[str],
    speakers: Iterable[str],
    corpora: Iterable[str],
    validation_fold: int,
    num_folds: int | str = 5,
    protocol: str = "paper",
) -> Fold:
    """Which utterances train, stop training early, and test.

    Folds are made for each corpus by itself and united: fold 0 of KEMDy19 and of KEMDy20 together
    are fold 0. With `num_folds="session"` every session of every corpus is a fold.

    Args:
        sessions, speakers, corpora: [N] of every utterance.
        validation_fold: the held-out fold, 0 … folds − 1.
        protocol: "paper": valid = test = the held-out fold. "strict": every 8th of the other
            sessions is valid, so that nothing is chosen on the held-out fold. "fixed": no valid side,
            for corpora too small to give one: training runs a fixed number of epochs.

    Raises:
        ConfigError: unknown protocol, fold out of range, too few sessions.
        CorpusError: a speaker would be on two sides.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(
            f"protocol '{protocol}' is not one of {', '.join(PROTOCOLS)}"
            f"{did_you_mean(str(protocol), PROTOCOLS)}"
        )
    units = list(zip(map(str, corpora), map(str, sessions), strict=True))
    people = list(zip(map(str, corpora), map(str, speakers), strict=True))
    folds = _united_folds(units, num_folds)
    if validation_fold not in range(len(folds)):
        raise ConfigError(
            f"validation_fold {validation_fold} is out of range; there are {len(folds)} folds, "
            f"0–{len(folds) - 1}"
        )
    fold_of = {unit: k for k, fold in enumerate(folds) for unit in fold}
    _refuse_crossing(units, people, fold_of, f"folds ({num_folds} of them)")

    side_of = {unit: "test" if k == validation_fold else "train" for unit, k in fold_of.items()}
    if protocol == "strict":
        training = sorted(unit for unit, side in side_of.items() if side == "train")
        if len(training) < 2:
            raise ConfigError(
                "protocol 'strict' needs two sessions besides the held-out fold, one to train and "
                f"one to stop early; there is {len(training)}. Use more folds, or protocol 'paper'"
            )
        side_of |= dict.fromkeys(training[::STRICT_STRIDE], "valid")
        _refuse_crossing(units, people, side_of, "sides of protocol 'strict'")
    rows = {
        side: [i for i, unit in enumerate(units) if side_of[unit] == side]
        for side in ("train", "valid", "test")
    }
    if protocol == "paper":
        rows["valid"] = list(rows["test"])  # in "fixed" it stays empty
    return Fold(validation_fold, len(folds), protocol, rows)


def _united_folds(
    units: list[tuple[str, str]], num_folds: int | str
) -> list[list[tuple[str, str]]]:
    by_corpus: dict[str, list[list[str]]] = {
        corpus: get_folds([s for c, s in set(units) if c == corpus], num_folds)
        for corpus in sorted({c for c, _ in units})
    }
    tagged = [[[(c, s) for s in fold] for fold in folds] for c, folds in by_corpus.items()]
    if num_folds == "session":
        return list(chain(*tagged))
    return [list(chain(*parts)) for parts in zip(*tagged, strict=True)]


def _refuse_crossing(
    units: list[tuple[str, str]], people: list[tuple[str, str]], place_of: dict, what: str
) -> None:
    """Raise CorpusError if one speaker's sessions lie in two places."""
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for person, unit in dict.fromkeys(zip(people, units, strict=True)):
        other = first.setdefault(person, unit)
        if place_of[other] != place_of[unit]:
            raise CorpusError(
                f"speaker '{person[1]}' of {person[0]} is in session '{other[1]}' and in session "
                f"'{unit[1]}', which lie in different {what}: the test would know the voice. "
                "Give all utterances of a speaker (and of their partners) one session"
            )


def _distinct(df: pd.DataFrame, column: str) -> int:
    return len(df[["corpus", column]].drop_duplicates())


def _row(u: Utterance, space: Space) -> dict:
    votes = u.votes or (float("nan"),) * len(space.emotions)
    winners = [e for e, n in zip(space.emotions, votes, strict=True) if n == max(votes)]
    return {
        "id": u.id,
        "corpus": u.corpus,
        "audio": str(u.audio) if u.audio else None,
        "text": u.text,
        "speaker": u.speaker,
        "gender": u.gender,
        "session": u.session,
        "dialogue": u.dialogue,
        "emotion": ";".join(winners) if u.votes else "",
        **dict(zip(space.emotions, votes, strict=True)),
        **dict(zip(space.names, u.dimensions, strict=True)),
        "raters": len(u.ratings) or int(sum(u.votes or ())),
    }


def _save(df: pd.DataFrame, path: Path) -> None:
    """Write the table with recordings relative to it, so that it can be read as a manifest."""
    folder = path.parent.resolve()  # "..", as the file system reads it, ignores symbolic links
    df = df.assign(audio=[a and os.path.relpath(Path(a).resolve(), folder) for a in df.audio])
    with atomic(path) as temporary:
        if path.suffix == ".csv":
            df.to_csv(temporary, index=False, encoding="utf-8")
        else:
            df.to_parquet(temporary, index=False)
