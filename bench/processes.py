"""One training in several processes: two of one thread each, against one process

The training of `make demo` (simulated speech, small encoders trained too) in batches of 64, without a
valid side: seconds an epoch, of the second to the last. The batches are the same, each process draws the
dropout of its rows; gradients are exchanged over gloo on this machine. The faster of two runs counts.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.harness import Row, quantity

TIMED = """
import sys, time
from lightning.pytorch.callbacks import Callback
from erc.base.devices import tune_memory
from erc.training.config import compose
from erc.training.run import Training, train

class Clock(Callback):
    ends = []

    def on_train_epoch_end(self, trainer, module):
        self.ends.append(time.perf_counter())

fit = Training.fit

def timed(self):
    clock = Clock()
    self.trainer.callbacks.append(clock)
    fit(self)
    if self.share.first:
        print(f"seconds {(clock.ends[-1] - clock.ends[0]) / (len(clock.ends) - 1):.3f}")

Training.fit = timed
tune_memory()
train(compose(sys.argv[1:]))
"""
WORDS = [
    "experiment=demo", "dataset.protocol=fixed", "dataset.validation_fold=0", "trainer.max_epochs=4",
    "trainer.precision=32-true", "trainer.enable_progress_bar=false", "export=false",
    "dataloader.batch_size=64",
]  # fmt: skip


def run(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "timed.py").write_text(TIMED)
        words = [*WORDS, f"dataset.paths={place / 'corpus'}", f"cache={place / 'cache'}"]
        if quick:
            words += ["dataset.sessions=5", "dataset.utterances=20"]
        variants = {
            "one process, one thread": ([], 1),
            "two processes, one thread each": (
                ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"], 1,
            ),
            "one process, two threads": ([], 2),
        }  # fmt: skip
        found = {}
        for what, (launcher, threads) in variants.items():
            times = []
            for k in range(1 if quick else 2):
                run_dir = f"run_dir={place / what.replace(' ', '-').replace(',', '')}{k}"
                command = [sys.executable, *launcher, str(place / "timed.py"), *words, run_dir]
                given = os.environ | {"OMP_NUM_THREADS": str(threads)}
                said = subprocess.run(command, capture_output=True, text=True, env=given)
                if said.returncode:
                    raise RuntimeError(f"{what}: {said.stderr[-2000:]}")
                times.append(float(re.findall(r"seconds (\S+)", said.stdout)[0]))
            found[what] = min(times)
    first, *others = found.items()
    return [quantity("an epoch of training in two processes", "s", first, others, target=1.7)]
