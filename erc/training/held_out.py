"""A trained model → what speakers are like whom it was not fitted to: `held_out.npz`."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import torch

from erc.datasets.view import View
from erc.model.folder.held_out import HeldOut
from erc.model.typicality import MOST, Typicality, summary
from erc.training.assembly import Assembly
from erc.training.closed_form import speakers
from erc.training.evaluation import encoded_in_batches, on_cpu


def held_out(parts: Assembly) -> HeldOut:
    """How usual its features are, by speakers that no feature was trained on.

    Those are the speakers of the training side, each part of them held out in turn, for a frozen
    encoder; for a trained one those of the valid side, unless that is the held-out fold itself
    (`paper`): then nothing is known.
    """
    train, valid = parts.sides["train"], parts.sides["valid"]
    seen = _features(parts, train)
    free = len(valid) and valid.fold.protocol != "paper"
    trained = [n for n, branch in parts.model.branches.items() if not branch.encoder.frozen]
    others = _features(parts, valid) if free and trained else {}
    found = {}
    for name, (features, groups) in seen.items():
        if name not in trained:
            one = Typicality.fit(features, groups)
        else:
            one = Typicality.fit(features, groups, others[name][0]) if others else None
        if one:
            found[name] = one
        else:
            print(f"no typicality of {name}: no speaker could be held out", file=sys.stderr)
    return HeldOut(found)


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
