"""Prediction: bulk, short clips with Whisper, and a cold `erc predict`"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.encoder import exported, model, population
from bench.harness import Row, compare, table
from bench.reference import RATE, recordings
from bench.workers import Worker


def write(folder: Path, sizes: list[int]) -> Path:
    """Recordings of these lengths as wav files."""
    import soundfile

    folder.mkdir()
    for i, pcm in enumerate(recordings(np.array(sizes))):
        soundfile.write(folder / f"{i:04d}.wav", pcm, RATE)
    return folder


def pipeline(wavs: str, batch_size: int) -> Callable[[], int]:
    """`transformers.pipeline` as its documentation has it, with the same encoder."""
    import torch
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification
    from transformers import pipeline as make

    net = Wav2Vec2ForSequenceClassification(model().speech.backbone.model.config).eval()
    net.wav2vec2.load_state_dict(model().speech.backbone.model.state_dict(), strict=False)
    classify = make("audio-classification", model=net,
                    feature_extractor=Wav2Vec2FeatureExtractor(return_attention_mask=False))  # fmt: skip
    import soundfile

    files = sorted(Path(wavs).glob("*.wav"))

    def read():  # the pipeline's own reader needs ffmpeg
        for file in files:
            samples, rate = soundfile.read(file, dtype="float32")
            yield {"raw": samples, "sampling_rate": rate}

    @torch.inference_mode()
    def run() -> int:
        return sum(1 for _ in classify(read(), batch_size=batch_size))

    return run


def erc(folder: str, runtime: str, wavs: str) -> Callable[[], np.ndarray]:
    """`predict_many` over the files; returns the probabilities."""
    from erc.base.devices import tune_memory
    from erc.recognizer import load

    tune_memory()
    recognizer = load(folder, runtime=runtime)
    files = sorted(Path(wavs).glob("*.wav"))

    def answers() -> np.ndarray:
        said = [list(p.probabilities.values()) for p in recognizer.predict_many(files)]
        return np.array(said).reshape(len(files), -1)  # raises where no speech was found in some

    return answers


def whisper(context: str, sizes: list[int]) -> Callable[[], np.ndarray]:
    """Pooled features of a Whisper encoder of tiny size (random weights), one clip at a time."""
    import torch
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder
    from erc.recognizer import Clip, Recognizer
    from erc.recognizer.runtimes.pytorch import TorchRuntime

    torch.manual_seed(0)
    config = WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6,
                           encoder_ffn_dim=1536)  # fmt: skip
    encoder = WhisperEncoder._from_config(config, attn_implementation="sdpa")
    net = EmotionModel(SpeechEncoder(encoder, context=context), None)
    recognizer = Recognizer(TorchRuntime(net), {"meta": {}})
    given = [
        Clip("", {"speech": pcm.astype(np.float32) / 32768}) for pcm in recordings(np.array(sizes))
    ]
    return lambda: recognizer.encode("speech", given)[0]


def cold(command: list[str], rounds: int) -> tuple[float, float, float]:
    """Median, least and most seconds of a process, from start to end."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), min(times[1:]), max(times[1:])


def imports(command: list[str]) -> float:
    """Seconds that a command spends importing (`-X importtime`, the modules at the top)."""
    said = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True
    ).stderr
    found = re.findall(r"import time:\s*\d+ \|\s*(\d+) \| (\S+)$", said, re.MULTILINE)
    return sum(int(micro) for micro, _ in found) / 1e6


def small_model(folder: Path) -> Path:
    """The tiny encoders of the demo with random weights, and a tokenizer."""
    import torch

    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder, TextEncoder
    from erc.model.folder import checkpoint
    from erc.model.tokenizer import train_tokenizer

    torch.manual_seed(0)
    tokenizer = train_tokenizer(["정말 좋았어 오늘 기분이 좋아", "비가 와서 슬퍼"])
    speech = SpeechEncoder.from_name("tiny-wav2vec2")
    text = TextEncoder.from_name("tiny-roberta", vocab_size=len(tokenizer))
    net = EmotionModel(speech, text, fusion_options={"mixer_dim": 64, "depth": 2}, dim=64)
    checkpoint.save(folder, net, tokenizer=tokenizer, meta={"prediction": {}})
    return folder


def cold_rows(rounds: int, place: Path) -> Row:
    """`erc predict` of one 5 s clip with a small model, by runtime."""
    from erc.recognizer import export

    folder = small_model(place / "small")
    wav = write(place / "one", [5 * RATE]) / "0000.wav"
    export.into(folder, format="onnx")
    records = []
    for runtime in ("torch-fp32", "onnx-fp32"):
        command = [sys.executable, "-m", "erc", "predict", str(wav), "--model", str(folder),
                   "--runtime", runtime]  # fmt: skip
        median, low, high = cold(command, rounds)
        records.append({
            "runtime": runtime, "wall s": round(median, 2), "least": round(low, 2),
            "most": round(high, 2), "imports s": round(imports(command), 2),
        })  # fmt: skip
    shutil.rmtree(folder)
    return table(
        "a 5 s clip in a cold `erc predict` process, small model", records,
        note="Target: under 3 s wall, imports under 1.5 s.",
    )  # fmt: skip


def run(quick: bool) -> list[Row]:
    rounds, number = (1, 8) if quick else (2, 32)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        wavs = str(write(place / "wavs", population(number)))
        seconds = sum(population(number)) / RATE
        names = ["openvino-bf16"]
        folders = exported(place, names)
        (place / "model/exports").mkdir()
        alone = erc(str(place / "model"), "torch-fp32", wavs)()
        variants = {"pipeline": Worker("bench.inference:pipeline", wavs, 1)}
        variants["pipeline, batches of 8"] = Worker("bench.inference:pipeline", wavs, 8)
        for runtime in ("torch-fp32", "torch-bf16", *names):
            folder = folders.get(runtime, str(place / "model"))
            variants[f"erc {runtime}"] = Worker("bench.inference:erc", folder, runtime, wavs)
        (first, *others) = variants.items()
        row = compare(
            f"bulk prediction, {number} files, base encoder", first, others,
            units=(seconds, "s of speech"),
            rounds=rounds, target=2.0, allowed=1e-2,
            equal=lambda _, p: np.abs(p - alone).max() if isinstance(p, np.ndarray) else None,
            check="largest difference of a probability from fp32",
            note="units per second: × real time. Files are read, decoded and classified in both.",
        )  # fmt: skip
        for entry in row.entries:
            entry.rss = variants[entry.name].rss()
        rows.append(row)
        for worker in variants.values():
            worker.close()
        short = [int(s * RATE) for s in np.linspace(1, 5, 4 if quick else 10)]
        padded, real = (Worker("bench.inference:whisper", c, short) for c in ("30s", "real"))
        rows.append(
            compare(
                "short clips, Whisper encoder (tiny)",
                ("30 s context", padded),
                [("real length", real)],
                units=(len(short), "clips"),
                rounds=rounds,
                target=5.0,
                note="What the shorter context changes is in docs/performance.md, “Whisper”.",
            )
        )
        rows.append(cold_rows(rounds, place))
    return rows
