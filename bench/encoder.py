"""The speech encoder: number format, padding, batches

wav2vec2-base (95 M parameters, random weights; group norm in the convolutions), mean-pooled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.harness import Row, compare
from bench.reference import BATCH, CUT, RATE, lengths, recordings
from bench.workers import Worker

SEVEN = [CUT] * BATCH


def population(n: int) -> list[int]:
    """KEMDy-like lengths, cut at 7 s."""
    return np.minimum(lengths(n), CUT).tolist()


def clips(sizes: list[int]) -> list[np.ndarray]:
    """float32 recordings of these lengths, zero mean and unit variance each."""
    from erc.base.arrays import from_int16
    from erc.base.audio import normalize

    return [normalize(from_int16(pcm)) for pcm in recordings(np.array(sizes))]


def model(name: str = "base"):
    """An `EmotionModel` of speech alone with that encoder; the same random weights every time."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder

    torch.manual_seed(0)
    sizes = {
        "base": {},
        "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
                  "intermediate_size": 4096, "feat_extract_norm": "layer", "conv_bias": True,
                  "do_stable_layer_norm": True},
    }  # fmt: skip
    encoder = Wav2Vec2Model(Wav2Vec2Config(**sizes[name])).eval()
    return EmotionModel(SpeechEncoder(encoder, normalize=True), None).eval()


def reference(sizes: list[int], dtype: str = "fp32") -> Callable[[], np.ndarray]:
    """Plain transformers: eight clips a batch, zeros up to 7 s, no mask, the system's allocator."""
    import torch

    encoder = model().speech.backbone.model
    if dtype == "bf16":
        encoder.to(torch.bfloat16)
    x = np.zeros((len(sizes), CUT), np.float32)
    for row, clip in zip(x, clips(sizes)):
        row[: len(clip)] = clip
    batches = torch.from_numpy(x).to(encoder.dtype).split(BATCH)

    @torch.inference_mode()
    def run() -> np.ndarray:
        return torch.cat([encoder(b).last_hidden_state.float().mean(1) for b in batches]).numpy()

    return run


def ours(sizes: list[int], name: str, folder: str | None = None) -> Callable[[], np.ndarray]:
    """The way `Recognizer` goes: real lengths, our allocator settings, one of the runtimes."""
    from erc.base.devices import tune_memory
    from erc.recognizer import Clip, Recognizer

    tune_memory()
    if name.startswith("torch"):
        from erc.recognizer.runtimes.pytorch import TorchRuntime

        runtime = TorchRuntime(model(), name)
    else:
        from erc.model.folder import read_config
        from erc.recognizer.runtimes import open_runtime

        runtime = open_runtime(Path(folder), read_config(Path(folder)), name)
    recognizer = Recognizer(runtime, {"meta": {}})
    given = [Clip("", {"speech": clip}) for clip in clips(sizes)]
    return lambda: recognizer.encode("speech", given)[0]


def exported(folder: Path, formats: list[str]) -> dict[str, str]:
    """Model folders by runtime, of what is installed; made once for all rounds."""
    from erc.model.folder import checkpoint
    from erc.recognizer import export, parity

    parity.UTTERANCES = 2  # what follows compares for itself
    checkpoint.save(folder / "model", model(), meta={"prediction": {}})
    found = {}
    for name in formats:
        library, _, kind = name.partition("-")
        where = folder / (library + "-int8" * (kind == "int8"))
        if not where.exists():
            export.export(folder / "model", where, format=library, int8=kind == "int8")
        found[name] = str(where)
    return found


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest relative L2 distance of two pooled vectors of an utterance."""
    return float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)).max())


def gflop(sizes: list[int]) -> float:
    """Operations of the encoder for clips of these lengths, 2 for a multiply-add."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    encoder = model().speech.backbone.model
    total = 0
    for size in sorted(set(sizes)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(torch.zeros(1, size))
        total += counter.get_total_flops() * sizes.count(size)
    return total / 1e9


def run(quick: bool) -> list[Row]:
    rounds, number = (1, 8) if quick else (4, 24)
    rows = []
    with tempfile.TemporaryDirectory() as place:
        names = ["onnx-fp32", "openvino-bf16"]
        folders = exported(Path(place), names[1:] if quick else names)
        variants = {"transformers fp32": Worker("bench.encoder:reference", SEVEN)}
        for name in ("torch-fp32", "torch-bf16", *folders):
            variants[name] = Worker("bench.encoder:ours", SEVEN, name, folders.get(name))
        (first, *others), types = variants.items(), {"onnx-int8": "int8"}
        types |= {n: "bf16" if "bf16" in n else "fp32" for n in variants if n not in types}
        row = compare(
            "encoder forward, 8 × 7 s", first, others, units=(BATCH, "utt"), rounds=rounds,
            target=2.1, equal=distance, allowed=1e-2, gflop=gflop(SEVEN), dtype=types,
            check="relative L2 distance of pooled vectors from fp32, largest of the batch",
            note="Targets: 2.1 in torch, 2.5 with OpenVINO.",
        )  # fmt: skip
        for entry in row.entries:
            entry.rss = variants[entry.name].rss()
        rows.append(row)
        for worker in variants.values():
            worker.close()

        sizes = population(number)
        alone = ours(sizes, "torch-fp32")()
        for what, target, base, names in (
            ("encoder forward, KEMDy-like lengths, fp32", 1.8, "fp32", ["torch-fp32"]),
            ("encoder forward, KEMDy-like lengths, bf16", 1.8, "bf16", ["torch-bf16"]),
            (
                "the same against fp32",
                3.5,
                "fp32",
                ["torch-bf16", *[n for n in folders if "bf" in n]],
            ),
        ):
            label = f"reference batches {base}"
            variants = {label: Worker("bench.encoder:reference", sizes, base)}
            for name in names:
                variants[name] = Worker("bench.encoder:ours", sizes, name, folders.get(name))
            (first, *others) = variants.items()
            row = compare(
                what, first, others, units=(number, "utt"), rounds=1 if quick else 2, target=target,
                equal=lambda _, b: distance(alone, b), allowed=1e-2,
                gflop=None if quick else gflop(sizes),
                dtype={n: "bf16" if "bf16" in n else "fp32" for n in variants},
                check="relative L2 distance of pooled vectors from each clip alone in fp32 (the "
                f"reference, which pads, is {distance(alone, first[1]()):.2f} off)",
                note=f"{np.sum(sizes) / RATE:.0f} s of speech; the reference computes "
                f"{number * CUT / RATE:.0f} s. GFLOP/s count the real lengths.",
            )  # fmt: skip
            for entry in row.entries:
                entry.rss = variants[entry.name].rss()
            rows.append(row)
            for worker in variants.values():
                worker.close()
    return rows
