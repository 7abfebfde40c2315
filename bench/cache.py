"""Features of frozen encoders: encoded and stored against read again, and the cost of a larger corpus.

Filling is the encoder's work; what the table adds is the difference to encoding alone. Reading is
what each training of a head pays instead.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import Row, compare, isolated, quantity, scaling

SECONDS = 3.0  # mean length of a KEMDy utterance


def run(quick: bool) -> list[Row]:
    """Fill against read, bytes, and 1×, 4×, 16× the utterances."""
    utterances = 16 if quick else 64
    rows = [fill_and_read(utterances)]
    table = isolated("bench.cache:table", utterances, "mean_std", False).value
    layers = isolated("bench.cache:table", utterances, "mean_std", True).value
    rows.append(
        quantity(
            "a row on disk", "kB", ("one layer", table["bytes"] / 1e3),
            [("all layers", layers["bytes"] / 1e3)],
            note="float32; all layers serve layer=k, mean and weighted from one pass over the audio",
        )
    )  # fmt: skip
    rows.append(
        scaling(
            "cache fill",
            lambda size: isolated("bench.cache:table", utterances * size, "mean_std", False),
            note=f"{utterances} utterances × size, tiny-wav2vec2; time without imports",
        )
    )  # fmt: skip
    rows.append(
        scaling(
            "cache read", lambda size: isolated("bench.cache:read_rows", 4096 * size),
            note="4,096 rows of 1,024 numbers × size; memory is that of the features read",
        )
    )  # fmt: skip
    return rows


def fill_and_read(utterances: int) -> Row:
    """Encoding everything anew, filling an empty cache, and opening a full one."""
    from erc.training.features import pooled

    model, data, collate = listener(False), Recordings(utterances), collator()
    folder = Path(tempfile.mkdtemp())
    full, empty = folder / "full", folder / "empty"
    pooled(model, data, collate, full)

    def fill() -> np.ndarray:
        shutil.rmtree(empty, ignore_errors=True)
        return pooled(model, data, collate, empty)["speech"].numpy()

    try:
        return compare(
            "features of a frozen encoder", ("fill the cache", fill),
            [("read it", lambda: pooled(model, data, collate, full)["speech"].numpy())],
            units=(utterances, "utt"), rounds=3,
            equal=lambda a, b: float(np.abs(a - b).max()), allowed=1e-6,
            check="largest difference of a feature", note="tiny-wav2vec2, one layer, mean and deviation",
        )  # fmt: skip
    finally:
        shutil.rmtree(folder)


def table(utterances: int, pooling: str, all_layers: bool) -> dict[str, Any]:
    """In a process of its own: fill an empty cache; seconds of that alone, bytes a row."""
    from erc.base.devices import tune_memory
    from erc.training.features import pooled

    tune_memory()
    model, data, collate = listener(False, pooling), Recordings(utterances), collator()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        pooled(model, data, collate, Path(folder), all_layers)
        seconds = time.perf_counter() - start
        size = sum(f.stat().st_size for f in Path(folder).rglob("part-*"))
    return {"seconds": seconds, "bytes": size / utterances}


def read_rows(rows: int, width: int = 1024) -> dict[str, float]:
    """In a process of its own: read a table of so many rows; seconds of that alone."""
    from erc.training.feature_cache import ROWS, FeatureTable

    with tempfile.TemporaryDirectory() as folder:
        keys = np.random.default_rng(0).permutation(rows).astype(np.uint64)
        writer = FeatureTable(Path(folder), (width,))
        for i in range(0, rows, ROWS):
            writer.add(keys[i : i + ROWS], np.ones((len(keys[i : i + ROWS]), width), np.float32))
        out = np.zeros((rows, width), np.float32)
        start = time.perf_counter()
        FeatureTable(Path(folder), (width,)).read(np.sort(keys), out, np.arange(rows))
        return {"seconds": time.perf_counter() - start}


def listener(training: bool, pooling: str = "mean_std") -> Any:
    """A model with a frozen tiny encoder, the same each time."""
    import torch

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder

    torch.manual_seed(0)
    encoder = SpeechEncoder.from_name("tiny-wav2vec2")
    return EmotionModel(encoder, dim=8, freeze_speech=True, speech_pooling=pooling).train(training)


def collator() -> Any:
    """What makes batches of recordings."""
    from erc.datasets.batches import Collator

    return Collator(None, normalize=True)


class Recordings:
    """Noise in the lengths of a corpus, as much of a `View` as encoding needs."""

    wav_max_length = None

    def __init__(self, utterances: int):
        rng = np.random.default_rng(0)
        seconds = rng.gamma(4, SECONDS / 4, utterances).clip(0.5, 15)
        self.lengths = (seconds * 16000).astype(int)
        self.noise = rng.integers(-3000, 3000, self.lengths.max(), np.int16)
        self.store = self

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> Any:
        from erc.datasets.view import Example

        nothing = np.full(7, np.nan)
        clip = self.noise[: self.lengths[row]]
        return Example(row, clip, None, nothing, nothing, nothing, nothing, nothing[:2])

    def side(self, mode: str) -> Recordings:
        return self

    def has(self, modality: str) -> np.ndarray:
        return np.full(len(self), modality == "speech")

    def column(self, name: str) -> np.ndarray:
        return np.array([f"{i:016x}" for i in range(len(self))])
