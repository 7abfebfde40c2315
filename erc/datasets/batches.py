"""Example → Batch: tokens, padding to the batch, and batches of like length."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from erc.base import arrays, audio
from erc.base.errors import ConfigError
from erc.datasets.view import Example, View

REMEMBERED = 50_000  # transcripts whose tokens are kept; some 20 MB
NO_TOKENS = torch.zeros(0, dtype=torch.long)


@dataclass
class Batch:
    """What a model sees (`modality`) and what a loss compares it with. Length 0: modality missing."""

    speech: torch.Tensor  # [B, T] float32, zero-padded
    speech_lengths: torch.Tensor  # [B] samples
    input_ids: torch.Tensor  # [B, S] padded
    text_lengths: torch.Tensor  # [B] tokens
    rows: torch.Tensor | None = None  # [B] in the store
    target: torch.Tensor | None = None  # [B, K] rows sum to 1, or nan
    dimensions: torch.Tensor | None = None  # [B, D] in the units of their scales, or nan
    offered: torch.Tensor | None = None  # bool [B, K] emotions that the row's corpus has; None: all
    physiology: torch.Tensor | None = None  # [B, T, C], nan where not measured, zero-padded
    physiology_lengths: torch.Tensor | None = None  # [B] steps

    def modality(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Samples, tokens or steps, and their lengths, of "speech", "text" or "physiology"."""
        if name == "text":
            return self.input_ids, self.text_lengths
        return getattr(self, name), getattr(self, f"{name}_lengths")

    def only(self, use: tuple[str, ...] | None) -> Batch:
        """The batch as if only these modalities ("speech", "text", "physiology") were recorded."""
        lengths = {k: v for k, v in vars(self).items() if k.endswith("_lengths") and v is not None}
        hidden = {k: v * (use is None or k.split("_")[0] in use) for k, v in lengths.items()}
        return dataclasses.replace(self, **hidden)

    def take(self, index: torch.Tensor) -> Batch:
        """Some of its utterances, tokens cut to the longest of them."""
        part = Batch(**{k: v[index] for k, v in vars(self).items() if v is not None})
        part.input_ids = part.input_ids[:, : int(part.text_lengths.max())]
        return part

    def to(self, device: torch.device) -> Batch:
        """The batch on another device; from pinned memory while the device still computes."""
        moved = {k: v.to(device, non_blocking=True) for k, v in vars(self).items() if v is not None}
        return dataclasses.replace(self, **moved)

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, which a GPU reads by itself; DataLoader calls this."""
        pinned = {k: v.pin_memory() for k, v in vars(self).items() if v is not None}
        return dataclasses.replace(self, **pinned)


@dataclass
class Collator:
    """Turns recordings and transcripts into a `Batch`; the same in training and in prediction.

    Attributes:
        tokenizer: Hugging Face tokenizer, or None for a model without text.
        normalize: give each clip zero mean and unit variance (before padding, so that the
            statistics are those of speech alone), as wav2vec2's feature extractor asks.
        txt_max_length: tokens kept.
        pooled: modalities of which only the lengths go into a batch: their features are known
            already, or the model has no use for them.
    """

    tokenizer: Any = None
    normalize: bool = False
    txt_max_length: int = 128
    pooled: frozenset[str] = frozenset()
    _known: dict[str, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, examples: list[Example]) -> Batch:
        bodies = [e.physiology for e in examples if e.physiology is not None]
        speech, texts = [e.speech for e in examples], [e.text for e in examples]
        batch = self.inputs(speech, texts, bodies or None)
        batch.rows = torch.tensor([e.row for e in examples])
        batch.target = _stack([e.target for e in examples])
        batch.dimensions = _stack([e.dimensions for e in examples])
        offered = [e.offered for e in examples if e.offered is not None]
        batch.offered = torch.from_numpy(np.stack(offered)) if offered else None
        return batch

    def inputs(
        self,
        speech: list[np.ndarray],
        texts: list[str | None],
        bodies: list[np.ndarray] | None = None,
    ) -> Batch:
        """Per utterance: int16 or float32 samples ([0]: none), a transcript (None: none), and, for a
        model that reads physiology, [T, C] of it ([0, C]: none)."""
        tokens = self._tokens(texts)
        pad = (self.tokenizer.pad_token_id or 0) if self.tokenizer else 0  # masked, whatever it is
        batch = Batch(
            speech=self._samples([] if "speech" in self.pooled else speech, len(speech)),
            speech_lengths=torch.tensor([len(s) for s in speech]),
            input_ids=pad_sequence(tokens, batch_first=True, padding_value=pad),
            text_lengths=torch.tensor([len(t) for t in tokens]),
        )
        if bodies is not None:
            steps = [torch.from_numpy(b).float() for b in bodies]
            batch.physiology = pad_sequence(steps, batch_first=True)
            batch.physiology_lengths = torch.tensor([len(b) for b in bodies])
        return batch

    def _samples(self, clips: list[np.ndarray], rows: int) -> torch.Tensor:
        """float32 [rows, longest], each clip converted and normalised where it will stay."""
        padded = np.zeros((rows, max(map(len, clips), default=0)), np.float32)
        for clip, row in zip(clips, padded):
            if self.normalize and len(clip):
                audio.normalize(clip, out=row[: len(clip)])
            else:
                row[: len(clip)] = arrays.from_int16(clip) if clip.dtype == np.int16 else clip
        return torch.from_numpy(padded)

    def _tokens(self, texts: list[str | None]) -> list[torch.Tensor]:
        """Token ids of each text, int64 [S]; what was seen before is remembered."""
        if self.tokenizer is None:
            return [NO_TOKENS] * len(texts)
        known = self._known
        if len(known) > REMEMBERED:
            known.clear()
        new = [t for t in dict.fromkeys(texts) if t and t not in known]
        if new:
            found = self.tokenizer(new, truncation=True, max_length=self.txt_max_length)
            for text, ids in zip(new, found["input_ids"]):
                known[text] = torch.tensor(ids, dtype=torch.long)
        return [known[t] if t else NO_TOKENS for t in texts]


def _stack(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).float()


class BucketSampler(Sampler[list[int]]):
    """Batches of like length in a shuffled order that depends on (seed, epoch) alone.

    By number: a random permutation is cut into pools of `POOL` batches; within a pool utterances are
    sorted by length and cut into batches, and the batches are shuffled. Every utterance comes once
    an epoch, in random company, and little is padded.

    By length (`budget`): utterances are sorted by length, their ranks jittered by one batch, and the
    row is cut where its running sum passes k/K of the whole: K = ⌈sum / budget⌉ batches that hold
    the same amount of audio, many short clips or a few long ones, the same K each epoch. A loss that
    averages over a batch must then be weighted by `weight`, so that every utterance counts the same
    in an epoch: Σ_batches (B / B̄) · mean = Σ_utterances / B̄, as with K batches of equal number.

    By corpus (`tau` below 1): of N draws an epoch a corpus of n utterances gets N nᵗ / Σ nᵗ, at 1 what
    it has, at 0 all corpora the same (Arivazhagan et al. 2019, arXiv:1907.05019). Each corpus is dealt
    out as one shuffled pack after another, over the epochs: however few its draws, none of its
    utterances comes twice more than another, and none is left out for good.

    Args:
        lengths: [N].
        batch_size: utterances in a batch.
        budget: length of a batch instead (not counting the padding), but no less than the longest
            utterance. None: by number.
        corpora: [N] names; None: of one corpus.
        tau: 0 … 1. It shapes shuffled batches only.
        share: (rank, count) of processes that share each batch, row by row. One with fewer rows than
            processes is repeated as a whole, which leaves the mean over it what it is.

    Raises:
        ConfigError: tau outside 0 … 1.
    """

    POOL = 32

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        budget: float | None = None,
        corpora: np.ndarray | None = None,
        tau: float = 1.0,
        share: tuple[int, int] = (0, 1),
    ):
        self.share = share
        self.lengths, self.batch_size, self.shuffle = np.asarray(lengths), batch_size, shuffle
        self.seed, self.epoch = seed, 0
        self._return = (0, 0)
        if not 0 <= tau <= 1:
            raise ConfigError(f"dataset.tau={tau:g} is outside 0 (corpora alike) … 1 (as they are)")
        self._packs: list[np.ndarray] = []  # utterances of each corpus, where they are balanced
        if shuffle and tau < 1 and corpora is not None:
            names = np.unique(corpora)
            self._packs = [np.flatnonzero(corpora == name) for name in names]
        self._draws = shares([len(pack) for pack in self._packs], tau)
        self.batches = -(-len(self.lengths) // batch_size)
        self.by_length = budget is not None and len(self.lengths) > 0 and self.lengths.max() > 0
        if self.by_length:
            total, longest = self.lengths.sum(), self.lengths.max()
            if self._packs:  # as much as an epoch holds on average
                means = [self.lengths[pack].mean() for pack in self._packs]
                total = float(np.dot(self._draws, means))
            self.batches = max(1, min(int(np.ceil(total / budget)), int(total // longest)))

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle; Lightning calls this before each epoch."""
        self.epoch = epoch

    def go_on(self, epoch: int, batches: int) -> None:
        """Begin this epoch after so many batches, as a training does that was stopped there."""
        self.epoch, self._return = epoch, (epoch, batches)

    @property
    def sampler(self) -> BucketSampler:
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch`, not the batch sampler's."""
        return self

    def __len__(self) -> int:
        return self.batches

    def weight(self, size: int) -> float:
        """What the mean loss of a batch of `size` utterances counts: size / mean size."""
        return size * self.batches / len(self.lengths) if self.by_length else 1.0

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        drawn = self._drawn()
        lengths = self.lengths if drawn is None else self.lengths[drawn]
        if self.by_length:
            batches = self._equal_audio(rng, lengths)
        elif self.shuffle:
            batches = self._cut(self._pooled(rng, lengths))
        else:  # longest first: running out of memory shows at once
            batches = self._cut(np.argsort(-lengths, kind="stable"))
        if drawn is not None:
            batches = [drawn[batch] for batch in batches if len(batch)]
        order = rng.permutation(len(batches)) if self.shuffle else range(len(batches))
        epoch, done = self._return
        rank, count = self.share
        for i in order[done if self.epoch == epoch else 0 :]:
            yield np.tile(batches[i], -(-count // len(batches[i])))[rank::count].tolist()

    def _drawn(self) -> np.ndarray | None:
        """The utterances of this epoch, [N], corpus after corpus; None: each once."""
        if not self._packs:
            return None
        found = []
        for k, (pack, count) in enumerate(zip(self._packs, self._draws, strict=True)):
            first, size = self.epoch * count, len(pack)
            whole = [
                pack[np.random.default_rng([self.seed, k, number]).permutation(size)]
                for number in range(first // size, -(-(first + count) // size))
            ]
            start = first % size
            found.append(np.concatenate([*whole, pack[:0]])[start : start + count])
        return np.concatenate(found)

    def _pooled(self, rng: np.random.Generator, lengths: np.ndarray) -> np.ndarray:
        order = rng.permutation(len(lengths))
        pool = self.POOL * self.batch_size
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        return np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def _equal_audio(self, rng: np.random.Generator, lengths: np.ndarray) -> list[np.ndarray]:
        rank = np.argsort(np.argsort(-lengths, kind="stable"), kind="stable").astype(float)
        if self.shuffle:
            rank += rng.uniform(0, len(rank) / self.batches, len(rank))
        order = np.argsort(rank, kind="stable")
        # No utterance is longer than a K-th of the whole, so that no batch is empty; of an epoch that
        # holds less than the average one may be, and is passed over.
        middle = np.cumsum(lengths[order]) - lengths[order] / 2
        batch = (middle * self.batches / lengths.sum()).astype(int)
        return np.split(order, np.searchsorted(batch, np.arange(1, self.batches)))


def shares(sizes: Sequence[int], tau: float) -> list[int]:
    """N = Σ n draws over corpora of n utterances, N nᵗ / Σ nᵗ each; the largest remainders round up.

    >>> shares([800, 100, 100], 0.5), shares([800, 100, 100], 1.0)
    ([586, 207, 207], [800, 100, 100])
    """
    n = np.asarray(sizes, float)
    if not n.sum():
        return []
    exact = n.sum() * n**tau / (n**tau).sum()
    found = np.floor(exact + 1e-9).astype(int)
    rest = round(n.sum()) - found.sum()
    found[np.argsort(found - exact, kind="stable")[:rest]] += 1
    return found.tolist()


def weights(corpora: np.ndarray, tau: float) -> np.ndarray | None:
    """What each of N utterances counts where they are weighted and not drawn, [N], mean 1: nᵗ⁻¹ up to
    a constant, n of its corpus. None: all count the same.

    >>> weights(np.array(["a", "a", "a", "a", "b"]), 0.5).round(2).tolist()
    [0.83, 0.83, 0.83, 0.83, 1.67]
    """
    _, corpus, sizes = np.unique(corpora, return_inverse=True, return_counts=True)
    if tau == 1 or len(sizes) < 2:
        return None
    power = sizes.astype(float) ** (tau - 1)
    return power[corpus] * len(corpus) / (sizes * power).sum()


class MemoryLoader:
    """The batches of a sampler, cut from one `Batch` of a whole side: no work left but indexing."""

    def __init__(self, whole: Batch, batch_sampler: BucketSampler):
        self.whole, self.batch_sampler = whole, batch_sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.batch_sampler:
            yield self.whole.take(torch.tensor(indices))


def _stop_with_the_training(worker: int) -> None:
    """Ctrl-C and SIGTERM reach every process of a group: the training finishes its step first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def loader(
    data: View, collate: Collator, sampler: BucketSampler, num_workers: int = 0
) -> DataLoader | MemoryLoader:
    """Batches of one side; from memory where no recording has to be read.

    Args:
        num_workers: processes that read recordings.
    """
    if "speech" in collate.pooled and len(data):
        return MemoryLoader(collate([data[i] for i in range(len(data))]), sampler)
    return DataLoader(
        cast("Dataset[Example]", data),  # by its methods, not by its class: data need no torch
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        multiprocessing_context="spawn" if num_workers else None,
        worker_init_fn=_stop_with_the_training,
        generator=torch.Generator(),  # else an iterator draws from the generator of the training
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
