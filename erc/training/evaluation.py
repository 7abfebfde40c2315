"""Model × split → predictions and `results.json`: one pass over the whole split, one set of metrics."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from erc.base.audio import SAMPLE_RATE
from erc.base.emotions import SCALE
from erc.base.files import write_json
from erc.datasets.audit import audit
from erc.datasets.batches import BucketSampler, Collator, loader
from erc.datasets.view import View
from erc.model.emotion import EmotionModel
from erc.scores.ceiling import human_ceiling
from erc.scores.results import ADAPTED, Human, Results, System
from erc.scores.scored import NAMES, Scored, write
from erc.training.assembly import Assembly
from erc.training.data_record import data_record
from erc.training.features import Tables, run

PACKAGES = ("torch", "transformers", "lightning", "numpy")  # whose versions are recorded


@dataclass
class Predictions:
    """What a model says of the utterances of a split, in the order of `dataset.rows`."""

    logits: np.ndarray  # [N, 7]
    valence_arousal: np.ndarray  # [N, 2], clamped to 1–5
    features: np.ndarray  # [N, F], before the head

    def probabilities(self, temperature: float = 1.0) -> np.ndarray:
        """[N, 7], rows sum to 1."""
        z = self.logits / temperature
        p = np.exp(z - z.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True)


@torch.inference_mode()
def predict_split(
    model: EmotionModel,
    dataset: View,
    collate: Collator,
    tables: Tables | None = None,
    use: tuple[str, ...] | None = None,
    batch_size: int = 16,
) -> Predictions:
    """Run the model over every utterance of a split once.

    Args:
        collate: the one the model was trained with.
        tables: features of frozen encoders, from `erc.training.features.pooled`.
        use: modalities the model may see, e.g. ("speech",), an utterance without them gets what
            the model says of nothing; None: all that are there.
        batch_size: utterances; batches are made of like lengths.
    """
    model.eval()
    sampler = BucketSampler(dataset.lengths, batch_size, shuffle=False)
    device = next(model.parameters()).device
    found = []
    for batch in loader(dataset, collate, sampler):
        batch = batch.to(device).only(use)
        output = run(model, batch, tables, void_ok=use is not None)
        found.append(
            [t.float().cpu() for t in (output.logits, output.valence_arousal, output.features)]
        )
    back = np.argsort(np.concatenate([list(indices) for indices in sampler]))
    logits, va, features = (torch.cat(part).numpy()[back] for part in zip(*found, strict=True))
    return Predictions(logits, va.clip(*SCALE), features)


def scored(
    system: str,
    data: View,
    probabilities: np.ndarray,
    dimensions: np.ndarray,
    rows: np.ndarray | None = None,
) -> Scored:
    """What a system says of utterances, beside what their raters said.

    Args:
        probabilities: [N, 7], rows sum to 1; dimensions: [N, 2] valence and arousal, 1–5.
        rows: [N] of the store, among those of the split; None: all of them.
    """
    rows = data.rows if rows is None else rows
    said = data.labels
    known = np.nan_to_num(said.hard[rows]).max(-1) > 0.999  # not nan, and no shared tie
    return Scored(
        system,
        **{name: data.store.column(name)[rows] for name in NAMES},
        seconds=data.lengths[np.searchsorted(data.rows, rows)] / SAMPLE_RATE,
        probabilities=probabilities,
        dimensions=dimensions,
        votes=said.soft[rows],
        label=np.where(known, np.nan_to_num(said.hard[rows]).argmax(-1), -1),
        ratings=said.valence_arousal[rows],
        tie=said.tied[rows],
    )


def evaluate(
    parts: Assembly,
    side: str,
    temperature: float = 1.0,
    argv: Sequence[str] = (),
    folder: Path | None = None,
) -> Results:
    """Score each modality alone and all together, beside one rater on the same utterances.

    With adaptation, systems named "…, speaker-adapted" follow (see `erc.training.adaptation`).

    Args:
        side: train | valid | test.
        temperature: of the calibrated model.
        argv: the command, for the record.
        folder: where `results.json`, `data.json` and `predictions.csv` go; None writes nothing.
    """
    data = parts.sides[side]
    systems = [(use, " + ".join(use), parts.tables) for use in subsets(parts.model)]
    if parts.adapted:
        systems += [(u, f"{n}, {ADAPTED}", parts.adapted) for u, n, _ in systems if "speech" in u]
    rows = []
    for use, name, tables in systems:
        said = predict_split(parts.model, data, parts.collate, tables, use)
        rows.append(scored(name, data, said.probabilities(temperature), said.valence_arousal))
    results = Results(
        systems={one.system: System.of(one) for one in rows},
        human=Human(human_ceiling(data.store.utterances(data.rows))),
        protocol=data.fold.protocol,
        fold=data.fold.number,
        folds=data.fold.count,
        n=len(data),
        speakers=len(set(rows[0].speaker)),
        sessions=tuple(sorted(set(rows[0].session))),
        simulated=data.simulated,
        corpus=str(parts.cfg.dataset.paths),
        store=data.store.path.name,
        seed=parts.cfg.seed,
        temperature=temperature,
        precision=parts.cfg.trainer.precision,
        command=shlex.join(argv),
        versions={"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
        audit=audit(data).to_dict(),
    )
    if folder:
        write_json(folder / "data.json", data_record(parts))
        results.write(folder / "results.json")
        write(folder / "predictions.csv", rows)
    return results


def subsets(model: EmotionModel) -> list[tuple[str, ...]]:
    """Modalities alone, then together; only what the model can answer for."""
    names = model.modalities
    sizes = range(len(names) if model.fusion.needs_all else 1, len(names) + 1)
    return [use for size in sizes for use in combinations(names, size)]
