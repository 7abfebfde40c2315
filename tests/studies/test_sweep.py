"""`erc sweep`: what is varied, what is chosen, and that the held-out fold has no part in it."""

from __future__ import annotations

import csv
import math
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from erc.base.errors import ConfigError, TrainingError
from erc.cli.program import main
from erc.scores.results import Results
from erc.studies import sweep as module
from erc.studies.sweep import sweep
from erc.studies.sweep_report import importances
from erc.studies.sweep_space import split
from erc.training.resume import alone

optuna = pytest.importorskip("optuna")


@pytest.fixture
def words(kemdy19) -> list[str]:
    return [
        "dataset=hf", f"dataset.paths={kemdy19}", "dataset.protocol=strict", "model=tiny",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
        "trainer.enable_model_summary=false", "export=false",
    ]  # fmt: skip


@pytest.fixture
def planted(monkeypatch) -> list[dict]:
    """Trainings whose score is known: best at lr = 1e-3; dropout matters little."""
    seen = []

    def train(cfg, score, trial=None) -> float:
        seen.append(
            {"lr": cfg.module.lr, "dropout": cfg.model.dropout, "fold": cfg.dataset.validation_fold}
        )
        return 1 - abs(math.log10(cfg.module.lr) + 3) - 0.01 * cfg.model.dropout  # fmt: skip

    monkeypatch.setattr(module, "train", train)
    return seen


VARIED = ["module.lr=tag(log,interval(1e-5,1e-1))", "model.dropout=interval(0.0,0.5)"]


