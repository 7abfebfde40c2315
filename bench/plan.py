"""`erc plan` against what happened: predicted and real times of small runs

The machine is measured as for every plan; the runs differ from those that it was measured by in size and
length: recordings as long as KEMDy's, other batches, a wider encoder. Times without imports.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness import Row, table
from bench.reference import CUT, RATE, corpus, lengths


def run(quick: bool) -> list[Row]:
    """One row of predicted beside real for each step of a small study."""
    from erc.base.devices import tune_memory
    from erc.studies import calibration

    tune_memory()
    machine = calibration.measure()
    n = 120 if quick else 600
    with tempfile.TemporaryDirectory(prefix="erc-bench-") as scratch:
        place = Path(scratch)
        manifest = corpus(place / "corpus", n) / "manifest.csv"
        records = [
            _building(machine, manifest, place, n),
            *(_epoch(machine, manifest, place, n, freeze) for freeze in (False, True)),
            _features(machine, n, quick),
        ]
    constants = [{"constant": k, "value": str(v)} for k, v in machine.to_json().items()]
    return [
        table("predicted and real", records, note="Within 25 % is the aim."),
        table("what the machine was measured to do", constants),
    ]


def _record(what: str, predicted: float, real: float) -> dict[str, Any]:
    off = round(100 * (float(predicted) / float(real) - 1))
    return {
        "step": what,
        "predicted s": round(predicted, 3),
        "real s": round(real, 3),
        "off %": off,
    }


def _seconds(n: int) -> float:
    return float(lengths(n).sum() / RATE)


def _building(machine: Any, manifest: Path, place: Path, n: int) -> dict[str, Any]:
    from erc import corpora
    from erc.datasets.shards import build
    from erc.studies.planning import Work, steps

    took = []
    for i in range(3):
        start = time.perf_counter()
        build(corpora.load("manifest", manifest), place / f"store-{i}", 1)
        took.append(time.perf_counter() - start)
    [expected] = [s for s in steps(Work(n, _seconds(n), workers=1), machine) if "store" in s.name]
    return _record(f"build the store, {n} utterances, one worker", expected.seconds, min(took))


def _epoch(machine: Any, manifest: Path, place: Path, n: int, freeze: bool) -> dict[str, Any]:
    """An epoch over half the corpus, in batches that no pilot had."""
    from erc.studies import calibration, plan
    from erc.studies.planning import steps

    batch = 16
    heard, real = calibration.epoch(manifest, place / f"run-{freeze}", n, batch, freeze)[1:]
    words = ["model=tiny", f"model.freeze_speech={freeze}", f"model.freeze_text={freeze}"]
    config = plan.resolve_plain([*words, "trainer.max_epochs=1", f"dataloader.batch_size={batch}"])
    work = dataclasses.replace(plan.work_of(config, heard, _seconds(n) * heard / n, 1), share=1.0)
    [expected] = [s for s in steps(work, machine) if s.name.startswith("train")]
    what = f"an epoch, {heard} utterances, {'cached features' if freeze else 'tiny encoders'}"
    return _record(what, expected.seconds, real)


def _features(machine: Any, n: int, quick: bool) -> dict[str, Any]:
    """Features of an encoder as wide as wav2vec2-base, with half its layers, clips one by one."""
    import torch
    from transformers import Wav2Vec2Config

    from erc.model import pretrained
    from erc.studies.planning import encoder

    config = Wav2Vec2Config(num_hidden_layers=6)
    model = pretrained.build(config).eval()
    sizes = lengths(6 if quick else 16, longest=CUT / RATE)
    clips = [torch.randn(1, int(size)) for size in sizes]
    took = []
    with torch.inference_mode():
        for _ in range(2):
            start = time.perf_counter()
            for clip in clips:
                model(clip)
            took.append(time.perf_counter() - start)
    gflop = sum(encoder("x", config.to_dict()).gflop(size / RATE) for size in sizes)
    what = f"features of a 6-layer encoder, {len(clips)} clips"
    return _record(what, gflop / machine.forward, min(took))
