"""Finished runs opened again: one made before the files of erc moved, and one with mistyped keys."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from erc.__main__ import main
from erc.scores.results import Results
from erc.training.config import make
from erc.training.schedules import cosine_warmup

OLD = Path(__file__).parents[1] / "data" / "before_the_move"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """What `erc evaluate` writes of the old run today, on its corpus simulated anew."""
    folder = tmp_path_factory.mktemp("old")
    words = [f"dataset.paths={folder / 'corpus'}", f"cache={folder / 'cache'}"]
    assert main(["evaluate", str(OLD), *words, "-o", str(folder / "out")]) == 0
    return folder / "out"


def test_a_run_made_before_the_move_scores_as_it_did(evaluated):
    stored, found = Results.read(OLD), Results.read(evaluated)
    assert found.n == stored.n == 23
    assert found.temperature == stored.temperature
    models = [name for name, system in found.systems.items() if not system.baseline]
    assert models == list(stored.systems)  # baselines came later
    for name, system in stored.systems.items():
        for metric in system.scores:
            # Of entropies that hardly vary, a correlation shows the last bits of the answers.
            within = 1e-3 if metric == "entropy_correlation" else 1e-6
            ours, theirs = found.systems[name][metric], system[metric]
            expected = pytest.approx(theirs.value, abs=within, nan_ok=True)
            assert ours.value == expected, (name, metric)  # intervals are made in another way since
    both = found.human.scores.keys() & stored.human.scores.keys()
    assert {"accuracy", "f1_macro", "ccc_arousal"} <= both
    for metric in both - {m for m in both if m.startswith(("js_", "brier"))}:  # no single vote can
        expected = pytest.approx(stored.human.scores[metric], abs=1e-9, nan_ok=True)
        assert found.human.scores[metric] == expected, metric


def test_each_of_its_answers_is_the_stored_one(evaluated):
    stored, found = (pd.read_csv(f / "predictions.csv") for f in (OLD, evaluated))
    found = found[found.system.isin(set(stored.system))].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[stored.columns], stored, atol=2e-6, check_dtype=False)


def test_its_report_shows_the_stored_numbers(tmp_path):
    pytest.importorskip("jinja2")
    run = shutil.copytree(OLD, tmp_path / "run")
    for file in run.glob("embedding.*"):  # as old as the scores, whatever git made of their times
        os.utime(file)
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text("utf-8")
    for system in Results.read(OLD).systems.values():
        for metric in ("accuracy", "f1_macro", "ccc_valence"):
            assert f"{system[metric].value:.3f}" in page


def test_its_schedule_is_found_under_the_new_name():
    cfg = OmegaConf.load(OLD / "config.yaml")
    assert cfg.scheduler._target_ == "erc.schedules.cosine_warmup"
    assert make(cfg.scheduler).func is cosine_warmup


@pytest.mark.parametrize("typo", ["adaptaton=speaker", "datset.validation_fold=0"])
def test_a_mistyped_key_is_refused_in_one_line(typo, capsys):
    with pytest.raises(SystemExit) as error:
        main(["evaluate", str(OLD), typo])
    said = capsys.readouterr()
    assert error.value.code == 2
    assert said.out == ""
    assert said.err.startswith("ConfigError: the run has no key")
    assert "did you mean" in said.err
    assert said.err.count("\n") == 1
