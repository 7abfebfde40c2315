"""The smallest fusion that loses nothing: macro F1 and CCC against GFLOP an utterance

Frozen encoders, cached features, only fusion and head are trained; every head with the same settings
otherwise, chosen before, and cross-validated. Simulated speech: small encoders trained on other
simulated speakers, folds of four sessions. Real speech: Korean acted sentences that carry no emotion,
`whisper-tiny-en`, one speaker held out.
"""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import time
from pathlib import Path
from typing import Any

from bench.harness import Row, table

PLACE = Path("runs/heads")  # finished folds are not run again
REAL = Path("../shared")  # corpora and encoders that may not be passed on
HEADS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "paper: 512 × 12, 16×16 patches, dim 256": (
        "tensor_mixer", 256, {"patch_size": 16, "mixer_dim": 512, "depth": 12}),
    "512 × 12, 32×32 patches, dim 256": (
        "tensor_mixer", 256, {"patch_size": 32, "mixer_dim": 512, "depth": 12}),
    "256 × 4, 32×32 patches, dim 256": (
        "tensor_mixer", 256, {"patch_size": 32, "mixer_dim": 256, "depth": 4}),
    "128 × 4, 16×16 patches, dim 128": (
        "tensor_mixer", 128, {"patch_size": 16, "mixer_dim": 128, "depth": 4}),
    "128 × 2, 16×16 patches, dim 64": (
        "tensor_mixer", 64, {"patch_size": 16, "mixer_dim": 128, "depth": 2}),
    "64 × 2, 16×16 patches, dim 64": (
        "tensor_mixer", 64, {"patch_size": 16, "mixer_dim": 64, "depth": 2}),
    "64 × 1, 32×32 patches, dim 64": (
        "tensor_mixer", 64, {"patch_size": 32, "mixer_dim": 64, "depth": 1}),
    "low rank 4, dim 64": ("low_rank", 64, {"rank": 4}),
    "gated, dim 64": ("gated", 64, {}),
    "concatenation, dim 64": ("concat", 64, {}),
}  # fmt: skip
LARGE = 0.5  # GFLOP an utterance; such a head is trained on the first fold alone


def gflop(fusion: str, dim: int, options: dict[str, Any]) -> tuple[float, float]:
    """Operations of a fusion for one utterance (10⁹, 2 for a multiply-add) and parameters (10⁶)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from erc.model.fusion import build_fusion

    net = build_fusion(fusion, dim, options).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net([torch.zeros(1, net.vector_size)] * 2, [torch.ones(1, dtype=torch.bool)] * 2)
    return counter.get_total_flops() / 1e9, sum(p.numel() for p in net.parameters()) / 1e6


def words(fusion: str, dim: int, options: dict[str, Any]) -> list[str]:
    """The head as overrides of `python train.py`."""
    text = "{" + ", ".join(f"{k}: {v}" for k, v in options.items()) + "}"
    return [f"model.fusion={fusion}", f"model.dim={dim}", f"model.fusion_options={text}"]


def simulated() -> list[str]:
    """Corpus and frozen encoders of `erc reproduce --fast`, made once."""
    from erc.studies.reproduction import POOLED, simulate

    # The paper's mixer would take hours on all 1,200 utterances.
    fewer = ["dataset.num_data=600", "trainer.max_epochs=12"]
    return [*simulate(PLACE / "simulated"), *POOLED, *fewer, "dataset.protocol=strict"]


def korean() -> list[str]:
    """Sentences without emotional words; the transcript says nothing, which a fusion must learn."""
    manifest = REAL / "corpora/korean_emotion/manifest.csv"
    return ["experiment=frozen", "model=frozen",
            f"model.speech_encoder={REAL / 'encoders/whisper-tiny-en'}",
            f"dataset.paths={manifest}", "dataset.where={part:plain}"]  # fmt: skip


def score(corpus: str, common: list[str], head: str) -> dict[str, Any]:
    """Cross-validate one head; scores of all folds together, with intervals over speakers.

    A large head is trained on the first fold alone: it costs more than all others together.
    """
    from erc.scores.results import System
    from erc.scores.scored import read
    from erc.studies.cross_validation import cross_validate
    from erc.studies.experiment import run as train

    folder = PLACE / corpus / re.sub(r"\W+", "-", head)
    quiet = ["trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
    settings = [*common, *words(*HEADS[head]), *quiet]
    cost, size = gflop(*HEADS[head])
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        if cost < LARGE:
            found = cross_validate(settings, folder)
        elif not (folder / "fold0/results.json").exists():
            train([*settings, "dataset.validation_fold=0"], folder / "fold0")
    for fold in folder.glob("fold*"):
        for leftover in ("checkpoints", "model"):
            shutil.rmtree(fold / leftover, ignore_errors=True)
    first = System.of(read(folder / "fold0" / "predictions.csv")["speech + text"])
    record = {"head": head, "GFLOP": round(cost, 5), "parameters, millions": round(size, 3)}
    record["macro F1, first fold"] = round(first["f1_macro"].value, 3)
    if cost < LARGE:
        pooled = found.pooled["speech + text"]
        record["macro F1"] = round(pooled["f1_macro"].value, 3)
        record["95 %"] = "{:.3f} … {:.3f}".format(*pooled["f1_macro"][1:3])
    ccc = [first, *([pooled] if cost < LARGE else [])]
    for name, scores in zip(("mean CCC, first fold", "mean CCC"), ccc):
        mean = (scores["ccc_valence"].value + scores["ccc_arousal"].value) / 2
        if mean == mean:  # nan where nobody rated them
            record[name] = round(mean, 3)
    print(f"{corpus}: {record}  {time.perf_counter() - start:.0f} s", flush=True)
    return record


def known(corpus: str, head: str) -> bool:
    """Small, or a large one whose first fold is finished; `score` trains one, in half an hour."""
    place = PLACE / corpus / re.sub(r"\W+", "-", head) / "fold0/results.json"
    return gflop(*HEADS[head])[0] < LARGE or place.exists()


def run(quick: bool) -> list[Row]:
    heads = [h for h in HEADS if not quick or gflop(*HEADS[h])[0] < 0.01][-2 if quick else 0 :]
    rows = []
    corpora = {"simulated": simulated} | ({"korean": korean} if REAL.is_dir() else {})
    for corpus in list(corpora)[: 1 if quick else 2]:
        common = corpora[corpus]()
        chosen = [head for head in heads if known(corpus, head)]
        left = [head for head in heads if head not in chosen]
        records = [score(corpus, common, head) for head in reversed(chosen)]
        scores = ("macro F1, first fold", "mean CCC, first fold")
        columns = ["GFLOP", *[c for c in scores if c in records[0]]]
        title = "simulated speech + text" if corpus == "simulated" else "Korean acted speech"
        note = (
            "Scores of all held-out utterances together, with intervals over speakers; the large "
        )
        note += "mixers were trained on the first fold alone, on which all are drawn."
        note += f" Not trained: {'; '.join(left)}." * bool(left)
        records.sort(key=lambda r: -r["GFLOP"])
        for column in dict.fromkeys(k for r in records for k in r):  # all rows have all columns
            for r in records:
                r.setdefault(column, "–")
        rows.append(table(f"heads, {title}", records, plot=columns, note=note))
    return rows
