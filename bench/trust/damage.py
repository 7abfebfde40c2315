"""Flipped and cut bytes in a store, a cache of features and a model folder: built again, or refused.

python -m bench.trust.damage [--times 70] [--seed 0]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.trust import model_folders


def damage(path: Path, chance: random.Random) -> None:
    """Flip a bit, or cut the file off."""
    data = bytearray(path.read_bytes())
    place = chance.randrange(len(data))
    if chance.random() < 0.5:
        data[place] ^= 1 << chance.randrange(8)
    else:
        del data[place:]
    path.write_bytes(data)


def stores(place: Path, times: int, chance: random.Random) -> Iterator[str]:
    """A store of 40 simulated utterances, opened again each time."""
    from erc import corpora
    from erc.corpora.simulated import write_tree
    from erc.datasets.shards import build

    root = place / "KEMDy19"
    write_tree(root, "kemdy19", sessions=5, utterances=8, seed=0, defects=False)
    corpus = corpora.load("kemdy19", root)
    whole = build(corpus, place / "cache")
    rows, report = whole.table.to_pylist(), whole.report
    del whole
    files = sorted(p for p in place.glob("cache/**/*") if p.suffix in (".arrow", ".json"))
    for _ in range(times):
        damage(chance.choice(files), chance)
        again = build(corpus, place / "cache")
        same = again.table.to_pylist() == rows and again.report == report
        yield "store: as before" if same else "STORE: ANOTHER"


def caches(place: Path, times: int, chance: random.Random) -> Iterator[str]:
    """A table of features, of which rows are asked for."""
    from erc.training.feature_cache import FeatureTable

    folder, keys = place / "features", np.arange(1000, dtype=np.uint64) * 7919 + 3
    values = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
    for _ in range(times):
        shutil.rmtree(folder, ignore_errors=True)
        table = FeatureTable(folder, (16,))
        for at in range(0, 1000, 250):
            table.add(keys[at : at + 250], values[at : at + 250], 1.0, 1.0)
        damage(chance.choice(sorted(folder.glob("*.bin"))), chance)
        again, read = FeatureTable(folder, (16,)), np.empty((1000, 16), np.float32)
        there = np.flatnonzero(~again.missing(keys))
        again.read(keys[there], read, there)
        found = len(there) < 1000 and np.array_equal(read[there], values[there])
        yield "features: computed again" if found else "FEATURES: TAKEN"


def models(place: Path, times: int, chance: random.Random) -> Iterator[str]:
    """A model folder, loaded and asked."""
    good = model_folders.small_model(place / "good")
    files = sorted(p for p in good.rglob("*") if p.is_file() and p.name != "README.md")
    for _ in range(times):
        work = place / "model"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(good, work)
        damage(work / chance.choice(files).relative_to(good), chance)
        yield f"model folder: {model_folders.attempt(work)}"


def attack(times: int, seed: int) -> Counter[str]:
    """What came of so many damages of each."""
    chance, found = random.Random(seed), Counter[str]()
    for kind in (stores, caches, models):
        with tempfile.TemporaryDirectory() as place, contextlib.redirect_stderr(io.StringIO()):
            found.update(kind(Path(place), times, chance))
    return found


def main() -> int:
    """Print the counts; 1 if there is another outcome than the three."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=70)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    found = attack(given.times, given.seed)
    for outcome, count in sorted(found.items()):
        print(f"{count} × {outcome}")
    return int(len(found) > 3)


if __name__ == "__main__":
    sys.exit(main())
