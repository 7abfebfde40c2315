"""One model per fold, several times with `seeds=5`: a study with one folder for all of them.

    DIR/fold0 …              the runs; DIR/seed0/fold0 … where there are several seeds
    DIR/predictions.csv      what every model said of its held-out fold, seed after seed
    DIR/results.json         scores over folds, pooled and of each seed; see `erc.scores.summary`
    DIR/tables.md, .tex      for people and papers: systems, folds, seeds, speakers, confusion
    DIR/confusion.csv        rated × predicted
    DIR/data.json            what was held out

`erc report DIR` draws it. Stopped, the same command with `-o DIR` goes on where it was.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import ConfigError
from erc.base.files import read_json, write_json
from erc.scores.results import Results
from erc.scores.scored import Scored, read, write
from erc.scores.summary import Summary, pooled
from erc.scores.tables import summary_table
from erc.studies import folds
from erc.studies.experiment import configure, new_folder
from erc.studies.folds import Fold
from erc.studies.study_tables import write_tables


def cross_validate(
    overrides: Sequence[str],
    folder: Path | None = None,
    workers: int | None = None,
    command: Sequence[str] = (),
    at_once: bool = False,
) -> Summary:
    """Train and test once per fold and seed; print and write what they say together.

    Args:
        overrides: as for `python train.py`; `dataset.validation_fold` is set here, `seeds=N` trains each
            fold with N seeds, from `seed` on.
        folder: of all runs; those that are finished there are not trained again.
        workers: runs at a time; at_once: all runs as one stacked model; see `erc.studies.folds`.
        command: as it was typed, for the record; (): that of the last run.

    Raises:
        ConfigError: a run in `folder` was made from something else; see `Fold.finished`.
    """
    folder = folder or new_folder("cross-validation")
    return study(trainings(overrides, folder), folder, workers, command, at_once)


def study(
    wanted: Sequence[Fold],
    folder: Path,
    workers: int | None = None,
    command: Sequence[str] = (),
    at_once: bool = False,
) -> Summary:
    """Train what is not finished of these runs; print and write what they say together."""
    train = folds.train
    if at_once:
        from erc.studies.folds_at_once import train  # torch comes with it
    try:
        for _ in train(wanted, workers):
            pass
    except (KeyboardInterrupt, SystemExit):
        print(f"the study goes on with the same command and -o {folder}", file=sys.stderr)
        raise
    results = [Results.read(run.folder) for run in wanted]
    scored = [
        read(run.folder / "predictions.csv", found.space)
        for run, found in zip(wanted, results, strict=True)
    ]
    rows = pooled(scored)
    summary = Summary.of(results, scored, shlex.join(command), margins(rows))
    write(folder / "predictions.csv", rows.values())
    write_json(folder / "data.json", held_out(wanted))
    write_tables(folder, summary, results, rows[summary.fullest.name])
    summary.write(folder / "results.json")  # last: with it the study is finished
    print(f"{summary_table(summary)}\nstudy  {folder}    see it all: erc report {folder}")
    return summary


def trainings(overrides: Sequence[str], folder: Path) -> list[Fold]:
    """Every fold with every seed, seed after seed.

    Raises:
        ConfigError: `seeds` is not a whole number from 1 on.
    """
    asked = [
        o.lstrip("+").partition("=")[2] for o in overrides if o.lstrip("+").startswith("seeds=")
    ]
    words = [o for o in overrides if not o.lstrip("+").startswith("seeds=")]
    if asked and not (asked[-1].isdecimal() and int(asked[-1])):
        raise ConfigError(f"seeds={asked[-1]}: give how many trainings of each fold, e.g. seeds=5")
    count = int(asked[-1]) if asked else 1
    if count == 1:
        return folds.folds(words, folder)
    first = configure(words, folder).seed
    return [
        run
        for seed in range(first, first + count)
        for run in folds.folds([*words, f"seed={seed}"], folder / f"seed{seed}")
    ]


def margins(rows: Mapping[str, Scored]) -> Mapping[str, Any]:
    """The fullest system over the strongest baseline, on the pooled rows."""
    from erc.scores.results import BASELINE, adapted
    from erc.training import evaluation

    rivals = [x for name, x in rows.items() if name.startswith(BASELINE)]
    main = [x for name, x in rows.items() if not (name.startswith(BASELINE) or adapted(name))]
    return evaluation.margins(main[-1], rivals)


def held_out(runs: Sequence[Fold]) -> dict[str, Any]:
    """data.json of all folds: what the corpus is, and the held-out sides together."""
    found = [read_json(run.folder / "data.json", ConfigError) for run in runs]
    once = [f for f, run in zip(found, runs, strict=True) if run.seed == runs[0].seed]
    sides = [f["sides"]["test"] for f in once]
    sizes = np.array([side["n"] for side in sides], float)
    together = {
        k: sum(s[k] for s in sides) for k in ("n", "minutes", "speakers", "sessions", "ties")
    }
    together["labels"] = {
        kind: {
            emotion: float(
                np.average([s["labels"][kind][emotion] or 0.0 for s in sides], weights=sizes)
            )
            for emotion in shares
        }
        for kind, shares in sides[0]["labels"].items()
    }
    return found[0] | {"sides": {"test": together}}


def audit_folds(overrides: Sequence[str]) -> None:
    """Print an audit of every fold; see `erc.datasets.audit`."""
    cfg = configure(overrides, Path("runs"))
    from erc.datasets.audit import audit
    from erc.training.assembly import training_side

    fold, count = 0, 1
    while fold < count:
        cfg.dataset.validation_fold = fold
        data = training_side(cfg)
        print(f"fold {fold}: {audit(data)}")
        count, fold = data.fold.count, fold + 1
