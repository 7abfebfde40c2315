"""Batches from memory equal batches from a loader, and every epoch has its own order."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from erc.batches import BucketSampler, Collator, MemoryLoader, loader
from erc.corpora.synthetic import write_tree
from erc.datasets import HF_KEMD


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> HF_KEMD:
    folder: Path = tmp_path_factory.mktemp("loader")
    write_tree(folder / "corpus", "kemdy19", 5, 4, 0)
    return HF_KEMD(str(folder / "corpus"), cache=str(folder / "cache"))


def test_memory_gives_the_same_batches(data: HF_KEMD) -> None:
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
def test_lightning_shuffles_every_epoch_anew(data: HF_KEMD, pooled: frozenset[str]) -> None:
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
