"""Training on frozen encoders gives the same model whether their features were cached or not."""

from __future__ import annotations

import torch

from erc.assembly import Assembly
from erc.corpora import synthetic
from erc.experiment import configure
from erc.training import make_task


def test_cache_hit_and_miss_train_alike(tmp_path):
    corpus = tmp_path / "corpus"
    synthetic.write_tree(corpus, sessions=2, utterances=10)
    words = [
        "experiment=sharpen",
        f"dataset.paths={corpus}",
        "dataset.sessions=2",
        "dataset.validation_fold=0",
        f"cache={tmp_path / 'cache'}",
    ]
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        parts = Assembly(configure(words, tmp_path / "run"))
        task = make_task(parts.cfg, parts)
        assert task.model.dropout.training  # not left in evaluation mode
        assert not task.model.text.training  # a frozen encoder never trains
        found.append((sorted((tmp_path / "cache" / "features").glob("*.npy")), torch.rand(3)))
    assert len(found[0][0]) == 2
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
