"""A trained model → what it says of speakers whom it was not fitted to: `held_out.npz`."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import torch

from erc.base.devices import one_blas_thread
from erc.base.numbers import softmax
from erc.datasets.view import View
from erc.model.folder.held_out import HeldOut
from erc.model.typicality import MOST, Typicality, spread, summary
from erc.training.adaptation import speakers
from erc.training.assembly import Assembly
from erc.training.evaluation import (
    Condition,
    conditions,
    encoded_in_batches,
    on_cpu,
    predict_split,
    scored,
)  # fmt: skip


def held_out(parts: Assembly, temperature: float, without: np.ndarray | None = None) -> HeldOut:
    """How usual its features are, and how probable it found what most raters said.

    The first by speakers that no feature was trained on: of the training side, each part of them held
    out in turn, for a frozen encoder; of the valid side for a trained one. The second by those of the
    valid side alone, which have stopped the training and fitted the temperature, no more. Where the
    valid side is the held-out fold itself (`paper`), it is not looked at.

    Args:
        without: [n, K] scores of each training utterance by a model without its speaker, which take
            the place of a valid side that is not there; None: there are none.
    """
    valid = parts.sides["valid"]
    free = bool(len(valid)) and valid.fold.protocol != "paper"
    shares, people = _shares(parts, temperature) if free else ({}, 0)
    if not free and without is not None:
        shares, people = _shares_without(parts, without / temperature)
    return HeldOut(_typicality(parts, free), shares, people)


@one_blas_thread()
def _typicality(parts: Assembly, free: bool) -> dict[str, Typicality]:
    """Modality → how usual its features are."""
    branches = parts.model.branches.items()
    trained = {name for name, branch in branches if not branch.encoder.frozen}
    others = _features(parts, parts.sides["valid"]) if free and trained else {}
    found = {}
    for name, (features, groups) in _features(parts, parts.sides["train"]).items():
        outside = others[name][0] if name in others else features[:0]
        one = Typicality.fit(features, groups, outside if name in trained else None)
        if one:
            found[name] = one
        else:
            print(f"no typicality of {name}: no speaker could be held out", file=sys.stderr)
    return found


def _shares(parts: Assembly, temperature: float) -> tuple[dict[str, np.ndarray], int]:
    """System → probabilities of the majority emotion on the valid side; of so many speakers."""
    valid, asked = parts.sides["valid"], conditions(parts)
    found, people = {}, 0
    for one, said in zip(asked, predict_split(parts, "valid", asked), strict=True):
        rows = scored(one.name, valid, said.probabilities(temperature), said.dimensions)
        given = rows.probabilities[np.arange(len(rows)), rows.label][rows.labelled]
        if len(given):
            found[one.name] = spread(np.sort(given))
            people = len(np.unique(speakers(valid)[rows.labelled]))
    return found, people


def _shares_without(parts: Assembly, logits: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The same of the training side, each speaker held out in turn; of all modalities together."""
    train, known = parts.sides["train"], np.isfinite(logits).all(-1)
    name = Condition(parts.model.modalities, parts.adaptation).name
    middle = np.tile(train.space.middle, (int(known.sum()), 1))
    rows = scored(name, train, softmax(logits[known]), middle, train.rows[known])
    given = rows.probabilities[np.arange(len(rows)), rows.label][rows.labelled]
    people = len(np.unique(speakers(train)[known][rows.labelled]))
    return ({name: spread(np.sort(given))} if len(given) else {}), people


@torch.inference_mode()
def _features(parts: Assembly, data: View) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Modality → features [N, D] and speakers [N] of utterances that have it, N ≤ `MOST`."""
    some = replace(data, num_data=min(data.num_data or MOST, MOST))
    who = speakers(some)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {m: [] for m in parts.model.modalities}
    for indices, _, encoded in encoded_in_batches(parts, some):
        there = on_cpu(encoded)
        for name, rows in found.items():
            features, present = summary(there.pooled[name], there.present[name])
            rows.append((features[present], who[indices][present]))
    return {
        name: (np.concatenate([x for x, _ in rows]), np.concatenate([who for _, who in rows]))
        for name, rows in found.items()
    }
