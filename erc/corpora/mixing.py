"""Several corpora → one: their emotions and scales side by side, through a table that anyone can read.

An emotion counts as the first spelling of its kind (`erc.base.space.SPELLINGS`: joy and happiness are
happy), unless its corpus tells the two apart: RAVDESS has calm beside neutral, and keeps it. Values on
dimensions are moved linearly onto one scale. What has no place in the mix is counted by reason.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from erc import corpora
from erc.base.errors import ConfigError, did_you_mean
from erc.base.space import KEMDY, SPELLINGS, Dimension, Space, space
from erc.corpora import Corpus
from erc.corpora.packed import Packed
from erc.corpora.utterance import Rating, Report, Utterance

UNION, COMMON = "union", "common"
WHICH = (UNION, COMMON)
Place = str | Path | Mapping[str, Any]
Table = Mapping[str, str | None]  # emotion of a corpus → emotion of the mix; None: left out


def find(
    places: Sequence[Place],
    dataset_name: str | None = None,
    emotions: str | Sequence[str] | None = None,
    dimensions: Mapping[str, Sequence[float]] | None = None,
    emotion_map: Mapping[str, str | None] | None = None,
    **others: Any,
) -> Corpus:
    """Read several corpora and `mix` them.

    Args:
        places: of each its folder or manifest, or `{"paths": …, "dataset_name": …, OPTION: …}`, as
            its config/dataset/NAME.yaml writes it.
        dataset_name: of all of them; None: what each looks like.
        emotions, dimensions, emotion_map: see `mix`.
        others: options of a single corpus: refused unless they are empty.

    Raises:
        ConfigError: no place, an option that belongs to one of the corpora, see `mix`.
        CorpusError, LabelError: see `erc.corpora.load`.
    """
    if given := [key for key, value in others.items() if value]:
        raise ConfigError(
            f"a mix has no option '{given[0]}': write it beside its corpus, as in "
            f"'dataset.paths=[{{paths: FOLDER, {given[0]}: …}}, OTHER]'"
        )
    if not places:
        raise ConfigError(
            "dataset.paths is an empty list; name the corpora, as in [FOLDER, FOLDER]"
        )
    parts = []
    for place in places:
        own = dict(place) if isinstance(place, Mapping) else {"paths": place}
        if not isinstance(own.get("paths"), str | Path):
            raise ConfigError(f"dataset.paths: {own} names no folder; write {{paths: FOLDER, …}}")
        root, name = str(own.pop("paths")), own.pop("dataset_name", dataset_name)
        parts.append(corpora.find(root, name, **own))  # type: ignore[arg-type]
    return mix(parts, emotions, dimensions, emotion_map)


@dataclass(frozen=True)
class Voted:
    """Which emotions of a corpus anybody voted for, and on which dimensions it is rated."""

    emotions: tuple[str, ...]
    dimensions: tuple[Dimension, ...]


def mix(
    parts: Sequence[Corpus],
    emotions: str | Sequence[str] | None = None,
    dimensions: Mapping[str, Sequence[float]] | None = None,
    emotion_map: Mapping[str, str | None] | None = None,
) -> Corpus:
    """One corpus of several.

    What counts is what somebody voted for or was rated on, not what a corpus might have had: a manifest
    of four emotions has four.

    Args:
        parts: read each by itself.
        emotions: "union" (or None): all that any of them has; "common": those that each of them has; or
            their names.
        dimensions: name → [low, high]; None: all that any has, on the scale of the first that has it;
            {}: none.
        emotion_map: what emotions of the corpora count as, beside their spellings; None: as nothing.

    Returns:
        Corpus whose `labels` hold the table of each corpus.

    Raises:
        ConfigError: two corpora of one name, a word in `emotion_map` or `emotions` that none of them
            has, fewer than two emotions left.
    """
    voted = _voted(parts)
    known = {emotion for one in voted.values() for emotion in one.emotions}
    for word in emotion_map or {}:
        if word not in known:
            raise ConfigError(
                f"emotion_map: no corpus of the mix has '{word}'{did_you_mean(str(word), known)}; "
                f"they have {', '.join(sorted(known))}"
            )
    full = {name: table_of(one.emotions, emotion_map or {}) for name, one in voted.items()}
    chosen = _chosen(full, emotions)
    whole = Space(chosen, _scales(voted, dimensions))
    labels = {
        name: {own: to if to in chosen else None for own, to in table.items()}
        for name, table in full.items()
    }
    report = Report()

    def utterances() -> Iterator[Utterance]:
        for part in parts:
            report.add(part.report)
            for u in part.utterances:
                if moved := _moved(u, part.space, whole, labels[u.corpus], report):
                    yield moved

    return Corpus(
        "+".join(part.name for part in parts),
        Path(" + ".join(str(part.root) for part in parts)),
        Packed(utterances()),
        report,
        whole,
        {name: licence for part in parts for name, licence in part.licences.items()},
        tuple(parts),
        labels,
    )


def table_of(emotions: Collection[str], emotion_map: Mapping[str, str | None]) -> Table:
    """What each emotion of one corpus counts as.

    >>> table_of(["joy", "calm", "disgust"], {"disgust": None})
    {'joy': 'happy', 'calm': 'neutral', 'disgust': None}
    >>> table_of(["neutral", "calm"], {})
    {'neutral': 'neutral', 'calm': 'calm'}
    """

    def first(word: str) -> str:
        kind = next((group[0] for group in SPELLINGS if word in group), word)
        return word if kind in emotions else kind

    return {word: emotion_map[word] if word in emotion_map else first(word) for word in emotions}


def _voted(parts: Sequence[Corpus]) -> dict[str, Voted]:
    """Corpus name → what it has, of all that `parts` hold."""
    owner: dict[str, Corpus] = {}
    found: dict[str, Voted] = {}
    for part in parts:
        own = part.space
        sums: dict[str, np.ndarray] = {}
        rated: dict[str, np.ndarray] = {}
        for u in part.utterances:
            if u.corpus not in sums:
                sums[u.corpus] = np.zeros(len(own.emotions))
                rated[u.corpus] = np.zeros(len(own.dimensions), bool)
            if u.votes:
                sums[u.corpus] += u.votes
            rated[u.corpus] |= np.isfinite(u.dimensions)
        for name, total in sums.items():
            if name in owner:
                raise ConfigError(
                    f"two corpora of the mix are called '{name}': {owner[name].root} and {part.root}. A "
                    "manifest is called as its folder or file, or as its column corpus says"
                )
            owner[name] = part
            found[name] = Voted(
                tuple(e for e, n in zip(own.emotions, total, strict=True) if n),
                tuple(d for d, n in zip(own.dimensions, rated[name], strict=True) if n),
            )
    return found


def _chosen(tables: Mapping[str, Table], emotions: str | Sequence[str] | None) -> tuple[str, ...]:
    """Emotions of the mix, KEMDy's first, the others by name."""
    sets = {name: {to for to in table.values() if to} for name, table in tables.items()}
    labelled = [found for found in sets.values() if found]
    union = set().union(*labelled)
    each = "; ".join(
        f"{name}: {', '.join(sorted(found)) or 'none'}" for name, found in sets.items()
    )
    if emotions is None or isinstance(emotions, str):
        which = emotions or UNION
        if which not in WHICH:
            raise ConfigError(
                f"dataset.emotions={which} is neither {' nor '.join(WHICH)} nor a list"
                f"{did_you_mean(which, WHICH)}"
            )
        wanted = union if which == UNION else set.intersection(*labelled) if labelled else set()
    else:
        wanted = set(map(str, emotions))
        if strange := sorted(wanted - union):
            raise ConfigError(
                f"dataset.emotions: no corpus of the mix has {', '.join(strange)}"
                f"{did_you_mean(strange[0], union)} ({each})"
            )
    if len(wanted) < 2:
        raise ConfigError(
            f"the mix would have {len(wanted)} emotions ({each}): choose dataset.emotions=union, or "
            "say with dataset.emotion_map what emotions count as"
        )
    usual = [e for e in KEMDY.emotions if e in wanted]
    return (*usual, *sorted(wanted.difference(usual)))


