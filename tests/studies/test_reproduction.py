"""The paper's table: its plan, and its statistics on folds whose truth is planted."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from planted_scores import answers, results
from sklearn.metrics import f1_score

from erc.base.errors import ConfigError, CorpusError, LabelError
from erc.corpora import simulated as synthetic
from erc.scores.scored import write
from erc.studies.reproduction import (
    FUSIONS,
    PROTOCOLS,
    TARGETS,
    is_kemdy,
    plan,
    reproduce,
)
from erc.studies.reproduction_table import METRICS, Row, compare, markdown
from erc.training.config import compose


def write_fold(folder: Path, right: int, fold: int, seed: int) -> None:
    """A fold of 60 utterances of three speakers, `right` of them correct."""
    said = answers(60, right, seed, fold=fold, speakers=3)
    human = dict.fromkeys(METRICS, math.nan)  # nobody rated these twice
    write(folder / "predictions.csv", [said])
    results(said, human=human, fold=fold).write(folder / "results.json")


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    found = []
    for seed, (fusion, target, right) in enumerate(
        [("concat", "soft", 30), ("concat", "PeakL", 31), ("tensor mixer", "soft", 54)]
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
    assert real["difference"] == pytest.approx(-0.4, abs=0.01)
    assert real["p_t"] < 0.05


def test_mean_and_deviation_are_those_of_the_folds(rows: list[Row]) -> None:
    found = compare(rows)
    entry = found["protocols"]["paper"]["rows"][2]
    f1 = []
    for fold in range(5):
        said = answers(60, 54, 2, fold=fold, speakers=3)
        f1.append(f1_score(said.label, said.predicted, average="macro"))
    assert entry["folds"]["f1_macro"] == pytest.approx(f1)
    assert entry["mean"]["f1_macro"] == pytest.approx(pd.Series(f1).mean())
    assert entry["std"]["f1_macro"] == pytest.approx(pd.Series(f1).std())
    assert found["n"] == 300


def test_rows_of_other_utterances_are_not_compared(rows: list[Row]) -> None:
    write(rows[0].folder / "fold0" / "predictions.csv", [answers(60, fold=9)])
    with pytest.raises(LabelError, match="not tested on the same utterances"):
        compare(rows)


def test_the_report_says_what_it_is(rows: list[Row]) -> None:
    text = markdown(compare(rows))
    assert "not comparable with the published" in text
    for figure in ("0.844 ± 0.015", "0.851", "0.813", "0.857", "0.578", "0.709", "0.693", "**~**"):
        assert figure in text
    assert "| one rater against the others | – |" in text  # nobody rated these twice


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


def test_simulated_data_is_not_kemdy(tmp_path: Path) -> None:
    synthetic.write_tree(tmp_path / "data" / "synthetic", "kemdy19", 1, 2, 0)
    assert not is_kemdy(tmp_path / "data", required=False)
    assert not is_kemdy(tmp_path / "nowhere", required=False)
    with pytest.raises(CorpusError, match="nowhere does not exist"):
        is_kemdy(tmp_path / "nowhere", required=True)
    with pytest.raises(ConfigError, match="--fast"):
        reproduce(data="x", fast=True)
