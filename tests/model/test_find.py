"""Which model is meant: by name, by the run that holds it, by $ERC_MODEL, else the newest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from erc.base.errors import CheckpointError
from erc.model.folder.find import find_model


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
    newest = model(Path("runs/sweep/1/new/model"))
    assert find_model() == newest
    assert str(newest) in capsys.readouterr().err


def test_the_environment_comes_before_the_newest(monkeypatch):
    model(Path("runs/new/model"))
    other = model(Path("elsewhere"))
    monkeypatch.setenv("ERC_MODEL", "elsewhere")
    assert find_model() == other
    assert find_model("runs/new") == Path("runs/new/model")
