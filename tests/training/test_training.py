from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.metrics import f1_score

from erc.base.errors import ConfigError
from erc.scores.results import Results
from erc.scores.scored import read
from erc.scores.tables import results_table
from erc.studies.experiment import evaluate, new_folder
from erc.studies.experiment import run as train
from erc.training import run as training
from erc.training import schedules
from erc.training.assembly import Assembly
from erc.training.config import compose
from erc.training.features import run as forward
from erc.training.task import make_task, parameter_groups
from erc.training.trainer import make_trainer

QUICK = [
    "model=tiny", "trainer.accelerator=cpu", "trainer.max_epochs=1",
    "trainer.enable_progress_bar=false", "export=false",
]  # fmt: skip


def parts(kemdy19, *overrides):
    return Assembly(compose([f"dataset.paths={kemdy19}", *QUICK, "run_dir=x", *overrides]))


def test_a_run_leaves_everything_behind(run):
    names = {p.name for p in run.iterdir()}
    assert {
        "config.yaml",
        "metrics.csv",
        "checkpoints",
        "model",
        "results.json",
        "predictions.csv",
    } <= names
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {"model.safetensors", "config.json", "README.md", "tokenizer"} <= {
        p.name for p in (run / "model").iterdir()
    }
    assert "val/f1_macro" in pd.read_csv(run / "metrics.csv")


def test_results_are_those_of_the_predictions_file(run):
    results = Results.read(run)
    frame = pd.read_csv(run / "predictions.csv")
    assert results.protocol == "strict"
    assert results.simulated
    models = {name for name, system in results.systems.items() if not system.baseline}
    assert models == {"speech", "text", "speech + text"}
    assert results.fullest.name == "speech + text"
    assert 0 < results.human["accuracy"] <= 1
    for system, part in frame.groupby("system"):
        assert len(part) == results.n
        theirs = f1_score(part.emotion, part.predicted, average="macro", zero_division=0)
        score = results.systems[system]["f1_macro"]
        assert score.value == pytest.approx(theirs)
        assert score.low <= score.high
    p = frame[[c for c in frame if c.startswith("p_")]].to_numpy()
    assert p.sum(1) == pytest.approx(np.ones(len(p)), abs=1e-4)


def test_a_strict_run_is_calibrated_and_stands_beside_panels(run):
    results = Results.read(run)
    meta = json.loads((run / "model" / "config.json").read_text("utf-8"))["meta"]
    assert meta["results"]["calibrated"] == results.calibrated == (results.temperature != 1)
    assert list(results.panels.sizes) == list(range(1, 10))  # ten raters
    one, panel = results.human["ccc_valence"], results.panels.sizes[1]["ccc_valence"].value
    assert one == pytest.approx(panel)
    assert set(results.panels.worth) == {"speech", "text", "speech + text"}


def test_baselines_stand_below_the_model_with_a_paired_margin(run):
    results = Results.read(run)
    rivals = [system for system in results.systems.values() if system.baseline]
    assert [r.name for r in rivals] == [
        "baseline: most frequent", "baseline: sentence look-up", "baseline: duration and level"
    ]  # fmt: skip
    said = read(run / "predictions.csv")
    for metric, margin in results.margins.items():
        best = max(rivals, key=lambda r: r.scores[metric])
        assert margin.baseline == best.name
        assert margin.value == pytest.approx(results.fullest.scores[metric] - best.scores[metric])
        gap = said["speech + text"].minus(said[best.name], [metric])[metric]
        assert (margin.low, margin.high) == pytest.approx((gap.low, gap.high), abs=1e-4)
    assert "minus the strongest baseline" in results_table(results)


