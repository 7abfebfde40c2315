"""Batches from memory equal batches from a loader, and every epoch has its own order."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from erc.corpora.simulated import write_tree
from erc.datasets import HF_KEMD
from erc.datasets.batches import BucketSampler, Collator, MemoryLoader, loader
from erc.datasets.view import View


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> View:
    folder: Path = tmp_path_factory.mktemp("loader")
    write_tree(folder / "corpus", "kemdy19", 5, 4, 0)
    return HF_KEMD(str(folder / "corpus"), cache=str(folder / "cache"))


def test_memory_gives_the_same_batches(data: View) -> None:
    collate = Collator(pooled=frozenset({"speech"}))
    memory = loader(data, collate, BucketSampler(data.lengths, 3))
    plain = DataLoader(data, batch_sampler=BucketSampler(data.lengths, 3), collate_fn=collate)
    assert isinstance(memory, MemoryLoader)
    assert len(memory) == len(plain) == len(list(memory))
    for one, other in zip(memory, plain, strict=True):
        for name, value in vars(other).items():
            assert (value is None) == (getattr(one, name) is None)
            if value is not None:
                torch.testing.assert_close(getattr(one, name), value, equal_nan=True)


@pytest.mark.parametrize("pooled", [frozenset(), frozenset({"speech"})])
def test_lightning_shuffles_every_epoch_anew(data: View, pooled: frozenset[str]) -> None:
    class Spy(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight, self.rows = torch.nn.Parameter(torch.zeros(1)), {}

        def training_step(self, batch, index):
            self.rows.setdefault(self.current_epoch, []).append(batch.rows.tolist())
            return self.weight.sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    spy = Spy()
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(spy, loader(data, Collator(pooled=pooled), BucketSampler(data.lengths, 3)))
    assert spy.rows[0] != spy.rows[1]
    for epoch in spy.rows.values():
        np.testing.assert_array_equal(sorted(np.concatenate(epoch)), data.rows)


def kemdy_like(n: int) -> np.ndarray:
    return (np.random.default_rng(1).lognormal(1.1, 0.5, n).clip(0.5, 7) * 16_000).astype(int)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("n", [1, 7, 64, 1500])
def test_batches_of_equal_audio(n, shuffle):
    lengths = kemdy_like(n)
    sampler = BucketSampler(lengths, 8, shuffle, seed=3, budget=56 * 16_000)
    for epoch in (0, 1, 5):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)  # the same number each epoch: schedules count on it
        assert all(batches)
        assert sorted(i for batch in batches for i in batch) == list(range(n))
        for batch in batches:  # cut at the nearest utterance
            assert lengths[batch].sum() <= 56 * 16_000 + lengths.max()
    padded = sum(len(b) * lengths[b].max() for b in batches) / lengths.sum()
    if n == 1500:
        assert padded < 1.05
        assert max(map(len, batches)) > 3 * min(map(len, batches))


def test_company_changes_with_the_epoch_and_depends_on_the_seed_alone():
    def drawn(seed: int, epoch: int) -> list[list[int]]:
        sampler = BucketSampler(kemdy_like(200), 8, True, seed, budget=30 * 16_000)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert drawn(0, 0) == drawn(0, 0)
    sets = [{frozenset(b) for b in drawn(0, epoch)} for epoch in (0, 1)]
    assert len(sets[0] & sets[1]) < len(sets[0]) / 4  # the few longest have little choice


def test_every_utterance_weighs_the_same_in_an_epoch():
    """Σ over batches of weight · mean loss = Σ over utterances of loss / mean batch size."""
    lengths = kemdy_like(300)
    sampler = BucketSampler(lengths, 8, True, budget=56 * 16_000)
    loss = np.random.default_rng(0).uniform(size=300)
    epoch = sum(sampler.weight(len(b)) * loss[b].mean() for b in sampler)
    assert epoch == pytest.approx(loss.sum() * len(sampler) / 300)
    by_number = BucketSampler(lengths, 8)
    assert by_number.weight(8) == 1
