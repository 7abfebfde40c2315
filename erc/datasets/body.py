"""Store → what a model is given of everybody's body signals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from erc.base.errors import ConfigError, did_you_mean
from erc.base.physiology_features import BASELINES, KINDS, speaker_statistics
from erc.datasets.store import Store


def model_inputs(store: Store, kind: str, baseline: str = "none") -> list[np.ndarray]:
    """`model_input` of every row of a store.

    Args:
        kind: features | conv.
        baseline: "none": in their units. "speaker": (x − mean) / deviation of that speaker's own
            recordings in the store, all of them, without labels; a new speaker must then bring some.

    Raises:
        ConfigError: another kind or baseline.
    """
    for word, allowed in ((kind, tuple(KINDS)), (baseline, BASELINES)):
        if word not in allowed:
            raise ConfigError(
                f"physiology: '{word}' is not one of {', '.join(allowed)}"
                f"{did_you_mean(word, allowed)}"
            )
    if kind == "features":
        table = store.physiology()
        rows = [row[None] if np.isfinite(row).any() else row[None][:0] for row in table]
    else:
        rows = [store.signals(i) for i in range(len(store))]
    if baseline == "none":
        return rows
    people = [f"{c} {s}" for c, s in zip(*map(store.column, ("corpus", "speaker")))]
    sizes = [len(row) for row in rows]
    own = standardised(np.concatenate(rows), np.repeat(people, sizes))
    return np.split(own, np.cumsum(sizes)[:-1])


def standardised(values: np.ndarray, speakers: Sequence[str] | np.ndarray) -> np.ndarray:
    """Every speaker's values against that speaker's own: (x − mean) / standard deviation, per column.

    Statistics are those of all recordings of the speaker, labelled or not; labels are not used. A
    column that a speaker has once, or that does not vary, keeps deviation 1.

    Args:
        values: [N, C], nan where not measured; speakers: [N].

    Returns:
        [N, C] in standard deviations.
    """
    out = np.array(values, float)
    _, index = np.unique(np.asarray(speakers), return_inverse=True)
    for who in range(index.max() + 1 if len(index) else 0):
        mean, scale = speaker_statistics(out[index == who])
        out[index == who] = (out[index == who] - mean) / scale
    return out.astype(np.float32)
