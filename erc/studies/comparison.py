"""Several models on several corpora, the same utterances for all: who names the emotion, how surely.

What the models said comes in as `Said`, one a model and corpus; what is made of it is a `Comparison`.
Emotions are compared by what they mean, among those that the corpus and all models share: each model is
asked which of these it finds most probable. Utterances that one of the models cannot answer count for
none of them. Everything that is left out is counted by reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from erc.base.space import Dimension, Space
from erc.base.text import folded
from erc.corpora.utterance import Utterance
from erc.scores.baselines import BASELINES, Side
from erc.scores.metrics import ccc, uar
from erc.scores.statistics import Difference, Interval, interval, paired

FOLDS = 5  # of speakers, in which baselines learn and are tested where the whole corpus is scored
LIMITS = {"uar": (0.0, 1.0), "ccc": (-1.0, 1.0)}
Meaning = Callable[[str], str | None]


@dataclass(frozen=True)
class Model:
    """A row of the table."""

    name: str  # as it was given
    id: str = ""  # NAME@VERSION
    takes: tuple[str, ...] = ()
    parameters: int | None = None
    megabytes: float | None = None
    terms: tuple[str, ...] = ()  # see `erc.base.terms.Terms`
    trained_on: str = ""
    simulated: bool = False  # it was trained on simulated speech
    times_real: float = math.nan  # seconds of sound answered in a second, over all corpora here
    per_second: float = math.nan  # utterances answered in a second


@dataclass(frozen=True)
class Said:
    """What one model answered for the N utterances of a corpus, in their order.

    Attributes:
        space: what it answers in: K labels and D dimensions.
        probabilities: [N, K]; rows of nan: no answer.
        dimensions: [N, D] in its own units; nan: no answer.
        reasons: why there is no answer → how many.
        seconds: that answering took.
        heard: seconds of sound that it heard; 0: it only reads.
        seen: what its folder knows of having met these speakers in training; "": nothing. Such a score
            is none of the model's ear, and no other model is measured against it.
        missing: why it cannot answer for this corpus at all; "": it can.
        notes: e.g. that it heard without the text.
    """

    space: Space
    probabilities: np.ndarray
    dimensions: np.ndarray
    reasons: Mapping[str, int] = field(default_factory=dict)
    seconds: float = math.nan
    heard: float = 0.0
    seen: str = ""
    missing: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """One model, or baseline, on one corpus."""

    scores: Mapping[str, Interval] = field(default_factory=dict)  # "uar", "ccc_valence" …
    against_best: Difference | None = None  # its UAR − that of the best model; None: it is the best
    labels: Mapping[str, str | None] = field(default_factory=dict)  # own label → what it counts as
    outside: float = math.nan  # mean probability on labels that do not count here
    seen: str = ""
    missing: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One corpus, and which of its utterances were scored."""

    name: str
    side: str  # "all" or "fold 4 of 5"
    simulated: bool  # no person was recorded
    utterances: int  # of the side
    speakers: int
    emotions: tuple[str, ...]  # compared; (): none
    scored: Mapping[str, int]  # score → utterances that counted
    left_out: Mapping[str, int]  # reason → utterances
    labels: Mapping[str, str | None]  # emotion of the corpus → what it counts as
    terms: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """The whole table: `cells[row][column]`, rows are models, then baselines."""

    models: tuple[Model, ...]
    columns: tuple[Column, ...]
    cells: Mapping[str, tuple[Cell, ...]]  # name of the row → a cell a column
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether some of it is about no real voice."""
        return any(m.simulated for m in self.models) or any(c.simulated for c in self.columns)

    @property
    def baselines(self) -> list[str]:
        """Names of the rows that are no models."""
        return [name for name in self.cells if name not in {m.name for m in self.models}]

    def to_json(self) -> dict[str, Any]:
        """Plain values; nan is null."""
        return _plain(asdict(self))


def shared_emotions(
    corpus: Space, models: Sequence[Space], meaning: Meaning
) -> tuple[tuple[str, ...], list[dict[str, str | None]]]:
    """What is compared, and for the corpus and each model: label → which of these it counts as.

    A label is compared under its own name where the corpus and all models have it, else by what it
    means. A model that shares fewer than two emotions with the corpus takes no part.

    >>> same = {"joy": "happy", "calm": "neutral"}
    >>> spaces = Space(("happy", "neutral", "calm")), [Space(("joy", "neutral", "sad"))]
    >>> found, (corpus, model) = shared_emotions(*spaces, lambda x: same.get(x, x))
    >>> found, corpus["calm"], model
    (('happy', 'neutral'), 'neutral', {'joy': 'happy', 'neutral': 'neutral', 'sad': None})
    """
    own = set(corpus.emotions)
    meant = {x: meaning(x) for x in own}
    taking = [m for m in models if len({meaning(x) for x in m.emotions} & {*meant.values()}) > 1]
    everywhere = own.intersection(*(m.emotions for m in taking)) if taking else set()

    def key(label: str) -> str | None:
        found = meaning(label)
        return label if found is not None and label in everywhere else found

    both = [key(x) for x in corpus.emotions]
    for one in taking:
        known = {key(x) for x in one.emotions}
        both = [x for x in both if x in known]
    emotions = tuple(x for x in dict.fromkeys(both) if x is not None) if taking else ()
    if len(emotions) < 2:
        emotions = ()
    tables: list[dict[str, str | None]] = [
        {x: k if (k := key(x)) in emotions else None for x in space.emotions}
        for space in (corpus, *models)
    ]
    return emotions, tables


def compare(
    utterances: Sequence[Utterance],
    space: Space,
    models: Mapping[str, Said],
    meaning: Meaning,
    *,
    name: str,
    side: str = "all",
    train: Sequence[Utterance] = (),
    cues: np.ndarray | None = None,
    simulated: bool = False,
    terms: str = "",
    notes: Sequence[str] = (),
) -> tuple[Column, dict[str, Cell]]:
    """One corpus: its column, and the cell of every model and baseline.

    Args:
        utterances: N that were answered; `space`: what they are rated in.
        models: name → what it said of each of them.
        meaning: a label → what it is compared as, None: nothing.
        train: what baselines learn from; (): each fifth of the speakers is told by the others.
        cues: [N + len(train), 3] of `erc.scores.baselines.cues`; None: no crude cues.
    """
    answering = {m: said for m, said in models.items() if not said.missing}
    spaces = [said.space for said in answering.values()]
    emotions, (own, *tables) = shared_emotions(space, spaces, meaning)
    labels = dict(zip(answering, tables, strict=True))
    votes = np.array([u.votes or [math.nan] * len(own) for u in utterances], float)
    counted = votes.reshape(len(utterances), -1) @ membership(own, emotions)
    truth, left = majority(votes, counted, own, emotions)
    naming = [m for m, table in labels.items() if emotions and {*table.values()} >= {*emotions}]
    speakers = np.array([u.speaker for u in utterances])
    usable = truth >= 0
    shares, outside = {}, {}
    for m in naming:
        said = answering[m]
        mass = said.probabilities @ membership(labels[m], emotions)
        total = mass.sum(1)
        silent = usable & ~(total > 0)
        for _ in range(int(silent.sum())):
            left[f"not answered by {m}"] += 1
        usable &= ~silent
        shares[m], outside[m] = mass, 1 - total
    rows = np.flatnonzero(usable)
    scored = {"uar": len(rows)} if emotions else {}
    metric = partial(uar, num_classes=len(emotions))
    arrays: dict[str, dict[str, tuple[Any, Any]]] = {}
    if len(rows):
        arrays["uar"] = {m: (truth[rows], shares[m][rows].argmax(1)) for m in naming}
    who = {"uar": rows} if emotions else {}
    for d, scale in enumerate(space.dimensions):
        key = f"ccc_{scale.name}"
        told = {
            m: rescaled(s.dimensions[:, s.space.names.index(scale.name)], s.space, scale)
            for m, s in answering.items()
            if scale.name in s.space.names
        }
        rated = np.array([u.dimensions[d] for u in utterances], float)
        known = np.isfinite(rated)
        for values in told.values():
            known &= np.isfinite(values)
        if told and known.any():
            who[key], scored[key] = np.flatnonzero(known), int(known.sum())
            arrays[key] = {m: (rated[known], values[known]) for m, values in told.items()}
    people = [*utterances, *train]
    base = _baselines(people, len(utterances), space, own, emotions, cues, who)
    for key, each in base.items():
        if key in arrays:
            first = next(iter(arrays[key].values()))[0]
            arrays[key] |= {name: (first, values[who[key]]) for name, values in each.items()}
    cells: dict[str, Cell] = {}
    rows_of = dict.fromkeys([*models, *(n for each in base.values() for n in each)])
    found = {
        key: {
            m: interval(_metric(key, metric), pair, speakers[who[key]], limits=LIMITS[key[:3]])
            for m, pair in each.items()
        }
        for key, each in arrays.items()
    }
    told_uar = {m: found["uar"][m].value for m in naming} if "uar" in found else {}
    heard_before = {m for m in told_uar if answering[m].seen}
    fair = {m: x for m, x in told_uar.items() if x == x and m not in heard_before}
    best = max(fair, key=lambda m: fair[m], default=None)
    for m in rows_of:
        behind = None
        if best is not None and m in found["uar"] and m != best:
            pairs = arrays["uar"][m], arrays["uar"][best]
            behind = paired(metric, *pairs, speakers[rows])
        one = models.get(m)
        cells[m] = Cell(
            {key: each[m] for key, each in found.items() if m in each},
            behind,
            labels.get(m, {}),
            float(outside[m][rows].mean()) if m in outside and len(rows) else math.nan,
            one.seen if one else "",
            _why(one, space) if one and not any(m in each for each in found.values()) else "",
            _notes(one) if one else (),
        )
    return (
        Column(
            name, side, simulated, len(utterances), len(set(speakers.tolist())), emotions, scored,
            dict(left), own, terms, tuple(notes),
        ),
        cells,
    )  # fmt: skip


def rescaled(values: np.ndarray, own: Space, scale: Dimension) -> np.ndarray:
    """Values on a dimension of `own`, on the scale that a corpus has for it: linear, end to end.

    >>> rescaled(np.array([0, 0.5]), Space((), (Dimension("valence", 0, 1),)), Dimension("valence"))
    array([1., 3.])
    """
    mine = own.dimensions[own.names.index(scale.name)]
    return scale.low + (values - mine.low) * (scale.high - scale.low) / (mine.high - mine.low)


def _metric(key: str, naming: Callable[..., Any]) -> Callable[..., Any]:
    return naming if key == "uar" else ccc


def membership(table: Mapping[str, str | None], emotions: Sequence[str]) -> np.ndarray:
    """[labels, emotions] 1 where a label counts as an emotion."""
    found = [[float(meant == e) for e in emotions] for meant in table.values()]
    return np.array(found, float).reshape(len(table), len(emotions))


def majority(
    votes: np.ndarray, counted: np.ndarray, own: Mapping[str, str | None], emotions: Sequence[str]
) -> tuple[np.ndarray, Counter[str]]:
    """[N] which of the shared emotions most raters chose; −1: none, and why not."""
    left: Counter[str] = Counter()
    truth = np.full(len(votes), -1)
    for i, (row, mass) in enumerate(zip(votes, counted)):
        if not len(emotions):
            continue
        if np.isnan(row).any() or not row.sum():
            left["without an emotion label"] += 1
            continue
        others = [v for v, meant in zip(row, own.values()) if meant is None]
        most = max(mass.max(), max(others, default=0))
        if (mass == most).sum() + sum(v == most for v in others) > 1:
            left["several emotions have most votes"] += 1
        elif mass.max() < most:
            word = list(own)[
                int(np.argmax([v if m is None else -1 for v, m in zip(row, own.values())]))
            ]
            left[f"labelled {word}, which not all models know"] += 1
        else:
            truth[i] = int(mass.argmax())
    return truth, left


def _baselines(
    people: Sequence[Utterance],
    n: int,
    space: Space,
    own: Mapping[str, str | None],
    emotions: tuple[str, ...],
    cues: np.ndarray | None,
    who: Mapping[str, np.ndarray],
) -> dict[str, dict[str, np.ndarray]]:
    """Score → baseline → [n] what it says; they learn on this corpus from other speakers."""
    votes = np.array([u.votes or [math.nan] * len(own) for u in people], float)
    mass = votes.reshape(len(people), -1) @ membership(own, emotions)
    known = mass.sum(1, keepdims=True) > 0
    mass = np.where(known, mass / np.where(known, mass.sum(1, keepdims=True), 1), math.nan)
    rated = np.array([u.dimensions[: len(space.names)] for u in people], float)
    rated = rated.reshape(len(people), -1)
    if rated.shape[1] != len(space.names):
        rated = np.full((len(people), len(space.names)), math.nan)
    speaker = np.array([u.speaker for u in people])
    text = np.array([folded(u.text or "") for u in people], object)
    heard = cues if cues is not None else np.full((len(people), 3), math.nan)
    compared = Space(emotions, space.dimensions)
    whole = Side(text, heard, speaker, mass, rated, compared)
    names = [b for b in BASELINES if b != "duration and level" or cues is not None]
    names = [b for b in names if b != "sentence look-up" or any(text)]
    splits = _splits(speaker, n)
    found: dict[str, dict[str, np.ndarray]] = {key: {} for key in who}
    for name in names if splits and who else ():
        said = np.full((n, len(emotions)), math.nan)
        placed = np.full((n, len(space.names)), math.nan)
        for learn, tell in splits:
            answer = BASELINES[name](_take(whole, learn), _take(whole, tell))
            said[tell], placed[tell] = answer
        for key in who:
            column = key.removeprefix("ccc_")
            values = said.argmax(1) if key == "uar" else placed[:, space.names.index(column)]
            found[key][f"baseline: {name}"] = values
    return found


def _splits(speaker: np.ndarray, n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(rows to learn from, rows to tell): the rest, or fifths of the speakers in turn."""
    if len(speaker) > n:
        return [(np.arange(n, len(speaker)), np.arange(n))]
    fold = np.unique(speaker, return_inverse=True)[1] % FOLDS
    folds = range(int(fold.max()) + 1) if n else ()
    if len(folds) < 2:
        return []  # of one speaker nobody else can tell
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in folds]


def _take(side: Side, rows: np.ndarray) -> Side:
    text, cues, speaker = side.text[rows], side.cues[rows], side.speaker[rows]
    return Side(text, cues, speaker, side.votes[rows], side.ratings[rows], side.space)


def _why(said: Said, space: Space) -> str:
    """Why a model has no score on a corpus that is rated in this space."""
    if said.missing:
        return said.missing
    own, rated = (
        ", ".join([*one.emotions[:8], *one.names]) or "nothing" for one in (said.space, space)
    )
    return f"nothing to compare: it answers {own}; the corpus is rated in {rated}"


def _notes(said: Said) -> tuple[str, ...]:
    return (*said.notes, *(f"{n} not answered: {why}" for why, n in said.reasons.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(x) for key, x in value.items()}
    if isinstance(value, Interval | Difference):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
