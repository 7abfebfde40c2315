"""Speaker adaptation: emotion is heard against a speaker's own baseline.

From pooled speech features the mean over the speaker's own recordings is taken instead of the
corpus's. No label of a test speaker is used, but the recordings are: a figure reached this way answers
another question ("I have heard this person before") and is named so everywhere. Of training speakers
the emotions are known, and each counts nearly the same in their mean: else the model would learn from
baselines that hold part of the mood.

A corpus has a baseline, too: room, microphone, language, how its speakers were cast. With
`adaptation=corpus` that is taken from the training side of a corpus; from one that was not trained on,
from its own unlabelled recordings, as from a speaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from erc.base.errors import ConfigError, did_you_mean
from erc.datasets.view import View
from erc.model.adaptation import VARIETY, against, baseline, even, variety
from erc.model.emotion import EmotionModel

ADAPTATIONS = ("none", "speaker", "corpus")


def adapt_table(
    table: Tensor,
    speakers: Sequence[str],
    heard: Tensor,
    mean: Tensor,
    emotions: np.ndarray | None = None,
    known: np.ndarray | None = None,
) -> Tensor:
    """The features of every speaker (or corpus) `against` that speaker's own recordings.

    Args:
        table: [N, …, *shape], N utterances.
        speakers: [N]; a speaker of two corpora must have two names.
        heard: bool [N], True where there is a recording; the others stay as they are.
        mean: [*shape], of the training side.
        emotions: [N, 7] distributions where they are known, nan where not; of a speaker of whom all
            are known they count evenly. None: none is known.
        known: bool [N]: a baseline is made of these alone, where there are some. None: of all.
    """
    result, mean = table.clone(), mean.to(table)
    for rows in _of_each(speakers):
        rows, weights = rows[heard.numpy()[rows]], None
        own = rows if known is None or not known[rows].any() else rows[known[rows]]
        if emotions is not None and np.isfinite(emotions[own]).all():
            weights = torch.from_numpy(even(emotions[own])).to(table)
        result[rows] = against(table[rows], baseline(table[own], mean, weights), mean)
    return result


def monotonous(
    probabilities: np.ndarray, speakers: Sequence[str], usual: float
) -> tuple[np.ndarray, list[str]]:
    """Utterances of speakers whose recordings sound like too few emotions to be a baseline.

    Args:
        probabilities: [N, 7] that the model gives without adaptation.
        speakers: [N].
        usual: `variety` of the training rows.

    Returns:
        bool [N], and the names of these speakers.
    """
    found, names = np.zeros(len(probabilities), bool), []
    for rows in _of_each(speakers):
        if variety(probabilities[rows]) < VARIETY * usual:
            found[rows] = True
            names.append(speakers[rows[0]])
    return found, names


def _of_each(speakers: Sequence[str]) -> Iterable[np.ndarray]:
    """The rows of each speaker."""
    _, number = np.unique(np.asarray(speakers, str), return_inverse=True)
    return (np.flatnonzero(number == k) for k in range(number.max(initial=-1) + 1))


def speakers(data: View) -> np.ndarray:
    """Speakers of a side, as numbers [n]."""
    return np.unique(people(data, data.rows), return_inverse=True)[1]


def people(data: View, rows: np.ndarray | None = None) -> list[str]:
    """Speakers of rows of the store, named with their corpus; None: of all."""
    column = data.store.column
    chosen = slice(None) if rows is None else rows
    pairs = zip(column("corpus")[chosen], column("speaker")[chosen], strict=True)
    return [f"{c}/{s}" for c, s in pairs]


def adapt_tables(
    adaptation: str, model: EmotionModel, tables: dict[str, Tensor], data: View
) -> dict[str, Tensor]:
    """`tables` with the speech features adapted to their speakers; {} for adaptation "none".

    Args:
        adaptation: none | speaker | corpus.
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
            f"adaptation={adaptation} needs the features of a frozen speech encoder: "
            "set model.freeze_speech=true (with a pooling other than frames), or adaptation=none"
        )
    train = data.side("train").rows
    emotions = np.full_like(data.labels.target, np.nan)
    emotions[train] = data.labels.target[train]
    heard = torch.from_numpy(data.side("all").has("speech"))
    mean = model.branches["speech"].standardize.mean
    whose, known = people(data), None
    if adaptation == "corpus":
        whose = data.store.column("corpus").astype(str).tolist()
        known = np.isin(np.arange(len(data.store)), train)
    return tables | {"speech": adapt_table(tables["speech"], whose, heard, mean, emotions, known)}