def test_hydras_words_for_what_is_varied():
    fixed, keys = split(
        ["model=tiny", "a.b=1,x,null", "c=range(2,9,2)", "d=int(interval(1,4))", "e=interval(0,2)"]
        + VARIED
    )
    assert fixed == ["model=tiny"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = []
    for _ in range(60):
        trial = study.ask()
        drawn.append([key.suggest(trial) for key in keys])
        study.tell(trial, 0.0)
    a, c, d, e, lr, _ = zip(*drawn, strict=True)
    assert set(a) == {1, "x", None}
    assert set(c) == {2, 4, 6, 8}
    assert set(d) == {1, 2, 3, 4}
    assert all(isinstance(x, float) and 0 <= x <= 2 for x in e)
    assert np.median(np.log10(lr)) == pytest.approx(-3, abs=0.8)  # in the middle of the scale


def test_the_best_is_found_and_told(words, planted, tmp_path, capsys):
    best = sweep([*words, *VARIED], tmp_path / "study", trials=25)
    assert len(planted) == 25
    assert {one["fold"] for one in planted} == {4}
    found = dict(word.split("=") for word in best)
    assert float(found["module.lr"]) == pytest.approx(1e-3, rel=0.9)
    assert found["early_stopping.monitor"] == "val/f1_macro"
    said = capsys.readouterr().out
    assert f"module.lr={found['module.lr']}" in said
    shares = said.split("matters ")[1].splitlines()[0]
    assert shares.startswith("module.lr ")
    rows = list(csv.DictReader((tmp_path / "study" / "trials.csv").open()))
    scores = [float(row["val/f1_macro"]) for row in rows]
    assert len(rows) == 25
    assert 1 - abs(math.log10(float(found["module.lr"])) + 3) == pytest.approx(
        max(scores), abs=0.01
    )
    assert (tmp_path / "study" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_where_nothing_matters_no_key_is_said_to(words, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "train", lambda cfg, score, trial=None: 0.5)
    sweep([*words, *VARIED], tmp_path / "study", trials=8)
    study = optuna.load_study(
        study_name="erc", storage=f"sqlite:///{tmp_path / 'study' / 'study.db'}"
    )
    shares = importances(study)
    assert not shares or max(shares.values()) < 1


def test_stopped_it_goes_on_as_it_would_have_gone(words, planted, tmp_path, monkeypatch):
    whole = sweep([*words, *VARIED], tmp_path / "whole", trials=6)
    straight, calm = list(planted), module.train
    planted.clear()

    def stopped(cfg, score, trial=None):
        if len(planted) == 3:
            raise KeyboardInterrupt
        return calm(cfg, score, trial)

    monkeypatch.setattr(module, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep([*words, *VARIED], tmp_path / "parts", trials=6)
    monkeypatch.setattr(module, "train", calm)
    assert sweep([*words, *VARIED], tmp_path / "parts", trials=3) != []  # nothing to do
    assert len(planted) == 3
    assert sweep([*words, *VARIED], tmp_path / "parts", trials=6) is not None
    assert planted[:3] == straight[:3]
    assert len(planted) == 6
    assert len(whole) == 4


def test_the_study_of_something_else_is_refused(words, planted, tmp_path):
    sweep([*words, *VARIED], tmp_path, trials=1)
    with pytest.raises(ConfigError, match=r"study of something else.*max_epochs: 1 there, 2 here"):
        sweep([*words, "trainer.max_epochs=2", *VARIED], tmp_path, trials=2)
    with pytest.raises(ConfigError, match=r"study of something else.*module\.lr"):
        sweep([*words, "module.lr=1e-3,1e-2"], tmp_path, trials=2)


def test_started_twice_the_second_is_refused(words, planted, tmp_path):
    with alone(tmp_path), pytest.raises(ConfigError, match="is being trained by another process"):
        sweep([*words, *VARIED], tmp_path, trials=1)
    assert not planted


@pytest.mark.parametrize(
    ("more", "options", "says"),
    [
        ([], {}, "nothing is varied"),
        (["dataset.validation_fold=0,1"], {}, "folds and seeds are not chosen"),
        (["seed=1,2"], {}, "folds and seeds are not chosen"),
        (["module.rl=1,2"], {}, "did you mean 'module.lr'"),
        (["module.lr=1,2", "dataset.protocol=paper"], {}, "chosen on the test"),
        (["module.lr=1,2"], {"score": "test/uar"}, "a metric of the valid side"),
    ],
)
def test_what_cannot_be_swept(words, tmp_path, more, options, says):
    with pytest.raises(ConfigError, match=says):
        sweep([*words, *more], tmp_path, **options)


def test_nested_each_fold_is_tuned_without_it(words, planted, tmp_path, monkeypatch):
    """A corpus of five sessions: five studies, five runs, one pooled result."""
    together = []
    monkeypatch.setattr(module, "cross_validation", lambda runs, folder, *_: together.extend(runs))
    assert sweep([*words, *VARIED], tmp_path, trials=2, nested=True) == []
    assert [one["fold"] for one in planted] == [k for k in range(5) for _ in range(2)]
    for fold, run in enumerate(together):
        tried = planted[2 * fold : 2 * fold + 2]
        best = min(tried, key=lambda one: abs(math.log10(one["lr"]) + 3))
        assert f"dataset.validation_fold={fold}" in run.words
        lr = next(word for word in run.words if word.startswith("module.lr="))
        assert float(lr.partition("=")[2]) == best["lr"]
        assert run.folder == Path(tmp_path) / f"fold{fold}" / "best"


def known_score(words, place, score, trial):
    """A training whose score is known; in a worker."""
    said = dict(word.split("=") for word in words)
    lr = float(said["module.lr"])
    if lr > 1e-2:  # given up after its first report
        trial.report(-9.0, 0)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.report(1 - abs(math.log10(lr) + 3), 0)
    (place / "worker").write_text(str(os.getpid()))
    return 1 - abs(math.log10(lr) + 3)


def killed(words, place, score, trial):
    os.kill(os.getpid(), signal.SIGKILL)


def refused(words, place, score, trial):
    raise ConfigError("nothing can be trained so")


def test_workers_end_as_many_trials_as_asked_and_share_one_study(
    words, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(module, "_trial", known_score)
    best = sweep([*words, VARIED[0]], tmp_path, trials=9, workers=2)
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert sorted(int(row["trial"]) for row in rows) == list(range(9))
    whole = [row for row in rows if row["state"] == "complete"]
    for row in whole:
        wanted = 1 - abs(math.log10(float(row["module.lr"])) + 3)
        assert float(row["val/f1_macro"]) == pytest.approx(wanted)
    top = max(whole, key=lambda row: float(row["val/f1_macro"]))
    assert float(dict(w.split("=") for w in best)["module.lr"]) == float(top["module.lr"])
    pids = {path.read_text() for path in tmp_path.glob("trial*/worker")}
    assert len(pids) == 2
    assert str(os.getpid()) not in pids
    capsys.readouterr()
    sweep([*words, VARIED[0]], tmp_path, trials=9, workers=2)
    assert "trial " not in capsys.readouterr().err  # nothing to do


def test_a_killed_worker_ends_the_sweep_which_then_goes_on(words, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_trial", killed)
    with pytest.raises(TrainingError, match="the same command goes on"):
        sweep([*words, VARIED[0]], tmp_path, trials=3, workers=2)
    assert not multiprocessing.active_children()
    monkeypatch.setattr(module, "_trial", known_score)
    sweep([*words, VARIED[0]], tmp_path, trials=3, workers=2)
    assert len(list(csv.DictReader((tmp_path / "trials.csv").open()))) == 3


def test_what_a_worker_refuses_is_said_in_one_line(words, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_trial", refused)
    with pytest.raises(ConfigError, match="nothing can be trained so"):
        sweep([*words, VARIED[0]], tmp_path, trials=3, workers=2)
    with pytest.raises(ConfigError, match="0 workers train nothing"):
        sweep([*words, VARIED[0]], tmp_path, trials=3, workers=0)


@pytest.mark.slow
def test_real_trials_in_workers(words, tmp_path):
    args = ["sweep", *words, "module.lr=0.001,0.01", "--trials", "4", "--workers", "2"]
    assert main([*args, "-o", str(tmp_path)]) == 0
    assert len(list(csv.DictReader((tmp_path / "trials.csv").open()))) == 4
    assert all((tmp_path / f"trial{k}" / "metrics.csv").exists() for k in range(4))


def test_a_real_trial_looks_at_the_valid_side_only(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Results, "write", lambda *_: pytest.fail("something was scored"))
    assert (
        main(["sweep", *words, "module.lr=0.001,0.01", "--trials", "1", "-o", str(tmp_path)]) == 0
    )
    rows = list(csv.DictReader((tmp_path / "trial0" / "metrics.csv").open()))
    valid = [float(row["val/f1_macro"]) for row in rows if row.get("val/f1_macro")]
    [trial] = csv.DictReader((tmp_path / "trials.csv").open())
    assert float(trial["val/f1_macro"]) == pytest.approx(max(valid))
    assert not any(key.startswith("test") for key in rows[0])
    assert not (tmp_path / "trial0" / "checkpoints").exists()


def test_what_is_worse_than_the_median_is_given_up(words, tmp_path):
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(1, 0)
    )  # a study whose first trial was perfect
    first = study.ask()
    for epoch in range(3):
        first.report(2.0, epoch)
    study.tell(first, 2.0)
    cfg = module.configure(
        [*words, "trainer.max_epochs=3", "early_stopping.monitor=val/f1_macro",
         "early_stopping.mode=max"], tmp_path / "run",
    )  # fmt: skip
    with pytest.raises(optuna.TrialPruned):
        module.train(cfg, "val/f1_macro", study.ask())
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert {row["epoch"] for row in rows if row.get("val/f1_macro")} == {"0"}