def _scales(
    voted: Mapping[str, Voted], dimensions: Mapping[str, Sequence[float]] | None
) -> tuple[Dimension, ...]:
    found: dict[str, Dimension] = {}
    for one in voted.values():
        for d in one.dimensions:
            found.setdefault(d.name, d)
    if dimensions is None:
        usual = [name for name in KEMDY.names if name in found]
        return tuple(found[name] for name in (*usual, *sorted(set(found).difference(usual))))
    wanted = space(KEMDY.emotions, dimensions).dimensions
    for d in wanted:
        if d.name not in found:
            raise ConfigError(
                f"dataset.dimensions: no corpus of the mix is rated on {d.name}"
                f"{did_you_mean(d.name, found)}; they are on {', '.join(found) or 'none'}"
            )
    return wanted


def _moved(
    u: Utterance, own: Space, whole: Space, table: Table, report: Report
) -> Utterance | None:
    """The utterance in the label space of the mix; None: it has no label there."""
    where = f"{u.corpus} {u.id}"
    place = [whole.emotions.index(to) if (to := table.get(e)) else -1 for e in own.emotions]
    votes, lost = _votes(u.votes, place, len(whole.emotions))
    rated, moved = _rated(u.dimensions, own, whole)
    unrated = all(map(math.isnan, rated))
    if lost is not None:
        emotion = f"{u.corpus}: {own.emotions[lost]} has no place in the mix"
        if votes:
            report.correct("votes for emotions outside the mix left out", where)
        elif unrated:
            report.drop(emotion, where)
            return None
        else:
            report.correct(f"{emotion}; its ratings stay", where)
    elif votes is None and unrated:
        report.drop("rated on nothing that the mix has", where)
        return None
    for name in moved:
        report.correct(f"{u.corpus}: {name} moved onto the scale of the mix", where)
    ratings = tuple(
        Rating(
            r.rater, place[r.emotion] if r.emotion >= 0 else -1, _rated(r.dimensions, own, whole)[0]
        )
        for r in u.ratings
    )
    group = f"{u.corpus}: {u.rater_group}" if u.rater_group else ""
    return replace(u, votes=votes, dimensions=rated, ratings=ratings, rater_group=group)


