"""`held_out.npz` of a model folder: what speakers are like whom the model was not fitted to.

Read without torch. Exports have a copy; folders of earlier versions have none.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from erc.base.errors import CheckpointError
from erc.base.files import atomic
from erc.model.encoded import Encoded
from erc.model.folder import HELD_OUT
from erc.model.spec import Spec
from erc.model.typicality import AXES, MOST, Normal, Typicality, summary

BYTES = 1 << 28  # of a file, at most
DAMAGE = (ValueError, TypeError, LookupError, OSError, EOFError, MemoryError, zipfile.BadZipFile)
SHARES = "shares "  # begins the name of an array
PARTS = ("mean", "scale", "axes", "variances", "rest")  # of a `Normal`


@dataclass(frozen=True)
class HeldOut:
    """What a model folder knows of held-out speakers.

    Attributes:
        typicality: modality → how usual its features are; without those that nobody could be held
            out for.
        shares: what was used of an utterance ("speech + text", "speech, speaker-adapted") →
            probabilities [n] that the emotion was given which most raters chose, ascending.
        speakers: whose utterances those are.
    """

    typicality: Mapping[str, Typicality] = field(default_factory=dict)
    shares: Mapping[str, np.ndarray] = field(default_factory=dict)
    speakers: int = 0

    def typical(self, encoded: Encoded[np.ndarray]) -> dict[str, np.ndarray]:
        """Modality → percentile [B], nan where it is missing; see `Typicality.of`."""
        found = {}
        for name, one in self.typicality.items():
            features, there = summary(encoded.pooled[name], encoded.present[name])
            found[name] = np.full(len(there), np.nan)
            found[name][there] = one.of(features[there])
        return found

    def write(self, folder: Path) -> None:
        """Put the file into a folder."""
        arrays: dict[str, Any] = {f"{SHARES}{name}": x for name, x in self.shares.items()}
        arrays |= {"speakers": self.speakers}
        for name, one in self.typicality.items():
            arrays |= {f"{name}.{part}": getattr(one.normal, part) for part in PARTS}
            arrays |= {f"{name}.distances": one.distances}
        with atomic(folder / HELD_OUT) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def read(cls, folder: Path, spec: Spec) -> HeldOut:
        """The file of a folder; of one without it, nothing is known.

        Raises:
            CheckpointError: it is damaged, or of another model than `spec`.
        """
        path = folder / HELD_OUT
        if not path.is_file():
            return cls()
        try:
            found = _arrays(path)
            usual = {
                m: _typicality(found, m, spec) for m in spec.modalities if f"{m}.mean" in found
            }
            shares = {
                k.removeprefix(SHARES): _ranked(k, x) for k, x in found.items() if k[:7] == SHARES
            }
            return cls(usual, shares, int(found.get("speakers", np.zeros(()))))
        except DAMAGE as error:
            raise CheckpointError(f"{path} is not of this model, or damaged: {error}") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Its arrays, finite float64; nothing is unpacked that was not stored as it is."""
    with zipfile.ZipFile(path) as archive:
        packed = any(member.compress_type for member in archive.infolist())
    if packed or path.stat().st_size > BYTES:
        raise ValueError(f"compressed, or of more than {BYTES:,} bytes")
    with np.load(path, allow_pickle=False) as file:
        found = {name: np.asarray(file[name], np.float64) for name in file.files}
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite")
    return found


def _typicality(found: Mapping[str, np.ndarray], name: str, spec: Spec) -> Typicality:
    mean, scale, axes, variances, rest = (found[f"{name}.{part}"] for part in PARTS)
    distances = found[f"{name}.distances"]
    shape = spec.widths[name][1:] if name in spec.sequences else spec.widths[name]
    width, k = int(np.prod(shape)), variances.size
    shapes = [x.shape for x in (mean, scale, axes, variances, rest)]
    fits = shapes == [(width,), (width,), (width, k), (k,), ()] and k <= AXES
    positive = fits and all((x > 0).all() for x in (scale, variances, rest))
    if not positive:
        raise ValueError(f"{name} of {shapes} does not fit a width of {width}")
    ranked = _ranked(f"{name}.distances", distances, np.inf)
    return Typicality(Normal(mean, scale, axes, variances, float(rest)), ranked)


def _ranked(name: str, values: np.ndarray, most: float = 1.0) -> np.ndarray:
    """Checked: [n], 0 < n ≤ `MOST`, ascending in 0 … most."""
    if values.ndim != 1 or not 0 < values.size <= MOST or not 0 <= values[0] <= values[-1] <= most:
        raise ValueError(f"{name}: {values.shape} numbers, not 1–{MOST} within 0–{most:g}")
    if (np.diff(values) < 0).any():
        raise ValueError(f"{name} do not ascend")
    return values
