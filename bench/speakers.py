"""A linear head on a frozen encoder, one speaker held out: strangers, known speakers, skewed ones

Real acted speech that may not be passed on, `whisper-tiny-en`, features from the cache. All that is
fitted, the strength included, is fitted inside the training side of a fold. Known speakers are heard
against the mean of their unlabelled recordings. Skewed: one dominant emotion a speaker, a recording
of another one kept with probability 1/3, in training and test, mean of five draws. One mood: the
baseline is all recordings of one emotion of the test speaker, mean over the emotions; all of the
speaker's recordings are scored.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.harness import Row, table
from erc.base.devices import one_blas_thread
from erc.base.numbers import softmax
from erc.base.space import KEMDY
from erc.model.adaptation import VARIETY, against, baseline, variety
from erc.scores.metrics import uar
from erc.training.adaptation import adapt_table
from erc.training.closed_form import Fitted, fit_emotions

REAL = Path("../shared")  # corpora and encoders that may not be passed on
CORPORA = {
    "korean, plain": ("korean_emotion", ["dataset.where={part:plain}"]),
    "nEMO": ("nemo", []),
    "RAVDESS": ("ravdess", []),
}
DRAWS = 5


@dataclass(frozen=True)
class Clips:
    """Recordings after the encoder."""

    features: Tensor  # [N, …]
    emotion: np.ndarray  # [N] place in KEMDY.emotions
    speaker: np.ndarray  # [N] text

    def __getitem__(self, rows: np.ndarray) -> Clips:
        return Clips(self.features[rows], self.emotion[rows], self.speaker[rows])

    def skewed(self, seed: int) -> Clips:
        """Most recordings of a speaker in one emotion, drawn for each."""
        rng, kept = np.random.default_rng(seed), np.zeros(len(self.emotion), bool)
        for speaker in np.unique(self.speaker):
            own = self.speaker == speaker
            dominant = self.emotion == rng.choice(np.unique(self.emotion[own]))
            kept |= own & (dominant | (rng.random(len(own)) < 1 / 3))
        return self[kept]


@dataclass(frozen=True)
class Head:
    """What a fold has learned."""

    mean: Tensor
    scale: Tensor
    fitted: Fitted
    usual: float  # variety of the training rows

    @classmethod
    def of(cls, train: Clips, adapt: bool) -> Head:
        mean = train.features.mean(0)
        scale = train.features.std(0, correction=0).clamp(min=1e-12)
        target, features = np.eye(len(KEMDY.emotions))[train.emotion], train.features
        if adapt:
            heard = torch.ones(len(features), dtype=torch.bool)
            features = adapt_table(features, train.speaker.tolist(), heard, mean, target)
        z = ((features - mean) / scale).flatten(1).numpy()
        fitted = fit_emotions(z, target, np.unique(train.speaker, return_inverse=True)[1])
        return cls(mean, scale, fitted, variety(target))

    def scores(self, features: Tensor) -> np.ndarray:
        """[n, 7] of features."""
        z = ((features - self.mean) / self.scale).flatten(1).double().numpy()
        return z @ self.fitted.weight.T + self.fitted.bias

    def known(self, features: Tensor, heard: Tensor) -> tuple[np.ndarray, bool]:
        """Scores against a baseline of the speaker, and whether that was declined."""
        moods = variety(softmax(self.scores(heard) / (self.fitted.temperature or 1)))
        if moods < VARIETY * self.usual:
            return self.scores(features), True
        return self.scores(against(features, baseline(heard, self.mean), self.mean)), False


Folds = list[tuple[np.ndarray, Head]]  # recordings of a speaker, bool [N]; learned from the others


def folds(clips: Clips, adapt: bool) -> Folds:
    """Every speaker held out in turn, a fold a core."""
    sides = [clips.speaker == speaker for speaker in np.unique(clips.speaker)]

    @one_blas_thread()
    def heads() -> list[Head]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda out: Head.of(clips[~out], adapt), sides))

    return list(zip(sides, heads(), strict=True))


def score(clips: Clips, heads: Folds, say: Callable[[Head, Clips], np.ndarray]) -> float:
    """UAR of all held-out recordings together; `say` gives their scores."""
    said = np.zeros((len(clips.emotion), len(KEMDY.emotions)))
    for out, head in heads:
        said[out] = say(head, clips[out])
    return uar(clips.emotion, said.argmax(1))


def stranger(head: Head, test: Clips) -> np.ndarray:
    return head.scores(test.features)


def known(head: Head, test: Clips) -> np.ndarray:
    return head.known(test.features, test.features)[0]


def one_mood(clips: Clips, heads: Folds) -> dict[str, float]:
    """UAR with a baseline of one emotion, mean over the emotions, and how many were declined."""
    found, declined = [], []
    for emotion in np.unique(clips.emotion):

        def say(head: Head, test: Clips, emotion: int = emotion) -> np.ndarray:
            heard = test.features[test.emotion == emotion]
            if not len(heard):
                return head.scores(test.features)
            scores, no = head.known(test.features, heard)
            declined.append(no)
            return scores

        found.append(score(clips, heads, say))
    return {"known, one mood": statistics.fmean(found), "declined": statistics.fmean(declined)}


def load(corpus: str, words: list[str]) -> Clips:
    """Features of a corpus, from the cache; the first time they are computed."""
    from erc.studies.experiment import configure
    from erc.training.adaptation import people
    from erc.training.assembly import Assembly

    words = [
        "experiment=frozen", "model=linear", "trainer.accelerator=cpu",
        f"model.speech_encoder={REAL / 'encoders/whisper-tiny-en'}",
        f"dataset.paths={REAL / 'corpora' / corpus / 'manifest.csv'}", *words,
    ]  # fmt: skip
    parts = Assembly(configure(words, Path("runs/bench")))
    data = parts.sides["train"].side("all")
    emotion = data.labels.target[data.rows].argmax(1)
    return Clips(parts.tables["speech"][data.rows], emotion, np.array(people(data, data.rows)))


def run(quick: bool) -> list[Row]:
    records = []
    for name, (corpus, words) in CORPORA.items() if REAL.is_dir() else ():
        if quick and records:
            break
        clips = load(corpus, words)
        start, cpu = time.perf_counter(), time.process_time()
        record: dict[str, float | str] = {
            "corpus": name, "stranger": score(clips, folds(clips, False), stranger)
        }  # fmt: skip
        seconds = time.perf_counter() - start, time.process_time() - cpu
        heads = folds(clips, True)
        record |= {"stranger, head for known": score(clips, heads, stranger)}
        record |= {"known": score(clips, heads, known)} | one_mood(clips, heads)
        draws = [clips.skewed(seed) for seed in range(1 if quick else DRAWS)]
        for column, adapt, say in (("stranger", False, stranger), ("known", True, known)):
            found = [score(d, folds(d, adapt), say) for d in draws]
            record[f"{column}, skewed"] = statistics.fmean(found)
        for key, value in record.items():
            record[key] = round(value, 3) if isinstance(value, float) else value
        record |= {"seconds": round(seconds[0], 1), "CPU seconds": round(seconds[1], 1)}
        print(record, flush=True)
        records.append(record)
    return [table("leave one speaker out, UAR; seconds of the first column", records)]
