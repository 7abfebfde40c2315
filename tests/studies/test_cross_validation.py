"""A cross-validation is a study: one folder, several seeds, tables, a report. Trainings are planted."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from planted_scores import answers, results
from scipy import stats
from sklearn.metrics import accuracy_score

from erc.__main__ import main
from erc.base.errors import ConfigError
from erc.base.files import write_json
from erc.base.space import KEMDY
from erc.corpora import simulated
from erc.scores.results import Results
from erc.scores.scored import pool, read, write
from erc.studies import folds as studies_folds
from erc.studies.cross_validation import cross_validate
from erc.studies.study_tables import Table

LABELS = dict.fromkeys(KEMDY.emotions, 1 / 7)
DATA = {
    "sides": {
        side: {"n": 42, "minutes": 2.0, "speakers": 6, "sessions": 3, "ties": 1,
               "labels": dict.fromkeys(("votes", "PeakL", "majority"), LABELS)}
        for side in ("train", "test")
    },
    "dropped": {}, "corrected": {}, "examples": {}, "agreement": [], "erc": "0",
}  # fmt: skip


def said(seed, fold):
    """What the model of a seed says of a fold: 30 to 35 of 42 right."""
    return answers(42, right=30 + 2 * seed + fold, seed=seed, fold=fold)


@pytest.fixture
def words(tmp_path):
    root = tmp_path / "corpus"
    simulated.write_tree(root, "kemdy19", sessions=4, utterances=3, seed=0, defects=False)
    return ["experiment=sharpen", f"dataset.paths={root}"]


@pytest.fixture
def trained(monkeypatch):
    """Trainings are planted; which were made."""
    made = []

    def run(words, folder):
        given = dict(w.split("=", 1) for w in words)
        seed, fold = int(given.get("seed", 0)), int(given["dataset.validation_fold"])
        made.append((seed, fold))
        rows = [said(seed, fold), answers(42, 6, 0, "baseline: most frequent", fold)]
        write(folder / "predictions.csv", rows)
        found = replace(results(*rows, fold=fold, folds=2, seed=seed), simulated=False)
        found.write(folder / "results.json")
        write_json(folder / "data.json", DATA)
        (folder / "metrics.csv").write_text("epoch,step,val/loss\n0,1,1.5\n1,2,1.0\n")

    monkeypatch.setattr(studies_folds, "run", run)
    return made


@pytest.fixture
def study(words, trained, tmp_path):
    folder = tmp_path / "study"
    typed = ["erc", "cross-validate", *words, "seeds=3"]
    return folder, cross_validate([*words, "seeds=3"], folder, command=typed)


def test_every_seed_trains_every_fold_and_is_in_the_interval(study, trained):
    _, summary = study
    assert trained == [(seed, fold) for seed in range(3) for fold in range(2)]
    alone = [pool([said(seed, fold) for fold in range(2)]) for seed in range(3)]
    each = np.array([accuracy_score(x.label, x.predicted) for x in alone])
    for seed, score in enumerate(each):
        assert summary.seeds[seed]["speech + text"]["accuracy"] == pytest.approx(score)
    found = summary.fullest["accuracy"]
    assert found.value == pytest.approx(each.mean())
    # Jackknife over 12 speakers, variance of a mean of three seeds, Welch–Satterthwaite, written out.
    whole = pool(alone)
    right = whole.label == whole.predicted
    without = [right[whole.speaker != s].mean() for s in sorted(set(whole.speaker))]
    cluster, seeds = np.sum((without - np.mean(without)) ** 2), each.var(ddof=1) / 3
    degrees = (cluster + seeds) ** 2 / (cluster**2 / (len(without) - 1) + seeds**2 / 2)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(cluster + seeds)
    assert (found.low, found.high) == pytest.approx(
        (found.value - half, min(1, found.value + half)), abs=1e-9
    )
    assert summary.n == 84


def test_the_folder_holds_answers_tables_and_the_command(study):
    folder, _ = study
    rows = read(folder / "predictions.csv")["speech + text"]
    assert len(rows) == 3 * 84
    written = json.loads((folder / "results.json").read_text("utf-8"))
    assert written["command"].startswith("erc cross-validate ")
    assert written["command"].endswith("seeds=3")
    assert set(written["seeds"]) == {"0", "1", "2"}
    matrix = [line.split(",") for line in (folder / "confusion.csv").read_text().splitlines()]
    assert matrix[0] == ["rated", *KEMDY.emotions]
    assert (
        sum(int(line[k + 1]) for k, line in enumerate(matrix[1:]))
        == (rows.label == rows.predicted).sum()
    )
    text = (folder / "tables.md").read_text("utf-8")
    assert "| 2 | 1 | 42 | 6 |" in text  # seed, fold, utterances, speakers
    speakers = set(re.findall(r"^\| (\d+) \| 21 \|", text, re.MULTILINE))  # 7 utterances × 3 seeds
    assert speakers == set(rows.speaker)
    latex = (folder / "tables.tex").read_text("utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == text.count("\n## ")
    assert r"95 \% intervals over speakers and seeds" in latex
    body = re.sub(r"\\[%&$#_{}]|^%.*$", "", latex, flags=re.MULTILINE)
    assert not set("%#_") & set(body)


def test_one_page_shows_all_folds(study, capsys):
    pytest.importorskip("jinja2")
    folder, summary = study
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text("utf-8")
    assert "each of 2 folds in turn, with 3 seeds" in page
    assert "252" not in page.split("</header>")[0]  # 84 utterances were held out, not 3 × 84
    assert f"{summary.fullest['f1_macro'].value:.3f}" in page
    assert "Not shown: each fold has a feature space of its own" in page
    assert "T = " not in page
    assert page.count("<svg") >= 4
    found = Results.read(folder)
    assert found.margins["f1_macro"].baseline == "baseline: most frequent"
    assert (found.fold, found.seeds, found.n) == (-1, 3, 84)


def test_a_stopped_study_goes_on_with_what_is_missing(
    words, trained, tmp_path, monkeypatch, capsys
):
    folder, plant = tmp_path / "study", studies_folds.run

    def stopped(words, where):
        if where.name == "fold1":
            raise SystemExit(130)
        plant(words, where)

    monkeypatch.setattr(studies_folds, "run", stopped)
    with pytest.raises(SystemExit) as caught:
        cross_validate(words, folder)
    assert caught.value.code == 130
    assert f"goes on with the same command and -o {folder}" in capsys.readouterr().err
    assert not (folder / "results.json").exists()
    monkeypatch.setattr(studies_folds, "run", plant)
    summary = cross_validate(words, folder)
    assert trained == [(0, 0), (0, 1)]
    assert list(summary.seeds) == [0]


@pytest.mark.parametrize("seeds", ["0", "-1", "many", ""])
def test_seeds_are_counted_from_one(words, tmp_path, seeds):
    with pytest.raises(ConfigError, match=r"seeds=.*give how many"):
        cross_validate([*words, f"seeds={seeds}"], tmp_path / "study")


def test_what_latex_would_read_is_escaped():
    table = Table("50 % & more", ["", "a_b"], [[r"x\y", "{#1} ~ ^ $"]])
    assert r"50 \% \& more" in table.latex()
    assert (
        r"x\textbackslash{}y & \{\#1\} \textasciitilde{} \textasciicircum{} \$ \\" in table.latex()
    )
    assert "a|b".replace("|", "\\|") in Table("t", ["", "a|b"], []).markdown()
