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
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from erc.base.space import Space
from erc.base.text import folded
from erc.corpora.utterance import Utterance
from erc.scores.baselines import BASELINES, Side
from erc.scores.metrics import ccc, uar
from erc.scores.statistics import Difference, interval, paired
from erc.studies.comparison_table import Cell, Column, Said
from erc.studies.shared_emotions import Meaning, majority, membership, rescaled, shared_emotions

FOLDS = 5  # of speakers, in which baselines learn and are tested where the whole corpus is scored
LIMITS = {"uar": (0.0, 1.0), "ccc": (-1.0, 1.0)}


@dataclass(frozen=True)
class _Scored:
    """What one score ("uar", "ccc_valence" …) looks at.

    Attributes:
        rows: [n] of the utterances, which all who are scored have answered.
        truth: [n] of people.
        said: who → [n] what it says.
    """

    rows: np.ndarray
    truth: np.ndarray
    said: dict[str, np.ndarray]


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
    left: Counter[str] = Counter()
    scored: dict[str, _Scored] = {}
    outside: dict[str, float] = {}
    if emotions:
        scored["uar"], outside = _named(utterances, answering, own, labels, emotions, left)
    scored |= _placed(utterances, space, answering)
    people = [*utterances, *train]
    rows = {key: one.rows for key, one in scored.items()}
    for key, each in _baselines(people, len(utterances), space, own, emotions, cues, rows).items():
        if scored[key].said:
            scored[key].said.update((who, values[rows[key]]) for who, values in each.items())
    metrics = {key: _metric(key, len(emotions)) for key in scored}
    speakers = np.array([u.speaker for u in utterances])
    found = {
        key: {
            who: interval(
                metrics[key], (one.truth, said), speakers[one.rows], limits=LIMITS[key[:3]]
            )
            for who, said in one.said.items()
        }
        for key, one in scored.items()
        if len(one.rows)
    }
    uars = {who: one.value for who, one in found.get("uar", {}).items()}
    fair = {m: x for m, x in uars.items() if m in answering and not answering[m].seen and x == x}
    best = max(fair, key=lambda m: fair[m], default=None)

    def behind(who: str) -> Difference | None:
        if best is None or who == best or who not in uars:
            return None
        one = scored["uar"]
        own, first = ((one.truth, one.said[x]) for x in (who, best))
        return paired(metrics["uar"], own, first, speakers[one.rows])

    baselines = [who for one in scored.values() for who in one.said]
    cells = {}
    for who in dict.fromkeys([*models, *baselines]):
        model = models.get(who)
        scores = {key: each[who] for key, each in found.items() if who in each}
        cells[who] = Cell(
            scores,
            behind(who),
            labels.get(who, {}),
            outside.get(who, math.nan),
            model.seen if model else "",
            _why(model, space) if model and not scores else "",
            _notes(model) if model else (),
        )
    column = Column(
        name, side, simulated, len(utterances), len(set(speakers.tolist())), emotions,
        {key: len(one.rows) for key, one in scored.items()}, dict(left), own, terms, tuple(notes),
    )  # fmt: skip
    return column, cells


def _named(
    utterances: Sequence[Utterance],
    answering: Mapping[str, Said],
    own: Mapping[str, str | None],
    labels: Mapping[str, Mapping[str, str | None]],
    emotions: tuple[str, ...],
    left: Counter[str],
) -> tuple[_Scored, dict[str, float]]:
    """Which emotion models name, of those that know all of them; whatever is left out is counted in
    `left`. With it the mean probability that each leaves on other labels."""
    votes = np.array([u.votes or [math.nan] * len(own) for u in utterances], float)
    counted = votes.reshape(len(utterances), -1) @ membership(own, emotions)
    truth, untold = majority(votes, counted, own, emotions)
    left.update(untold)
    usable = truth >= 0
    shares = {}
    for m, said in answering.items():
        if {*labels[m].values()} >= {*emotions}:
            shares[m] = said.probabilities @ membership(labels[m], emotions)
            silent = usable & ~(shares[m].sum(1) > 0)
            if silent.any():
                left[f"not answered by {m}"] += int(silent.sum())
            usable &= ~silent
    rows = np.flatnonzero(usable)
    named = {m: mass[rows].argmax(1) for m, mass in shares.items()}
    outside = {m: float(1 - mass[rows].sum(1).mean()) for m, mass in shares.items() if len(rows)}
    return _Scored(rows, truth[rows], named if len(rows) else {}), outside


def _placed(
    utterances: Sequence[Utterance], space: Space, answering: Mapping[str, Said]
) -> dict[str, _Scored]:
    """Each dimension that is rated and that some model answers, in the units of the corpus."""
    found = {}
    for d, scale in enumerate(space.dimensions):
        told = {
            m: rescaled(s.dimensions[:, s.space.names.index(scale.name)], s.space, scale)
            for m, s in answering.items()
            if scale.name in s.space.names
        }
        rated = np.array([u.dimensions[d] for u in utterances], float)
        known = np.isfinite([rated, *told.values()]).all(0)
        if told and known.any():
            said = {m: values[known] for m, values in told.items()}
            found[f"ccc_{scale.name}"] = _Scored(np.flatnonzero(known), rated[known], said)
    return found


def _metric(key: str, emotions: int) -> Callable[..., Any]:
    return partial(uar, num_classes=emotions) if key == "uar" else ccc


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
