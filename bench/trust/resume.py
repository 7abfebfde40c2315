"""Training that is stopped or killed, and goes on: does it end in the bits of one that never was?

python -m bench.trust.resume [--stops 20] [--loaded 4] [--kills 100] [--seed 0]

Each training runs in a forked process. Stops: SIGTERM in a random step, encoders trained; some with two
processes that read recordings. Kills:
SIGKILL, one half at a random moment, the other while a checkpoint is written (its file cut, or whole but
not yet named); TMPDIR lies on another file system. Compared are weights, optimiser, schedule, random
generators, early stopping, best score and weights, and metrics.csv byte for byte.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch

from bench.trust.forks import FORK, forked
from erc.base import files
from erc.corpora import simulated
from erc.training.assembly import Assembly
from erc.training.config import compose, quoted
from erc.training.resume import LAST, alone, read
from erc.training.run import Training
from erc.training.trainer import quiet

WORDS = (
    "model=tiny", "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=3",
    "trainer.log_every_n_steps=2", "trainer.enable_progress_bar=false", "dataloader.batch_size=4",
    "dataset.protocol=strict",
)  # fmt: skip
FROZEN = ("model.freeze_speech=true", "model.freeze_text=true", "checkpoint_every=2")
EVERY = 2  # steps between two checkpoints of the killed
STEPS = 18  # 3 epochs of 24 utterances
Counter = Any  # a shared int


class Watch(L.Callback):
    """Count the steps for whoever survives, and send a signal in the middle of one."""

    def __init__(self, counter: Counter, stop: int = 0):
        self.counter, self.stop = counter, stop

    def on_before_optimizer_step(self, trainer: L.Trainer, module: Any, optimizer: Any) -> None:
        if trainer.global_step + 1 == self.stop:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_train_batch_end(self, trainer: L.Trainer, *rest: Any) -> None:
        self.counter.value = trainer.global_step


def train(corpus: Path, run: Path, words: tuple[str, ...], counter: Counter, stop: int = 0) -> None:
    """One training, from the checkpoint in its folder if there is one."""
    quiet()
    last = run / "checkpoints" / LAST
    more = [f"ckpt_path={quoted(last)}"] * last.exists()
    cfg = compose([f"dataset.paths={quoted(corpus)}", f"run_dir={quoted(run)}", *words, *more])
    torch.set_num_threads(1)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None), alone(run):
        training = Training(Assembly(cfg), run)
        training.trainer.callbacks.append(Watch(counter, stop))
        training.fit()


def die_in_writing(number: int, how: str) -> None:
    """Make this process kill itself at its n-th checkpoint."""
    save, place = torch.save, files.os.replace
    seen = 0

    def cut(value: Any, file: Any) -> None:
        nonlocal seen
        save(value, file)
        seen += Path(file.name).name == LAST
        if seen == number and how == "cut":
            file.truncate(file.tell() // 2)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def unnamed(old: Any, new: Any) -> None:
        if seen == number and Path(new).name == LAST:
            os.kill(os.getpid(), signal.SIGKILL)
        place(old, new)

    torch.save = cut
    files.os.replace = unnamed


def unlike(a: Any, b: Any, name: str = "") -> list[str]:
    """Names of what is not bit for bit the same in nested values."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = a.keys() | b.keys()
        return [x for k in keys for x in unlike(a.get(k), b.get(k), f"{name}.{k}")]
    if isinstance(a, list | tuple) and len(a) == len(b):
        return [x for i, pair in enumerate(zip(a, b)) for x in unlike(*pair, f"{name}.{i}")]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b or (a != a and b != b)
    return [] if same else [name]


def compare(whole: Path, run: Path) -> list[str]:
    """What two finished trainings differ in, and what lies about in the second."""
    found = unlike(*(read(place / "checkpoints" / LAST) for place in (whole, run)))
    best = [read(place / "checkpoints" / "best.ckpt")["state_dict"] for place in (whole, run)]
    found += unlike(*best, "best")
    if (whole / "metrics.csv").read_bytes() != (run / "metrics.csv").read_bytes():
        found.append("metrics.csv")
    return found + [str(p) for p in run.rglob(".*") if p.is_dir()]


