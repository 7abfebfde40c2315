"""A study of many heads on known features: its trainings one by one against all of them at once

Frozen encoders, features from the cache, no exported copies. *Training* is the steps and the scores
after each epoch; *all of it* is also reading, baselines, intervals, figures and tables of every run,
which both do alike. Processor seconds are those of all threads. nEMO: real acted Polish speech,
`whisper-tiny-en`, one of nine speakers held out, 30 epochs. Simulated: the paper's three fusions and
three targets in five folds, `strict`, on small encoders.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.harness import Row, table
from erc.studies import folds, folds_at_once
from erc.studies.folds import Fold
from erc.training import at_once
from erc.training.run import Training

REAL = Path("../shared")  # corpora and encoders that may not be passed on
ALLOWED = 1e-4


def run(quick: bool) -> list[Row]:
    """Both studies; quick: two folds, four epochs, of the simulated one."""
    load, records = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as scratch:
        for what, made in studies(quick).items():
            records += measured(what, made, Path(scratch))
    cores = os.cpu_count() or 1
    note = f"{cores} processors; load average {load:.1f} when it began"
    note += ": other jobs ran on this machine" * (load > cores / 2)
    return [table("one by one against at once", records, note=note)]


def studies(quick: bool) -> dict[str, Callable[[Path], list[Fold]]]:
    """What → its runs in a folder."""

    def nemo(folder: Path) -> list[Fold]:
        words = [
            "experiment=frozen", "model=frozen", "model.text_encoder=null", "model.fusion=single",
            "model.fusion_options=null", "export=false", "trainer.enable_progress_bar=false",
            f"model.speech_encoder={REAL / 'encoders/whisper-tiny-en'}",
            f"dataset.paths={REAL / 'corpora/nemo/manifest.csv'}",
        ]  # fmt: skip
        return folds.folds(words, folder)

    def simulated(folder: Path) -> list[Fold]:
        from erc.studies.reproduction import plan, simulate

        common = [*simulate(Path("runs/folds")), "trainer.precision=32-true"]
        rows = plan(folder, common, ["strict"], real=False)
        words = ["dataset.num_folds=2", "trainer.max_epochs=4"] if quick else []
        return [one for row in rows for one in folds.folds([*row.words, *words], row.folder)]

    real = {} if quick or not REAL.is_dir() else {"nEMO, 9 runs": nemo}
    return real | {f"simulated, {18 if quick else 45} runs": simulated}


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
    off = max(map(difference, *places.values()))
    if not off <= ALLOWED:
        raise SystemExit(f"{what}: predictions differ by {off:.1e}, more than {ALLOWED:g}")
    shutil.rmtree(scratch)
    return [
        {
            "what": f"{what}: {part}",
            "one by one, s": round(alone.wall, 1), "at once, s": round(together.wall, 1),
            "ratio": round(alone.wall / together.wall, 1),
            "processor s": f"{alone.cpu:.1f} / {together.cpu:.1f}",
            "ratio of them": round(alone.cpu / together.cpu, 1),
            "largest difference of a prediction": f"{off:.1e}",
        }
        for part, alone, together in zip(("training", "all of it"), *found.values(), strict=True)
    ]  # fmt: skip


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
