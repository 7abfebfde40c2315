"""A study trained at once is the study trained one by one: files, scores, every row."""

import json

import numpy as np
import pandas as pd
import pytest

from erc.corpora import simulated
from erc.studies.cross_validation import cross_validate
from erc.studies.experiment import configure
from erc.training.member import obstacle

CLOSE = 1e-4
CLASSES = "model.class_weights=balanced"  # other weights in each fold
WORDS = [
    "experiment=sharpen", "trainer.max_epochs=5", "trainer.log_every_n_steps=1",
    "dataset.protocol=strict", "dataloader.batch_size=4", "seeds=2", "early_stopping.patience=1",
    "model.modality_dropout=0.4", "model.dropout=0.2", "module.lr=3e-3", CLASSES,
]  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Six simulated sessions; one holds fewer utterances than the others, as folds do."""
    root = tmp_path_factory.mktemp("at-once") / "corpus"
    simulated.write_tree(root, "kemdy19", sessions=6, utterances=7, seed=5, defects=True)
    return root


@pytest.fixture(scope="module")
def studies(corpus, tmp_path_factory):
    """One by one, and at once."""
    words = [*WORDS, f"dataset.paths={corpus}"]
    folders = [tmp_path_factory.mktemp(name) for name in ("one-by-one", "at-once")]
    for folder, at_once in zip(folders, (False, True)):
        cross_validate(words, folder, at_once=at_once)
    return folders


def files(folder):
    return {
        p.relative_to(folder).as_posix() for p in folder.rglob("*")
        if p.is_file() and "checkpoints" not in p.parts
        and p.name not in ("log.txt", "training.lock")
    }  # fmt: skip


def test_the_same_files(studies):
    alone, at_once = map(files, studies)
    assert alone == at_once
    assert len([name for name in alone if name.endswith("predictions.csv")]) == 5


def test_every_row_of_every_table_to_a_ten_thousandth(studies):
    tables = [n for n in files(studies[0]) if n.endswith(("predictions.csv", "metrics.csv"))]
    assert len(tables) == 9
    for name in tables:
        alone, at_once = (pd.read_csv(folder / name) for folder in studies)
        pd.testing.assert_frame_equal(alone, at_once, rtol=0, atol=CLOSE)


def test_the_same_scores_and_the_same_model(studies):
    for run in ("seed0/fold0", "seed0/fold1", "seed1/fold1"):
        alone, at_once = (
            json.loads((folder / run / "results.json").read_text()) for folder in studies
        )
        assert alone["command"] == at_once["command"]
        assert alone["temperature"] == pytest.approx(at_once["temperature"], abs=1e-3)
        first, second = (np.load(folder / run / "features.npy") for folder in studies)
        np.testing.assert_allclose(first, second, atol=CLOSE)


def test_two_stacks_in_processes_of_their_own_find_the_same(corpus, studies, tmp_path):
    """Two seeds in each; every run is done and known to be."""
    cross_validate([*WORDS, f"dataset.paths={corpus}"], tmp_path, workers=2, at_once=True)
    tables = [n for n in files(tmp_path) if n.endswith(("predictions.csv", "metrics.csv"))]
    assert len(tables) == 9
    for name in tables:
        one, two = (pd.read_csv(folder / name) for folder in (studies[1], tmp_path))
        pd.testing.assert_frame_equal(one, two, rtol=0, atol=CLOSE)
    record = json.loads((tmp_path / "seed1/fold0/fold.json").read_text())
    assert record["finished"]
    logged = (tmp_path / "seed1/fold0/log.txt").read_text()
    assert "try: erc predict" in logged


def test_runs_end_at_their_own_epochs(studies):
    """Else the test says little about stopping: of four runs not all end together."""
    lasts = {
        pd.read_csv(studies[1] / f"seed{s}" / f"fold{k}" / "metrics.csv").epoch.max()
        for s in range(2)
        for k in range(2)
    }
    assert len(lasts) > 1


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("trainer.max_steps=3", "trainer.max_steps=3"),
        ("trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches=2"),
        ("scheduler=reduce_plateau", "follows a score"),
        ("model.objective=closed_form", "closed_form"),
        ("checkpoint_every=5", "checkpoints"),
        ("early_stopping.monitor=train/loss", "train/loss"),
        ("trainer.max_epochs=-1", "max_epochs=-1"),
    ],
)
def test_what_it_cannot_do_is_named(word, what, tmp_path):
    assert obstacle(configure(["experiment=sharpen"], tmp_path)) is None
    assert what in str(obstacle(configure(["experiment=sharpen", word], tmp_path)))


def test_what_cannot_be_stacked_is_trained_one_by_one(corpus, tmp_path, capsys):
    words = ["experiment=sharpen", f"dataset.paths={corpus}", "trainer.max_epochs=1",
             "model.freeze_text=false"]  # fmt: skip
    cross_validate(words, tmp_path, at_once=True)
    said = capsys.readouterr().err
    assert "one by one, because of text" in said
    assert "fold0, fold1" in said
    assert (tmp_path / "fold1" / "checkpoints" / "last.ckpt").exists()