def test_paper_fits_nothing_but_the_stopping_on_the_held_out_fold(kemdy19, tmp_path):
    """The labels of the valid side are never read: no temperature, and the card says so."""
    words = [f"dataset.paths={kemdy19}", *QUICK, "dataset.protocol=paper", "trainer.max_epochs=1"]
    results = train(words, tmp_path / "run")
    assert (results.temperature, results.calibrated) == (1.0, False)
    assert "not calibrated" in (tmp_path / "run" / "model" / "README.md").read_text("utf-8")


def test_evaluating_again_gives_the_same(run, tmp_path):
    first = Results.read(run)
    again = evaluate(str(run), output=str(tmp_path))
    for system in ("speech", "text", "speech + text"):
        expected = first.systems[system].scores
        assert again.systems[system].scores == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert (tmp_path / "predictions.csv").is_file()


def test_every_trainable_parameter_is_in_exactly_one_group(kemdy19):
    model = parts(kemdy19).model
    groups = parameter_groups(model, 1e-4, {"speech": 1e-5, "head": 1e-3}, 0.01)
    found = [id(p) for g in groups for p in g["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    rate = {id(p): g["lr"] for g in groups for p in g["params"]}

    def rates(*modules):
        return {rate[id(p)] for m in modules for p in m.parameters() if p.requires_grad}

    assert rates(model.speech, model.text) == {1e-5}  # encoders, with and without an entry
    assert rates(model.head) == {1e-3}
    # The published optimiser forgot the projectors.
    assert rates(*(b.projector for b in model.branches.values())) == {1e-4}


def test_an_unknown_part_is_refused(kemdy19):
    with pytest.raises(ConfigError, match="did you mean 'speech'"):
        parameter_groups(parts(kemdy19).model, 1e-4, {"speach": 1e-5}, 0.0)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_step_moves_what_it_should_and_nothing_else(kemdy19, frozen):
    p = parts(kemdy19, f"model.freeze_speech={frozen}", f"model.freeze_text={frozen}")
    assert set(p.tables) == ({"speech", "text"} if frozen else set())
    before = {k: v.clone() for k, v in p.model.state_dict().items()}
    optimizer = torch.optim.SGD(p.model.parameters(), lr=1.0)
    p.model.train()
    batch = next(iter(p.loader("train")))
    output = forward(p.model, batch, p.tables)
    p.loss(output, batch.target, batch.dimensions).total.backward()
    optimizer.step()
    moved = {k for k, v in p.model.state_dict().items() if not torch.equal(v, before[k])}
    assert any("projector" in k for k in moved)
    assert any(".encoder." in k for k in moved) is not frozen
    assert not any("standardize" in k for k in moved)


def test_known_features_give_what_the_encoders_give(kemdy19):
    frozen = parts(kemdy19, "model.freeze_speech=true", "model.freeze_text=true")
    frozen.model.eval()
    rows = next(iter(frozen.loader("valid")))
    with torch.no_grad():
        quick = forward(frozen.model, rows, frozen.tables)
        frozen.collate.pooled = frozenset()
        examples = {
            e.row: e for e in (frozen.sides["valid"][i] for i in range(len(frozen.sides["valid"])))
        }
        slow = forward(frozen.model, frozen.collate([examples[r] for r in rows.rows.tolist()]))
    assert torch.allclose(quick.logits, slow.logits, atol=1e-5)


def test_frozen_features_are_standardised_on_the_training_side(kemdy19):
    p = parts(kemdy19, "model.freeze_speech=true")
    rows = p.sides["train"].rows
    z = p.model.branches["speech"].standardize(p.tables["speech"][rows])
    assert z.mean(0).abs().max() < 1e-3
    assert not p.model.branches["text"].standardize.mean.any()


def test_a_finished_run_goes_on_with_more_epochs_if_asked(kemdy19, tmp_path, capsys):
    words = [f"dataset.paths={kemdy19}", *QUICK[:2], *QUICK[3:], "dataset.num_data=8"]
    whole = train([*words, "trainer.max_epochs=1"], tmp_path / "half")
    more = ["trainer.max_epochs=2", f"ckpt_path={tmp_path / 'half'}"]
    with pytest.raises(ConfigError, match="max_epochs: 1 there, 2 here"):
        train([*words, *more], tmp_path / "resumed")
    resumed = train([*words, *more, "resume_anyway=true"], tmp_path / "resumed")
    end = torch.load(tmp_path / "resumed" / "checkpoints" / "last.ckpt", weights_only=True)
    assert end["epoch"] == 1
    assert resumed.n == whole.n
    meta = json.loads((tmp_path / "resumed" / "model" / "config.json").read_text("utf-8"))["meta"]
    assert meta["effort"]["resumed"] == ["trainer.max_epochs: 1 there, 2 here"]
    card = (tmp_path / "resumed" / "model" / "README.md").read_text("utf-8")
    assert "trainer.max_epochs: 1 there, 2 here" in card


def test_the_trainer_takes_lightnings_options_and_no_others(tmp_path):
    options = ["trainer.accelerator=cpu", "trainer.precision=32-true"]
    cfg = compose(["trainer.limit_val_batches=2", f"run_dir={tmp_path}", *options])
    assert make_trainer(cfg, tmp_path).limit_val_batches == 2
    cfg = compose(["trainer.max_epoch=2", f"run_dir={tmp_path}"])
    with pytest.raises(ConfigError, match="did you mean 'max_epochs'"):
        make_trainer(cfg, tmp_path)


def test_runs_of_the_same_second_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len({new_folder("x") for _ in range(5)}) == 5


def shares(schedule, steps=100, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedule(optimizer, steps, **options)
    found = []
    for _ in range(steps + 5):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_cosine_with_warmup_is_its_formula():
    found = shares(schedules.cosine_warmup, warmup=0.1, floor=0.2)
    assert found[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    done = (np.arange(10, 100) / 100 - 0.1) / 0.9
    assert found[10:100] == pytest.approx(0.2 + 0.8 * 0.5 * (1 + np.cos(np.pi * done)))
    assert found[100:] == pytest.approx([0.2] * 5)  # never a new cycle after the planned end


def test_restarts_repeat_the_cycle():
    found = shares(schedules.cosine_warmup_restarts, steps=90, warmup=0.1, cycles=3)
    assert found[:30] == found[30:60] == found[60:90]


def test_reduce_plateau_waits_for_the_metric():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = schedules.reduce_plateau(optimizer, 10, factor=0.5, patience=1)
    for loss in (1.0, 1.0, 1.0):
        scheduler.step(loss)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_batches_of_equal_audio_weigh_their_loss(kemdy19, tmp_path, monkeypatch, capsys):
    p = parts(kemdy19, "dataloader.batch_seconds=12", "model.dropout=0", "model.modality_dropout=0")
    task = make_task(p.cfg, p)
    task.trainer = SimpleNamespace(log_every_n_steps=10**9, global_step=0)
    sizes = set()
    for batch in p.loader("train"):
        task.model.eval()
        loss = task.loss(forward(task.model, batch), batch.target, batch.dimensions).total
        size = len(batch.rows)
        expected = float(loss) * size * len(p.loader("train")) / len(p.sides["train"])
        assert float(task.training_step(batch, 0)) == pytest.approx(expected, rel=1e-5)
        sizes.add(size)
    assert len(sizes) > 1
    overrides = [f"dataset.paths={kemdy19}", *QUICK, "dataloader.batch_seconds=12"]
    kept = []
    monkeypatch.setattr(training, "keep_copy", lambda *given: kept.append(given) or "a copy")
    assert (
        train([*overrides, "trainer.precision=bf16-mixed", "export=auto"], tmp_path / "run").n > 0
    )
    assert kept == [(tmp_path / "run" / "model", "auto")]  # the copy without torch
    assert "a copy" in capsys.readouterr().out
    assert OmegaConf.load(tmp_path / "run" / "config.yaml").trainer.precision == "bf16-mixed"
