"""What the folder of a published model holds, judged before anything of it is loaded. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import CheckpointError
from erc.base.files import sha256
from erc.base.hub import declared_licence
from erc.base.space import Dimension, Space
from erc.base.terms import UNKNOWN, Terms
from erc.model.folder import CARD, CONFIG, model_id, schema
from erc.recognizer.public.files import extractor_of, harmless, read, tensors, weight_files
from erc.recognizer.public.known import known
from erc.recognizer.public.labels import names, unnamed

LONGEST = 30  # s that are heard at once of a model that sets no limit; attention costs T²
# What AutoModelForAudioClassification of transformers opens: model_type → class.
SPEECH = {
    "audio-spectrogram-transformer": "ASTForAudioClassification",
    "data2vec-audio": "Data2VecAudioForSequenceClassification",
    "hubert": "HubertForSequenceClassification",
    "sew": "SEWForSequenceClassification",
    "sew-d": "SEWDForSequenceClassification",
    "unispeech": "UniSpeechForSequenceClassification",
    "unispeech-sat": "UniSpeechSatForSequenceClassification",
    "wav2vec2": "Wav2Vec2ForSequenceClassification",
    "wav2vec2-bert": "Wav2Vec2BertForSequenceClassification",
    "wav2vec2-conformer": "Wav2Vec2ConformerForSequenceClassification",
    "wavlm": "WavLMForSequenceClassification",
    "whisper": "WhisperForAudioClassification",
}
# `Wav2Vec2ForSpeechClassification`, `EmotionModel`: published with their weights, not in transformers.
HEAD = ("classifier.dense", "classifier.out_proj")
HEAD_OF = ("wav2vec2", "hubert", "wavlm")
# In this order, each on 0–1: https://huggingface.co/audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim
DIMENSIONS = ("arousal", "dominance", "valence")
LOOKED_FOR = (
    "a model folder of erc has 'format' in its config.json; of other models erc opens audio "
    "classifiers and text classifiers of transformers, and the head for arousal, dominance and valence "
    "of audEERING"
)


@dataclass(frozen=True)
class Public:
    """A published model as its folder describes it; `describe` makes one.

    Attributes:
        folder: where it lies.
        modality: "speech" or "text".
        config: its `config.json`.
        labels: its own, by index.
        head: it has the head `HEAD` over the mean of its states, not that of transformers.
        regression: its outputs are places on scales, not scores of labels.
        extractor: of speech, what its feature extractor is made from.
    """

    folder: Path
    modality: str
    config: dict[str, Any]
    labels: tuple[str, ...]
    head: bool = False
    regression: bool = False
    extractor: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Its `model_type`."""
        return self.config["model_type"]

    @property
    def multilabel(self) -> bool:
        """Whether each label has a probability of its own, as with GoEmotions."""
        return self.config.get("problem_type") == "multi_label_classification"

    @cached_property
    def space(self) -> Space:
        """What it answers in: its own labels, or dimensions on 0–1."""
        if self.regression:
            return Space((), tuple(Dimension(name, 0.0, 1.0) for name in self.labels))
        return Space(names(self.labels, str(self.folder)))

    @property
    def name(self) -> str:
        """What the folder is called; of the cache of the hub its id."""
        return model_id(self.folder, {}).partition("@")[0]

    @property
    def licence(self) -> str:
        """What its card declares, else the list of `erc models`; "unknown" if neither does."""
        declared = declared_licence(str(self.folder)) if (self.folder / CARD).is_file() else None
        listed = next((one.licence for one in known() if one.id == self.name), None)
        return str(declared or listed or UNKNOWN)

    @property
    def max_samples(self) -> int | None:
        """Samples at 16 kHz that are heard at once; None: it hears nothing."""
        if self.modality == "text":
            return None
        if self.kind == "whisper":
            return self.extractor.get("chunk_length", 30) * SAMPLE_RATE
        if self.kind == "audio-spectrogram-transformer":  # windows of 25 ms each 10 ms
            return (self.extractor.get("max_length", 1024) - 1) * 160 + 400
        return LONGEST * SAMPLE_RATE

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads its answers has to know."""
        said = ["a public model, opened as it is: not calibrated; typicality and training unknown"]
        if self.multilabel:
            said.append("scores each label on its own; here the scores are divided by their sum")
        if not self.regression and unnamed(self.space.emotions):
            said.append(f"does not name its emotions: {', '.join(self.space.emotions)}")
        return tuple(said)

    @cached_property
    def parameters(self) -> int:
        """How many numbers its weights are."""
        return sum(map(math.prod, tensors(self.folder).values()))

    @cached_property
    def id(self) -> str:
        """`NAME@VERSION`; eight digits of configuration and weights."""
        hashes = [sha256(path) for path in weight_files(self.folder)]
        return model_id(self.folder, {"config": self.config, "weights": hashes})

    def to_config(self) -> dict[str, Any]:
        """What stands in for the `config.json` of a model folder of erc."""
        return {
            **self.space.to_json(),
            "model": {self.modality: {"model": self.config}},
            "meta": {
                "prediction": {"temperature": 1.0},
                "licences": [f"{self.name}: {self.licence}"],
                "terms": [Terms(self.name, self.licence).to_json()],
                "notes": list(self.notes),
            },
        }


def is_public(folder: Path) -> bool:
    """Whether a folder has a `config.json` that is not of erc."""
    path = folder / CONFIG
    try:
        return path.is_file() and "format" not in read(path, schema.plain)
    except CheckpointError:
        return False


def describe(folder: Path) -> Public:
    """The published model in a folder.

    Raises:
        CheckpointError: none of a kind that erc opens, or one that it does not open: with code of its
            own, pickled, quantised, of sizes that no model has, without emotions.
    """
    harmless(folder)
    config = read(folder / CONFIG, schema.network)
    kind, built = config.get("model_type"), config.get("architectures") or ["?"]
    if not isinstance(kind, str) or not isinstance(built, list):
        raise CheckpointError(f"{folder / CONFIG}: names no 'model_type'; {LOOKED_FOR}")
    if config.get("quantization_config"):
        raise CheckpointError(f"{folder / CONFIG}: quantised weights are not read; take the others")
    speech, text = kind in SPEECH, kind not in SPEECH and _is(built, "ForSequenceClassification")
    neither = f"{folder} is {', '.join(map(str, built))} ({kind}); {LOOKED_FOR}"
    if not (speech or text):
        raise CheckpointError(neither)
    found = tensors(folder)
    head = kind in HEAD_OF and all(f"{part}.weight" in found for part in HEAD)
    if speech and not (head or _is(built, "Classification") or built == ["?"]):
        raise CheckpointError(neither)
    labels = _labels(config, folder, found, head)
    regression = config.get("problem_type") == "regression"
    regression |= head and {label.lower() for label in labels} == set(DIMENSIONS)
    if regression and not head:
        raise CheckpointError(
            f"{folder}: predicts numbers on a scale that its folder does not say (problem_type: "
            "regression)"
        )
    if head and config.get("pooling_mode", "mean") != "mean":
        raise CheckpointError(
            f"{folder}: pools by {config['pooling_mode']!r:.40}, and not the mean"
        )
    if regression:
        labels = _dimensions(labels, folder)
    extractor = extractor_of(folder) if speech else {}
    modality = "speech" if speech else "text"
    public = Public(folder, modality, config, labels, head, regression, extractor)
    _ = public.space  # says what is wrong with the labels
    return public


def _labels(
    config: dict[str, Any], folder: Path, found: dict[str, tuple[int, ...]], head: bool
) -> tuple[str, ...]:
    """Labels by index."""
    given = config.get("id2label")
    if given is None:
        count = found[f"{HEAD[1]}.weight"][0] if head else config.get("num_labels", 2)
        given = {str(k): f"LABEL_{k}" for k in range(count if isinstance(count, int) else 2)}
    wanted = [str(k) for k in range(len(given))] if isinstance(given, dict) else []
    if not wanted or sorted(given, key=str) != sorted(wanted):
        raise CheckpointError(f"{folder / CONFIG}: 'id2label' does not name 0, 1, 2 …")
    return tuple(str(given[k]) for k in wanted)


def _dimensions(labels: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Labels of a regression head → its dimensions, in the published order where it names none."""
    lower = tuple(label.strip().lower() for label in labels)
    if unnamed([label.replace("_", " ") for label in lower]) and len(lower) == 3:
        return DIMENSIONS
    if not lower or set(lower) - set(DIMENSIONS) or len(set(lower)) < len(lower):
        raise CheckpointError(
            f"{folder / CONFIG}: predicts {', '.join(labels)[:200]}; of regression heads erc knows the "
            f"scale of {', '.join(DIMENSIONS)} alone"
        )
    return lower


def _is(built: list[Any], ending: str) -> bool:
    return any(str(name).endswith(ending) for name in built)
