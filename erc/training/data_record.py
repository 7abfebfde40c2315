"""What a run was made from: sides, labels before and after PeakL, drops, agreement → `data.json`."""

from __future__ import annotations

import dataclasses
import functools
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from erc.base.audio import SAMPLE_RATE
from erc.base.files import fingerprint
from erc.base.space import KEMDY, Space
from erc.scores.agreement import Agreement, agreement
from erc.training.config import resolve

if TYPE_CHECKING:
    from erc.datasets.store import Store
    from erc.datasets.view import View
    from erc.training.assembly import Assembly

LABELS = {"votes": "soft", "PeakL": "peakl", "majority": "hard"}  # name → array of a dataset


def data_record(parts: Assembly) -> dict[str, Any]:
    """What `data.json` holds.

    Returns:
        `sides[side]`: n, minutes, speakers, sessions, ties, and `labels[kind]`, the mean share
        of each emotion; `dropped` and `corrected`: rows by reason, with `examples`; `agreement`: of all
        raters of the corpus; `labels`: of a mix, corpus → its emotion → what that counts as, null:
        nothing; `fingerprints` of data and configuration; `erc`, the version.
    """
    data = parts.sides["test"]
    report = data.store.report
    found = _agreement(data.store, tuple(data.side("all").rows.tolist()))
    config = {
        k: v for k, v in resolve(parts.cfg).items() if k not in ("run_dir", "logger", "cache")
    }
    return {
        "corpus_utterances": len(data.store),
        "sides": {name: side(d) for name, d in parts.sides.items() if len(d)},
        "dropped": dict(report.dropped),
        "corrected": dict(report.corrected),
        "examples": report.examples,
        "labels": {corpus: dict(table) for corpus, table in data.store.labels.items()},
        "agreement": [dataclasses.asdict(group) for group in found.groups],
        "fingerprints": {"data": data.store.path.name, "configuration": fingerprint(config)},
        "erc": version("erc"),
    }


@functools.lru_cache(maxsize=1)
def _agreement(store: Store, rows: tuple[int, ...]) -> Agreement:
    """The same for all folds of a study."""
    return agreement(store.utterances(np.array(rows)), store.space)


def side(data: View) -> dict[str, Any]:
    """One side of a fold in numbers."""
    rows = data.rows
    return {
        "n": len(data),
        "minutes": float(data.lengths.sum() / SAMPLE_RATE / 60),
        "speakers": len(set(data.store.column("speaker")[rows])),
        "sessions": len(set(data.store.column("session")[rows])),
        "ties": int(data.labels.tied[rows].sum()),
        "labels": {
            name: shares(getattr(data.labels, kind)[rows], data.space)
            for name, kind in LABELS.items()
        },
    }


def shares(labels: np.ndarray, space: Space = KEMDY) -> dict[str, float]:
    """Mean distribution of labels [N, K] (rows of nan do not count) by emotion.

    >>> shares(np.array([[0, 0, 1, 0, 0, 0, 0], [np.nan] * 7]))["angry"]
    1.0
    """
    known = labels[~np.isnan(labels).any(-1)]
    mean = known.mean(0) if len(known) else np.full(len(space.emotions), np.nan)
    return dict(zip(space.emotions, mean.tolist(), strict=True))
