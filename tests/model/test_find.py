"""Which model is meant: by name, by the run that holds it, by $ERC_MODEL, else the newest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from erc.base.errors import CheckpointError
from erc.model.folder.find import choose, find_model, set_default


def model(folder: Path, age: float = 0) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", "utf-8")
    os.utime(folder / "config.json", (1e9 - age, 1e9 - age))
    return folder


@pytest.fixture(autouse=True)
def desk(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ERC_MODEL", raising=False)


def test_none_at_all():
    with pytest.raises(CheckpointError, match="make demo"):
        find_model()
    with pytest.raises(CheckpointError, match="nowhere"):
        find_model("nowhere")


def test_a_run_stands_for_its_model():
    inside = model(Path("runs/demo/run/model"))
    assert find_model("runs/demo/run") == find_model(str(inside)) == inside
    Path("empty").mkdir()
    assert find_model("empty") == Path("empty")  # what is wrong with it is said when it is opened


def test_the_newest_is_named(capsys):
    model(Path("runs/old/model"), age=10)
    newest = model(Path("runs/2026/new/model"))
    assert find_model() == newest
    assert str(newest) in capsys.readouterr().err


def test_a_fold_or_a_trial_run_is_never_taken_by_itself(capsys):
    for run in ("cross-validation/1/fold0", "reproduce-kemdy/strict/concat-hard/fold3",
                "sharpen/1/t0.5", "sweep/1/0"):  # fmt: skip
        model(Path("runs", run, "model"))
    trial = model(Path("runs/2026/10-00/model")).parent
    (trial / "config.yaml").write_text("trainer:\n  fast_dev_run: true\n", "utf-8")
    before = model(Path("runs/clip/model"))
    (before / "config.json").write_text('{"meta": {"objective": "contrastive"}}', "utf-8")
    with pytest.raises(CheckpointError, match="6 are folds"):
        find_model()
    assert find_model("runs/sweep/1/0") == Path("runs/sweep/1/0/model")  # but it may be named
    whole = model(Path("runs/my-folder/model"), age=100)
    (whole.parent / "config.yaml").write_text("trainer:\n  fast_dev_run: false\n", "utf-8")
    assert find_model() == whole


def test_a_choice_lasts(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    mine = model(tmp_path / "mine" / "model")
    newer = model(Path("runs/new/model"))
    set_default("mine")  # the run that holds it
    monkeypatch.chdir(tmp_path / "mine")
    assert choose() == (mine, "by `erc use`")
    assert find_model() == mine
    assert not capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ERC_MODEL", str(newer))
    assert find_model() == newer
    monkeypatch.delenv("ERC_MODEL")
    shutil.rmtree(mine)
    with pytest.raises(CheckpointError, match="`erc use` chose"):
        find_model()
    set_default(None)
    assert find_model() == newer
    with pytest.raises(CheckpointError):
        set_default(str(tmp_path / "config"))


def test_the_environment_comes_before_the_newest(monkeypatch):
    model(Path("runs/new/model"))
    other = model(Path("elsewhere"))
    monkeypatch.setenv("ERC_MODEL", "elsewhere")
    assert find_model() == other
    assert find_model("runs/new") == Path("runs/new/model")