def stops(corpus: Path, place: Path, count: int, draw: random.Random, workers: int = 0) -> int:
    """How many of so many stopped trainings end in the same bits; `workers` processes read for each."""
    counter, good, whole = FORK.Value("i", 0), 0, place / f"never stopped, {workers}"
    words = (*WORDS, f"dataloader.num_workers={workers}")
    forked(lambda: train(corpus, whole, words, counter))
    for trial in range(count):
        run, step = place / f"stop{trial}", draw.randrange(1, STEPS + 1)
        code = forked(lambda run=run, step=step: train(corpus, run, words, counter, step))
        kept = read(run / "checkpoints" / LAST)["global_step"]
        again = forked(lambda run=run: train(corpus, run, words, counter))
        bad = [f"exit {code}, then {again}"] * ((code, again) != (143, 0))
        bad += compare(whole, run)
        good += not bad
        print(f"stopped in step {step}, kept {kept}: {bad or 'equal'}", flush=True)
        shutil.rmtree(run)
    return good


def kills(corpus: Path, place: Path, count: int, draw: random.Random) -> tuple[int, int]:
    """How many of so many killed trainings load and end in the same bits; most steps lost."""
    words, counter, good, most = (*WORDS, *FROZEN), FORK.Value("i", 0), 0, 0
    start = time.monotonic()
    train(corpus, place / "never killed", words, counter)
    lasts = time.monotonic() - start
    for trial in range(count):
        run, counter.value = place / f"kill{trial}", 0
        if trial % 2:
            how, number = draw.choice(("cut", "unnamed")), draw.randrange(1, STEPS // EVERY + 1)

            def doomed(run: Path = run, number: int = number, how: str = how) -> None:
                die_in_writing(number, how)
                train(corpus, run, words, counter)

            code, what = forked(doomed), f"checkpoint {number} {how}"
        else:
            after = draw.uniform(0.1, 1) * lasts
            code = forked(lambda run=run: train(corpus, run, words, counter), after)
            what = f"after {after:.1f} s"
        last, done = run / "checkpoints" / LAST, counter.value
        kept = read(last)["global_step"] if last.exists() else 0
        lost = done - kept
        again = forked(lambda run=run: train(corpus, run, words, counter))
        bad = [f"exit {code}, then {again}"] * (code not in (-9, 0) or again != 0)
        bad += [f"{lost} steps lost"] * (lost > EVERY) + compare(place / "never killed", run)
        good, most = good + (not bad), max(most, lost)
        print(f"killed {what}, {done} done, {kept} kept: {bad or 'equal'}", flush=True)
        shutil.rmtree(run)
    return good, most


def main() -> int:
    """Print a line a trial and the counts; 1 if one failed."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--stops", type=int, default=20)
    options.add_argument(
        "--loaded", type=int, default=4, help="stops of a training with two workers"
    )
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["ERC_CACHE"] = str(place / "cache")
        shm = Path("/dev/shm")
        elsewhere = shm.is_dir() and shm.stat().st_dev != place.stat().st_dev
        if elsewhere:
            tempfile.tempdir = os.environ["TMPDIR"] = str(shm)
        corpus = place / "KEMDy19"
        simulated.write_tree(corpus, "kemdy19", sessions=5, utterances=8, seed=0, defects=False)
        stopped = stops(corpus, place, given.stops, draw) if given.stops else 0
        loaded = stops(corpus, place, given.loaded, draw, workers=2) if given.loaded else 0
        killed, most = kills(corpus, place, given.kills, draw) if given.kills else (0, 0)
    print(
        f"torch {torch.__version__}, lightning {L.__version__}, seed {given.seed}\n"
        f"SIGTERM in a random step: {stopped} of {given.stops} end in the same bits\n"
        f"the same, two processes that read: {loaded} of {given.loaded}\n"
        f"SIGKILL, TMPDIR {'on another' if elsewhere else 'on the same'} file system: {killed} of "
        f"{given.kills} load and end in the same bits, at most {most} steps lost"
    )
    return int((stopped, loaded, killed) != (given.stops, given.loaded, given.kills))


if __name__ == "__main__":
    sys.exit(main())
