"""Models and corpora by name → what every model says of every utterance → `Comparison`."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from erc.base import audio
from erc.base.devices import machine
from erc.base.errors import ConfigError, ErcError
from erc.base.progress import progress
from erc.base.space import Space
from erc.base.terms import Terms, from_json, refuse
from erc.corpora import Corpus, find
from erc.corpora.utterance import Utterance
from erc.model.folder import read_config
from erc.model.folder.heard import Heard
from erc.preprocess import split
from erc.recognizer import Recognizer, load
from erc.recognizer.info import info
from erc.recognizer.prediction import Failure
from erc.recognizer.public.labels import meaning
from erc.recognizer.public.opened import Named, look
from erc.scores.baselines import FULL_SCALE, cues
from erc.studies.comparison import compare
from erc.studies.comparison_table import Cell, Column, Comparison, Model, Said


def run(
    models: Sequence[str],
    places: Sequence[str],
    fold: str | None,
    labels: Mapping[str, str | None],
    device: str,
    commercial: bool,
    quiet: bool,
    manifest: Mapping[str, Any],
) -> Comparison:
    """Open each model once, let it answer for every corpus, and compare.

    Raises:
        ConfigError, CheckpointError, CorpusError: see `erc.cli.compare`.
    """
    corpora = [find(place, **_fitting(manifest)) for place in places]
    titles = _short(places, [_corpus_name(corpus) for corpus in corpora])
    sides = [side(corpus, fold) for corpus in corpora]
    names = {one: _open_name(one) for one in models}
    told = {one: _described(names[one]) for one in models}
    rows_of = _short(models, [told[one].name for one in models])
    if commercial:
        for one in models:
            refuse(from_json(_config(names[one])["meta"].get("terms")), f"the model {one}")
    said: list[dict[str, Said]] = [{} for _ in corpora]
    for one in models:
        recognizer = load(names[one], device=device)
        heard = Heard.of(recognizer.config)
        row, did = rows_of[one], []
        for place, corpus, (mine, _), answers in zip(places, corpora, sides, said):
            found = answer(recognizer, mine, f"{row} on {titles[place]}", quiet)
            answers[row] = _with_leaks(found, heard, told[one], corpus, mine)
            did += [(found, len(mine))] if not found.missing else []
        told[one] = replace(told[one], name=row, **_speed(did))  # type: ignore[arg-type]
    columns: list[Column] = []
    rows: dict[str, list[Cell]] = {}
    for place, corpus, (mine, rest), answers in zip(places, corpora, sides, said):
        column, cells = compare(
            mine,
            corpus.space,
            answers,
            lambda label: meaning(label, labels),
            name=titles[place],
            side=f"fold {fold}" if fold else "all",
            train=rest,
            cues=_cues([*mine, *rest], quiet),
            simulated=corpus.simulated,
            terms="; ".join(map(str, corpus.terms)),
            notes=_lacks(mine),
        )
        for name, cell in cells.items():
            rows.setdefault(name, [Cell()] * len(columns)).append(cell)
        columns.append(column)
        for each in rows.values():
            each += [Cell()] * (len(columns) - len(each))
    from erc import __version__

    return Comparison(
        tuple(told[one] for one in models),
        tuple(columns),
        {name: tuple(cells) for name, cells in rows.items()},
        machine(),
        {"erc": __version__, "numpy": np.__version__},
    )


def answer(
    recognizer: Recognizer, utterances: Sequence[Utterance], what: str, quiet: bool = False
) -> Said:
    """What a model says of utterances, as `erc predict` would on the same files and texts.

    Seconds are those of decoding and computing, after one utterance to warm up.
    """
    space, takes = _offered(recognizer), recognizer.spec.modalities
    inputs = [
        {
            "audio": u.audio if "speech" in takes else None,
            "text": u.text if "text" in takes else None,
            "name": u.id,
        }
        for u in utterances
    ]
    notes = []
    there = {"speech": "audio", "text": "text"}
    for modality, key in there.items():
        count = sum(not one[key] for one in inputs)
        if modality in takes and count:
            lack = "recording" if modality == "speech" else "transcript"
            notes.append(f"{count} of {len(inputs)} utterances have no {lack}")
    if "physiology" in takes:
        notes.append("physiology is not read here")
    k, d = len(space.emotions), len(space.names)
    if not any(one["audio"] or one["text"] for one in inputs):
        why = f"it takes {' and '.join(takes)}; the corpus has none"
        return Said(space, np.zeros((0, k)), np.zeros((0, d)), missing=why)
    p, placed = np.full((len(inputs), k), math.nan), np.full((len(inputs), d), math.nan)
    reasons: Counter[str] = Counter()
    heard = 0.0
    list(recognizer.predict_many(inputs[:1]))
    start = time.perf_counter()
    with progress(what, len(inputs), quiet) as advance:
        for i, one in enumerate(recognizer.predict_many(inputs)):
            advance(1)
            if isinstance(one, Failure):
                reasons[one.error.removeprefix(f"{utterances[i].id}: ")] += 1
                continue
            heard += one.duration or 0.0
            if one.probabilities:
                p[i] = [one.probabilities[e] for e in space.emotions]
            elif one.reason and not one.dimensions:
                reasons[one.reason] += 1
            placed[i] = [one.dimensions.get(name, math.nan) for name in space.names]
    seconds = time.perf_counter() - start
    nothing = np.isnan(p).all() and np.isnan(placed).all()
    why = ""
    if nothing:
        most = reasons.most_common(1)
        why = f"answered none of {len(inputs)}: {most[0][0] if most else 'nothing learned'}"
    return Said(space, p, placed, dict(reasons), seconds, heard, "", why, tuple(notes))


def _offered(recognizer: Recognizer) -> Space:
    """What a model can answer: the emotions and dimensions of its space that it has learned."""
    learned, space = recognizer.learned, recognizer.space
    emotions = tuple(e for e in space.emotions if e not in learned.not_offered)
    dimensions = tuple(d for d in space.dimensions if d.name not in learned.unlearned)
    return Space(emotions if len(emotions) > 1 else (), dimensions)


def _fitting(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if value}


def side(corpus: Corpus, fold: str | None) -> tuple[list[Utterance], list[Utterance]]:
    """The utterances of a fold "K/N" and the others; None: all, and none.

    Raises:
        ConfigError: a fold that there is not.
    """
    if fold is None:
        return list(corpus.utterances), []
    number, _, count = fold.partition("/")
    if not (number.isdecimal() and (count.isdecimal() or count == "session")):
        raise ConfigError(f"--fold {fold}: write K/N, e.g. 4/5, or K/session")
    columns = zip(*((u.session, u.speaker, u.corpus) for u in corpus.utterances))
    sessions, people, names = columns
    folds = int(count) if count.isdecimal() else count
    found = split(sessions, people, names, int(number), folds, "fixed").sides
    return tuple([corpus.utterances[i] for i in found[part]] for part in ("test", "train"))  # type: ignore[return-value]


def _open_name(name: str) -> Named:
    """A folder or hub id; two of them where a + stands between and no folder has that name."""
    speech, plus, text = name.partition("+")
    return (speech, text) if plus and not Path(name).exists() else name


def _config(name: Named) -> dict[str, Any]:
    found = look(name)
    return read_config(found) if isinstance(found, Path) else found.to_config()


def _described(opened: Named) -> Model:
    """What is known of a model without loading it."""
    parts = [opened] if isinstance(opened, str | Path) else list(opened)
    known = [_facts(one) for one in parts]
    terms = [Terms(**{k: t[k] for k in ("of", "licence")}) for one in known for t in one["terms"]]
    parameters = [one["parameters"] for one in known]
    found: Any = look(opened)
    heard = Heard.of(_config(opened))
    data = next((str(one["data"]) for one in known if one["data"]), "")
    ids = [one["id"] for one in known]
    return Model(
        "+".join(one.partition("@")[0] for one in ids),
        ids[0] if len(ids) == 1 else found.id,
        tuple(m for one in known for m in one["takes"]),
        None if None in parameters else sum(parameters),
        round(sum(one["megabytes"] for one in known), 1),
        tuple(map(str, terms)),
        ", ".join(heard.corpora) or data,
        any(one["simulated"] for one in known),
    )


def _short(given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What was given → its name; what was given where two have one name."""
    return {one: name if names.count(name) == 1 else one for one, name in zip(given, names)}


