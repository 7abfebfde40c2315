"""Speaker adaptation: emotion is heard against a speaker's own baseline.

Pooled speech features are standardised with mean and deviation over the speaker's own recordings
instead of the corpus. No label is used, but the recordings of the test speaker are: a figure reached
this way answers another question ("I have heard this person before") and is named so everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from erc.base.errors import ConfigError, did_you_mean
from erc.datasets.view import View
from erc.model.adaptation import against, statistics
from erc.model.branch import Standardize
from erc.model.emotion import EmotionModel

ADAPTATIONS = ("none", "speaker")


def adapt_table(
    table: Tensor, speakers: list[str], heard: Tensor, standardize: Standardize
) -> Tensor:
    """The features of every speaker `against` that speaker's own recordings.

    Args:
        table: [N, …, *shape], N utterances.
        speakers: [N]; a speaker of two corpora must have two names.
        heard: bool [N], True where there is a recording; the others stay as they are.
        standardize: fitted on the training side.
    """
    mean, scale = standardize.mean.to(table.device), standardize.scale.to(table.device)
    result = table.clone()
    number = {s: i for i, s in enumerate(dict.fromkeys(speakers))}
    names = torch.tensor([number[s] for s in speakers])
    for name in names.unique():
        rows = ((names == name) & heard).nonzero()[:, 0]
        own = statistics(table[rows], mean, scale)
        result[rows] = against(table[rows], own, (mean, scale))
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
