"""`View`: one side of one fold of a store, labelled. Immutable: other sides are other views."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from erc.base import audio
from erc.base.errors import ConfigError, CorpusError
from erc.base.space import Space
from erc.datasets.labels import Labels
from erc.datasets.store import Store
from erc.preprocess import Fold

MODES = ("train", "valid", "test", "all")


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance, ready for a batch. nan marks what was not labelled."""

    row: int  # in the store
    speech: np.ndarray  # int16 [T], 16 kHz; [0]: no recording
    text: str | None
    soft: np.ndarray  # [K] votes as a distribution
    peakl: np.ndarray  # [K]
    hard: np.ndarray  # [K] one-hot, ties resolved
    target: np.ndarray  # [K] what the model learns
    dimensions: np.ndarray  # [D] of the target, in the units of `Space.dimensions`
    physiology: np.ndarray | None = None  # [T, C]; [0, C]: nothing measured; None: not asked for
    offered: np.ndarray | None = None  # bool [K]: emotions that its corpus has; None: all


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """The utterances of a store on one side of one fold, less those that were to be left out.

    Torch's `DataLoader` takes it as it is: it has a length, and `view[i]` is an `Example`.

    Attributes:
        store, labels, body: of all utterances; `rows` says which of them are seen here.
        fold: which rows lie on which side.
        body: physiology of every row as the model reads it, [T, C] each; None: not asked for.
        mode: train | valid | test | all.
        drop_ties: leave out tied majorities.
        num_data: keep this many, evenly spaced; None: all.
        wav_max_length: samples kept of a recording; None: all.
        needs: modalities ("speech", "text", "physiology"); an utterance with none of them (`every`:
            not with all) is left out.

    Raises:
        ConfigError: num_data below 1.
        CorpusError: nothing is on this side (the valid side of protocol "fixed" may be empty).
    """

    store: Store
    fold: Fold
    labels: Labels
    body: list[np.ndarray] | None = None
    mode: str = "train"
    drop_ties: bool = False
    num_data: int | None = None
    wav_max_length: int | None = None
    needs: tuple[str, ...] = ()
    every: bool = False

    def __post_init__(self) -> None:
        len(self.rows)  # an empty side is refused here, not at its first batch

    def side(self, mode: str) -> View:
        """The same fold seen from another side; "all" is the whole store, nothing left out."""
        if mode == "all":
            return replace(self, mode=mode, drop_ties=False, num_data=None, needs=())
        return replace(self, mode=mode)

    def needing(self, modalities: tuple[str, ...], every: bool = False) -> View:
        """The same side for a model that reads these modalities; see `needs`."""
        return replace(self, needs=modalities, every=every)

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """Rows of the store, ascending, int [N]."""
        rows = np.asarray(self.fold.sides.get(self.mode, range(len(self.store))), int)
        if self.drop_ties:
            rows = rows[~self.labels.tied[rows]]
        if self.num_data is not None and len(rows):
            if self.num_data < 1:
                raise ConfigError(f"dataset.num_data is {self.num_data}; give ≥ 1 or null for all")
            rows = rows[np.unique(np.linspace(0, len(rows) - 1, self.num_data).round().astype(int))]
        if not len(rows) and (self.mode, self.fold.protocol) != ("valid", "fixed"):
            raise CorpusError(f"{self.store.path}: no utterance on the {self.mode} side")
        if self.needs:
            there = np.stack([self.store.has(m)[rows] for m in self.needs])
            rows = rows[there.all(0) if self.every else there.any(0)]
        return rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        row, of = int(self.rows[index]), self.labels
        return Example(
            row=row,
            speech=self.store.pcm(row)[: self.wav_max_length],
            text=self._texts[row],
            soft=of.soft[row],
            peakl=of.peakl[row],
            hard=of.hard[row],
            target=of.target[row],
            dimensions=of.target_dimensions[row],
            physiology=None if self.body is None else self.body[row],
            offered=None if self.offered is None else self.offered[row],
        )

    @functools.cached_property
    def offered(self) -> np.ndarray | None:
        """`Store.offered` of the whole store, bool [N, K]; None: every corpus has every emotion."""
        return self.store.offered()

    @functools.cached_property
    def _texts(self) -> np.ndarray:
        """Transcripts of the whole store, str or None."""
        return self.store.column("text")

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Samples of each recording after the cut, [N]; by which batches are bucketed."""
        size = self.store.lengths()[self.rows]
        return np.minimum(size, self.wav_max_length or size)

    @property
    def simulated(self) -> bool:
        """True if no person was recorded."""
        return self.store.simulated

    @property
    def space(self) -> Space:
        """What its utterances are rated in."""
        return self.store.space

    def has(self, modality: str) -> np.ndarray:
        """True where the utterance has "speech", a "text" or "physiology", bool [N]."""
        return self.store.has(modality)[self.rows]

    def __str__(self) -> str:
        sessions = sorted(set(self.store.column("session")[self.rows]))
        counts = np.nansum(self.labels.hard[self.rows], 0).astype(int)
        minutes = self.lengths.sum() / audio.SAMPLE_RATE / 60
        return "\n".join(
            [
                f"{'SIMULATED ' if self.simulated else ''}{self.mode} side of fold "
                f"{self.fold.number} ({self.fold.protocol} protocol): {len(self)} utterances, "
                f"{minutes:.1f} min, "
                f"{len(sessions)} sessions ({' … '.join(dict.fromkeys(sessions[:1] + sessions[-1:]))})",
                "  ".join(f"{e} {n}" for e, n in zip(self.space.emotions, counts, strict=True))
                + f"  (ties {int(self.labels.tied[self.rows].sum())})",
                *mapped(self.store),
                f"store {'loaded from' if self.store.loaded else 'built in'} {self.store.path}",
                str(self.store.report),
            ]
        )

    __repr__ = __str__


def mapped(store: Store) -> list[str]:
    """The label table of a mix, a line a corpus: `joy → happy`, and what is left out."""
    lines = []
    for corpus, table in store.labels.items():
        words = [own if own == to else f"{own} → {to or 'left out'}" for own, to in table.items()]
        lines.append(f"labels of {corpus}: {', '.join(words) or 'none'}")
    return lines
