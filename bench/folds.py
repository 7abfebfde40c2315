"""A study of many heads on known features: trained one by one, and all at once

Frozen encoders, features from the cache, no exported copies. *Training* is the steps and the scores
after each epoch; *all of it* is also reading, baselines, intervals, figures and tables of every run,
which both do alike. Processor seconds are those of all threads. nEMO: real acted Polish speech,
`whisper-tiny-en`, one of nine speakers held out, 30 epochs. Simulated: the paper's three fusions and
three targets in five folds, `strict`, on small encoders. Quick: the training of nEMO alone, 10 epochs.

A head with ReLU is not determined to 1e-4 where one unit lies within rounding of its kink. *One bit*:
how many runs, one by one, are equal to 1e-4 after the last bit of one starting weight was changed.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from bench.harness import Row, table
from erc.studies import folds, folds_at_once
from erc.studies.experiment import configure
from erc.studies.folds import Fold
from erc.training import at_once
from erc.training.checkpoints import restore
from erc.training.evaluation import predict_split
from erc.training.member import Member
from erc.training.run import Training

REAL = Path("../shared")  # corpora and encoders that may not be passed on
ALLOWED = 1e-4


def run(quick: bool) -> list[Row]:
    """Both studies; quick: the training of the first alone."""
    load, records = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if REAL.is_dir():
            records = [training(nemo(place / "training", ["trainer.max_epochs=10"]))]
        if not quick:
            records += measured("simulated, 45 runs", simulated, place / "simulated")
            if REAL.is_dir():
                records += measured("nEMO, 9 runs", nemo, place / "nemo")
    cores = os.cpu_count() or 1
    note = f"{cores} processors; load average {load:.1f} when it began"
    note += ": other jobs ran on this machine" * (load > cores / 2)
    return [table("one by one against at once", [one], note=note) for one in records]


def nemo(folder: Path, more: Sequence[str] = ()) -> list[Fold]:
    """Leave one speaker out, a hidden layer on `whisper-tiny-en`."""
    words = [
        "experiment=frozen", "model=frozen", "model.text_encoder=null", "model.fusion=single",
        "model.fusion_options=null", "export=false", "trainer.enable_progress_bar=false",
        f"model.speech_encoder={REAL / 'encoders/whisper-tiny-en'}",
        f"dataset.paths={REAL / 'corpora/nemo/manifest.csv'}",
    ]  # fmt: skip
    return folds.folds([*words, *more], folder)


def simulated(folder: Path) -> list[Fold]:
    """The paper's 45 runs."""
    from erc.studies.reproduction import plan, simulate

    common = [*simulate(Path("runs/folds")), "trainer.precision=32-true"]
    rows = plan(folder, common, ["strict"], real=False)
    return [one for row in rows for one in folds.folds(row.words, row.folder)]


def training(runs: Sequence[Fold]) -> dict[str, Any]:
    """The steps alone, one by one, at once, and one by one with the last bit of one weight changed."""
    alone, together, said = Clock(), Clock(), []
    for kind in ("alone", "bit", "at once"):
        members = [_member(fold, kind) for fold in runs]
        if kind == "at once":
            with together:
                at_once.fit(members, at_once.plan(members[0]))
        for member in members if kind != "at once" else ():
            restore(member.random)
            weight = member.parts.model.head.weight.data
            if kind == "bit":
                weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))
            with alone if kind == "alone" else Clock():
                Training(member.parts, member.folder).fit()
        said.append([predict_split(member.parts, "test")[0].probabilities() for member in members])
    one_bit, off = (
        [float(np.abs(x - y).max()) for x, y in zip(said[0], other, strict=True)]
        for other in said[1:]
    )
    return row(f"nEMO, {len(runs)} runs, 10 epochs: training", alone, together, off) | {
        "one bit": f"{sum(x <= ALLOWED for x in one_bit)} of {len(off)}",
        "largest then": f"{max(one_bit):.1e}",
    }


def _member(fold: Fold, kind: str) -> Member:
    folder = fold.folder.parent / kind / fold.folder.name
    folder.mkdir(parents=True)
    with contextlib.redirect_stdout(io.StringIO()):
        return Member(configure(fold.words, folder), [])


def row(what: str, alone: Clock, together: Clock, off: Sequence[float]) -> dict[str, Any]:
    """Of the table; off: largest difference of each run."""
    return {
        "what": what,
        "one by one, s": round(alone.wall, 1), "at once, s": round(together.wall, 1),
        "ratio": round(alone.wall / together.wall, 1),
        "processor s": f"{alone.cpu:.1f} / {together.cpu:.1f}",
        "ratio of them": round(alone.cpu / together.cpu, 1),
        f"runs equal to {ALLOWED:g}": f"{sum(x <= ALLOWED for x in off)} of {len(off)}",
        "largest difference": f"{max(off):.1e}",
    }  # fmt: skip


def measured(what: str, made: Callable[[Path], list[Fold]], scratch: Path) -> list[dict[str, Any]]:
    """A row for the training, and one for all of it."""
    found, places = {}, {}
    for name, method in (("one by one", folds.train), ("at once", folds_at_once.train)):
        with contextlib.redirect_stdout(io.StringIO()), clocks() as (training, everything):
            runs = made(scratch / name)
            with everything:
                for _ in method(runs, None):
                    pass
        found[name], places[name] = (training, everything), [run.folder for run in runs]
    off = list(map(difference, *places.values()))
    shutil.rmtree(scratch)
    pairs = zip(("training", "all of it"), *found.values(), strict=True)
    return [row(f"{what}: {part}", alone, together, off) for part, alone, together in pairs]


class Clock(contextlib.ContextDecorator):
    """Seconds that go by within it, and those of all processors that this process takes."""

    wall = cpu = 0.0

    def __enter__(self) -> None:
        self.wall -= time.perf_counter()
        self.cpu -= time.process_time()

    def __exit__(self, *_: Any) -> None:
        self.wall += time.perf_counter()
        self.cpu += time.process_time()


@contextlib.contextmanager
def clocks() -> Iterator[tuple[Clock, Clock]]:
    """One that runs while something is trained, and one that is left to the caller."""
    training = Clock()
    before = Training.fit, at_once.fit
    Training.fit, at_once.fit = (training(method) for method in before)  # type: ignore[method-assign]
    try:
        yield training, Clock()
    finally:
        Training.fit, at_once.fit = before  # type: ignore[method-assign]


def difference(first: Path, second: Path) -> float:
    """Largest between two runs, of all probabilities, valence and arousal of all systems."""
    one, other = (pd.read_csv(folder / "predictions.csv") for folder in (first, second))
    numbers = one.select_dtypes("number").columns
    return float(np.nanmax(np.abs(one[numbers].to_numpy() - other[numbers].to_numpy())))
