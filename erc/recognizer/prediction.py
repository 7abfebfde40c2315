"""What is said of one utterance: `Prediction`, or `Failure` where an input could not be used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from erc.base.emotions import EMOTIONS
from erc.base.errors import optional
from erc.labels.regions import Regions, conflicts
from erc.model.encoded import MODALITIES

if TYPE_CHECKING:
    import pandas as pd

NO_SPEECH = "no speech found"
OF_TURNS = ("start", "end", "speaker", "text")
COLUMNS = ("file", "label", "valence", "arousal", "confidence", "modalities", "abstain",
           "conflict", "prediction_set", *(f"p_{e}" for e in EMOTIONS), "duration", "heard",
           "band_hz", "narrow_band", *(f"typicality_{m}" for m in MODALITIES), "simulated", "model",
           "reason", "error")  # fmt: skip


@dataclass(frozen=True, repr=False)
class Prediction:
    """What the model says of one utterance.

    Attributes:
        file: path of the recording, or what stands for it.
        label: most probable emotion; None: there is none, and `reason` says why.
        probabilities: of the seven emotions; they sum to 1 and estimate the share of raters who
            would choose each. 0: the model never learned it. {}: there is no label.
        valence: 1 negative … 5 positive; None: the model never learned it.
        arousal: 1 calm … 5 excited; None: as valence.
        confidence: probability of the label, 1/7 … 1; None: there is no label.
        modalities: what the answer rests on: "speech", "text", "physiology", or several.
        abstain: better shown to a person than used: the confidence is below `erc.load(abstain=…)`, or
            the typicality of a modality below `erc.load(typical=…)`.
        conflict: valence and arousal lie where raters rarely placed this emotion, see
            `erc.labels.regions.conflicts`; None: the model folder does not know where they did.
        prediction_set: emotions, most probable first, among which the one that most raters would choose
            is as often as was asked for (`erc.load(sets=0.9)`), see `erc.scores.sets`; None: not asked,
            or the model folder does not know.
        duration: of the recording, s; None: no recording.
        heard: of it what the answer rests on, s: all, or of a recording that is longer than the
            model hears at once its speech; 0: there is none.
        band_hz: how far up the spectrum of the recording reaches, see `erc.base.bandwidth`.
        narrow_band: that is far less than in training, as over a telephone; None: not recorded.
        typicality: modality → share of the recordings of held-out speakers that are at least as unlike
            the training data as this one, 0 … 1, see `erc.model.typicality`; None: it is missing. Of
            windows the mean. None instead of all: the model folder does not know.
        simulated: the model was trained on simulated speech; it knows nothing of real voices.
        model: which one said so, `NAME@VERSION`.
        reason: why there is no label.
        start, end: of a turn in a long recording, s.
        text, speaker: what is said in a turn, and by whom.

    >>> p = Prediction("a.wav", "happy", {"happy": 0.7, "neutral": 0.3}, 4.1, 3.2, 0.7, ("speech",))
    >>> p
    Prediction(a.wav: happy 70 %, neutral 30 %; valence 4.1, arousal 3.2 of 1–5; from speech)
    """

    file: str
    label: str | None
    probabilities: dict[str, float]
    valence: float | None
    arousal: float | None
    confidence: float | None
    modalities: tuple[str, ...]
    abstain: bool = False
    conflict: bool | None = None
    prediction_set: tuple[str, ...] | None = None
    duration: float | None = None
    heard: float | None = None
    band_hz: float | None = None
    narrow_band: bool | None = None
    typicality: dict[str, float | None] | None = None
    simulated: bool = False
    model: str = ""
    reason: str | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    speaker: str | None = None

    def top(self, k: int = 7) -> list[tuple[str, float]]:
        """The k most probable emotions with their probabilities, most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]

    @property
    def dimensions(self) -> dict[str, float]:
        """Valence and arousal, as far as the model has learned them."""
        both = {"valence": self.valence, "arousal": self.arousal}
        return {name: value for name, value in both.items() if value is not None}

    @property
    def answered(self) -> bool:
        """Whether anything is said of the utterance."""
        return bool(self.label or self.dimensions)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `start`, `end`, `text` and `speaker` only of a turn."""
        values = asdict(self)
        values |= {k: list(v) for k, v in values.items() if isinstance(v, tuple)}
        return {k: v for k, v in values.items() if k not in OF_TURNS or v is not None}

    def __repr__(self) -> str:
        where = f" {self.start:.2f}–{self.end:.2f} s" if self.start is not None else ""
        best = ", ".join(f"{emotion} {p:.0%}".replace("%", " %") for emotion, p in self.top(2))
        placed = ", ".join(f"{name} {value:.1f}" for name, value in self.dimensions.items())
        source = f"from {' + '.join(self.modalities)}" if self.modalities else ""
        said = (best or self.reason, placed and f"{placed} of 1–5", source)
        notes = " · abstains" * self.abstain + " · conflict" * bool(self.conflict)
        notes += " · SIMULATED model" * self.simulated
        return f"Prediction({self.file}{where}: {'; '.join(filter(None, said))}{notes})"


class Thresholds(Protocol):
    """What a recognizer knows of when an answer is doubtful."""

    @property
    def abstain(self) -> float: ...

    @property
    def typical(self) -> float: ...

    @property
    def regions(self) -> Regions: ...

    def with_set(self, prediction: Prediction) -> Prediction: ...


def said(
    shares: Sequence[float],
    valence: float | None,
    arousal: float | None,
    typicality: Mapping[str, float | None] | None,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """The fields of a `Prediction` that follow from the numbers of a model.

    Args:
        shares: probabilities in the order of `EMOTIONS`; all 0: the model has learned no emotion.
    """
    confidence = max(shares)
    label = EMOTIONS[shares.index(confidence)]
    numbers: dict[str, Any] = {"valence": valence, "arousal": arousal, "typicality": typicality}
    if not confidence:
        return unsaid("this model has learned no emotion") | numbers
    fits = None
    if valence is not None and arousal is not None:
        fits = conflicts(label, valence, arousal, thresholds.regions)
    return numbers | {
        "label": label,
        "probabilities": dict(zip(EMOTIONS, shares, strict=True)),
        "confidence": confidence,
        "abstain": confidence < thresholds.abstain or least(typicality, 1) < thresholds.typical,
        "conflict": fits,
    }


def unsaid(reason: str) -> dict[str, Any]:
    """The same fields where there is no answer."""
    numbers = dict.fromkeys(("label", "valence", "arousal", "confidence"))
    return numbers | {"probabilities": {}, "reason": reason}


def least(typicality: Mapping[str, float | None] | None, otherwise: float) -> float:
    """The typicality of what is least typical.

    >>> least({"speech": 0.4, "text": None}, 1), least(None, 1)
    (0.4, 1)
    """
    return min((x for x in (typicality or {}).values() if x is not None), default=otherwise)


@dataclass(frozen=True)
class Failure:
    """An input that could not be used, and why. It keeps its place among the predictions."""

    file: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def table(results: Iterable[Prediction | Failure]) -> pd.DataFrame:
    """One row a result, in order: file, label, valence, …, p_surprise … p_disgust, error."""
    with optional("a table"):
        import pandas as pd

    rows = [row(result) for result in results]
    turns = [c for c in OF_TURNS if any(c in values for values in rows)]
    return pd.DataFrame(rows, columns=["file", *turns, *COLUMNS[1:]])


def row(result: Prediction | Failure) -> dict[str, Any]:
    """A result as cells of a table, by the names in `COLUMNS` (and `OF_TURNS`)."""
    values = result.to_dict()
    values |= {f"p_{e}": p for e, p in values.pop("probabilities", {}).items()}
    values |= {f"typicality_{m}": x for m, x in (values.pop("typicality", None) or {}).items()}
    return values | {k: "+".join(v) for k, v in values.items() if isinstance(v, list)}


def entropy(probabilities: Mapping[str, float]) -> float:
    """H(p) = −Σ p ln p: 0 where the model expects raters to agree, ln 7 ≈ 1.95 at most.

    >>> round(entropy({"happy": 0.5, "sad": 0.5}), 4)
    0.6931
    """
    return -sum(p * math.log(p) for p in probabilities.values() if p > 0)
