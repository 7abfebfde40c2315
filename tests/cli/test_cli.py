"""The commands that people type, as they type them: DESIGN's entry points and the `erc` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from erc.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
TINY = ["model=tiny", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def desk(kemdy19, kemdy20, tmp_path_factory) -> Path:
    """A working folder whose `data` is a symbolic link to a folder with both corpora."""
    folder = tmp_path_factory.mktemp("desk")
    store = tmp_path_factory.mktemp("disk")
    (store / "KEMDy19").symlink_to(kemdy19)
    (store / "KEMDy20_v1_1").symlink_to(kemdy20)
    (folder / "data").symlink_to(store)
    return folder


def python(desk: Path, *args: str, code: int = 0) -> str:
    """Run `python ARGS` in `desk`; returns stdout, or stderr when it should fail."""
    done = subprocess.run(
        [sys.executable, *args], cwd=desk, capture_output=True, text=True, timeout=240,
        env=os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_fire_builds_and_loads_the_dataset(desk):
    words = ("-m", "fire", "erc.datasets", "HF_KEMD", "--validation_fold=4")
    first = python(desk, *words, "--mode=train")
    assert "SIMULATED train side of fold 4" in first
    assert "64 utterances" in first  # both corpora: 2 × 5 sessions of 8, four of five folds
    again = python(desk, *words, "--mode=valid", "--dataset_name=kemdy19")
    assert "8 utterances" in again
    assert "store loaded from" in python(desk, *words, "--mode=valid", "--dataset_name=kemdy19")


def test_fire_prints_the_merged_table(desk):
    text = python(
        desk, "-m", "fire", "erc.preprocess", "make_total_df", "--base_path=./data/KEMDy19"
    )
    assert "40 utterances" in text
    assert "listener row" in text


@pytest.mark.parametrize(
    "overrides",
    [
        ["dataset.num_data=4", "dataloader.batch_size=4", "trainer.max_epochs=1"],
        ["+trainer.fast_dev_run=True", "+model.use_peakl=True", "dataset.validation_fold=3"],
    ],
)
def test_train_py(desk, overrides):
    text = python(desk, str(ROOT / "train.py"), *TINY, *overrides)
    assert "speech + text" in text
    assert "human ceiling" in text
    models = sorted((desk / "runs").glob("*/*/model/config.json"))
    assert models


def test_hydra_multirun(desk):
    python(
        desk, str(ROOT / "train.py"), "-m", *TINY, "dataset.num_data=4", "trainer.max_epochs=1",
        "dataset.validation_fold=0,1", "dataset.dataset_name=kemdy20",
    )  # fmt: skip
    assert len(list((desk / "runs").glob("sweep/*/*/results.json"))) == 2


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dataset.paths=./nowhere", "model=tiny"], "CorpusError: .*nowhere"),
        ([], "CheckpointError: .*kresnik/wav2vec2-large-xlsr-korean"),
        (["dataset.validation_fold=7", "model=tiny"], "ConfigError: .*0–4"),
        (["trainer.max_epoch=3", "model=tiny"], "ConfigError: .*max_epochs"),
        (["moddel=tiny"], "ConfigError: .*did you mean 'model'"),
    ],
)
def test_mistakes_are_one_line(desk, overrides, says):
    lines = python(desk, str(ROOT / "train.py"), *overrides, code=2).strip().splitlines()
    assert len(lines) == 1
    import re

    assert re.search(says, lines[0])


def test_synth(tmp_path, capsys):
    assert (
        main(
            [
                "synth",
                str(tmp_path / "a"),
                "--layout",
                "kemdy20",
                "--sessions",
                "2",
                "--utterances",
                "3",
            ]
        )
        == 0
    )
    assert "simulated" in capsys.readouterr().out
    assert len(list((tmp_path / "a").glob("wav/*/*.wav"))) == 6


def test_prepare(kemdy19, capsys):
    assert main(["prepare", str(kemdy19)]) == 0
    assert "40 utterances" in capsys.readouterr().out


def test_predict(run, kemdy19, capsys):
    clip = str(next(kemdy19.glob("wav/*/*/*.wav")))
    assert main(["predict", clip, "--text", "좋아", "--model", str(run / "model")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert list(row) == [
        "file", "label", "probabilities", "valence", "arousal", "confidence", "modalities",
        "abstain", "conflict",
    ]  # fmt: skip
    assert len(row["probabilities"]) == 7
    assert main(["predict", clip, "nowhere.wav", "--model", str(run / "model")]) == 1


def test_evaluate(run, tmp_path, capsys):
    assert main(["evaluate", str(run), "-o", str(tmp_path)]) == 0
    assert "speech + text" in capsys.readouterr().out
    assert (tmp_path / "results.json").is_file()


def test_import_reference(shared, tmp_path):
    reference = shared / "reference"
    words = [str(reference / "concat_checkpoint.safetensors"), str(reference / "config.json")]
    assert main(["import-reference", *words, str(tmp_path / "model")]) == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["predcit"], "did you mean 'predict'"),
        (["predict", "--text", "a", "--model", "nowhere"], "nowhere"),
        (["evaluate", "nowhere"], "not a run"),
        (["synth", "x", "--sessions", "0"], "sessions"),
        (["train", "model=tiney"], "did you mean 'tiny'"),
    ],
)
def test_mistakes_exit_with_2(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    heavy = python(
        ROOT, "-c",
        "import sys; from erc.__main__ import parser; parser().format_help(); "
        "print([m for m in ('torch', 'pandas', 'lightning', 'transformers') if m in sys.modules])",
    )  # fmt: skip
    assert heavy.strip() == "[]"
