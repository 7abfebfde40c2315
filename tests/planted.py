"""Recordings with turns whose times are known, and a recognizer that answers what is asked of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from erc.base.audio import SAMPLE_RATE
from erc.base.space import KEMDY, Space
from erc.base.voice import Delivery, cast, speak
from erc.recognizer import Recognizer
from erc.recognizer.runtimes import Runtime, Spec

SENTENCE = "안녕하세요 오늘은 날씨가 정말 좋네요 그래요 우리 같이 산책을 가요 어때요 좋아요"
Times = list[tuple[float, float]]


def speech(seed: int, syllables: int = 20) -> np.ndarray:
    """One simulated utterance, float32 [T] at 16 kHz."""
    rng = np.random.default_rng(seed)
    speaker = cast("FM"[seed % 2], rng)
    text = SENTENCE.replace(" ", "")[:syllables]
    return speak(text, speaker, Delivery(rng.uniform(2, 4), 4, 3), rng) / np.float32(32768)


def conversation(turns: int = 6, seed: int = 0) -> tuple[np.ndarray, Times]:
    """Utterances with 0.9–2.5 s of room noise between them; samples and true (start, end) in s."""
    rng = np.random.default_rng(seed)
    parts, times, at = [], [], 0
    for i in range(turns):
        said = speech(100 * seed + i, int(rng.integers(6, 30)))
        room = rng.standard_normal(int(rng.uniform(0.9, 2.5) * SAMPLE_RATE)).astype(np.float32)
        parts += [3e-4 * room, said]
        start = at + len(room) + 960  # `speak` begins and ends with 60 ms of room
        at += len(room) + len(said)
        times.append((start / SAMPLE_RATE, (at - 960) / SAMPLE_RATE))
    return np.concatenate([*parts, np.zeros(SAMPLE_RATE, np.float32)]), times


def write(path: Path, samples: np.ndarray, rate: int = SAMPLE_RATE, channels: int = 1) -> Path:
    """A file of any rate; further channels are quieter copies of the first."""
    x = soxr.resample(samples, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else samples
    x = np.stack([x * 0.9**c for c in range(channels)], 1) if channels > 1 else x
    soundfile.write(path, x, rate)
    return path


class Heard(Runtime):
    """Says how long and how loud a clip was, and how many letters its text had; keeps the shapes."""

    name = "stub"

    def __init__(self, modalities: tuple[str, ...] = ("speech", "text")):
        self.spec = Spec(modalities, {"speech": (2,), "text": (1,)})
        self.clips: list[int] = []

    def encode(self, modality, x, lengths):
        if modality == "text":
            return x[:, :1].astype(np.float32), np.ones(len(x), bool)
        self.clips += lengths.tolist()
        loud = [float(np.sqrt(np.mean(row[:n] ** 2))) for row, n in zip(x, lengths)]
        return np.stack([lengths / SAMPLE_RATE, loud], 1).astype(np.float32), np.ones(len(x), bool)

    def fuse(self, encoded):
        pooled = encoded.pooled
        seconds, loud = pooled["speech"].T
        logits = np.zeros((len(seconds), len(KEMDY.emotions)), np.float32)
        logits[:, 2], logits[:, 4] = 20 * loud, seconds / 4
        letters = pooled["text"][:, 0] if "text" in pooled else np.zeros(len(seconds))
        return logits, np.stack([1 + letters / 10, 1 + 10 * loud], 1).astype(np.float32)


def recognizer(max_seconds: float | None = None, meta=None, **options) -> Recognizer:
    """The real recognizer around `Heard`; `meta` is what else its folder says."""
    settings = {"wav_max_length": None if max_seconds is None else int(max_seconds * SAMPLE_RATE)}
    modalities = options.pop("modalities", ("speech", "text"))
    config = {"meta": {"prediction": settings} | (meta or {})}
    return Recognizer(Heard(modalities), config, lambda text: [len(text)], **options)


def model_folder(folder: Path, space: Space, meta=None, **options) -> Path:
    """A model of speech and text, tiny and random, that answers in this space; options: of the model."""
    import torch
    from transformers import BertConfig, Wav2Vec2Config

    from erc.base.sentences import sentence
    from erc.model.emotion import EmotionModel
    from erc.model.encoders import SpeechEncoder, TextEncoder
    from erc.model.folder import checkpoint
    from erc.model.pretrained import build
    from erc.model.tokenizer import train_tokenizer

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    front = {"conv_dim": (16,) * 7, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    front |= {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    torch.manual_seed(0)
    speech = SpeechEncoder(build(Wav2Vec2Config(**size, **front, intermediate_size=32)))
    text = TextEncoder(build(BertConfig(vocab_size=300, **size, intermediate_size=32)))
    model = EmotionModel(speech, text, space=space, dim=16, fusion="concat", **options)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "encoder" not in name:
                p.add_(torch.randn_like(p) * 0.3)
    rng = np.random.default_rng(0)
    tokenizer = train_tokenizer([sentence(3, 3, rng) for _ in range(200)], 300)
    settings = {"prediction": {"txt_max_length": 40}} | (meta or {})
    checkpoint.save(folder, model, tokenizer=tokenizer, meta=settings)
    return folder
