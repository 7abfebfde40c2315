"""Example → Batch: tokens, padding to the batch, and batches of like length."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from erc import audio
from erc.datasets import HF_KEMD, Example


@dataclass
class Batch:
    """What a model sees (`modality`) and what a loss compares it with. Length 0: modality missing."""

    speech: torch.Tensor  # [B, T] float32, zero-padded
    speech_lengths: torch.Tensor  # [B] samples
    input_ids: torch.Tensor  # [B, S] padded
    text_lengths: torch.Tensor  # [B] tokens
    rows: torch.Tensor | None = None  # [B] in the store
    target: torch.Tensor | None = None  # [B, 7] rows sum to 1, or nan
    valence_arousal: torch.Tensor | None = None  # [B, 2] 1–5, or nan
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
        """The batch on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if v is not None}
        return dataclasses.replace(self, **moved)


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

    def __call__(self, examples: list[Example]) -> Batch:
        bodies = [e.physiology for e in examples]
        given = None if bodies[0] is None else bodies
        batch = self.inputs([e.speech for e in examples], [e.text for e in examples], given)
        batch.rows = torch.tensor([e.row for e in examples])
        batch.target = _stack([e.target for e in examples])
        batch.valence_arousal = _stack([e.valence_arousal for e in examples])
        return batch

    def inputs(
        self,
        speech: list[np.ndarray],
        texts: list[str | None],
        bodies: list[np.ndarray] | None = None,
    ) -> Batch:
        """Per utterance: int16 or float32 samples ([0]: none), a transcript (None: none), and, for a
        model that reads physiology, [T, C] of it ([0, C]: none)."""
        heard = [] if "speech" in self.pooled else [torch.from_numpy(self._clip(s)) for s in speech]
        tokens = [torch.tensor(self._tokens(t), dtype=torch.long) for t in texts]
        pad = self.tokenizer.pad_token_id if self.tokenizer else 0
        batch = Batch(
            speech=pad_sequence(heard, batch_first=True) if heard else torch.zeros(len(speech), 0),
            speech_lengths=torch.tensor([len(s) for s in speech]),
            input_ids=pad_sequence(tokens, batch_first=True, padding_value=pad),
            text_lengths=torch.tensor([len(t) for t in tokens]),
        )
        if bodies is not None:
            steps = [torch.from_numpy(b).float() for b in bodies]
            batch.physiology = pad_sequence(steps, batch_first=True)
            batch.physiology_lengths = torch.tensor([len(b) for b in bodies])
        return batch

    def _clip(self, samples: np.ndarray) -> np.ndarray:
        if samples.dtype == np.int16:
            samples = audio.from_int16(samples)
        return audio.normalize(samples) if self.normalize and len(samples) else samples

    def _tokens(self, text: str | None) -> list[int]:
        if self.tokenizer is None or not text:
            return []
        return self.tokenizer(text, truncation=True, max_length=self.txt_max_length)["input_ids"]


def _stack(rows: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).float()


class BucketSampler(Sampler[list[int]]):
    """Batches of like length in a shuffled order that depends on (seed, epoch) alone.

    A random permutation is cut into pools of `POOL` batches; within a pool utterances are sorted
    by length and cut into batches, and the batches are shuffled. Every utterance comes once an
    epoch, in random company, and little is padded.
    """

    POOL = 32

    def __init__(self, lengths: np.ndarray, batch_size: int, shuffle: bool = True, seed: int = 0):
        self.lengths, self.batch_size, self.shuffle = np.asarray(lengths), batch_size, shuffle
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle; Lightning calls this before each epoch."""
        self.epoch = epoch

    @property
    def sampler(self) -> BucketSampler:
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch`, not the batch sampler's."""
        return self

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        if not self.shuffle:  # longest first: running out of memory shows at once
            yield from self._cut(np.argsort(-self.lengths, kind="stable"))
            return
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths))
        pool = self.POOL * self.batch_size
        pools = [order[i : i + pool] for i in range(0, len(order), pool)]
        by_length = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
        batches = list(self._cut(by_length))
        yield from (batches[i] for i in rng.permutation(len(batches)))

    def _cut(self, order: np.ndarray) -> Iterator[list[int]]:
        for i in range(0, len(order), self.batch_size):
            yield order[i : i + self.batch_size].tolist()


class MemoryLoader:
    """The batches of a sampler, cut from one `Batch` of a whole side: no work left but indexing."""

    def __init__(self, whole: Batch, batch_sampler: BucketSampler):
        self.whole, self.batch_sampler = whole, batch_sampler

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.batch_sampler:
            yield self.whole.take(torch.tensor(indices))


def loader(
    data: HF_KEMD, collate: Collator, sampler: BucketSampler, num_workers: int = 0
) -> DataLoader | MemoryLoader:
    """Batches of one side; from memory where no recording has to be read.

    Args:
        num_workers: processes that read recordings.
    """
    if "speech" in collate.pooled and len(data):
        return MemoryLoader(collate([data[i] for i in range(len(data))]), sampler)
    return DataLoader(
        data,
        batch_sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        multiprocessing_context="spawn" if num_workers else None,
    )
