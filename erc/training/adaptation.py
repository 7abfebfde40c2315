"""Speaker adaptation: emotion is heard against a speaker's own baseline.

Pooled speech features are standardised with mean and deviation over the speaker's own recordings
instead of the corpus. No label is used, but the recordings of the test speaker are: a figure reached
this way answers another question ("I have heard this person before") and is named so everywhere.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from erc.base.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from erc.datasets.view import View
    from erc.model.branch import Standardize
    from erc.model.emotion import EmotionModel

ADAPTATIONS = ("none", "speaker")
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


def adapt_table(
    table: Tensor, speakers: list[str], heard: Tensor, standardize: Standardize
) -> Tensor:
    """Features which the model's corpus-wide `standardize` turns into (x − mean_s) / scale_s.

    That is `x' = mean + scale · (x − mean_s) / scale_s`: the model itself need not know of speakers.

    Args:
        table: [N, …, *shape], N utterances.
        speakers: [N]; a speaker of two corpora must have two names.
        heard: bool [N], True where there is a recording; the others stay as they are.
        standardize: fitted on the training side.
    """
    result, mean, scale = table.clone(), standardize.mean, standardize.scale
    number = {s: i for i, s in enumerate(dict.fromkeys(speakers))}
    names = torch.tensor([number[s] for s in speakers])
    for name in names.unique():
        rows = ((names == name) & heard).nonzero()[:, 0]
        own, deviation = statistics(table[rows], mean, scale)
        result[rows] = mean + scale * (table[rows] - own) / deviation
    return result


def adapt_tables(
    adaptation: str, model: EmotionModel, tables: dict[str, Tensor], data: View
) -> dict[str, Tensor]:
    """`tables` with the speech features adapted to their speakers; {} for adaptation "none".

    Args:
        adaptation: none | speaker.
        tables: features of frozen encoders, for every row of the store.
        data: any side of that store.

    Raises:
        ConfigError: unknown name, or a speech encoder that is still trained (or absent): its
            features change with every step, so nobody's baseline is known.
    """
    if adaptation not in ADAPTATIONS:
        raise ConfigError(
            f"adaptation '{adaptation}' is not one of {', '.join(ADAPTATIONS)}"
            f"{did_you_mean(str(adaptation), ADAPTATIONS)}"
        )
    if adaptation == "none":
        return {}
    if "speech" not in tables:
        raise ConfigError(
            "adaptation=speaker needs the features of a frozen speech encoder: "
            "set model.freeze_speech=true (with a pooling other than frames), or adaptation=none"
        )
    everything = data.side("all")
    column = data.store.column
    people = [f"{c}/{s}" for c, s in zip(column("corpus"), column("speaker"), strict=True)]
    heard = torch.from_numpy(everything.has("speech"))
    branch = model.branches["speech"]
    return tables | {"speech": adapt_table(tables["speech"], people, heard, branch.standardize)}


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
