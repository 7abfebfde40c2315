"""`Scored`: what one system answered on a split, beside what the raters said = rows of predictions.csv.

The only writer and reader of that file. Names are text: a speaker may be called `NA` or `01`, and a
name that a spreadsheet would run as a formula is written with an apostrophe before it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.cells import guard, unguard
from erc.base.errors import ConfigError, LabelError
from erc.base.files import atomic
from erc.base.space import KEMDY, Space, space
from erc.scores import metrics
from erc.scores.statistics import Difference, Interval, interval, paired

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("id", "corpus", "speaker", "session", "gender")  # columns of text
WHOLE = ("system", "space")  # of a `Scored`, not of a row
SAID = ("p_", "predicted_")  # before the name of an emotion, of a dimension: what a system says
TRUE = "votes_"  # before an emotion: what raters say; a dimension stands there by its name alone


@dataclass(frozen=True, eq=False)
class Scored:
    """Answers of one system for the N utterances of a split. Arrays cannot be written to.

    To add a column to predictions.csv: name it here and, if it is text, in `NAMES` (it is filled from
    the store's column of that name); a column of another kind also needs a line in `_columns`,
    `_of_frame` and `erc.training.evaluation.scored`.

    Raises:
        LabelError: a shape, distribution or range that is not as said here.

    >>> one = {name: ["a"] for name in NAMES}
    >>> sure, votes = np.eye(7)[[3]], np.eye(7)[[3]]
    >>> scored = Scored("speech", **one, seconds=[2.5], probabilities=sure, dimensions=[[3, 3]],
    ...                 votes=votes, label=[3], ratings=[[2, 4]], tie=[False])
    >>> scored.evaluate(only=["accuracy"])
    {'accuracy': 1.0}
    """

    system: str  # e.g. "speech + text"
    id: np.ndarray  # [N] text
    corpus: np.ndarray  # [N] text, "": not known; so are session and gender
    speaker: np.ndarray  # [N] text
    session: np.ndarray  # [N] text
    gender: np.ndarray  # [N] text, F or M
    seconds: np.ndarray  # [N] length of the recording; nan: not known
    probabilities: np.ndarray  # [N, K] in the order of `space.emotions`, rows sum to 1
    dimensions: np.ndarray  # [N, D] predicted, in the units of `space.dimensions`
    votes: np.ndarray  # [N, K] of the raters, rows sum to 1; rows of nan: not labelled
    label: np.ndarray  # [N] index of the emotion, −1: none (not labelled, or a tie left out)
    ratings: np.ndarray  # [N, D] mean ratings; nan: not rated
    tie: np.ndarray  # [N] bool, several emotions have most votes
    typicality: Any = None  # [N] of the least typical of what was used, 0–1; nan, None: not known
    space: Space = KEMDY  # the K emotions and D dimensions

    def __post_init__(self) -> None:
        n, k, d = len(self.id), len(self.space.emotions), len(self.space.dimensions)
        if self.typicality is None:
            object.__setattr__(self, "typicality", np.full(n, np.nan))
        kinds: dict[str, tuple[Any, tuple[int, ...]]] = dict.fromkeys(NAMES, (str, (n,)))
        kinds |= {"seconds": (float, (n,)), "label": (int, (n,)), "tie": (bool, (n,))}
        kinds |= {"typicality": (float, (n,))}
        kinds |= dict.fromkeys(("probabilities", "votes"), (float, (n, k)))
        kinds |= dict.fromkeys(("dimensions", "ratings"), (float, (n, d)))
        for name, (kind, shape) in kinds.items():
            array = np.array(getattr(self, name), kind)  # a copy: nobody else can change it
            if array.shape != shape:
                raise LabelError(f"{self.system}: {name} must be {shape}; got {array.shape}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        low, high = self.space.low, self.space.high
        scales = ", ".join(f"{d.name} {d.range}" for d in self.space.dimensions)
        p, votes, said, rated = self.probabilities, self.votes, self.dimensions, self.ratings
        self._check("probabilities", _distribution(p), "is no distribution (≥ 0, sums to 1)")
        unknown = np.isnan(votes).all(-1)
        self._check("votes", unknown | _distribution(votes), "is neither a distribution nor nan")
        self._check("dimensions", ((said >= low) & (said <= high)).all(-1), f"is not in {scales}")
        known = np.isnan(rated) | ((rated >= low) & (rated <= high))
        self._check("ratings", known.all(-1), f"is not in {scales}")
        self._check("label", (self.label >= -1) & (self.label < k), f"is not −1 … {k - 1}")
        self._check("label", ~unknown | (self.label < 0), "is a label without votes")

    def _check(self, name: str, good: Any, what: str) -> None:
        if not good.all():
            row = int(good.argmin())
            value = getattr(self, name)[row].tolist()
            raise LabelError(
                f"{self.system}: {name} of utterance {self.id[row]} (row {row}) {what}: {value}"
            )

    def __len__(self) -> int:
        return len(self.id)

    @property
    def labelled(self) -> np.ndarray:
        """[N] bool: has an emotion label."""
        return self.label >= 0

    @property
    def predicted(self) -> np.ndarray:
        """[N] index of the emotion with the highest probability."""
        return self.probabilities.argmax(-1)

    @property
    def emotion(self) -> np.ndarray:
        """[N] the label as a word, "" for none."""
        return self._words(self.label)

    def take(self, rows: Any) -> Scored:
        """Some of the utterances, by index or bool [N]."""
        names = [f.name for f in fields(self) if f.name not in WHOLE]
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @property
    def people(self) -> np.ndarray:
        """[N] speakers; two of one name in two corpora are two."""
        return np.array([f"{c}/{s}" for c, s in zip(self.corpus, self.speaker, strict=True)], str)

    def named(self, column: str) -> np.ndarray:
        """[N] speakers or sessions, behind their corpus where there are several."""
        names, corpora = getattr(self, column), self.corpus
        several = len(set(corpora)) > 1
        return np.array([n and f"{c}/{n}" for c, n in zip(corpora, names)]) if several else names

    def evaluate(self, weights: Any = None, only: Collection[str] | None = None) -> dict[str, Any]:
        """Every score, see `erc.scores.metrics.evaluate`."""
        said = (self.probabilities, self.dimensions, self.votes, self.label, self.ratings)
        return metrics.evaluate(*said, weights=weights, only=only, space=self.space)

    def intervals(
        self,
        only: Collection[str] | None = None,
        clusters: Any = "speaker",
        seeds: Any = None,
    ) -> dict[str, Interval]:
        """Every score with its 95 % interval.

        Args:
            clusters: the column whose groups are left out in turn; None: utterances one by one.
            seeds: [N] of the training that answered; see `erc.scores.statistics.interval`.
        """
        groups = (
            getattr(self, "people" if clusters == "speaker" else clusters) if clusters else None
        )
        metric = partial(Scored.evaluate, only=only)
        return interval(metric, [self], groups, limits=metrics.limits(self.space), seeds=seeds)

    def minus(self, other: Scored, only: Collection[str] | None = None) -> dict[str, Difference]:
        """Scores of this system − those of another on the same utterances, tested over speakers.

        Raises:
            LabelError: not the same utterances in the same order.
        """
        if self.id.tolist() != other.id.tolist():
            raise LabelError(
                f"{self.system} and {other.system} were not tested on the same utterances"
            )
        metric = partial(Scored.evaluate, only=only)
        return paired(metric, [self], [other], self.people)

    def _columns(self) -> dict[str, Iterable[str]]:
        """Columns of predictions.csv, as text."""
        columns: dict[str, Iterable[str]] = {"system": [guard(self.system)] * len(self)}
        columns |= {name: map(guard, getattr(self, name).tolist()) for name in NAMES}
        columns |= {"seconds": _decimals(self.seconds), "emotion": self.emotion.tolist()}
        columns |= {"predicted": self._words(self.predicted).tolist()}
        columns |= {"tie": map(str, self.tie.tolist())}
        columns |= {"typicality": _decimals(self.typicality)}
        said, placed = SAID
        for before, matrix in ((said, self.probabilities), (TRUE, self.votes)):
            columns |= {before + e: _decimals(x) for e, x in zip(self.space.emotions, matrix.T)}
        for k, name in enumerate(self.space.names):
            columns |= {name: _decimals(self.ratings[:, k])}
            columns |= {placed + name: _decimals(self.dimensions[:, k])}
        return columns

    def _words(self, index: np.ndarray) -> np.ndarray:
        return np.array([*self.space.emotions, ""])[index]

    @classmethod
    def _of_frame(cls, system: str, frame: pd.DataFrame, own: Space) -> Scored:
        """`_columns` read back; what an earlier version did not write is not known."""
        said, placed = SAID
        optional: dict[str, Any] = dict.fromkeys(("corpus", "session", "gender", "tie"), "")
        optional |= dict.fromkeys(("seconds", "typicality"), np.nan)
        frame = frame.assign(**{k: v for k, v in optional.items() if k not in frame})
        names = {name: [unguard(x) for x in frame[name].tolist()] for name in NAMES}
        words = frame["emotion"].unique()
        return cls(
            system,
            **names,  # type: ignore[arg-type]
            seconds=frame["seconds"].to_numpy(),
            probabilities=frame[[said + e for e in own.emotions]].to_numpy(),
            dimensions=frame[[placed + name for name in own.names]].to_numpy(),
            votes=frame[[TRUE + e for e in own.emotions]].to_numpy(),
            label=frame["emotion"].map({w: own.index(w) if w else -1 for w in words}).to_numpy(),
            ratings=frame[list(own.names)].to_numpy(),
            tie=(frame["tie"] == "True").to_numpy(),
            typicality=frame["typicality"].to_numpy(),
            space=own,
        )


def pool(parts: Sequence[Scored]) -> Scored:
    """The utterances of several folds together, in their order; the system is that of the first."""
    names = [f.name for f in fields(Scored) if f.name not in WHOLE]
    joined: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
    return replace(parts[0], **joined)


def write(path: str | Path, systems: Iterable[Scored]) -> None:
    """Write predictions.csv: the rows of each system one after the other, six decimals."""
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for number, scored in enumerate(systems):
            columns = scored._columns()
            if not number:
                file.write(",".join(columns) + "\n")
            for row in zip(*columns.values(), strict=True):
                file.write(",".join(map(_quoted, row)) + "\n")


def read(path: str | Path, own: Space | None = None) -> dict[str, Scored]:
    """Read predictions.csv: system → its rows, in the order of the file.

    Args:
        own: the label space that it was written in (`Results.space`); None: the emotions and dimensions
            that its columns name, each dimension on 1–5.

    Raises:
        ConfigError: there is no such file, or it is not one of these.
    """
    import pandas as pd  # half a second that `erc info` need not pay

    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"{path.parent} has no {path.name}; make it: erc evaluate RUN -o {path.parent}"
        )
    kinds = dict.fromkeys(("system", *NAMES, "emotion", "predicted", "tie"), str)
    try:
        header = list(pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns)
        if lost := [n for n in ("system", "id", "speaker", "emotion") if n not in header]:
            raise ValueError(f"it has no column '{lost[0]}'")
        own = own or _named(header)
        numbers = (*own.names, *(SAID[1] + name for name in own.names))
        numbers += tuple(before + e for before in (SAID[0], TRUE) for e in own.emotions)
        optional = ("seconds", "typicality")
        # nothing but a blank means nan, least of all a name
        blank = {name: [""] for name in (*numbers, *optional)}
        frame = pd.read_csv(
            path, dtype=kinds | dict.fromkeys(blank, float), keep_default_na=False,
            na_values=blank, index_col=False, encoding="utf-8-sig",
        )  # fmt: skip
        for name in numbers:
            if name not in frame:
                raise ValueError(f"it has no column '{name}'")
        return {
            name: Scored._of_frame(name, rows, own)
            for cell, rows in frame.groupby("system", sort=False)
            for name in [unguard(str(cell))]
        }
    except (ValueError, LabelError, ConfigError) as error:
        raise ConfigError(
            f"{path} is not what erc writes: {error}; make it again: erc evaluate RUN -o DIR"
        ) from error


def _quoted(cell: str) -> str:
    """As RFC 4180; `csv.writer` leaves a lone carriage return bare, where every reader ends the row."""
    return '"' + cell.replace('"', '""') + '"' if re.search(r'[",\r\n]', cell) else cell


def _named(columns: Iterable[str]) -> Space:
    """The label space that columns of predictions name."""
    emotions, names = ([c.removeprefix(p) for c in columns if c.startswith(p)] for p in SAID)
    voted = [c.removeprefix(TRUE) for c in columns if c.startswith(TRUE)]
    if lost := [e for e in voted if e not in emotions] or [""] * (not emotions):
        raise ValueError(f"it has no column '{SAID[0]}{lost[0]}'")
    return space(emotions, dict.fromkeys(names, (1.0, 5.0)))


def _decimals(values: np.ndarray) -> Iterable[str]:
    return ("" if x != x else f"{x:.6f}" for x in values.tolist())


def _distribution(rows: np.ndarray) -> np.ndarray:
    return (rows >= 0).all(-1) & (abs(rows.sum(-1) - 1) <= 1e-3)  # False for nan
