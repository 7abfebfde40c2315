"""The same command in other surroundings: are the files it writes the same, byte for byte?

python -m bench.trust.same [--no-training] [--seed 0]

A dataset is built, a model is trained on it, recordings are predicted into a file: once as usual, then
with other workers, locale, time zone, hash seed and working directory, and of a copy of the corpus whose
files were written in another order. Last, recordings are named in another order: there batches differ,
and rounding with them; it is counted how many rows do, and by how much.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.isolated import ROOT
from bench.trust import kills
from bench.trust.forks import contents

PLAIN = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # text is ASCII by default
FAR = {"TZ": "Pacific/Chatham", "PYTHONHASHSEED": "1"}
AWAY = ("contents.json",)  # of a cache: where files lie, and since when


class Surroundings(NamedTuple):
    """What is different from the usual."""

    name: str
    environment: tuple[tuple[str, str], ...] = ()
    workers: int = 2
    inside: bool = False  # the working directory is that of the corpus, its path relative
    copy: bool = False  # the corpus is a copy


SURROUNDINGS = (
    Surroundings("as usual"),
    Surroundings("one worker", workers=1),
    Surroundings("five workers", workers=5),
    Surroundings("locale C without UTF-8", tuple(PLAIN.items())),
    Surroundings("time zone of Chatham, hash seed 1", tuple(FAR.items())),
    Surroundings("another directory, a relative path", inside=True),
    Surroundings("a copy, written in another order", copy=True),
)


def copied(root: Path, to: Path, seed: int) -> None:
    """A copy of a folder, its files made in a random order: so a disk lists them in another one."""
    files = [p.relative_to(root) for p in sorted(root.rglob("*")) if p.is_file()]
    random.Random(seed).shuffle(files)
    for file in files:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, to / file)


def erc(words: list[str], at: Path, **environment: str) -> None:
    """The command in a process of its own."""
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ERC_MALLOC": "system"}
    done = subprocess.run(
        [sys.executable, "-m", "erc", *words], cwd=at, env=os.environ | own | environment,
        capture_output=True, check=False,
    )  # fmt: skip
    said = done.stderr.decode("utf-8", "replace")
    assert done.returncode == 0, f"erc {' '.join(words)}: {said[-1000:]}"


def outputs(place: Path, here: Surroundings, number: int, training: bool) -> dict[str, bytes]:
    """Name → bytes of all that the commands write there."""
    root = place / ("copy" if here.copy else "original") / "KEMDy19"
    at, out = (root.parent if here.inside else ROOT), place / f"out{number}"
    corpus = root.name if here.inside else str(root)
    environment = dict(here.environment) | {"ERC_CACHE": str(out / "cache")}
    erc(["prepare", corpus, "--workers", str(here.workers)], at, **environment)
    if training:
        words = [
            f"dataset.paths={corpus}", f"run_dir={out / 'run'}", f"dataset.num_proc={here.workers}",
            "model=tiny", "dataset.protocol=strict", "trainer.accelerator=cpu", "export=false",
            "trainer.precision=32-true", "trainer.max_epochs=1", "dataloader.batch_size=8",
            "trainer.enable_progress_bar=false",
        ]  # fmt: skip
        erc(["train", *words], at, **environment)
    recordings, predicted = place / "recordings", str(out / "predicted.csv")
    words = ["--model", str(place / "model"), "--runtime", "onnx-fp32", "-q", "-o", predicted]
    erc(["predict", ".", *words, "--workers", str(here.workers)], recordings, **environment)
    found = {f"cache/{k}": v for k, v in contents(out / "cache").items()}
    found = {k: v for k, v in found.items() if not k.endswith((*AWAY, ".lock"))}
    found["predicted.csv"] = Path(predicted).read_bytes()
    for name in ("predictions.csv", "metrics.csv", "model/model.safetensors", "embedding.csv"):
        if (out / "run" / name).is_file():
            found[f"run/{name}"] = (out / "run" / name).read_bytes()
    shutil.rmtree(out)
    return found


def attack(
    place: Path, seed: int, training: bool = True, every: int = 1
) -> Iterator[tuple[str, str]]:
    """(what was different, which files were), one by one, of every so many surroundings."""
    kills.prediction(place)
    original = place / "original" / "KEMDy19"
    original.parent.mkdir()
    kills.build(place / "original")
    copied(original, place / "copy" / "KEMDy19", seed)
    usual: dict[str, bytes] = {}
    for number, here in enumerate(SURROUNDINGS[:1] + SURROUNDINGS[1::every]):
        found = outputs(place, here, number, training)
        usual = usual or found
        names = sorted(k for k in usual.keys() | found.keys() if usual.get(k) != found.get(k))
        yield here.name, ", ".join(names)


class Order(NamedTuple):
    """Answers to the same recordings in another order."""

    rows: int
    differ: int  # rows of which a number does
    most: float  # by so much
    labels: int  # that are another


def other_order(place: Path, seed: int) -> Order:
    """`erc predict` of a list, and of the same list shuffled."""
    kills.prediction(place)
    names = sorted(p.name for p in (place / "recordings").iterdir())
    found = []
    for number in range(2):
        lines = place / f"list{number}.txt"
        lines.write_text("\n".join(str(place / "recordings" / name) for name in names))
        out = place / f"order{number}.csv"
        words = ["--model", str(place / "model"), "--runtime", "onnx-fp32", "-q", "-o", str(out)]
        erc(["predict", f"@{lines}", *words], ROOT)
        with out.open(encoding="utf-8", newline="") as file:
            found.append({row["file"]: row for row in csv.DictReader(file)})
        random.Random(seed).shuffle(names)
    a, b = found
    numbers = [k for k in next(iter(a.values())) if k.startswith("p_")] + ["valence", "arousal"]
    differ = [f for f in a if any(a[f][k] != b[f][k] for k in numbers)]
    most = max((abs(float(a[f][k]) - float(b[f][k])) for f in differ for k in numbers), default=0.0)
    return Order(len(a), len(differ), most, sum(a[f]["label"] != b[f]["label"] for f in a))


def main() -> int:
    """Print what differed; 1 if a file did, or a label in another order."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--no-training", action="store_true", help="seconds instead of minutes")
    given = options.parse_args()
    start, bad, count = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, names in attack(place, given.seed, not given.no_training):
            print(f"{name}: {names or 'byte for byte the same'}", flush=True)
            bad, count = bad + bool(names), count + 1
        order = other_order(place, given.seed)
    print(
        f"another order of {order.rows} recordings: {order.differ} rows differ, by {order.most:.0e} at "
        f"most, {order.labels} labels"
    )
    print(f"seed {given.seed}: {count - bad} of {count} the same; {time.monotonic() - start:.0f} s")
    return int(bool(bad or order.labels))


if __name__ == "__main__":
    sys.exit(main())
