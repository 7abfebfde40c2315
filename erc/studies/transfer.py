"""What is left of a model in a corpus that it has not heard: each corpus in turn against the others.

    DIR/others/NAME          a run that trained on all other corpora and was tested on NAME
    DIR/SOURCE/NAME          one that trained on SOURCE alone
    DIR/within/NAME/fold0 …  with `within`: other speakers of the same corpus, for comparison
    DIR/transfer.json, .csv, .md   the table

All cells of a column ask the same: the same utterances, the emotions that all corpora have. What has
another emotion is left out, of training and test, and counted. Stopped, the same command with `-o DIR`
goes on where it was.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError
from erc.base.files import atomic, write_json
from erc.corpora import Corpus
from erc.corpora.mixing import COMMON, Place, find
from erc.scores.results import Results, System, headline
from erc.scores.scored import read
from erc.scores.summary import pooled
from erc.studies import folds
from erc.studies.experiment import new_folder
from erc.studies.transfer_table import (
    OTHERS,
    WITHIN,
    Cell,
    Member,
    Transfer,
    as_csv,
    markdown,
    to_json,
)
from erc.training.config import quoted

PARTS = 5  # of the sessions of a corpus, for `WITHIN`, or as many as it has
USUAL = ("model=linear", "dataset.protocol=fixed", "export=false")


def transfer(
    places: Sequence[Place],
    settings: Sequence[str] = (),
    folder: Path | None = None,
    emotions: Sequence[str] | None = None,
    pairs: bool = True,
    within: bool = False,
    workers: int | None = None,
    command: str = "",
) -> Transfer:
    """Train and test every cell that is not there yet; write the table into `folder`.

    Args:
        places: two corpora or more, as `erc.corpora.mixing.find` takes them.
        settings: KEY=VALUE of `python train.py`, for all trainings; they win over `USUAL`.
        folder: of the study; None: a new one.
        emotions: that are told apart; None: those that all corpora have.
        pairs: also train on each corpus alone; within: also on other speakers of the same corpus.
        workers: trainings at a time, see `erc.studies.folds.train`; None: one after another.
        command: as it was typed, for the record.

    Raises:
        ConfigError: fewer than two corpora, fewer than two emotions that all have, or a folder that
            holds something else.
        CorpusError, LabelError, CheckpointError: a corpus or an encoder cannot be read.
    """
    if len(places) < 2:
        raise ConfigError(f"erc transfer needs two corpora or more; got {len(places)}")
    if any(s.startswith("-") or "=" not in s for s in settings):
        raise ConfigError(f"--set takes KEY=VALUE …, not {' '.join(settings)}")
    mixed = find(places, emotions=emotions or COMMON)
    for part in mixed.parts:
        if len(part.licences) > 1:
            raise ConfigError(
                f"{part.root} holds {' and '.join(part.licences)}: name the folder of each by itself"
            )
    corpora = members(mixed, places)
    folder = folder or new_folder("transfer")
    told = mixed.space.emotions
    wanted = runs(corpora, told, settings, folder, pairs, within)
    every = [run for each in wanted.values() for run in each]
    _train(every, len(every), workers, folder)
    cells = tuple(_cell(*key, each) for key, each in wanted.items())
    known = {m for cell in cells for m, x in cell.main.scores.items() if x == x}
    metrics = tuple(m for m in headline(mixed.space) if m in known)
    found = Transfer(
        corpora, told, cells, mixed.simulated, tuple(map(str, mixed.terms)),
        (*USUAL, *settings), command, metrics,
    )  # fmt: skip
    for name, text in (("transfer.csv", as_csv(found)), ("transfer.md", markdown(found))):
        with atomic(folder / name) as temporary:
            temporary.write_text(text, "utf-8")
    write_json(folder / "transfer.json", to_json(found))
    return found


def members(mixed: Corpus, places: Sequence[Place]) -> tuple[Member, ...]:
    """The corpora of a mix, in the order they were named."""
    found = []
    for part, place in zip(mixed.parts, places, strict=True):
        [name] = part.licences
        own = [u for u in mixed.utterances if u.corpus == name]
        reasons = {
            reason: n
            for reason, n in mixed.report.dropped.items()
            if reason.startswith(f"{name}: ")
        }
        labels = mixed.labels[name]
        speakers, sessions = ({getattr(u, key) for u in own} for key in ("speaker", "session"))
        told = sum(u.votes is not None for u in own)
        rated = len(own) - told
        found.append(
            Member(name, place, told, rated, len(speakers), len(sessions), Counter(reasons), labels)
        )
    return tuple(found)


def runs(
    corpora: Sequence[Member],
    emotions: Sequence[str],
    settings: Sequence[str],
    folder: Path,
    pairs: bool,
    within: bool,
) -> dict[tuple[str, str], list[folds.Fold]]:
    """(trained on, tested on) → the trainings of that cell; corpora are decoded here, once."""
    found: dict[tuple[str, str], list[folds.Fold]] = {}
    for target in corpora:
        others = [one for one in corpora if one != target]
        sources = {OTHERS: others} if len(others) > 1 else {}
        sources |= {one.name: [one] for one in others if pairs or len(others) == 1}
        for name, its in sources.items():
            words = _words([*its, target], emotions, "corpus", "session", settings)
            order = sorted(one.name for one in (*its, target))
            place = folder / ("others" if name == OTHERS else name) / target.name
            held_out = f"dataset.validation_fold={order.index(target.name)}"
            found[name, target.name] = [folds.single([*words, held_out], place)]
        if within and target.sessions > 1:
            count = str(min(PARTS, target.sessions))
            words = _words([target], emotions, "session", count, settings)
            found[WITHIN, target.name] = folds.folds(words, folder / "within" / target.name)
    return found


def _words(
    corpora: Sequence[Member],
    emotions: Sequence[str],
    group: str,
    count: str,
    settings: Sequence[str],
) -> list[str]:
    return [
        "dataset=mix", f"dataset.paths={_value([one.place for one in corpora])}",
        f"dataset.emotions={_value(list(emotions))}", *USUAL, *settings, f"dataset.group={group}",
        f"dataset.num_folds={count}",
    ]  # fmt: skip


def _value(value: Any) -> str:
    """As Hydra reads it behind KEY=.

    >>> _value([{"paths": "a b", "where": None}, "c"])
    "[{paths:'a b',where:null},'c']"
    """
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int | float) else quoted(value)


def _train(wanted: Sequence[folds.Fold], count: int, workers: int | None, folder: Path) -> None:
    """What is not finished; a line each, what a run prints goes to its log.txt."""
    todo = [run for run in wanted if not run.finished()]
    if len(todo) < count:
        print(f"{count - len(todo)} of {count} trainings are there already", file=sys.stderr)
    try:
        if workers is not None:
            for run, seconds in folds.train(todo, workers, keep_weights=False):
                _say(run, folder, seconds)
            return
        for run in todo:
            with folds.log(run.folder):
                [(_, seconds)] = folds.train([run], keep_weights=False)
            _say(run, folder, seconds)
    except (KeyboardInterrupt, SystemExit):
        print(f"the study goes on with the same command and -o {folder}", file=sys.stderr)
        raise


def _say(run: folds.Fold, folder: Path, seconds: float) -> None:
    uar = Results.read(run.folder).fullest["uar"]
    print(f"{run.folder.relative_to(folder)}  UAR {uar}  {seconds:.0f} s", file=sys.stderr)


def _cell(trained_on: str, tested_on: str, runs: Sequence[folds.Fold]) -> Cell:
    results = [Results.read(run.folder) for run in runs]
    if len(results) == 1:
        [one] = results
        ahead = {k: m._asdict() for k, m in one.margins.items() if k == "uar"}
        margin = ahead.get("uar", {})
        return Cell(
            trained_on, tested_on, one.systems, one.n, one.speakers, one.audit or {}, margin
        )
    scored = [read(run.folder / "predictions.csv", results[0].space) for run in runs]
    rows = pooled(scored)
    systems = {name: System.of(answers) for name, answers in rows.items()}
    some = next(iter(rows.values()))
    return Cell(trained_on, tested_on, systems, len(some), len(set(some.people)))
