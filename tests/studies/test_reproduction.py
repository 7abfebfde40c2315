"""The paper's table: its plan, and its statistics on folds whose truth is planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError, CorpusError
from erc.base.files import write_json
from erc.corpora import simulated as synthetic
from erc.scores.metrics import evaluate
from erc.studies.reproduction import (
    FUSIONS,
    PROTOCOLS,
    TARGETS,
    Row,
    is_kemdy,
    plan,
    reproduce,
    train_all,
)
from erc.studies.reproduction_table import METRICS, compare, markdown, scores
from erc.training.config import compose


def random_scores(n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    p = rng.dirichlet(np.ones(7), n)
    va, rated = rng.uniform(1, 5, (2, n, 2))
    label = rng.integers(-1, 7, n)
    rated[::7] = np.nan
    return p, va, rng.dirichlet(np.ones(7), n), label, rated


def write_fold(folder: Path, right: float, fold: int, seed: int) -> None:
    """Predictions of 60 utterances of three speakers; a share `right` is correct."""
    truth = np.random.default_rng(fold).integers(7, size=60)
    hit = np.random.default_rng([seed, fold]).random(60) < right
    guess = np.where(hit, truth, (truth + 1) % 7)
    rated = np.random.default_rng(fold).uniform(1, 5, (60, 2))
    words, p, votes = np.array(EMOTIONS), np.eye(7)[guess], np.eye(7)[truth]
    frame = pd.DataFrame({"system": "speech + text", "id": [f"{fold}-{i:02d}" for i in range(60)]})
    frame["speaker"], frame["emotion"] = [f"{fold}{i % 3}" for i in range(60)], words[truth]
    for k, e in enumerate(EMOTIONS):
        frame[f"p_{e}"], frame[f"votes_{e}"] = p[:, k], votes[:, k]
    for k, e in enumerate(("valence", "arousal")):
        frame[e] = frame[f"predicted_{e}"] = rated[:, k]
    folder.mkdir(parents=True)
    frame.to_csv(folder / "predictions.csv", index=False)
    found = evaluate(p, rated, votes, truth, rated)
    both = {"speech + text": found, "human ceiling": dict.fromkeys(found)}
    write_json(folder / "results.json", {"simulated": True, "n": 60, "scores": both})


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    found = []
    for seed, (fusion, target, right) in enumerate(
        [("concat", "soft", 0.5), ("concat", "PeakL", 0.52), ("tensor mixer", "soft", 0.9)]
    ):
        place = tmp_path / f"{fusion}-{target}"
        for fold in range(5):
            write_fold(place / f"fold{fold}", right, fold, seed)
        found.append(Row("paper", fusion, target, ("x=1",), place))
    return found


def test_a_real_difference_and_noise(rows: list[Row]) -> None:
    part = compare(rows)["protocols"]["paper"]
    pairs = {(p["a"], p["b"]): p["metrics"]["f1_weighted"] for p in part["pairs"]}
    assert set(pairs) == {("concat, soft", "concat, PeakL"), ("concat, soft", "tensor mixer, soft")}
    assert pairs["concat, soft", "concat, PeakL"]["within_noise"]
    real = pairs["concat, soft", "tensor mixer, soft"]
    assert not real["within_noise"]
    assert real["difference"] == pytest.approx(-0.4, abs=0.1)
    assert real["p_t"] < 0.05


def test_mean_and_deviation_are_those_of_the_folds(rows: list[Row]) -> None:
    results = compare(rows)
    entry = results["protocols"]["paper"]["rows"][2]
    folds = pd.Series(entry["folds"]["f1_macro"])
    assert len(folds) == 5
    assert entry["mean"]["f1_macro"] == pytest.approx(folds.mean())
    assert entry["std"]["f1_macro"] == pytest.approx(folds.std())
    assert results["n"] == 300


def test_the_report_says_what_it_is(rows: list[Row]) -> None:
    text = markdown(compare(rows))
    assert "not comparable with the published" in text
    for figure in ("0.844 ± 0.015", "0.851", "0.813", "0.857", "0.578", "0.709", "0.693", "**~**"):
        assert figure in text
    assert "| one rater against the others | – |" in text  # nobody rated these twice


def test_scores_equal_evaluate() -> None:
    arrays = random_scores(200, np.random.default_rng(0))
    weights = np.random.default_rng(1).integers(0, 3, (4, 200)).astype(float)
    for w in (None, weights):
        ours, all_of_them = scores(*arrays, weights=w), evaluate(*arrays, weights=w)
        assert set(ours) == set(METRICS)
        for name in METRICS:
            np.testing.assert_allclose(ours[name], all_of_them[name])


@pytest.mark.parametrize("real", [True, False])
def test_every_run_of_the_plan_is_a_valid_configuration(tmp_path: Path, real: bool) -> None:
    common = ["dataset.paths=data"] if real else ["experiment=reproduce", "dataset.paths=x"]
    rows = plan(tmp_path, common, PROTOCOLS, real)
    assert len(rows) == len({r.folder for r in rows}) == 2 * len(FUSIONS) * len(TARGETS)
    for row in rows[:: 1 if real else 3]:
        cfg = compose(row.words)
        assert cfg.dataset.protocol == row.protocol
        assert cfg.model.target == TARGETS[row.target]
        assert cfg.model.freeze_speech == (not real)
    fusions = {compose(row.words).model.fusion for row in rows[:9]}
    assert fusions == {"tensor_mixer", "concat", "cross_attention"}


def test_finished_runs_are_not_run_again(rows: list[Row], capsys) -> None:
    train_all(rows, workers=1)  # would fail: x=1 is no key
    assert "15 runs, 15 finished before" in capsys.readouterr().out


def test_simulated_data_is_not_kemdy(tmp_path: Path) -> None:
    synthetic.write_tree(tmp_path / "data" / "synthetic", "kemdy19", 1, 2, 0)
    assert not is_kemdy(tmp_path / "data", required=False)
    assert not is_kemdy(tmp_path / "nowhere", required=False)
    with pytest.raises(CorpusError, match="nowhere does not exist"):
        is_kemdy(tmp_path / "nowhere", required=True)
    with pytest.raises(ConfigError, match="--fast"):
        reproduce(data="x", fast=True)
