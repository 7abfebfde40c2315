"""A speaker's own baseline in the place of the corpus's; see `erc.training.adaptation` for its use."""

from __future__ import annotations

import copy

from torch import Tensor

from erc.base.errors import ConfigError
from erc.model.emotion import EmotionModel

PRIOR = 10.0  # recordings the corpus statistics count as


def statistics(
    features: Tensor, mean: Tensor, scale: Tensor, prior: float = PRIOR
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of one speaker, shrunk towards the corpus.

    With n recordings, w = n / (n + prior), and μ, σ² the moments of the speaker's features:
    `mean_s = w μ + (1 − w) mean`, `scale_s² = w σ² + (1 − w) scale²`.

    Args:
        features: [n, …, *shape], of one speaker's recordings; n = 0 gives the corpus.
        mean, scale: [*shape], of the corpus.

    >>> corpus = torch.zeros(1), torch.ones(1)
    >>> [round(float(x), 4) for x in statistics(torch.full((30, 1), 4.0), *corpus)]
    [3.0, 0.5]
    """
    if not len(features):
        return mean, scale
    w = len(features) / (len(features) + prior)
    flat = features.reshape(-1, *mean.shape)
    variance = w * flat.var(0, correction=0) + (1 - w) * scale**2
    return w * flat.mean(0) + (1 - w) * mean, variance.sqrt()


def adapt_model(model: EmotionModel, features: Tensor) -> EmotionModel:
    """A copy of a model that hears one speaker against that speaker's own recordings.

    Args:
        features: [n, …, *shape], what `model.branches["speech"].encode` says of the recordings.

    Raises:
        ConfigError: the model was not trained on a frozen speech encoder, so that there are no
            corpus statistics to take the place of.
    """
    scale = model.branches["speech"].standardize.scale
    if bool((scale == 1).all()):
        raise ConfigError(
            "this model does not standardise its speech features and cannot be adapted; train with "
            "model.freeze_speech=true and adaptation=speaker"
        )
    adapted = copy.deepcopy(model)
    standardize = adapted.branches["speech"].standardize
    mean, scale = statistics(features, standardize.mean, standardize.scale)
    standardize.mean.copy_(mean)
    standardize.scale.copy_(scale)
    return adapted
