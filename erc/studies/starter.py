"""The recipe of the starter: corpora of acted speech → a head on a frozen encoder, and how good it is.

Everything is closed form, so the same corpora and encoder give the same head. Three things are fitted:
a discriminant of the places (emotions of a corpus) for voices like those of a corpus, one of the
emotions across corpora for strangers, and how far away a stranger is; see `erc.model.fusion.familiar`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from erc.base.numbers import softmax
from erc.labels.targets import balanced
from erc.model.adaptation import against, baseline
from erc.model.linear import Discriminant
from erc.scores.calibration import least_cross_entropy

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)  # of places, in units of the mean variance
COMMON = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # across corpora, in units of `Ridge.scale`
PARTS = 5  # of the speakers, held out in turn
NEAR = 0.9  # of the recordings of held-out speakers of a known corpus are no strangers
NOTHING = -1e3  # log-probability of what a corpus does not know


@dataclass(frozen=True)
class Clips:
    """Recordings of several corpora.

    Attributes:
        features: [N, D] pooled features of the frozen encoder.
        corpus, speaker: [N] names; speakers of two corpora are two.
        emotion: [N] places in the space.
        emotions: K, of the space.
    """

    features: np.ndarray
    corpus: np.ndarray
    speaker: np.ndarray
    emotion: np.ndarray
    emotions: int

    def __len__(self) -> int:
        return len(self.features)

    def where(self, rows: np.ndarray) -> Clips:
        """Some of them."""
        return Clips(
            self.features[rows], self.corpus[rows], self.speaker[rows], self.emotion[rows],
            self.emotions,
        )  # fmt: skip

    @property
    def votes(self) -> np.ndarray:
        """[N, K], each its one emotion."""
        return np.eye(self.emotions)[self.emotion]

    def by_speakers(self, parts: int = PARTS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit and rows of other speakers, `parts` times; each corpus is in every part."""
        part = np.zeros(len(self), int)
        for corpus in np.unique(self.corpus):
            own = self.corpus == corpus
            part[own] = np.unique(self.speaker[own], return_inverse=True)[1] % parts
        for k in range(parts):
            yield part != k, part == k

    def by_corpora(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows to fit and rows of another corpus, for each that leaves some behind."""
        names = np.unique(self.corpus)
        for name in names if len(names) > 1 else []:
            yield self.corpus != name, self.corpus == name


@dataclass(frozen=True)
class Scale:
    """The middle of the corpora and the deviation of their recordings; [D] each."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, clips: Clips) -> Scale:
        """Every corpus counts the same in the middle, and every emotion the same in its corpus."""
        middles = []
        for name in np.unique(clips.corpus):
            x, e = (a[clips.corpus == name] for a in (clips.features, clips.emotion))
            middles.append(np.mean([x[e == one].mean(0) for one in np.unique(e)], 0))
        deviation = clips.features.std(0)
        return cls(np.mean(middles, 0), np.where(deviation > 0, deviation, 1.0))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return (features - self.mean) / self.deviation


class Places:
    """Linear discriminant analysis of the places of standardised recordings, in its own coordinates.

    With the covariance S within places and W Wᵀ = (S + α s̄ I)⁻¹, the places lie in a space of as many
    dimensions as there are places less one, where the covariance is one.
    """

    def __init__(self, z: np.ndarray, clips: Clips):
        pairs = list(zip(clips.corpus.tolist(), clips.emotion.tolist()))
        self.names = sorted(set(pairs))
        code = np.array([self.names.index(pair) for pair in pairs])
        member = np.eye(len(self.names))[code]
        shares = balanced(member)[code]
        self.means = member.T @ z / member.sum(0)[:, None]
        self.middle = self.means.mean(0)
        rest = (z - self.means[code]) * np.sqrt(shares / shares.sum())[:, None]
        self.values, self.vectors = np.linalg.eigh(rest.T @ rest)

    def coordinates(self, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """W [D, places − 1], so that coordinates are z W, and the places in them."""
        level = strength * self.values.mean()
        root = self.vectors / np.sqrt(np.maximum(self.values, 0) + level)
        whitened = (self.means - self.middle) @ root
        axes = np.linalg.svd(whitened, full_matrices=False)[2][: len(self.names) - 1]
        w = root @ axes.T
        return w, self.means @ w


@dataclass(frozen=True)
class Head:
    """What is fitted. Attributes are those of `Familiar`, of standardised features.

    Attributes:
        scale: of features.
        weight: [axes + K, D]; bias: [axes + K].
        places: [M, axes]; member: [M, K]; far: d².
        strengths: that were chosen: of places, and across corpora of own and plain recordings.
        adapted: temperature of recordings against their speaker's own.
    """

    scale: Scale
    weight: np.ndarray
    bias: np.ndarray
    places: np.ndarray
    member: np.ndarray
    far: float
    strengths: tuple[float, ...]
    adapted: float = 1.0

    def __call__(
        self, features: np.ndarray, adapted: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities [B, K], and [B] that the recording is a stranger's."""
        v, axes = self.scale(features) @ self.weight.T + self.bias, self.places.shape[1]
        near = ((v[:, None, :axes] - self.places) ** 2).sum(-1)
        share = softmax(np.column_stack([near, np.full(len(v), self.far)]) / -2)
        p = share[:, :-1] @ self.member + share[:, -1:] * softmax(v[:, axes:])
        p = np.maximum(p, 1e-9)
        return softmax(np.log(p) / (self.adapted if adapted else 1.0)), share[:, -1]


def fit(clips: Clips) -> Head:
    """Everything is chosen inside `clips`: the strength of the places, their temperature and d² on
    held-out speakers, the strength and temperature across corpora on held-out corpora."""
    scale = Scale.of(clips)
    z = scale(clips.features)
    votes = clips.votes
    said: dict[float, list[np.ndarray]] = {s: [] for s in STRENGTHS}
    nearest: dict[float, list[np.ndarray]] = {s: [] for s in STRENGTHS}
    truth = []
    for kept, held in clips.by_speakers():
        found = Places(z[kept], clips.where(kept))
        truth.append(votes[held])
        for s in STRENGTHS:
            w, places = found.coordinates(s)
            d = ((z[held] @ w)[:, None] - places) ** 2
            near = d.sum(-1)
            said[s].append(_of_emotions(near, found.names, clips.emotions))
            nearest[s].append(near.min(1))
    votes_held = np.concatenate(truth)
    judged = {s: least_cross_entropy(np.concatenate(said[s]), votes_held) for s in STRENGTHS}
    strength = min(judged, key=lambda s: judged[s][1])
    temperature = judged[strength][0]
    far = float(np.quantile(np.concatenate(nearest[strength]), NEAR))
    whole = Places(z, clips)
    w, places = whole.coordinates(strength)
    w, places, far = w / temperature**0.5, places / temperature**0.5, far / temperature
    common, adapted, across, bias = _across(clips)
    member = np.array([np.eye(clips.emotions)[emotion] for _, emotion in whole.names])
    return Head(
        scale, np.concatenate([w.T, across]), np.concatenate([np.zeros(w.shape[1]), bias]), places,
        member, far, (strength, *common), adapted,
    )  # fmt: skip


def _of_emotions(near: np.ndarray, names: Sequence[tuple[str, int]], emotions: int) -> np.ndarray:
    """Squared distances to places [B, M] → log-densities of emotions [B, K]."""
    place = np.array([emotion for _, emotion in names])
    found = np.full((len(near), emotions), NOTHING)
    for e in np.unique(place):
        found[:, e] = logsumexp(near[:, place == e] / -2, axis=1)
    return np.maximum(found, found.max(1, keepdims=True) + NOTHING)


def against_own(clips: Clips, known: bool, middle: np.ndarray) -> np.ndarray:
    """Features of every recording against its speaker's others, about the middle, [N, D].

    Args:
        known: the emotions are, and count the same in the mean; else the rule of `Recognizer.adapt`.
    """
    found = np.empty_like(clips.features)
    for name in np.unique(clips.speaker):
        own = clips.speaker == name
        x = clips.features[own]
        if known:
            e = clips.emotion[own]
            mean = np.mean([x[e == one].mean(0) for one in np.unique(e)], 0)
        else:
            mean = baseline(x, middle)
        found[own] = against(x, mean, middle)
    return found


def _across(clips: Clips) -> tuple[tuple[float, ...], float, np.ndarray, np.ndarray]:
    """Strengths, `Head.adapted`, weights [K, D] and bias [K] of what answers for strangers.

    It is the mean of two discriminants that tell the same emotions. One learns from recordings against
    their speaker's mean, where the corpora are more alike, and its strength is the best for recordings
    of other corpora against their speaker's; one learns from recordings as they are, for those as they
    are. Every emotion of every corpus counts the same. The temperature of their mean is that of
    recordings of other corpora as they are.
    """

    def fitted(part: Clips, scale: Scale) -> tuple[Discriminant, Discriminant]:
        own, plain = scale(against_own(part, True, scale.mean)), scale(part.features)
        return Discriminant(own, part.votes, even(part)), Discriminant(
            plain, part.votes, even(part)
        )

    said: dict[tuple[int, float, bool], list[np.ndarray]] = {}  # by discriminant, strength, heard
    truth = []
    for kept, held in clips.by_corpora():
        part, others = clips.where(kept), clips.where(held)
        scale = Scale.of(part)
        taught = np.isin(others.emotion, part.emotion)
        plain = scale(others.features[taught])
        own = scale(against_own(others, False, scale.mean)[taught])
        truth.append(others.votes[taught])
        for k, found in enumerate(fitted(part, scale)):
            for s in COMMON:
                w, b = found.solve(s * found.scale)
                for heard, z in ((True, own), (False, plain)):
                    said.setdefault((k, s, heard), []).append(z @ w.T + b)
    whole = fitted(clips, Scale.of(clips))
    if not truth:  # one corpus: nothing tells how strangers are
        w, b = whole[0].solve(COMMON[-1] * whole[0].scale)
        return COMMON[-1:] * 2, 1.0, w, b
    votes = np.concatenate(truth)
    weights = balanced(votes)[votes.argmax(1)]
    scores = {key: np.concatenate(x) for key, x in said.items()}
    strengths, both = [], {True: np.zeros_like(votes), False: np.zeros_like(votes)}
    w, b = np.zeros((clips.emotions, clips.features.shape[1])), np.zeros(clips.emotions)
    for k, found in enumerate(whole):
        judged = {s: least_cross_entropy(scores[k, s, k == 0], votes, weights) for s in COMMON}
        best = min(judged, key=lambda s: judged[s][1])
        share = 1 / (2 * judged[best][0])
        weight, bias = found.solve(best * found.scale)
        w, b = w + share * weight, b + share * bias
        both = {heard: x + share * scores[k, best, heard] for heard, x in both.items()}
        strengths.append(best)
    alone, warm = (least_cross_entropy(both[heard], votes, weights)[0] for heard in (True, False))
    return tuple(strengths), alone / warm, w / warm, b / warm


def even(clips: Clips) -> np.ndarray:
    """[N] weights under which every emotion of every corpus counts the same; their mean is 1."""
    places = np.unique(
        [f"{c}/{e}" for c, e in zip(clips.corpus, clips.emotion)], return_inverse=True
    )[1]
    counts = np.bincount(places)
    return len(clips) / (len(counts) * counts[places])
