"""What is said of one utterance: `Prediction`, or `Failure` where an input could not be used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from erc.base.errors import optional
from erc.base.space import KEMDY, Space
from erc.labels.regions import Regions, conflicts
from erc.model.encoded import MODALITIES
from erc.recognizer import scales

if TYPE_CHECKING:
    import pandas as pd

NO_SPEECH = "no speech found"
OF_TURNS = ("start", "end", "speaker", "text")
TUPLES = ("modalities", "prediction_set")  # which JSON has as lists


@dataclass(frozen=True, repr=False)
class Prediction:
    """What the model says of one utterance.

    Attributes:
        file: path of the recording, or what stands for it.
        label: most probable emotion; None: there is none, and `reason` says why.
        probabilities: of the K emotions of `space`; they sum to 1 and estimate the share of raters who
            would choose each. 0: the model never learned it. {}: there is no label.
        dimensions: those of `space` that the model has learned, in their own units.
        confidence: probability of the label, 1/K … 1; None: there is no label.
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
        space: the emotions and dimensions that the model answers in, with their scales.

    >>> placed = {"valence": 4.1, "arousal": 3.2}
    >>> Prediction("a.wav", "happy", {"happy": 0.7, "neutral": 0.3}, placed, 0.7, ("speech",))
    Prediction(a.wav: happy 70 %, neutral 30 %; valence 4.1, arousal 3.2 of 1–5; from speech)
    """

    file: str
    label: str | None
    probabilities: dict[str, float]
    dimensions: dict[str, float]
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
    space: Space = field(default=KEMDY)

    def top(self, k: int | None = None) -> list[tuple[str, float]]:
        """The k most probable emotions with their probabilities, most probable first; None: all."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]

    @property
    def valence(self) -> float | None:
        """How pleasant, on its scale of `space`; None: the model does not know, or never learned it."""
        return self.dimensions.get("valence")

    @property
    def arousal(self) -> float | None:
        """How excited; as `valence`."""
        return self.dimensions.get("arousal")

    @property
    def answered(self) -> bool:
        """Whether anything is said of the utterance."""
        return bool(self.label or self.dimensions)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: every dimension of the model under its own name, None: never learned;
        `start`, `end`, `text` and `speaker` only of a turn. What the model says of itself, its scales,
        is said once, by `erc info` or GET /info, and not here."""
        values: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "dimensions":
                values |= {name: value.get(name) for name in self.space.names}
            elif one.name != "space" and (value is not None or one.name not in OF_TURNS):
                value = list(value) if isinstance(value, tuple) else value
                values[one.name] = dict(value) if isinstance(value, dict) else value
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], space: Space = KEMDY) -> Self:
        """The inverse of `to_dict`, of a model that answers in this space.

        >>> p = Prediction("a", None, {}, {"arousal": 2.5}, None, ("speech",), reason="no emotion")
        >>> Prediction.from_dict(p.to_dict()) == p
        True
        """
        found = {name: values.get(name) for name in space.names}
        known = {name: value for name, value in found.items() if value is not None}
        rest = {name: value for name, value in values.items() if name not in found}
        rest |= {name: tuple(rest[name]) for name in TUPLES if rest.get(name) is not None}
        return cls(**rest, dimensions=known, space=space)

    def __repr__(self) -> str:
        where = f" {self.start:.2f}–{self.end:.2f} s" if self.start is not None else ""
        best = ", ".join(f"{emotion} {p:.0%}".replace("%", " %") for emotion, p in self.top(2))
        source = f"from {' + '.join(self.modalities)}" if self.modalities else ""
        said = (best or self.reason, scales.said(self.space, self.dimensions), source)
        notes = " · abstains" * self.abstain + " · conflict" * bool(self.conflict)
        notes += " · SIMULATED model" * self.simulated
        return f"Prediction({self.file}{where}: {'; '.join(filter(None, said))}{notes})"


class Thresholds(Protocol):
    """What a recognizer knows of its answers, and of when one is doubtful."""

    @property
    def space(self) -> Space: ...

    @property
    def abstain(self) -> float: ...

    @property
    def typical(self) -> float: ...

    @property
    def regions(self) -> Regions: ...

    def with_set(self, prediction: Prediction) -> Prediction: ...


def said(
    shares: Sequence[float],
    dimensions: dict[str, float],
    typicality: Mapping[str, float | None] | None,
    thresholds: Thresholds,
) -> dict[str, Any]:
    """The fields of a `Prediction` that follow from the numbers of a model.

    Args:
        shares: [K] probabilities of the emotions; all 0, or none: the model has learned no emotion.
        dimensions: name → value, of those that the model has learned.
    """
    confidence, emotions = max(shares, default=0), thresholds.space.emotions
    numbers: dict[str, Any] = {"dimensions": dimensions, "typicality": typicality}
    if not confidence:
        return unsaid("this model has learned no emotion") | numbers
    label, fits = emotions[shares.index(confidence)], None
    if "valence" in dimensions and "arousal" in dimensions:
        placed = dimensions["valence"], dimensions["arousal"]
        fits = conflicts(label, *placed, thresholds.regions)
    return numbers | {
        "label": label,
        "probabilities": dict(zip(emotions, shares, strict=True)),
        "confidence": confidence,
        "abstain": confidence < thresholds.abstain or least(typicality, 1) < thresholds.typical,
        "conflict": fits,
    }


def unsaid(reason: str) -> dict[str, Any]:
    """The same fields where there is no answer."""
    nothing: dict[str, Any] = {"label": None, "confidence": None, "reason": reason}
    return nothing | {"probabilities": {}, "dimensions": {}}


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


def columns(*spaces: Space) -> tuple[str, ...]:
    """The columns of a table of answers in these label spaces, a turn's own left out.

    >>> from erc.base.space import Dimension
    >>> columns(Space(("joy", "boredom"), (Dimension("pain"),)))[:4]
    ('file', 'label', 'pain', 'confidence')
    """
    emotions = dict.fromkeys(e for space in spaces for e in space.emotions)
    names = dict.fromkeys(name for space in spaces for name in space.names)
    return (
        "file", "label", *names, "confidence", "modalities", "abstain", "conflict", "prediction_set",
        *(f"p_{e}" for e in emotions), "duration", "heard", "band_hz", "narrow_band",
        *(f"typicality_{m}" for m in MODALITIES), "simulated", "model", "reason", "error",
    )  # fmt: skip


def table(results: Iterable[Prediction | Failure], space: Space | None = None) -> pd.DataFrame:
    """One row a result, in order: file, label, valence, …, p_surprise … p_disgust, error.

    Args:
        space: whose emotions and dimensions have columns; None: that of the answers, KEMDy's where all
            have failed.
    """
    with optional("a table"):
        import pandas as pd

    results = list(results)
    spaces = [space] if space else list(
        dict.fromkeys(one.space for one in results if isinstance(one, Prediction))
    )  # fmt: skip
    rows = [row(result) for result in results]
    turns = [c for c in OF_TURNS if any(c in values for values in rows)]
    return pd.DataFrame(rows, columns=["file", *turns, *columns(*(spaces or [KEMDY]))[1:]])


def row(result: Prediction | Failure) -> dict[str, Any]:
    """A result as cells of a table, by the names in `columns` (and `OF_TURNS`)."""
    return cells(result.to_dict())


def cells(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what `to_dict` gave."""
    values = dict(values)
    values |= {f"p_{e}": p for e, p in values.pop("probabilities", {}).items()}
    values |= {f"typicality_{m}": x for m, x in (values.pop("typicality", None) or {}).items()}
    return values | {k: "+".join(v) for k, v in values.items() if isinstance(v, list)}


def entropy(probabilities: Mapping[str, float]) -> float:
    """H(p) = −Σ p ln p: 0 where the model expects raters to agree, ln K at most.

    >>> round(entropy({"happy": 0.5, "sad": 0.5}), 4)
    0.6931
    """
    return -sum(p * math.log(p) for p in probabilities.values() if p > 0)
