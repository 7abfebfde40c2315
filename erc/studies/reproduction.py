"""The paper's table: three fusions × three targets × five folds, with tests between the rows.

On KEMDy each run trains the published model; on a simulated corpus only fusion and head are trained,
on small encoders that were trained on other simulated speakers. Finished folds are not run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from erc import corpora
from erc.base.errors import ConfigError, CorpusError
from erc.base.files import write_json
from erc.datasets import read_once
from erc.scores.results import Results
from erc.studies.folds import folds, log, single, train
from erc.studies.reproduction_table import SYSTEM, Row, compare, markdown

FUSIONS = {
    "tensor mixer": "mlp_mixer_roberta",
    "concat": "simple_concat",
    "cross-attention": "cross_attention",
}
TARGETS = {"hard": "hard", "soft": "soft", "PeakL": "peakl"}
PROTOCOLS = ("paper", "strict")
ENCODER_SEED = 1000  # of the simulated corpus that the small encoders are trained on
POOLED = ["model.speech_pooling=mean_std", "model.text_pooling=mean"]
SMALL = {  # what `experiment=reproduce` needs to know of each fusion
    "tensor mixer": [*POOLED, "model.fusion_options={patch_size: 16, mixer_dim: 64, depth: 2}"],
    "concat": POOLED,
    "cross-attention": [
        "model.speech_pooling=segments", "model.text_pooling=segments",
        "model.fusion_options={heads: 4, depth: 1}",
    ],
}  # fmt: skip


def reproduce(
    data: str | None = None,
    fast: bool = False,
    output: str | None = None,
    protocols: Sequence[str] = PROTOCOLS,
    workers: int | None = None,
    at_once: bool = False,
) -> dict[str, Any]:
    """Run what is missing, then write `table.md` and `results.json` and print the table.

    Args:
        data: folder of KEMDy; None: ./data if KEMDy is there, else a simulated corpus.
        fast: the simulated corpus even so.
        output: folder of all runs; None: runs/reproduce-kemdy or runs/reproduce-simulated. Starting
            again with the same folder goes on where it was stopped.
        protocols: paper, strict, or both.
        workers: runs at a time; None: one, on a simulated corpus one a core.
        at_once: runs on frozen encoders as one stacked model, see `erc.studies.folds_at_once`.

    Raises:
        ConfigError: `fast` and `data` together.
        CorpusError: no KEMDy at `data`.
    """
    if fast and data:
        raise ConfigError("--fast takes the simulated corpus; leave --data out")
    real = not fast and is_kemdy(Path(data or "data"), required=data is not None)
    folder = Path(output or f"runs/reproduce-{'kemdy' if real else 'simulated'}")
    start = time.monotonic()
    common = [f"dataset.paths={data or 'data'}"] if real else simulate(folder)
    # "auto" is bf16 on some processors, in which runs at once do not give the numbers of one by one.
    exact = ["trainer.precision=32-true"] * (at_once and not real)
    rows = plan(folder, [*common, *exact], protocols, real)
    train_all(rows, folder, workers or (1 if real else os.cpu_count() or 1), at_once)
    results = compare(rows) | {"seconds": round(time.monotonic() - start)}
    write_json(folder / "results.json", results)
    (folder / "table.md").write_text(markdown(results), "utf-8")
    print(f"\n{markdown(results)}\n{results['seconds']} s; {folder / 'table.md'}")
    return results


def is_kemdy(root: Path, required: bool) -> bool:
    """True if recordings of people lie there; a simulated corpus of the same layout does not count.

    Raises:
        CorpusError: `required`, and they do not.
    """
    try:
        places = corpora.locate(root, None)
    except CorpusError:
        if required:
            raise
        return False
    return any(n.startswith("kemdy") and not any(p.glob(corpora.SIMULATED)) for n, p in places)


def simulate(folder: Path) -> list[str]:
    """Small encoders, trained once; the overrides by which all runs use them and their own corpus.

    The encoders learn (PeakL, tensor mixer) from a corpus of another seed: other speakers, other
    utterances. They are frozen in every row, so no row has seen anything of its test fold.
    """
    encoders, seed = folder / "encoders", f"dataset.synthetic_seed={ENCODER_SEED}"
    words = ["experiment=demo", f"dataset.paths={folder / 'corpus-encoders'}", seed]
    with log(encoders):
        run = single([*words, "trainer.enable_progress_bar=false"], encoders)
    if not run.finished():
        print("training the small encoders on another simulated corpus …", flush=True)
        with log(encoders):
            run.train()
    paths = [f"dataset.paths={folder / 'corpus'}", f"module.load_from_checkpoint={encoders}"]
    return ["experiment=reproduce", *paths]


def plan(folder: Path, common: list[str], protocols: Sequence[str], real: bool) -> list[Row]:
    """All lines of the table."""
    rows = []
    for protocol in protocols:
        for fusion, model in FUSIONS.items():
            for target, value in TARGETS.items():
                words = [*common, f"model={model}", f"dataset.protocol={protocol}"]
                words += [f"model.target={value}", *([] if real else SMALL[fusion])]
                place = folder / protocol / f"{fusion}-{target}".replace(" ", "_")
                rows.append(Row(protocol, fusion, target, tuple(words), place))
    return rows


def train_all(rows: Sequence[Row], folder: Path, workers: int, at_once: bool = False) -> None:
    """Every fold of every row that is not finished, `workers` at a time.

    Weights are deleted: those of 90 runs would fill a disk.

    Args:
        folder: for what is printed while the corpus is read, or written.
    """
    with log(folder), read_once():
        jobs = {fold: row for row in rows for fold in folds(row.words, row.folder)}
    todo = [fold for fold in jobs if not fold.finished()]
    print(f"{len(jobs)} runs, {len(jobs) - len(todo)} finished before", flush=True)
    method = train
    if at_once:
        from erc.studies.folds_at_once import train as method  # torch comes with it
    for done, (fold, seconds) in enumerate(method(todo, workers, False), 1):
        row, found = jobs[fold], Results.read(fold.folder)
        print(
            f"{done:3d}/{len(todo)}  {row.protocol:6}  {row.name:22}  fold {found.fold}  "
            f"F1 weighted {found.systems[SYSTEM]['f1_weighted'].value:.3f}  {seconds:.0f} s",
            flush=True,
        )
