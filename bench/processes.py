"""One training in several processes: two of one thread each, against one process

The training of `make demo` (simulated speech, small encoders trained as well) in batches of 32, two
epochs without a valid side: from the first step to the last, without imports and scores. The batches are
the same, each process draws the dropout of its rows; gradients are exchanged over gloo on this machine.
Each variant is run twice, the faster one counts.
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
from erc.base.devices import tune_memory
from erc.training.config import compose
from erc.training.run import Training, train

fit = Training.fit

def timed(self):
    start = time.perf_counter()
    fit(self)
    if self.share.first:
        print(f"seconds {time.perf_counter() - start:.3f}")

Training.fit = timed
tune_memory()
train(compose(sys.argv[1:]))
"""
WORDS = [
    "experiment=demo", "dataset.protocol=fixed", "dataset.validation_fold=0", "trainer.max_epochs=2",
    "trainer.precision=32-true", "trainer.enable_progress_bar=false", "export=false",
    "dataloader.batch_size=32",
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
    return [quantity("training in two processes", "s", first, others, target=1.7)]
