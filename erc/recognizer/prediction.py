"""What is said of one utterance: `Prediction`, or `Failure` where an input could not be used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.emotions import EMOTIONS
from erc.base.errors import optional

if TYPE_CHECKING:
    import pandas as pd

REGION = 5.991  # χ²(2 degrees of freedom) at 0.95: a region holds 95 % of a normal distribution
OF_TURNS = ("start", "end", "speaker", "text")
COLUMNS = ("file", "label", "valence", "arousal", "confidence", "modalities", "abstain",
           "conflict", *(f"p_{e}" for e in EMOTIONS), "error")  # fmt: skip
Regions = Mapping[str, tuple[float, float, float, float]]  # emotion → mean v, a; deviation v, a


@dataclass(frozen=True, repr=False)
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
        abstain: the confidence is below the threshold that was asked for (`erc.load(abstain=…)`):
            better shown to a person than used.
        conflict: valence and arousal lie where raters rarely placed this emotion, see `conflicts`;
            None: the model folder does not know where they did.
        start, end: of a turn in a long recording, s.
        text, speaker: what is said in a turn, and by whom.

    >>> p = Prediction("a.wav", "happy", {"happy": 0.7, "neutral": 0.3}, 4.1, 3.2, 0.7, ("speech",))
    >>> p
    Prediction(a.wav: happy 70 %, neutral 30 %; valence 4.1, arousal 3.2 of 1–5; from speech)
    """

    file: str
    label: str
    probabilities: dict[str, float]
    valence: float
    arousal: float
    confidence: float
    modalities: tuple[str, ...]
    abstain: bool = False
    conflict: bool | None = None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    speaker: str | None = None

    def top(self, k: int = 7) -> list[tuple[str, float]]:
        """The k most probable emotions with their probabilities, most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `start`, `end`, `text` and `speaker` only of a turn."""
        values = asdict(self) | {"modalities": list(self.modalities)}
        return {k: v for k, v in values.items() if k not in OF_TURNS or v is not None}

    def __repr__(self) -> str:
        where = f" {self.start:.2f}–{self.end:.2f} s" if self.start is not None else ""
        best = ", ".join(f"{emotion} {p:.0%}".replace("%", " %") for emotion, p in self.top(2))
        notes = " · abstains" * self.abstain + " · conflict" * bool(self.conflict)
        return (
            f"Prediction({self.file}{where}: {best}; valence {self.valence:.1f}, "
            f"arousal {self.arousal:.1f} of 1–5; from {' + '.join(self.modalities)}{notes})"
        )


@dataclass(frozen=True)
class Failure:
    """An input that could not be used, and why. It keeps its place among the predictions."""

    file: str
    error: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def conflicts(label: str, valence: float, arousal: float, regions: Regions) -> bool | None:
    """Do valence and arousal contradict the emotion?

    True where `((v − mean) / deviation)²` summed over valence and arousal exceeds `REGION`: fewer
    than one in twenty utterances that raters called so were rated there. None without a region.

    >>> conflicts("happy", 1.5, 3.0, {"happy": (4.2, 3.4, 0.5, 0.6)})
    True
    """
    if label not in regions:
        return None
    v, a, sd_v, sd_a = regions[label]
    return ((valence - v) / sd_v) ** 2 + ((arousal - a) / sd_a) ** 2 > REGION


def regions_of(emotions: np.ndarray, valence_arousal: np.ndarray) -> dict[str, list[float]]:
    """Where raters placed each emotion: mean and deviation of valence and arousal.

    Args:
        emotions: [N, 7] distributions over emotions; the largest decides, rows of nan are left out.
        valence_arousal: [N, 2] ratings 1–5; rows with nan are left out.

    Returns:
        emotion → [valence, arousal, deviation of valence, of arousal], for emotions with at least
        five rated utterances; a deviation is at least 0.25, a step that raters can tell.
    """
    known = np.isfinite(emotions).all(1) & np.isfinite(valence_arousal).all(1)
    label = np.where(known, np.nan_to_num(emotions).argmax(1), -1)
    found = {}
    for index, emotion in enumerate(EMOTIONS):
        rated = valence_arousal[label == index].astype(float)
        if len(rated) >= 5:
            deviation = np.maximum(rated.std(0), 0.25)
            found[emotion] = [round(float(x), 4) for x in (*rated.mean(0), *deviation)]
    return found


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
    if "modalities" in values:
        values["modalities"] = "+".join(values["modalities"])
    return values


def entropy(probabilities: Mapping[str, float]) -> float:
    """H(p) = −Σ p ln p: 0 where the model expects raters to agree, ln 7 ≈ 1.95 at most.

    >>> round(entropy({"happy": 0.5, "sad": 0.5}), 4)
    0.6931
    """
    return -sum(p * math.log(p) for p in probabilities.values() if p > 0)