def _corpus_name(corpus: Corpus) -> str:
    """E.g. `nemo`; of a manifest what its folder or file is called."""
    root = corpus.root.absolute()
    if corpus.name != "manifest":
        return corpus.name
    return root.parent.name if root.stem == "manifest" else root.stem


def _speed(did: Sequence[tuple[Said, int]]) -> dict[str, float]:
    """Of all answers of a model together."""
    seconds, heard = (sum(getattr(said, name) for said, _ in did) for name in ("seconds", "heard"))
    return {
        "times_real": heard / seconds if heard else math.nan,
        "per_second": sum(n for _, n in did) / seconds if did else math.nan,
    }


def _facts(name: str | Path) -> dict[str, Any]:
    from erc.model.folder.find import named

    return info(named(name))


def _with_leaks(
    said: Said, heard: Heard, model: Model, corpus: Corpus, utterances: Sequence[Utterance]
) -> Said:
    """The same with what the model's folder knows of having met these speakers."""
    met = [heard.knows((u.corpus, u.speaker)) for u in utterances]
    if any(met):
        speakers = {u.speaker for u, known in zip(utterances, met) if known}
        count = f"{sum(map(bool, met))} of these {len(met)} utterances"
        return replace(said, seen=f"was trained on speakers of {count} ({len(speakers)} speakers)")
    names = {
        corpus.name,
        corpus.root.name,
        corpus.root.parent.name,
        *(u.corpus for u in utterances),
    }
    if heard.training is None and model.trained_on:
        trained = set(
            model.trained_on.replace("[", " ").replace("]", " ").replace("'", " ").split()
        )
        if trained & names:
            return replace(
                said, seen=f"was trained on {model.trained_on}; on whom of it is not recorded"
            )
    if heard.training is None and not model.trained_on:
        note = "what it was trained on is not recorded: it may have heard this corpus"
        return replace(said, notes=(*said.notes, note))
    if set(heard.corpora) & names:
        return replace(said, notes=(*said.notes, "trained on other speakers of this corpus"))
    return said


def _lacks(utterances: Sequence[Utterance]) -> list[str]:
    """Which modality a corpus, or a part of it, does not have."""
    found = []
    for what, count in (
        ("recording", sum(u.audio is None for u in utterances)),
        ("transcript", sum(not u.text for u in utterances)),
    ):
        if count:
            found.append(f"no {what}: {count} of {len(utterances)} utterances")
    return found


def _cues(utterances: Sequence[Utterance], quiet: bool) -> np.ndarray | None:
    """[N, 3] how long and how loud each recording is; None: there are no recordings."""
    if not any(u.audio for u in utterances):
        return None
    found = np.full((len(utterances), 3), math.nan)
    bad = 0
    with progress("length and level", len(utterances), quiet) as advance:
        for row, u in zip(found, utterances):
            advance(1)
            if u.audio is None:
                continue
            try:
                row[:] = cues(audio.load(u.audio) * FULL_SCALE)
            except ErcError:
                bad += 1
    if bad:
        print(f"erc compare: {bad} recordings could not be read", file=sys.stderr)
    return found
