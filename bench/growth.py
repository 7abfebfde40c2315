"""Cost against work: one epoch of training and bulk prediction at 1×, 4× and 16×

Tiny encoders (random weights), KEMDy-like lengths, every size in a fresh process; time without imports
and without making the data. The dataset build is under `data`, filling the cache under `cache`.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness import Row, isolated, scaling
from bench.reference import corpus


def epoch(utterances: int) -> dict[str, Any]:
    """One epoch over a corpus of that size, as train.py runs it."""
    from erc.base.devices import tune_memory
    from erc.training.assembly import Assembly
    from erc.training.config import compose
    from erc.training.task import make_task
    from erc.training.trainer import make_trainer, quiet

    tune_memory()
    quiet()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        manifest = corpus(place / "corpus", utterances) / "manifest.csv"
        parts = Assembly(
            compose(
                [
                    "dataset=manifest",
                    f"dataset.paths={manifest}",
                    "dataset.protocol=fixed",
                    "dataset.num_folds=2",
                    "dataset.validation_fold=0",
                    "model=tiny",
                    f"run_dir={place}",
                    f"cache={place / 'cache'}",
                    "dataloader.batch_size=16",
                    "trainer.accelerator=cpu",
                    "trainer.max_epochs=1",
                    "trainer.precision=32-true",
                    "trainer.enable_progress_bar=false",
                ]
            )
        )  # fmt: skip
        task = make_task(parts.cfg, parts)
        trainer = make_trainer(parts.cfg, place)
        start = time.perf_counter()
        trainer.fit(task, parts.loader("train"))
        return {"seconds": time.perf_counter() - start}


def bulk(utterances: int) -> dict[str, Any]:
    """`predict_many` over that many files."""
    from bench.inference import small_model, write
    from bench.reference import lengths
    from erc.base.devices import tune_memory
    from erc.recognizer import load

    tune_memory()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        files = sorted(
            write(place / "wavs", lengths(utterances, longest=7.0).tolist()).glob("*.wav")
        )
        recognizer = load(small_model(place / "model"))
        start = time.perf_counter()
        for _ in recognizer.predict_many(files):
            pass
        return {"seconds": time.perf_counter() - start}


def run(quick: bool) -> list[Row]:
    number = 120  # two sessions: one is trained on
    sizes = (1, 4) if quick else (1, 4, 16)
    return [
        scaling(f"one epoch of training, {number} utterances × size",
                lambda size: isolated("bench.growth:epoch", number * size), sizes),
        scaling(f"prediction, {number} files × size",
                lambda size: isolated("bench.growth:bulk", number * size), sizes),
    ]  # fmt: skip
