"""`model.objective=closed_form`: the head without epochs, on the pooled features of frozen encoders.

Shrinkage LDA for emotions, ridge regression for dimensions. Nothing here sees the valid or
the test side. The strength of the shrinkage is the one whose predictions of held-out speakers of the
training side are best, and the temperature is fitted to those predictions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from erc.base.devices import one_blas_thread
from erc.base.errors import CalibrationError, ConfigError
from erc.base.numbers import softmax
from erc.datasets import batches
from erc.datasets.view import View
from erc.labels.targets import balanced
from erc.model.emotion import EmotionModel
from erc.model.fusion import Linear
from erc.model.linear import UNSEEN, Discriminant, Ridge
from erc.model.pooling import POOLINGS
from erc.scores.calibration import fit_temperature, least_cross_entropy
from erc.training.adaptation import speakers
from erc.training.assembly import Assembly

STRENGTHS = (10.0 ** np.arange(-3, 2.1, 0.5)).tolist()  # of α, in units of `Ridge.scale`
PARTS = 5  # of a training side of one speaker


@dataclass(frozen=True)
class Fitted:
    """Some scores as a linear function of features: `features @ weight.T + bias`."""

    weight: np.ndarray  # [K, D]
    bias: np.ndarray  # [K]
    strength: float  # of `STRENGTHS`
    temperature: float | None = None  # of a softmax of the scores; None: not fitted
    held_out: np.ndarray | None = None  # [n, K] what is said of each speaker without knowing them

    def __str__(self) -> str:
        what = "emotions: LDA" if len(self.weight) > 1 else "a dimension: ridge"
        return f"{what} of strength {self.strength:.2g} on {self.weight.shape[1]} features"


def fit_emotions(
    features: np.ndarray,
    target: np.ndarray,
    groups: np.ndarray,
    counts: np.ndarray | None = None,
    offered: np.ndarray | None = None,
) -> Fitted:
    """Shrinkage LDA, every emotion of the same weight and prior.

    Nothing that is said of an emotion's place comes from rows of another: one that a corpus does not
    have is not pushed away by its rows.

    Args:
        features: [n, D], standardised; target: [n, K], rows sum to 1; groups: [n], e.g. speakers.
        counts: [n] > 0, what a row weighs within its emotions; None: the same.
        offered: bool [n, K], among which emotions a held-out row is asked; None: all.
    """
    counted = target if counts is None else target * counts[:, None]
    shares = counted * balanced(counted)
    weights = shares.sum(1)
    memberships = shares / weights[:, None]
    lda = Discriminant(features, memberships, weights)

    def among(said: np.ndarray) -> np.ndarray:
        return said if offered is None else np.where(offered, said, UNSEEN)

    strength, held_out = choose(
        lda, groups, lambda said: least_cross_entropy(among(said), memberships, weights)[1]
    )
    temperature = None
    try:
        temperature = fit_temperature(among(held_out), target)
    except CalibrationError as error:  # the head is made all the same
        print(f"not calibrated: {error}", file=sys.stderr)
    return Fitted(*lda.solve(strength * lda.scale), strength, temperature, held_out)


def fit_dimension(
    features: np.ndarray,
    rated: np.ndarray,
    groups: np.ndarray,
    counts: np.ndarray | None = None,
    loss: str = "mse",
) -> Fitted:
    """Ridge onto one dimension [n, 1], for the least squared error or the highest CCC.

    Ridge shrinks what it says towards the mean, and CCC = 2 ρ σ σ' / (σ² + σ'² + (μ − μ')²) punishes
    that: for a given correlation ρ it is highest, ρ itself, where what is said has mean and deviation of
    what was rated. So for CCC the strength is that of the highest ρ of held-out speakers, and what is
    said of them is stretched to the mean and deviation of their ratings; not where ρ ≤ 0.

    Args:
        counts: [n] > 0, weights of the rows.
        loss: mse | ccc | both; both: as ccc.
    """
    ridge, y = Ridge(features, rated, counts), rated[:, 0]
    each = np.ones(len(y)) if counts is None else counts
    if loss == "mse":
        strength, _ = choose(ridge, groups, lambda said: float(each @ (said[:, 0] - y) ** 2))
        return Fitted(*ridge.solve(strength * ridge.scale), strength)

    def moments(said: np.ndarray) -> np.ndarray:
        return np.cov(said[:, 0], y, aweights=each, bias=True)

    def rho(said: np.ndarray) -> float:
        (a, both), (_, b) = moments(said)
        return float(both / np.sqrt(a * b)) if a > 0 and b > 0 else 0.0

    strength, held_out = choose(ridge, groups, lambda said: -rho(said))
    weight, bias = ridge.solve(strength * ridge.scale)
    if rho(held_out) > 0:
        (a, _), (_, b) = moments(held_out)
        longer = np.sqrt(b / a)
        middle = np.average(held_out[:, 0], weights=each)
        weight, bias = weight * longer, np.average(y, weights=each) + (bias - middle) * longer
    return Fitted(weight, bias, strength)


def choose(
    model: Ridge, groups: np.ndarray, loss: Callable[[np.ndarray], float]
) -> tuple[float, np.ndarray]:
    """The strength with the least loss on held-out groups, and what is said of them then."""
    if len(np.unique(groups)) == 1:
        print(f"one speaker in training: the strength is chosen on {PARTS} parts of the utterances")
        groups = np.arange(len(groups)) * PARTS // len(groups)
    said = {s: model.held_out(s * model.scale, groups) for s in STRENGTHS}
    best = min(said, key=lambda s: loss(said[s]))
    return best, said[best]


class Outcome(NamedTuple):
    """What else is known once a head is fitted."""

    temperature: float | None  # None: not fitted, or no emotion is labelled
    held_out: (
        np.ndarray
    )  # [n, K] scores of each training utterance without its speaker; nan: no label


@one_blas_thread()
def fit(parts: Assembly) -> Outcome:
    """Set projections and head of `parts.model` from the training side.

    With adaptation it learns from every utterance against its speaker's own baseline. That answers for
    a stranger as well, and better for a speaker one has heard, than learning from both views.

    Raises:
        ConfigError: a model that is not linear in features which are known in advance.
    """
    model, data = parts.model, parts.sides["train"]
    linear = isinstance(model.fusion, Linear) and set(parts.tables) == set(model.modalities)
    branches = model.branches.values()
    if not linear or any(b.layers or b.reduction not in POOLINGS for b in branches):
        raise ConfigError(
            "model.objective=closed_form needs fusion=linear, frozen encoders of speech or text, a "
            "pooling to one vector, and a layer other than weighted: start from model=linear"
        )
    rows, features = data.rows, side_by_side(model, parts.adapted or parts.tables, data)
    groups = speakers(data)
    k, d = len(data.space.emotions), len(data.space.dimensions)
    weight, bias = np.zeros((k + d, features.shape[1])), np.zeros(k + d)
    bias[k:] = data.space.middle
    outcome = Outcome(None, np.full((len(rows), k), np.nan))
    target, rated = data.labels.target[rows], data.labels.target_dimensions[rows]
    corpora = data.store.column("corpus")[rows].astype(str)
    counts = batches.weights(corpora, parts.cfg.dataset.get("tau", 1.0))
    offered = None if data.offered is None else data.offered[rows]
    tasks: list[tuple[slice, np.ndarray, Callable[..., Fitted]]] = [
        (slice(k), target, fit_emotions)
    ]
    tasks += [(slice(k + i, k + i + 1), rated[:, [i]], fit_dimension) for i in range(d)]
    for place, y, method in tasks:
        known = np.isfinite(y).all(-1)
        if known.any():
            count, offer = (x if x is None else x[known] for x in (counts, offered))
            last = offer if place == slice(k) else parts.cfg.model.get("reg_loss", "mse")
            found = method(features[known], y[known], groups[known], count, last)
            weight[place], bias[place] = found.weight, found.bias
            if found.held_out is not None:
                outcome.held_out[known] = found.held_out
                outcome = outcome._replace(temperature=found.temperature)
            print(f"{found} of {len(rows)} utterances")
    install(model, weight, bias)
    return outcome


def side_by_side(model: EmotionModel, tables: dict[str, Tensor], data: View) -> np.ndarray:
    """Standardised features of all modalities that `tables` has, [n, D]; zeros where one is missing,
    as in the model."""
    parts = []
    for name, branch in model.branches.items():
        if name not in tables:
            continue
        mean, scale = (b.cpu().double() for b in branch.standardize.buffers())
        z = (tables[name][data.rows].double() - mean) / scale
        parts.append(z.flatten(1).numpy() * data.has(name)[:, None])
    return np.concatenate(parts, 1)


Answer = tuple[np.ndarray, np.ndarray]  # probabilities [N, K], dimensions [N, D]


def rival(parts: Assembly, known: np.ndarray, asked: np.ndarray, otherwise: Answer) -> Answer:
    """What a linear model says, from the features of the frozen encoders alone: a network's baseline.

    Args:
        known, asked: rows of the store that it learns from, with their votes, and that it answers for.
        otherwise: the answers where nothing can be learned.
    """
    everything, loss = parts.sides["train"].side("all"), parts.cfg.model.get("reg_loss", "mse")
    z, who = side_by_side(parts.model, parts.tables, everything), speakers(everything)
    said, z_asked, (probabilities, ratings) = everything.labels, z[asked], map(np.copy, otherwise)
    rows = known[np.isfinite(said.soft[known]).all(-1)]
    if len(rows):
        fitted = fit_emotions(z[rows], said.soft[rows], who[rows])
        scores = z_asked @ fitted.weight.T + fitted.bias
        probabilities = softmax(scores / (fitted.temperature or 1))
    for k, scale in enumerate(everything.space.dimensions):
        rows = known[np.isfinite(said.dimensions[known, k])]
        if len(rows):
            fitted = fit_dimension(
                z[rows], said.dimensions[rows, [k]][:, None], who[rows], loss=loss
            )
            ratings[:, k] = (z_asked @ fitted.weight.T + fitted.bias)[:, 0].clip(
                scale.low, scale.high
            )
    return probabilities, ratings


@torch.no_grad()
def install(model: EmotionModel, weight: np.ndarray, bias: np.ndarray) -> None:
    """Write scores = weight · features + bias, [K + D, F] and [K + D], into projections and head.

    Dimensions are in their own units; what lies before `EmotionModel.gain` is on 1–5.
    """
    k, gain = len(model.space.emotions), model.gain.cpu().numpy()
    weight, bias = weight.copy(), bias.copy()
    weight[k:] /= gain[:, None]
    bias[k:] = (bias[k:] - model.offset.cpu().numpy()) / gain
    branches = model.branches.values()
    ends = np.cumsum([branch.projector.in_features for branch in branches])[:-1]
    for branch, part in zip(branches, np.split(weight, ends, 1), strict=True):
        branch.projector.weight.copy_(torch.from_numpy(part))
        branch.projector.bias.zero_()
    model.head.weight.copy_(torch.eye(len(bias)))
    model.head.bias.copy_(torch.from_numpy(bias))
