"""A trained model and a recording → `Prediction`. Either modality may be missing."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from erc import audio
from erc.adaptation import adapt_model
from erc.batches import Collator
from erc.checkpoint import load_model
from erc.errors import AudioError, CheckpointError, ConfigError, ErcError
from erc.features import run
from erc.labels import EMOTIONS, SCALE
from erc.physiology_features import KINDS, given_input
from erc.text import normalise

EMPTY = np.zeros(0, np.float32)


@dataclass(frozen=True)
class Prediction:
    """What the model says of one utterance.

    Attributes:
        file: path of the recording, or what stands for it.
        label: most probable emotion.
        probabilities: of the seven emotions; they sum to 1 and estimate the share of raters who
            would choose each.
        valence: 1 negative … 5 positive.
        arousal: 1 calm … 5 excited.
        confidence: probability of the label, 1/7 … 1.
        modalities: what the answer rests on: "speech", "text", "physiology", or several.
    """

    file: str
    label: str
    probabilities: dict[str, float]
    valence: float
    arousal: float
    confidence: float
    modalities: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"modalities": list(self.modalities)}


@dataclass(frozen=True)
class Failure:
    """An input of `predict_many` that could not be used, and why."""

    file: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Clip:
    name: str
    speech: np.ndarray  # [T] float32, [0]: none
    text: str | None
    physiology: np.ndarray | None = None  # [T, C] as the model reads it


class Recognizer:
    """An `EmotionModel` with its tokenizer and settings; `erc.load(folder)` makes one."""

    def __init__(self, model: Any, tokenizer: Any, config: dict[str, Any]):
        self.model = model.eval()
        self.config = config
        settings = config["meta"].get("prediction", {})
        self.max_samples = settings.get("wav_max_length")
        self.temperature = settings.get("temperature", 1.0)
        self.baseline = settings.get("physiology_baseline", "none")
        self.collate = Collator(
            tokenizer,
            normalize=bool(model.speech and model.speech.normalize),
            txt_max_length=settings.get("txt_max_length", 128),
        )

    def predict(
        self,
        audio: audio.Source | None = None,
        text: str | None = None,
        sampling_rate: int | None = None,
        physiology: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Emotion, valence and arousal of one utterance.

        Args:
            audio: path, bytes, open file, or samples with `sampling_rate`; None: no recording.
            text: what is said; None: no transcript.
            sampling_rate: Hz, for samples.
            physiology: what devices measured, any of `eda`, `temp`, `ibi`, `ecg` …, see
                `physiology.Signals.of`; None: nothing.

        Raises:
            AudioError: the recording cannot be used.
            ConfigError: nothing to predict from, or a modality the model was not built for.
        """
        return self._forward([self._read(audio, text, sampling_rate, physiology)])[0]

    def adapt(self, recordings: Iterable[audio.Source]) -> Recognizer:
        """A recognizer that hears one speaker against these recordings of that speaker.

        No labels are needed; ten or more recordings in various moods are a baseline (see
        `erc.adaptation`). Its answers are for this speaker only. This recognizer stays as it is.

        Raises:
            AudioError: a recording cannot be used.
            ConfigError: no recording, or a model that was not trained on a frozen speech encoder.
        """
        clips = [self._read(recording, None, None) for recording in recordings]
        if not clips:
            raise ConfigError("adapt needs recordings of the speaker, at least one")
        adapted = copy.copy(self)
        adapted.model = adapt_model(self.model, torch.cat([self._hear(clip) for clip in clips]))
        return adapted

    @torch.inference_mode()
    def _hear(self, clip: _Clip) -> torch.Tensor:
        batch = self.collate.inputs([clip.speech], [None])
        return self.model.branches["speech"].encode(batch.speech, batch.speech_lengths)

    def predict_many(
        self, inputs: Iterable[Any], batch_size: int = 8
    ) -> Iterator[Prediction | Failure]:
        """`predict` for many, in order, batch by batch; a bad input gives a `Failure` in its place.

        Args:
            inputs: recordings, or (recording, text) or (recording, text, physiology) with None for
                what is missing.
            batch_size: utterances in memory at once.
        """
        pairs = iter(inputs)
        while chunk := list(islice(pairs, batch_size)):
            read = [self._try_read(*(p if isinstance(p, tuple) else (p, None))) for p in chunk]
            answers = iter(self._forward([r for r in read if isinstance(r, _Clip)]))
            for result in read:
                yield next(answers) if isinstance(result, _Clip) else result

    def _try_read(self, source: Any, text: str | None, body: Any = None) -> _Clip | Failure:
        try:
            return self._read(source, text, None, body)
        except ErcError as error:
            return Failure(_name(source), str(error))

    def _read(
        self, source: Any, text: str | None, sampling_rate: int | None, body: Any = None
    ) -> _Clip:
        name = _name(source)
        text = normalise(text) if text else None
        if source is not None and self.model.speech is None:
            raise ConfigError(f"{name}: this model reads text only; give text=…")
        if text and self.model.text is None:
            raise ConfigError(f"{name}: this model hears speech only; leave text out")
        if text and self.collate.tokenizer is None:
            raise ConfigError(f"{name}: the model folder has no tokenizer; copy one into it")
        measured = None if body is None else self._measured(body, name)
        if source is None and not text and measured is None:
            raise ConfigError(f"{name}: nothing to predict from; give a recording, text, or both")
        speech = EMPTY
        if source is not None:
            speech = audio.load(source, sampling_rate)[: self.max_samples]
            if len(speech) < self.model.speech.min_samples:
                raise AudioError(
                    f"{name}: {len(speech)} samples; this model's speech encoder needs at least "
                    f"{self.model.speech.min_samples} ({audio.SAMPLE_RATE} are one second)"
                )
        return _Clip(name, speech, text, measured)

    def _measured(self, body: Mapping[str, Any], name: str) -> np.ndarray:
        if self.model.physiology is None:
            raise ConfigError(f"{name}: this model takes no physiology; leave it out")
        return given_input(body, self.model.physiology.kind, self.baseline)

    @torch.inference_mode()
    def _forward(self, clips: list[_Clip]) -> list[Prediction]:
        if not clips:
            return []
        bodies = None
        if self.model.physiology:
            none = np.zeros((0, KINDS[self.model.physiology.kind]), np.float32)
            bodies = [none if c.physiology is None else c.physiology for c in clips]
        batch = self.collate.inputs([c.speech for c in clips], [c.text for c in clips], bodies)
        output = run(self.model, batch)
        probabilities = (output.logits / self.temperature).softmax(-1).double().numpy()
        va = output.valence_arousal.clamp(*SCALE).double().numpy()
        return [
            _prediction(clip, p, v) for clip, p, v in zip(clips, probabilities, va, strict=True)
        ]


def load(folder: str | Path) -> Recognizer:
    """Open a model folder written by training or `erc import-reference`.

    Raises:
        CheckpointError: not a model folder, or a broken one.
    """
    model, tokenizer, config = load_model(folder)
    if config["meta"].get("objective") == "contrastive":
        raise CheckpointError(
            f"{folder} was pre-trained without emotions and cannot predict; train a model from it: "
            f"python train.py module.load_from_checkpoint={folder}"
        )
    return Recognizer(model, tokenizer, config)


def _prediction(clip: _Clip, probabilities: np.ndarray, va: np.ndarray) -> Prediction:
    best = int(probabilities.argmax())
    body = clip.physiology is not None and len(clip.physiology)
    used = [("speech", len(clip.speech)), ("text", clip.text), ("physiology", body)]
    return Prediction(
        file=clip.name,
        label=EMOTIONS[best],
        probabilities=dict(zip(EMOTIONS, probabilities.tolist(), strict=True)),
        valence=float(va[0]),
        arousal=float(va[1]),
        confidence=float(probabilities[best]),
        modalities=tuple(name for name, there in used if there),
    )


def _name(source: Any) -> str:
    return "<text>" if source is None else audio.name_of(source)