def _votes(
    votes: Sequence[float] | None, place: Sequence[int], size: int
) -> tuple[tuple[float, ...] | None, int | None]:
    """Votes in the mix, and the emotion that lost most of those that have no place there, if any did.

    There are no votes left where that emotion had as many as any other: those who heard something else
    are no majority.
    """
    if not votes:
        return None, None
    counts = [0.0] * size
    for k, n in zip(place, votes, strict=True):
        if k >= 0:
            counts[k] += n
    outside = [n if k < 0 else 0.0 for k, n in zip(place, votes, strict=True)]
    if not any(outside):
        return tuple(counts), None
    most = max(outside)
    return (tuple(counts) if most < max(counts) else None), outside.index(most)


def _rated(
    values: Sequence[float], own: Space, whole: Space
) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Values on the scales of the mix, nan where there is none, and which of them had another scale."""
    found, moved = [math.nan] * len(whole.dimensions), []
    for d, value in zip(own.dimensions, values):
        k = whole.place(d.name)
        if k is None or math.isnan(value):
            continue
        scale = whole.dimensions[k]
        if (d.low, d.high) != (scale.low, scale.high):
            moved.append(d.name)
            value = scale.low + (value - d.low) / (d.high - d.low) * (scale.high - scale.low)
        found[k] = value
    return tuple(found), tuple(moved)
