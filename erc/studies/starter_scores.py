"""How good the starter is: for other voices of its corpora, and for corpora that it has not heard."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from erc.base.numbers import softmax
from erc.labels.targets import balanced
from erc.model.linear import Discriminant
from erc.model.typicality import Typicality
from erc.scores import metrics
from erc.scores.calibration import least_cross_entropy
from erc.scores.selective import TYPICAL
from erc.scores.statistics import interval
from erc.studies.starter import COMMON, PARTS, Clips, Scale, against_own, fit

KNOWN, STRANGE = "other speakers of the three corpora", "a corpus it has not heard"
PLAIN, ADAPTED = "as it is", "against the speaker's own recordings"
POOLED = "one discriminant for all corpora"
SURE = 0.5  # least confidence of an answer that is not marked
AXES = 16  # of typicality


@dataclass(frozen=True)
class Score:
    """One row of the starter's table.

    Attributes:
        voices: `KNOWN` or `STRANGE`; corpus: that is asked about; heard: `PLAIN` or `ADAPTED`.
        system: "starter", or its rival, `POOLED`.
        emotions: so many are told apart: 1 / emotions is chance.
        uar, low, high: recall averaged over emotions, and its 95 % interval over speakers.
        confidence, accuracy: means; equal ones are calibrated.
        answered: share of recordings that are not marked as unsure; accuracy_answered: of those.
        utterances, speakers: counted.
    """

    voices: str
    corpus: str
    heard: str
    system: str
    emotions: int
    uar: float
    low: float
    high: float
    confidence: float
    accuracy: float
    answered: float
    accuracy_answered: float | None
    utterances: int
    speakers: int

    def to_json(self) -> dict[str, Any]:
        """Rounded to what the interval warrants."""
        found = asdict(self)
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in found.items()}


@dataclass(frozen=True)
class Measured:
    """Scores, confusions of strangers, and what held-out speakers of known corpora are like.

    Attributes:
        confusions: corpus → [K, K] counts, true by told, of a corpus that was not heard.
        given: probabilities of the true emotion, of held-out speakers of the corpora.
    """

    scores: tuple[Score, ...]
    confusions: dict[str, np.ndarray]
    given: np.ndarray


def measure(clips: Clips, scored: np.ndarray) -> Measured:
    """Everything is fitted anew without those who are asked about.

    Args:
        scored: [N], of which recordings; the others are only learned from.
    """
    found: list[Score] = []
    confusions = {}
    shared = _shared(clips)
    for kept, held in clips.by_corpora():
        part, others = clips.where(kept), clips.where(held)
        asked = scored[held] & np.isin(others.emotion, shared)
        head, rival = fit(part), Pooled(part)
        usual = Typicality.fit(part.features, part.speaker, most=AXES)
        typical = usual.of(others.features[asked]) if usual else np.ones(int(asked.sum()))
        own = against_own(others, False, head.scale.mean)
        for system, heard, x in (
            ("starter", PLAIN, others.features), ("starter", ADAPTED, own),
            (POOLED, PLAIN, others.features), (POOLED, ADAPTED, own),
        ):  # fmt: skip
            said = head(x, heard == ADAPTED)[0] if system == "starter" else rival(x)
            p = said[asked]
            found.append(_score(STRANGE, heard, system, others.where(asked), p, shared, typical))
            if (system, heard) == ("starter", PLAIN):
                confusions[found[-1].corpus] = metrics.confusion(
                    others.emotion[asked], _told(p, shared), clips.emotions
                )
    n, k = len(clips), clips.emotions
    told = {name: np.zeros((n, k)) for name in ("starter", "own", POOLED)}
    typical = np.zeros(n)
    for kept, held in clips.by_speakers(2 * PARTS):
        part, others = clips.where(kept), clips.where(held)
        head = fit(part)
        told["starter"][held], _ = head(others.features)
        told["own"][held], _ = head(against_own(others, False, head.scale.mean), adapted=True)
        told[POOLED][held] = Pooled(part)(others.features)
        if usual := Typicality.fit(part.features, part.speaker, most=AXES):
            typical[held] = usual.of(others.features)
    for name in np.unique(clips.corpus):
        rows = scored & (clips.corpus == name)
        its = np.unique(clips.emotion[clips.corpus == name])
        for key, heard in (("starter", PLAIN), ("own", ADAPTED), (POOLED, PLAIN)):
            system = POOLED if key == POOLED else "starter"
            found.append(
                _score(KNOWN, heard, system, clips.where(rows), told[key][rows], its, typical[rows])
            )
    given = told["starter"][np.arange(n), clips.emotion]
    return Measured(tuple(found), confusions, np.sort(given[scored]))


class Pooled:
    """The rival: one shrinkage LDA of all recordings, whatever corpus they are of."""

    def __init__(self, clips: Clips):
        self.scale = Scale.of(clips)
        z, votes, truth = self.scale(clips.features), clips.votes, []
        said: dict[float, list[np.ndarray]] = {s: [] for s in STRENGTHS_OF_RIVAL}
        for kept, held in clips.by_speakers():
            part = Discriminant(z[kept], votes[kept], balanced(votes[kept])[clips.emotion[kept]])
            truth.append(votes[held])
            for s in STRENGTHS_OF_RIVAL:
                w, b = part.solve(s * part.scale)
                said[s].append(z[held] @ w.T + b)
        judged = {
            s: least_cross_entropy(np.concatenate(x), np.concatenate(truth))
            for s, x in said.items()
        }
        best = min(judged, key=lambda s: judged[s][1])
        whole = Discriminant(z, votes, balanced(votes)[clips.emotion])
        self.weight, self.bias = whole.solve(best * whole.scale)
        self.temperature = judged[best][0]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return softmax((self.scale(features) @ self.weight.T + self.bias) / self.temperature)


STRENGTHS_OF_RIVAL = (0.03, *COMMON)


def _shared(clips: Clips) -> np.ndarray:
    """Emotions of every corpus."""
    sets = [set(clips.emotion[clips.corpus == name].tolist()) for name in np.unique(clips.corpus)]
    return np.array(sorted(set.intersection(*sets)))


def _told(p: np.ndarray, emotions: np.ndarray) -> np.ndarray:
    return emotions[p[:, emotions].argmax(1)]


def _score(
    voices: str,
    heard: str,
    system: str,
    clips: Clips,
    p: np.ndarray,
    emotions: np.ndarray,
    typical: np.ndarray,
) -> Score:
    """Of probabilities p [B, K] of `clips`; told apart are `emotions` alone."""
    one = partial(metrics.uar, num_classes=clips.emotions)
    told = _told(p, emotions)
    found = interval(one, (clips.emotion, told), clips.speaker, limits=(0.0, 1.0))
    within = p[:, emotions] / p[:, emotions].sum(1, keepdims=True)
    right, sure = told == clips.emotion, within.max(1)
    kept = (sure >= SURE) & (typical >= TYPICAL)
    return Score(
        voices, str(clips.corpus[0]), heard, system, len(emotions), found.value, found.low, found.high,
        float(sure.mean()), float(right.mean()), float(kept.mean()),
        float(right[kept].mean()) if kept.any() else None,
        len(p), len(np.unique(clips.speaker)),
    )  # fmt: skip


def table(scores: tuple[Score, ...] | list[Score], worst_first: bool = True) -> str:
    """Markdown; of each kind of voices the worst corpus first."""
    head = (
        "| voices | corpus | heard | system | UAR [95 %] | chance | mean confidence / accuracy | "
        "answered | right of those |\n|---|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *map(_line, _ordered(scores))])


def _ordered(scores: tuple[Score, ...] | list[Score]) -> Iterator[Score]:
    """Strangers before known voices, the corpus with the least UAR as it is first."""
    first = (STRANGE, PLAIN, "starter")
    worst = {s.corpus: s.uar for s in scores if (s.voices, s.heard, s.system) == first}
    order = {
        s: (s.voices != STRANGE, worst.get(s.corpus, 1), s.heard != PLAIN, s.system != "starter")
        for s in scores
    }
    return iter(sorted(scores, key=order.__getitem__))


def _line(s: Score) -> str:
    right = "–" if s.accuracy_answered is None else f"{s.accuracy_answered:.2f}"
    return (
        f"| {s.voices} | {s.corpus} | {s.heard} | {s.system} | {s.uar:.3f} [{s.low:.3f}, {s.high:.3f}] "
        f"| {1 / s.emotions:.3f} | {s.confidence:.2f} / {s.accuracy:.2f} | {s.answered:.0%} | {right} |"
    )
