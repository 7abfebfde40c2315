"""Model × split → predictions and `results.json`: one pass over the whole split, one set of metrics."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig

from erc.base.audio import SAMPLE_RATE
from erc.base.emotions import EMOTIONS, SCALE
from erc.base.files import atomic, write_json
from erc.datasets import HF_KEMD
from erc.datasets.audit import audit
from erc.datasets.batches import BucketSampler, Collator, loader
from erc.model.emotion import EmotionModel
from erc.scores import metrics
from erc.scores.ceiling import human_ceiling
from erc.scores.statistics import interval
from erc.scores.tables import ADAPTED
from erc.training.assembly import Assembly
from erc.training.data_record import inventory
from erc.training.features import Tables, run

HUMAN = "human ceiling"


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
    dataset: HF_KEMD,
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


def arrays(
    dataset: HF_KEMD, predictions: Predictions, temperature: float = 1.0
) -> tuple[np.ndarray, ...]:
    """What `erc.scores.metrics.evaluate` takes: the predictions of a split and what its raters said."""
    p = predictions.probabilities(temperature)
    return (p, predictions.valence_arousal, *truth(dataset))


def truth(
    dataset: HF_KEMD, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Votes [N, 7] as a distribution, label [N] (−1: none, or a tie that is shared), ratings [N, 2].

    Args:
        rows: of the store; None: those of the split.
    """
    rows = dataset.rows if rows is None else rows
    labelled = np.nan_to_num(dataset.hard[rows]).max(-1) > 0.999  # not nan, no shared tie
    label = np.where(labelled, np.nan_to_num(dataset.hard[rows]).argmax(-1), -1)
    return dataset.soft[rows], label, dataset.valence_arousal[rows]


def evaluate(
    parts: Assembly,
    side: str,
    temperature: float = 1.0,
    argv: Sequence[str] = (),
    folder: Path | None = None,
) -> dict[str, Any]:
    """Score each modality alone and all together, beside the human ceiling of the same utterances.

    With adaptation, rows named "…, speaker-adapted" follow the plain ones (see `adaptation`).

    Args:
        side: train | valid | test.
        temperature: of the calibrated model.
        argv: the command, for the record.
        folder: where `results.json`, `data.json` and `predictions.csv` go; None writes nothing.

    Returns:
        What `results.json` holds: where the scores come from, `scores[system][metric]`, and
        `intervals[system][metric] = [low, high]`, 95 %, resampling speakers.
    """
    data = parts.sides[side]
    results = describe(parts.cfg, data, temperature, argv) | {"scores": {}, "intervals": {}}
    results["audit"] = audit(data).to_dict()
    speakers = data.store.column("speaker")[data.rows]
    frames = []
    systems = [(use, " + ".join(use), parts.tables) for use in subsets(parts.model)]
    if parts.adapted:
        systems += [(u, f"{n}, {ADAPTED}", parts.adapted) for u, n, _ in systems if "speech" in u]
    for use, name, tables in systems:
        predictions = predict_split(parts.model, data, parts.collate, tables, use)
        spread = interval(metrics.evaluate, arrays(data, predictions, temperature), speakers)
        results["scores"][name] = {k: v.value for k, v in spread.items()}
        results["intervals"][name] = {
            k: [v.low, v.high] for k, v in spread.items() if k[:2] != "n_"
        }
        frames.append(predictions_frame(data, predictions, temperature, name))
    results["scores"][HUMAN] = human_ceiling(data.store.utterances(data.rows))
    if folder:
        write_json(folder / "data.json", inventory(parts))
        write_json(folder / "results.json", results)
        with atomic(folder / "predictions.csv") as temporary:
            pd.concat(frames).to_csv(temporary, index=False, float_format="%.6f")
    return results


def subsets(model: EmotionModel) -> list[tuple[str, ...]]:
    """Modalities alone, then together; only what the model can answer for."""
    names = model.modalities
    sizes = range(len(names) if model.fusion.needs_all else 1, len(names) + 1)
    return [use for size in sizes for use in combinations(names, size)]


def predictions_frame(
    data: HF_KEMD, predictions: Predictions, temperature: float, system: str
) -> pd.DataFrame:
    """One row per utterance: ids, truth, predicted probabilities, valence and arousal."""
    store, rows = data.store, data.rows
    p, va, soft, label, rated = arrays(data, predictions, temperature)
    words = np.array([*EMOTIONS, ""])  # index −1: no label
    frame = {"system": system}
    frame |= {name: store.column(name)[rows] for name in ("id", "speaker", "session", "gender")}
    frame["seconds"] = data.lengths / SAMPLE_RATE
    frame |= {"emotion": words[label], "predicted": words[p.argmax(-1)], "tie": data.tied[rows]}
    frame |= {f"p_{e}": p[:, k] for k, e in enumerate(EMOTIONS)}
    frame |= {f"votes_{e}": soft[:, k] for k, e in enumerate(EMOTIONS)}
    for k, name in enumerate(("valence", "arousal")):
        frame |= {name: rated[:, k], f"predicted_{name}": va[:, k]}
    return pd.DataFrame(frame)


def arrays_of_frame(frame: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """`arrays` of rows that `predictions_frame` wrote."""
    words = frame.emotion.fillna("").to_list()
    return (
        frame[[f"p_{e}" for e in EMOTIONS]].to_numpy(),
        frame[["predicted_valence", "predicted_arousal"]].to_numpy(),
        frame[[f"votes_{e}" for e in EMOTIONS]].to_numpy(),
        np.array([EMOTIONS.index(w) if w else -1 for w in words]),
        frame[["valence", "arousal"]].to_numpy(),
    )


def describe(
    cfg: DictConfig, test: HF_KEMD, temperature: float, argv: Sequence[str]
) -> dict[str, Any]:
    """Where scores come from: data, protocol, fold, command, versions."""
    versions = {p: version(p) for p in ("torch", "transformers", "lightning", "numpy")}
    return {
        "simulated": test.simulated,
        "corpus": str(cfg.dataset.paths),
        "store": test.store.path.name,
        "protocol": test.protocol,
        "fold": test.validation_fold,
        "folds": test.folds,
        "n": len(test),
        "speakers": len(set(test.store.column("speaker")[test.rows])),
        "sessions": sorted(set(test.store.column("session")[test.rows])),
        "seed": cfg.seed,
        "precision": cfg.trainer.precision,
        "temperature": temperature,
        "command": shlex.join(argv),
        "versions": {"python": platform.python_version(), **versions},
    }
