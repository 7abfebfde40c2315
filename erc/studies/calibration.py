"""What this machine does: a minute of measuring, kept in the cache for every plan after it."""

from __future__ import annotations

import csv
import datetime
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from erc.base import devices
from erc.base.errors import ErcError
from erc.base.files import cache_dir, fingerprint, read_json, write_json
from erc.base.space import KEMDY
from erc.studies.planning import BACKWARD, PILOT, RATE, Constants, Overhead, encoder

VERSION = 1  # raise when something else is measured
SHORT, LONG = 0.5, 6.0  # s: from two lengths follow the costs of an utterance and of a second
RECORDINGS = 96  # of each length
CLIP = 4.0  # s, of the encoder's own measurement
WIDE = {  # a slice of wav2vec2-base: its convolutions, its width, two of its twelve layers
    "model_type": "wav2vec2", "hidden_size": 768, "num_hidden_layers": 2, "num_attention_heads": 12,
    "intermediate_size": 3072,
}  # fmt: skip
PILOTS = (
    (96, 4),
    (96, 32),
    (24, 4),
)  # utterances and batch: from three epochs follow three overheads
EPOCHS = 4  # of a pilot, the first of which does not count


def constants(again: bool = False, say: Callable[[str], None] = print) -> Constants:
    """Those of this machine, from the cache, or measured now.

    Args:
        again: measure although they are known.
        say: is told what takes time.
    """
    place = cache_dir() / "machines" / f"{fingerprint([VERSION, devices.machine()])}.json"
    if not again:
        try:
            return Constants.from_json(read_json(place, ErcError))
        except (ErcError, KeyError, TypeError):
            pass
    say(f"measuring {devices.machine()}, once; leave it alone for a minute …")
    found = measure()
    write_json(place, found.to_json())
    return found


def measure() -> Constants:
    """Every constant, least or median of a few rounds; on a machine that is busy they are too slow."""
    devices.tune_memory()
    wide = devices.precision("auto", int(str(WIDE["hidden_size"])), on_gpu=False)
    with tempfile.TemporaryDirectory(prefix="erc-plan-") as name:
        place = Path(name)
        short, long = (_building(place / f"{s}", s) for s in (SHORT, LONG))
        second = max(long - short, 0.0) / (LONG - SHORT)
        forward, train = speeds(wide)
        manifest = corpus(place / "pilot", PILOTS[0][0], PILOT)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # what a run says
            trained, cached = (
                overheads([epoch(manifest, place / f"{freeze}-{i}", *pilot, freeze)
                           for i, pilot in enumerate(PILOTS)]) for freeze in (False, True)
            )  # fmt: skip
    return Constants(
        devices.machine(), max(short - SHORT * second, 0.0), second, forward, train, wide,
        trained, cached, datetime.date.today().isoformat(),
    )  # fmt: skip


def corpus(folder: Path, size: int, seconds: float) -> Path:
    """Noise with words, sessions of 12 and labels by chance; the manifest of it."""
    import soundfile

    draw = np.random.default_rng(0)
    folder.mkdir(parents=True)
    table = folder / "manifest.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow("id audio text speaker session emotion valence arousal".split())
        for i in range(size):
            soundfile.write(
                folder / f"{i}.wav", draw.normal(0, 0.05, round(seconds * RATE)), RATE, "PCM_16"
            )
            text = " ".join(draw.choice(list("가나다라마바사아자차"), int(2 + 4 * seconds)))
            session, emotion = f"S{i // 12}", KEMDY.emotions[i % len(KEMDY.emotions)]
            rated = draw.uniform(1, 5, 2).round(1)
            rows.writerow([i, f"{i}.wav", text, session, session, emotion, *rated])
    return table


def _building(folder: Path, seconds: float) -> float:
    """Seconds an utterance of that length, one worker, files from the page cache."""
    from erc import corpora
    from erc.datasets.shards import build

    table, took = corpus(folder, RECORDINGS, seconds), []
    for i in range(2):
        start = time.perf_counter()
        build(corpora.load("manifest", table), folder / f"cache{i}", 1)
        took.append(time.perf_counter() - start)
    return min(took) / RECORDINGS


def speeds(precision: str) -> tuple[float, float]:
    """GFLOP/s of an encoder: float32 forward, and forward with backward in `precision`."""
    import torch
    from transformers import AutoModel, Wav2Vec2Config

    config = Wav2Vec2Config(**{k: v for k, v in WIDE.items() if k != "model_type"})
    model = AutoModel.from_config(config).eval()
    model.feature_extractor._freeze_parameters()  # as train_front=false does
    gflop = encoder("wide", config.to_dict()).gflop(CLIP)
    clip = torch.randn(1, round(CLIP * RATE))

    def hear() -> None:
        with torch.inference_mode():
            model(clip)

    def learn() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            model(clip).last_hidden_state.mean().backward()

    return gflop / _median(hear), BACKWARD * gflop / _median(learn)


def _median(call: Callable[[], Any], least: float = 1.0) -> float:
    call()
    took: list[float] = []
    while sum(took) < least or len(took) < 5:
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def epoch(
    manifest: Path, run: Path, utterances: int, batch: int, freeze: bool
) -> tuple[int, int, float]:
    """(steps, utterances, median seconds) of an epoch as train.py runs it, checkpoint included.

    Args:
        freeze: encoders are frozen, their features read.
    """
    import lightning as L

    from erc.training.assembly import Assembly
    from erc.training.config import compose, quoted
    from erc.training.run import Training, quiet

    starts: list[float] = []

    class Clock(L.Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            starts.append(time.perf_counter())

    quiet()
    parts = Assembly(compose([
        "dataset=manifest", f"dataset.paths={quoted(manifest)}", "dataset.protocol=fixed",
        "dataset.num_folds=2", "dataset.validation_fold=0", "dataset.group=session", "model=tiny",
        f"model.freeze_speech={freeze}", f"model.freeze_text={freeze}", f"run_dir={quoted(run)}",
        f"cache={quoted(run.parent / 'cache')}", f"dataloader.batch_size={batch}",
        f"dataset.num_data={utterances // 2}", "trainer.accelerator=cpu",
        f"trainer.max_epochs={EPOCHS}", "trainer.precision=32-true",
        "trainer.enable_progress_bar=false",
    ]))  # fmt: skip
    training = Training(parts, run)
    training.trainer.callbacks.append(Clock())  # type: ignore[attr-defined]
    training.fit()
    heard = len(parts.sides["train"])
    return -(-heard // batch), heard, statistics.median(np.diff(starts[1:]))


def overheads(epochs: list[tuple[int, int, float]]) -> Overhead:
    """Solve epoch + steps · step + utterances · utterance = seconds for three epochs; none below 0.

    >>> overheads([(24, 96, 10.0), (3, 96, 5.8), (6, 24, 4.24)])
    Overhead(epoch=2.32, step=0.2, utterance=0.03)
    """
    from scipy.optimize import nnls

    rows = np.array([[1, steps, heard] for steps, heard, _ in epochs], float)
    took = np.array([seconds for *_, seconds in epochs])
    weights = 1 / took  # shares of what was measured, not seconds, are to agree
    found, _ = nnls(rows * weights[:, None], took * weights)
    return Overhead(*(round(float(x), 9) for x in found))
