"""The paper's table: three fusions × three targets × five folds, with tests between the rows.

On KEMDy each run trains the published model; on a simulated corpus only fusion and head are trained,
on small encoders that were trained on other simulated speakers. Finished folds are not run again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from erc import corpora
from erc.base.errors import ConfigError, CorpusError
from erc.base.files import write_json
from erc.scores.results import Results
from erc.studies.experiment import configure, run
from erc.training.config import make

FUSIONS = {
    "tensor mixer": "mlp_mixer_roberta",
    "concat": "simple_concat",
    "cross-attention": "cross_attention",
}
TARGETS = {"hard": "hard", "soft": "soft", "PeakL": "peakl"}
PROTOCOLS = ("paper", "strict")
FOLDS = 5
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


class Row(NamedTuple):
    """One line of the table."""

    protocol: str
    fusion: str
    target: str
    words: tuple[str, ...]  # overrides of python train.py
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.fusion}, {self.target}"


def reproduce(
    data: str | None = None,
    fast: bool = False,
    output: str | None = None,
    protocols: Sequence[str] = PROTOCOLS,
    workers: int | None = None,
) -> dict[str, Any]:
    """Run what is missing, then write `table.md` and `results.json` and print the table.

    Args:
        data: folder of KEMDy; None: ./data if KEMDy is there, else a simulated corpus.
        fast: the simulated corpus even so.
        output: folder of all runs; None: runs/reproduce-kemdy or runs/reproduce-simulated. Starting
            again with the same folder goes on where it was stopped.
        protocols: paper, strict, or both.
        workers: runs at a time; None: one, on a simulated corpus one a core.

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
    rows = plan(folder, common, protocols, real)
    train_all(rows, workers or (1 if real else os.cpu_count() or 1))

    from erc.studies.reproduction_table import compare, markdown

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
    """Corpus and small encoders, made once; the overrides by which all runs use them.

    The encoders learn (PeakL, tensor mixer) from a corpus of another seed: other speakers, other
    utterances. They are frozen in every row, so no row has seen anything of its test fold.
    """
    encoders, seed = folder / "encoders", f"dataset.synthetic_seed={ENCODER_SEED}"
    if not (encoders / "model").is_dir():
        print("training the small encoders on another simulated corpus …", flush=True)
        with log(encoders):
            words = ["experiment=demo", f"dataset.paths={folder / 'corpus-encoders'}", seed]
            run([*words, "trainer.enable_progress_bar=false"], encoders)
    words = [f"dataset.paths={folder / 'corpus'}", f"module.load_from_checkpoint={encoders}"]
    with log(folder):  # here, before several workers would all want to write it
        make(configure(["experiment=reproduce", *words], folder).dataset)
    return ["experiment=reproduce", *words]


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


def train_all(rows: Sequence[Row], workers: int) -> None:
    """Every fold of every row that has no results yet, `workers` at a time."""
    jobs = [(row, fold) for row in rows for fold in range(FOLDS)]
    todo = [(r, k) for r, k in jobs if not (r.folder / f"fold{k}" / "results.json").exists()]
    print(f"{len(jobs)} runs, {len(jobs) - len(todo)} finished before", flush=True)
    if not todo:
        return
    # spawn: a forked process would inherit torch's threads in an unknown state.
    context, threads = (
        multiprocessing.get_context("spawn"),
        max(1, (os.cpu_count() or 1) // workers),
    )
    with ProcessPoolExecutor(min(workers, len(todo)), context) as pool:
        started = {pool.submit(train_fold, r.words, r.folder, k, threads): (r, k) for r, k in todo}
        for done, job in enumerate(as_completed(started), 1):
            row, fold = started[job]
            score, seconds = job.result()
            print(
                f"{done:3d}/{len(todo)}  {row.protocol:6}  {row.name:22}  fold {fold}  "
                f"F1 weighted {score:.3f}  {seconds:.0f} s",
                flush=True,
            )


def train_fold(words: Sequence[str], folder: Path, fold: int, threads: int) -> tuple[float, float]:
    """One run in a process of its own; goes on from its last checkpoint if it was stopped.

    Weights are deleted at the end: those of 45 runs would fill a disk.

    Returns:
        Weighted F1 of speech + text, seconds.
    """
    import torch

    torch.set_num_threads(threads)
    start, place = time.monotonic(), folder / f"fold{fold}"
    last = place / "checkpoints" / "last.ckpt"
    resume = [f"ckpt_path={last}"] if last.exists() else []
    with log(place):
        run([*words, f"dataset.validation_fold={fold}", *resume], place)
    for leftover in ("checkpoints", "model"):
        shutil.rmtree(place / leftover, ignore_errors=True)
    score = Results.read(place).systems["speech + text"]["f1_weighted"].value
    return score, time.monotonic() - start


@contextlib.contextmanager
def log(folder: Path):
    """What a run prints goes to `log.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as file, contextlib.redirect_stdout(file):
        yield
