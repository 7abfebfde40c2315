"""Folds are trained once, known by what made them, and scored together: on real, small trainings."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from erc.base.errors import ConfigError
from erc.corpora import simulated
from erc.scores.results import Results
from erc.studies import folds as studies_folds
from erc.studies.cross_validation import cross_validate
from erc.studies.folds import folds, train
from erc.studies.reproduction import train_all
from erc.studies.reproduction_table import Row
from erc.training.task import EmotionTask

SEED = 3


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four simulated sessions of ten utterances without defects: what was said is known."""
    root = tmp_path_factory.mktemp("folds") / "corpus"
    simulated.write_tree(root, "kemdy19", sessions=4, utterances=10, seed=SEED, defects=False)
    return root


@pytest.fixture(scope="module")
def words(corpus):
    """Two folds of two sessions each; two epochs over frozen tiny encoders."""
    return ["experiment=sharpen", f"dataset.paths={corpus}", "trainer.max_epochs=2"]


@pytest.fixture(scope="module")
def study(words, tmp_path_factory):
    """A finished cross-validation: its folder and its summary."""
    folder = tmp_path_factory.mktemp("study")
    return folder, cross_validate(words, folder)


@pytest.fixture
def copy(study, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(study[0], tmp_path / "study")


@pytest.fixture
def untouched(monkeypatch):
    """Training fails the test."""
    monkeypatch.setattr(studies_folds, "run", lambda *a: pytest.fail("trained again"))


def predictions(folder):
    parts = [pd.read_csv(folder / f"fold{k}" / "predictions.csv") for k in range(2)]
    return parts, pd.concat(parts)


def test_every_utterance_is_held_out_once_with_its_own_truth(study):
    parts, frame = predictions(study[0])
    sessions = [set(part.session) for part in parts]
    assert [len(s) for s in sessions] == [2, 2]
    assert not sessions[0] & sessions[1]
    planted = [simulated.latents("kemdy19", number, 10, SEED) for number in range(1, 5)]
    valence = {i: v for session in planted for i, v in zip(session.ids, session.valence)}
    for _, rows in frame.groupby("system"):
        assert sorted(rows.id) == sorted(valence)
        felt = [valence[i] for i in rows.id]
        assert np.corrcoef(felt, rows.valence)[0, 1] > 0.9  # ten raters heard what was felt


def test_pooled_scores_are_those_of_all_predictions_together(study):
    folder, summary = study
    parts, frame = predictions(folder)
    assert set(summary.pooled) == set(frame.system) > {"speech", "text", "speech + text"}
    for name, rows in frame.groupby("system"):
        found = summary.pooled[name]
        label, said = rows.emotion, rows.predicted
        assert found["accuracy"].value == pytest.approx(accuracy_score(label, said))
        assert found["uar"].value == pytest.approx(balanced_accuracy_score(label, said))
        for kind in ("macro", "weighted"):
            theirs = f1_score(label, said, average=kind, zero_division=0)
            assert found[f"f1_{kind}"].value == pytest.approx(theirs)
        for dimension in ("valence", "arousal"):
            x, y = rows[dimension], rows[f"predicted_{dimension}"]
            apart = x.var(ddof=0) + y.var(ddof=0) + (x.mean() - y.mean()) ** 2
            ccc = 2 * np.cov(x, y, bias=True)[0, 1] / apart  # Lin 1989
            assert found[f"ccc_{dimension}"].value == pytest.approx(ccc, abs=1e-5)
        each = [
            f1_score(p.emotion, p.predicted, average="macro", zero_division=0)
            for p in (part[part.system == name] for part in parts)
        ]
        assert summary.systems[name].mean["f1_macro"] == pytest.approx(np.mean(each))
        assert summary.systems[name].std["f1_macro"] == pytest.approx(np.std(each, ddof=1))
    assert summary.n == len(frame) / len(summary.systems)
    written = json.loads((folder / "results.json").read_text())
    assert written["pooled"]["text"]["uar"] == summary.pooled["text"]["uar"].value


def test_a_finished_fold_is_not_trained_again(study, words, untouched):
    again = cross_validate([*words, "dataset.num_proc=1"], study[0])
    assert json.dumps(again.to_json()) == json.dumps(study[1].to_json())


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("module.lr=0.5", "module.lr: 0.001 there, 0.5 here"),
        ("model.fusion_options.depth=1", "model.fusion_options.depth: 2 there, 1 here"),
        ("seed=7", "seed: 0 there, 7 here"),
    ],
)
def test_a_fold_of_other_settings_is_refused_by_name(study, words, untouched, override, says):
    with pytest.raises(
        ConfigError, match=f"fold0 was made from something else .{says}.: delete it"
    ):
        cross_validate([*words, override], study[0])


def test_a_fold_of_other_data_or_code_is_refused_by_name(copy, words, untouched, tmp_path):
    simulated.write_tree(
        tmp_path / "other", sessions=4, utterances=10, seed=SEED + 1, defects=False
    )
    with pytest.raises(ConfigError, match=r"\(data: kemdy19-\w+ there, kemdy19-\w+ here\)"):
        cross_validate([*words, f"dataset.paths={tmp_path / 'other'}"], copy)
    record = json.loads((copy / "fold1" / "fold.json").read_text())
    record["identity"]["erc"] = "0.0.1"
    (copy / "fold1" / "fold.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match=r"fold1 .*erc: 0\.0\.1 there"):
        cross_validate(words, copy)


def test_results_that_nobody_knows_the_origin_of_are_refused(copy, words, untouched):
    (copy / "fold0" / "fold.json").unlink()
    with pytest.raises(ConfigError, match=r"no fold\.json that says what made them"):
        cross_validate(words, copy)


def test_a_stopped_fold_goes_on_from_its_last_checkpoint(words, tmp_path, monkeypatch):
    epochs, power = [], True

    def start(task):
        if power and task.current_epoch == 1:
            raise RuntimeError("power cut")
        epochs.append(task.current_epoch)

    monkeypatch.setattr(EmotionTask, "on_train_epoch_start", start)
    fold = folds(words, tmp_path)[0]
    with pytest.raises(RuntimeError, match="power cut"):
        fold.train()
    assert not fold.finished()
    power = False
    assert [done for done, _ in train([fold], keep_weights=False)] == [fold]
    assert epochs == [0, 1]  # the first epoch was not trained again
    assert fold.finished()
    assert Results.read(fold.folder).n == 20
    assert not (fold.folder / "checkpoints").exists()


def test_a_row_of_the_papers_table_is_such_a_study(study, words, untouched, tmp_path, capsys):
    row = Row("fixed", "tensor mixer", "PeakL", tuple(words), study[0])
    train_all([row], tmp_path, workers=2)
    assert capsys.readouterr().out == "2 runs, 2 finished before\n"


@pytest.mark.slow
def test_workers_find_what_one_process_finds(study, words, tmp_path, capsys):
    row = Row("fixed", "tensor mixer", "PeakL", tuple(words), tmp_path)
    train_all([row], tmp_path, workers=2)
    assert re.search(
        r"2/2  fixed   tensor mixer, PeakL .*F1 weighted 0\.\d+", capsys.readouterr().out
    )
    for one, other in zip(predictions(study[0])[0], predictions(tmp_path)[0], strict=True):
        pd.testing.assert_frame_equal(one, other, atol=1e-6)
    assert "held out" in (tmp_path / "fold1" / "log.txt").read_text()
    assert not (tmp_path / "fold0" / "model").exists()
