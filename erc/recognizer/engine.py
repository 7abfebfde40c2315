"""Read, encode, score, answer: what a `Recognizer` is at its core.

Nothing here needs torch: what computes is a `Runtime`, and an exported model brings its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Self

import numpy as np

from erc.base import audio
from erc.base.buckets import by_budget, gather, pad
from erc.base.errors import CheckpointError, ConfigError, ErcError
from erc.base.numbers import softmax
from erc.base.space import Space
from erc.base.terms import Terms, from_json
from erc.base.text import normalise
from erc.labels.regions import Regions
from erc.model.adaptation import VARIETY, variety
from erc.model.encoded import Encoded
from erc.model.folder.held_out import HeldOut
from erc.model.folder.learned import Learned
from erc.recognizer.clip import Clip, listen
from erc.recognizer.prediction import Failure, Prediction, said, unsaid
from erc.recognizer.runtimes import Adapted, Runtime, Spec
from erc.recognizer.sets import with_set
from erc.scores.selective import TYPICAL

WINDOW = 64  # inputs that are decoded together and batched by length
BATCH_SECONDS = 56.0  # of a batch, padding included: eight clips of 7 s
BATCH_STEPS = 2048  # tokens, or steps of physiology, of a batch
WORKERS = 2  # threads that decode the next window while this one is computed


Answering = Callable[[Sequence[Clip]], list[Prediction]]


@dataclass(frozen=True, eq=False, repr=False)
class Engine:
    """What answers: never changed, only copied with something else in it.

    Attributes:
        runtime: what computes.
        config: `config.json` of the folder.
        tokens: transcript → token ids; None: the folder has no tokenizer.
        model: what answers are signed with, see `erc.model.folder.model_id`.
        held_out: what speakers are like whom the model was not fitted to.
        abstain: an answer with a confidence below this says so (`Prediction.abstain`).
        typical: so does one of something with a typicality below this; 0: none.
        sets: answers come with a prediction set of this level; None: with none.
        batch_seconds: audio in one batch, padding included.
        workers: threads that decode recordings ahead.
        answering: clips → their predictions; None: computed here and now. A server puts its queue
            here, so that a long piece of work shares the model with everybody else.
    """

    runtime: Runtime
    config: dict[str, Any]
    tokens: Callable[[str], list[int]] | None = None
    _: KW_ONLY
    model: str = ""
    held_out: HeldOut = field(default_factory=HeldOut)
    abstain: float = 0.0
    typical: float = TYPICAL
    sets: float | None = None
    batch_seconds: float = BATCH_SECONDS
    workers: int = WORKERS
    answering: Answering | None = None

    @property
    def spec(self) -> Spec:
        """What the model takes."""
        return self.runtime.spec

    @cached_property
    def space(self) -> Space:
        """The emotions and dimensions that the model answers in."""
        return Space.from_json(self.config)

    @cached_property
    def learned(self) -> Learned:
        """What the model has learned from."""
        return Learned.of(self.config)

    @property
    def terms(self) -> list[Terms]:
        """Under which terms its data, encoders and weights may be used."""
        return from_json(self.config["meta"].get("terms"))

    @property
    def settings(self) -> dict[str, Any]:
        """What training found for prediction: temperature, regions, …"""
        return self.config["meta"].get("prediction", {})

    @property
    def temperature(self) -> float:
        """That probabilities are calibrated with."""
        return self.settings.get("temperature", 1.0)

    @property
    def max_samples(self) -> int | None:
        """Samples of a recording that training listened to; None: all."""
        return self.settings.get("wav_max_length")

    @property
    def window(self) -> int | None:
        """Samples that are heard at once, which training and encoder limit; None: any number."""
        limits = [n for n in (self.max_samples, self.spec.max_samples) if n is not None]
        return min(limits, default=None)

    @property
    def baseline(self) -> str:
        """What physiology is measured against; see `given_input`."""
        return self.settings.get("physiology_baseline", "none")

    @property
    def regions(self) -> Regions:
        """Where raters placed each emotion; see `conflicts`."""
        return self.settings.get("regions", {})

    def through(self, answering: Answering) -> Self:
        """The same, whose clips something else answers."""
        return replace(self, answering=answering)

    def __repr__(self) -> str:
        takes = " + ".join(self.spec.modalities)
        count = len(self.space.emotions)
        gives = ", ".join([f"{count} emotions"] * bool(count) + list(self.space.names))
        return f"{type(self).__name__}({takes} → {gives}; {self.runtime.name})"

    def predict(
        self,
        audio: audio.Source | None = None,
        text: str | None = None,
        sampling_rate: int | None = None,
        physiology: Mapping[str, Any] | None = None,
    ) -> Prediction:
        """Emotion and dimensions of one recording.

        One that is longer than the model hears at once is heard in windows over its speech, whose
        answers are averaged by their length; `timeline` answers for each of its turns.

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
        return self.answer([self.read(audio, text, sampling_rate, physiology)])[0]

    def predict_many(
        self, inputs: Iterable[Any], window: int = WINDOW
    ) -> Iterator[Prediction | Failure]:
        """`predict` for many, in order; a bad input gives a `Failure` in its place.

        Inputs are taken `window` at a time: decoded by threads while the window before is computed,
        and batched by length for each modality on its own. The same window gives the same bits.

        Args:
            inputs: recordings; or (recording, text) or (recording, text, physiology) with None for
                what is missing; or dicts with the arguments of `predict` and, optionally, `name`.
                In these, recordings and physiology may be functions that a decoding thread calls.
            window: inputs in memory at once, twice.
        """
        source = iter(inputs)
        with ThreadPoolExecutor(self.workers) as pool:

            def ahead() -> list[Any]:
                return [pool.submit(self._try_read, one) for one in islice(source, window)]

            coming = ahead()
            while coming:
                read, coming = [job.result() for job in coming], ahead()
                answers = iter(self.answer([clip for clip in read if isinstance(clip, Clip)]))
                for clip in read:
                    yield next(answers) if isinstance(clip, Clip) else clip

    def adapt(self, recordings: Iterable[audio.Source]) -> Self:
        """A recognizer that hears one speaker against these recordings of that speaker.

        No labels are needed; ten or more recordings in various moods are a baseline (see
        `erc.model.adaptation`). Its answers are for this speaker only. This one stays as it is.

        Raises:
            AudioError: a recording cannot be used.
            ConfigError: no recording, recordings that sound like too few emotions to be a baseline,
                or a model that was not trained on a frozen speech encoder.
        """
        read = [self.read(recording, None, None) for recording in recordings]
        clips = [part for clip in read for part in clip.parts]
        if not clips:
            raise ConfigError("adapt needs recordings of the speaker, at least one with speech")
        encoded = self.encode_all(clips)
        runtime = self.runtime.adapted(encoded.pooled["speech"])
        if not self.spec.needs_all or self.spec.modalities == ("speech",):
            moods = variety(self.score(encoded.only(["speech"]))[0])
            least = VARIETY * self.learned.variety
            if moods < least:
                raise ConfigError(
                    f"these {len(clips)} recordings sound like {moods:.1f} emotions; a baseline needs "
                    f"{least:.1f}: give recordings in other moods, or predict without adapt"
                )
        return replace(self, runtime=runtime, config=self._of_one_speaker())

    def _of_one_speaker(self) -> dict[str, Any]:
        """The configuration for adapted answers: the starter's have a temperature of their own."""
        settings = self.settings
        if "temperature_adapted" not in settings:
            return self.config
        settings = settings | {"temperature": settings["temperature_adapted"]}
        return self.config | {"meta": self.config["meta"] | {"prediction": settings}}

    def read(
        self,
        source: Any,
        text: str | None = None,
        sampling_rate: int | None = None,
        physiology: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Clip:
        """Decode and check one input; raises as `predict` does."""
        name = name or ("<text>" if source is None else audio.name_of(source))
        text = (normalise(text) or None) if text else None
        given = {"speech": source is not None, "text": text, "physiology": physiology is not None}
        for modality, there in given.items():
            if there and modality not in self.spec.modalities:
                raise ConfigError(
                    f"{name}: this model takes {' and '.join(self.spec.modalities)}, "
                    f"not {modality}; leave it out"
                )
        if not any(given.values()):
            raise ConfigError(f"{name}: nothing to predict from; give a recording, text, or both")
        inputs = {}
        if text:
            if self.tokens is None:
                raise ConfigError(f"{name}: the model folder has no tokenizer; copy one into it")
            inputs["text"] = np.array(self.tokens(text), np.int64)
        if physiology is not None and self.spec.physiology:
            from erc.base.physiology_features import given_input

            body = given_input(physiology, self.spec.physiology, self.baseline)
            inputs |= {"physiology": body.astype(np.float32)} if len(body) else {}
        found = {*inputs, *(["speech"] if source is not None else [])}
        if self.spec.needs_all and (missing := set(self.spec.modalities) - found):
            raise ConfigError(f"{name}: this model also needs {' and '.join(sorted(missing))}")
        if source is None:
            return Clip(name, inputs, text)
        clip = Clip(name, inputs, text)
        return listen(audio.load(source, sampling_rate), clip, self.spec, self.window)

    def _try_read(self, one: Any) -> Clip | Failure:
        arguments = one if isinstance(one, dict) else None
        values = one if isinstance(one, tuple) else (one,)
        if arguments is None:
            arguments = dict(zip(("audio", "text", "physiology"), values))
        arguments = {"source": arguments.get("audio"), **arguments}
        arguments.pop("audio", None)
        try:
            for part in ("source", "physiology"):
                if callable(read := arguments.get(part)):
                    arguments[part] = read()
            return self.read(**arguments)
        except ErcError as error:
            source = arguments["source"]
            name = arguments.get("name")
            return Failure(
                name or ("<text>" if source is None else audio.name_of(source)), str(error)
            )

    def answer(self, clips: Sequence[Clip]) -> list[Prediction]:
        """Predictions of clips that `read` made, together."""
        if not clips:
            return []
        if self.answering:
            return self.answering(clips)
        parts = [part for clip in clips for part in clip.parts]
        scores: Iterator[np.ndarray] = iter(())
        if parts:
            encoded = self.encode_all(parts)
            typical = self.held_out.typical(encoded).values()
            scores = iter(np.column_stack([*self.score(encoded), *typical]))
        found = []
        for clip in clips:
            rows = [next(scores) for _ in clip.parts]
            weights = [part.weight for part in clip.parts]
            if len(rows) > 1:
                rows = [np.average(rows, axis=0, weights=weights)]
            found.append(self._prediction(clip, *rows))
        return found

    def encode_all(self, clips: Sequence[Clip]) -> Encoded[np.ndarray]:
        """Every clip after its encoders; all that is asked of it starts there."""
        found = {name: self.encode(name, clips) for name in self.spec.modalities}
        return Encoded({k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()})

    def encode(self, modality: str, clips: Sequence[Clip]) -> tuple[np.ndarray, np.ndarray]:
        """`Runtime.encode` in batches of like length; rows of zeros where the modality is missing."""
        rows = [i for i, clip in enumerate(clips) if modality in clip.inputs]
        inputs = [clips[i].inputs[modality] for i in rows]
        lengths = np.array([len(x) for x in inputs], np.int64)
        equal = modality == "speech" and not self.spec.padding_safe
        fill = self.spec.pad_token_id if modality == "text" else 0
        samples = int(self.batch_seconds * audio.SAMPLE_RATE)
        budget = samples if modality == "speech" else BATCH_STEPS
        found = []
        for batch in by_budget(lengths, budget, equal):
            x = pad([inputs[i] for i in batch], fill)
            found.append((batch, *self.runtime.encode(modality, x, lengths[batch])))
        sequence = modality in self.spec.sequences
        width = self.spec.widths[modality]
        return gather(len(clips), np.array(rows, int), found, width, sequence)

    def score(self, encoded: Encoded[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [N, K], and dimensions [N, D] within their scales.

        A probability is 0 where the emotion was never learned; all are where none was.
        """
        logits, dimensions = self.runtime.fuse(encoded)
        if not (np.isfinite(logits).all() and np.isfinite(dimensions).all()):
            raise CheckpointError(
                f"{self.model or 'the model'} answers nan; its weights are damaged"
            )
        logits = logits.astype(np.float64) / self.temperature
        placed, emotions = self.space.clip(dimensions.astype(np.float64)), self.space.emotions
        masked = [emotions.index(emotion) for emotion in self.learned.not_offered]
        if len(masked) == len(emotions):
            return np.zeros_like(logits), placed
        logits[:, masked] = -np.inf
        return softmax(logits), placed

    def _prediction(self, clip: Clip, scores: np.ndarray | None = None) -> Prediction:
        """Of probabilities, dimensions, and typicality of modalities; None: of `clip.reason`."""
        if scores is None:
            numbers = unsaid(clip.reason or "")
        else:
            k, names = len(self.space.emotions), self.space.names
            shares, placed, found = np.split(scores, [k, k + len(names)])
            known = {
                m: None if x != x else x for m, x in zip(self.held_out.typicality, found.tolist())
            }
            never = self.learned.unlearned
            dimensions = {n: x for n, x in zip(names, placed.tolist()) if n not in never}
            numbers = said(shares.tolist(), dimensions, known or None, self)
        made = Prediction(
            file=clip.name,
            **numbers,
            modalities=tuple(m for m in self.spec.modalities if m in clip.inputs),
            duration=clip.duration,
            heard=clip.heard,
            band_hz=clip.band_hz,
            narrow_band=self.learned.narrower(clip.band_hz),
            simulated=self.learned.simulated,
            model=self.model,
            space=self.space,
        )
        return self.with_set(made)

    def with_set(self, prediction: Prediction, level: float | None = None) -> Prediction:
        """The same with its prediction set; as it is where no level is given here nor in `sets`."""
        level = level or self.sets
        adapted = isinstance(self.runtime, Adapted)
        return with_set(prediction, level, self.held_out, adapted) if level else prediction
