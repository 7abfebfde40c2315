"""Why this answer: shares of the modalities, and what happens when a moment or a word is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import factorial
from typing import Any

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.errors import ConfigError
from erc.model.encoded import subsets
from erc.recognizer.clip import Clip
from erc.recognizer.engine import Engine
from erc.recognizer.prediction import Prediction

MOMENT = 0.25  # s, the shortest stretch that is silenced
MOMENTS = 24  # at most so many stretches of a clip, and so many words are left out one by one
WORDS = 48


@dataclass(frozen=True)
class Explanation:
    """What a prediction rests on. All figures are differences of the predicted label's probability.

    Attributes:
        prediction: what is explained.
        nothing: probability of the label before anything was heard or read; 0 for a model of one
            modality, which rests on that alone.
        shares: modality → its Shapley value; `nothing` and the shares add up to the confidence.
        time: (start s, end s, saliency): by how much the probability falls if this stretch is silenced.
        words: (word, saliency): by how much it falls if the word is left out. Negative: the word
            spoke against the label.
    """

    prediction: Prediction
    nothing: float
    shares: dict[str, float]
    time: list[tuple[float, float, float]]
    words: list[tuple[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rest = {one.name: getattr(self, one.name) for one in fields(self)}
        return rest | {"prediction": self.prediction.to_dict()}


def explain(engine: Engine, clip: Clip) -> Explanation:
    """Explain the prediction for a clip that `Recognizer.read` made.

    Raises:
        ConfigError: a model that cannot do without one of its modalities, or a recording that is
            longer than it hears at once.
    """
    if engine.spec.needs_all and len(engine.spec.modalities) > 1:
        raise ConfigError(
            f"{clip.name}: this model cannot do without {' or '.join(engine.spec.modalities)}, "
            "so that no share of either can be told; train one with fusion_options.constant=true"
        )
    if clip.windows and engine.window:
        raise ConfigError(
            f"{clip.name}: {clip.duration:.1f} s; only what is heard at once can be explained, at "
            f"most {engine.window / SAMPLE_RATE:g} s: cut it, or ask for the answer alone"
        )
    prediction = engine.answer([clip])[0]
    if prediction.label is None:
        return Explanation(prediction, 0.0, {}, [], [])
    label = engine.space.emotions.index(prediction.label)
    nothing, shares = shapley(engine, clip, label)
    return Explanation(
        prediction,
        nothing,
        shares,
        _moments(engine, clip, label),
        _words(engine, clip, label),
    )


def shapley(engine: Engine, clip: Clip, label: int) -> tuple[float, dict[str, float]]:
    """Exact Shapley values (Shapley 1953) of the modalities for the probability of a label.

    `φ_m = Σ_S |S|! (M − |S| − 1)! / M! · (p(S ∪ m) − p(S))` over the subsets S without m. Features
    are computed once; the 2^M subsets cost a pass of the fusion each.

    Returns:
        p(∅), and the value of each modality that is there.
    """
    names = tuple(m for m in engine.spec.modalities if m in clip.inputs)
    encoded = engine.encode_all([clip])

    def worth(use: tuple[str, ...]) -> float:
        return float(engine.score(encoded.only(use))[0][0, label])

    if engine.spec.needs_all:
        return 0.0, {names[0]: worth(names)}
    p = {use: worth(use) for use in subsets(names, least=0)}
    values = dict.fromkeys(names, 0.0)
    for m in names:
        for s in p:
            if m not in s:
                weight = factorial(len(s)) * factorial(len(names) - len(s) - 1)
                union = tuple(n for n in names if n in s or n == m)
                values[m] += weight / factorial(len(names)) * (p[union] - p[s])
    return p[()], values


def _moments(engine: Engine, clip: Clip, label: int) -> list[tuple[float, float, float]]:
    """Silence stretch after stretch of the recording."""
    if "speech" not in clip.inputs:
        return []
    speech = clip.inputs["speech"]
    number = int(np.clip(len(speech) / (MOMENT * SAMPLE_RATE), 1, MOMENTS))
    edges = np.linspace(0, len(speech), number + 1).astype(int)
    silenced = []
    for first, last in pairwise(edges):
        x = speech.copy()
        x[first:last] = 0
        silenced.append(x)
    falls = _falls(engine, clip, "speech", silenced, label)
    times = (edges / SAMPLE_RATE).round(3).tolist()
    return list(zip(times, times[1:], falls, strict=False))


def _words(engine: Engine, clip: Clip, label: int) -> list[tuple[str, float]]:
    """Leave out word after word of the transcript."""
    if "text" not in clip.inputs or not clip.text or engine.tokens is None:
        return []
    if len(clip.text.split()) == 1 and len(clip.inputs) == 1:
        return []  # nothing would be left to answer from
    words = clip.text.split()[:WORDS]
    rest = clip.text.split()[WORDS:]
    shorter = [" ".join([*words[:i], *words[i + 1 :], *rest]) for i in range(len(words))]
    ids = [np.array(engine.tokens(text), np.int64) if text else None for text in shorter]
    return list(zip(words, _falls(engine, clip, "text", ids, label), strict=True))


def _falls(
    engine: Engine, clip: Clip, modality: str, others: Sequence[np.ndarray | None], label: int
) -> list[float]:
    """p(label) of the clip − p(label) with its modality replaced; None: without it."""
    without = {m: x for m, x in clip.inputs.items() if m != modality}
    changed = [
        replace(clip, inputs=without | ({modality: x} if x is not None else {})) for x in others
    ]
    p = engine.score(engine.encode_all([clip, *changed]))[0][:, label]
    return (p[0] - p[1:]).tolist()
