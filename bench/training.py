"""Training steps: full fine-tuning, LoRA, and a head on cached features

wav2vec2-base × roberta-base (random weights) × tensor fusion with the paper's mixer, KEMDy-like
lengths cut at 7 s, transcripts of 4–30 tokens. A run is one pass over the utterances: forward, loss,
backward, optimiser step for every batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.encoder import clips, model, population
from bench.harness import Row, compare, isolated
from bench.reference import BATCH, CUT
from bench.workers import Worker

TOKENS = 128  # what the reference pads a transcript to
PAPER = {"patch_size": 16, "mixer_dim": 512, "depth": 12}


def build(fusion: str = "tensor_mixer", options: dict | None = None, **kwargs: Any):
    """Speech and text encoders of base size with a fusion."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import TextEncoder

    speech = model().speech
    torch.manual_seed(1)
    text = TextEncoder(RobertaModel(RobertaConfig(vocab_size=32000, max_position_embeddings=514)))
    torch.manual_seed(2)
    return EmotionModel(speech, text, fusion=fusion, fusion_options=options or PAPER, **kwargs)


def data(sizes: list[int]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """(speech, tokens, distribution, valence and arousal) of each utterance."""
    rng = np.random.default_rng(0)
    rows = []
    for clip in clips(sizes):
        tokens = rng.integers(4, 32000, rng.integers(4, 31))
        rows.append((clip, tokens, rng.dirichlet(np.ones(7)), rng.uniform(1, 5, 2)))
    return rows


def batch(rows: list, speech_length: int | None = None, tokens: int | None = None) -> tuple:
    """Tensors of some utterances; padded to the longest, or to given lengths with all of it valid."""
    import torch

    longest = [max(len(r[i]) for r in rows) for i in (0, 1)]
    widths = [speech_length or longest[0], tokens or longest[1]]
    speech = np.zeros((len(rows), widths[0]), np.float32)
    ids = np.ones((len(rows), widths[1]), np.int64)
    for s, t, row in zip(speech, ids, rows):
        s[: len(row[0])], t[: len(row[1])] = row[0], row[1]
    lengths = [[len(r[i]) for r in rows] for i in (0, 1)]
    if speech_length:
        lengths[0] = [speech_length] * len(rows)
    inputs = [speech, np.array(lengths[0]), ids, np.array(lengths[1])]
    target = [np.array([r[i] for r in rows], np.float32) for i in (2, 3)]
    return tuple(torch.from_numpy(x) for x in inputs + target)


def steps(net: Any, batches: list[tuple], half: bool, weights: list[float]) -> Callable[[], float]:
    """One pass of training over the batches; returns the mean loss."""
    import torch

    from erc.model.losses import MultiTaskLoss
    from erc.training.task import parameter_groups

    loss = MultiTaskLoss()
    optimizer = torch.optim.AdamW(parameter_groups(net, 1e-4, {}, 0.01))
    net.train()

    def run() -> float:
        total = 0.0
        for (*inputs, target, va), weight in zip(batches, weights):
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = net(*inputs)
            value = loss(output, target, va).total * weight
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += float(value.detach()) / len(batches)
        return total

    return run


def reference(sizes: list[int]) -> Callable[[], float]:
    """fp32, everything trained, eight clips a batch padded to 7 s (all valid), system allocator."""
    rows = data(sizes)
    cut = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    net = build()
    # Hugging Face's default: the gradient of the samples is computed, and of all above.
    net.speech.backbone.model.feature_extractor._requires_grad = True
    return steps(net, [batch(r, CUT, TOKENS) for r in cut], False, [1.0] * len(cut))


def ours(sizes: list[int], lora: bool = False, seconds: float | None = None) -> Callable[[], float]:
    """bf16 autocast, convolutions as pretrained, batches of like length, our allocator settings."""
    from erc.base.devices import tune_memory
    from erc.datasets.batches import BucketSampler
    from erc.model.lora import add_lora
    from erc.model.tuning import freeze_front

    tune_memory()
    rows = data(sizes)
    budget = seconds and seconds * 16_000
    sampler = BucketSampler(np.array(sizes), BATCH, True, 0, budget)
    net = build()
    freeze_front(net.speech.backbone.model)
    if lora:
        add_lora(net, {"speech": {"r": 8, "alpha": 16, "targets": ["q_proj", "v_proj"]},
                       "text": {"r": 8, "alpha": 16, "targets": ["query", "value"]}})  # fmt: skip
    chosen = list(sampler)
    batches = [batch([rows[i] for i in indices]) for indices in chosen]
    return steps(net, batches, True, [sampler.weight(len(i)) for i in chosen])


def head(
    number: int, fusion: str, options: dict, half: bool, dim: int = 256, size: int = 64
) -> Callable[[], float]:
    """Fusion and head alone, on features of frozen encoders that are known: what a cache leaves."""
    import torch

    from erc.base.devices import tune_memory
    from erc.model.encoded import Encoded
    from erc.model.losses import MultiTaskLoss
    from erc.training.task import parameter_groups

    tune_memory()
    net = build(fusion, options, dim=dim, freeze_speech=True, freeze_text=True)
    rng = torch.Generator().manual_seed(0)
    pooled = {m: torch.randn(number, *b.shape, generator=rng) for m, b in net.branches.items()}
    target = torch.rand(number, 7, generator=rng).softmax(-1)
    va = 1 + 4 * torch.rand(number, 2, generator=rng)
    loss = MultiTaskLoss()
    optimizer = torch.optim.AdamW(parameter_groups(net, 1e-4, {}, 0.01))
    net.train()

    def run() -> float:
        total = 0.0
        for part in torch.arange(number).split(size):
            x = {m: p[part] for m, p in pooled.items()}
            there = {m: torch.ones(len(part), dtype=torch.bool) for m in x}
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                output = net.fuse(Encoded(x, there))
            value = loss(output, target[part], va[part]).total
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += float(value.detach())
        return total

    return run


def recommended() -> tuple[str, dict, int]:
    """Fusion, options and dim of config/model/frozen.yaml."""
    from pathlib import Path

    from omegaconf import OmegaConf

    cfg = OmegaConf.load(Path(__file__).parents[1] / "config/model/frozen.yaml")
    return cfg.fusion, OmegaConf.to_container(cfg.fusion_options), cfg.dim


def gradient_error() -> float:
    """Relative L2 distance of all gradients of a batch, bf16 autocast from fp32."""
    import torch

    from erc.model.losses import MultiTaskLoss

    rows = data(population(4))
    found = []
    for half in (False, True):
        net = build().eval()  # no dropout: the same computation twice
        *inputs, target, va = batch(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = net(*inputs)
        MultiTaskLoss()(output, target, va).total.backward()
        grads = [p.grad.flatten() for n, p in net.named_parameters() if p.grad is not None]
        found.append(torch.cat(grads))
    return float((found[0] - found[1]).norm() / found[0].norm())


def run(quick: bool) -> list[Row]:
    """One comparison after another: no more than two large models are in memory at once."""
    number, rounds = (4, 1) if quick else (16, 2)
    padded, sizes = population(BATCH), population(number)
    small, options, dim = recommended()
    error = isolated("bench.training:gradient_error").value
    checked = {
        "equal": lambda _, loss: error if np.isfinite(loss) else float("nan"),
        "allowed": 0.1,
        "check": "relative L2 distance of all gradients of one batch, bf16 autocast from fp32",
    }
    paper = ("tensor_mixer", PAPER)
    plans = {
        "full fine-tuning": (3.5, {"erc, full": (number, "ours", sizes)}),
        "LoRA": (4.5, {"erc, LoRA": (number, "ours", sizes, True)}),
        "a paper-size head on cached features": (30.0, {
            "bf16": (64, "head", 64, *paper, True)}),
        "a paper-size head on cached features, fp32": (None, {
            "fp32": (64, "head", 64, *paper, False)}),
        "the recommended head on cached features": (300.0, {
            "fp32": (640, "head", 640, small, options, False, dim)}),
    }  # fmt: skip
    rows = []
    base = "full fine-tuning, reference style"
    for what, (target, variants) in plans.items():
        counts = {base: BATCH} | {name: plan[0] for name, plan in variants.items()}
        workers = {base: Worker("bench.training:reference", padded)}
        for name, (_, function, *args) in variants.items():
            workers[name] = Worker(f"bench.training:{function}", *args)
        first, *others = workers.items()
        row = compare(
            what, first, others, units=(counts, "utt"), rounds=rounds, warmup=1, target=target,
            **(checked if what == "full fine-tuning" else {}),
        )  # fmt: skip
        for entry in row.entries:
            entry.rss = workers[entry.name].rss()
        for worker in workers.values():
            worker.close()
        rows.append(row)
    return rows
