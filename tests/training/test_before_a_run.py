"""What a run misses is found before it starts, in one line with exit code 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from erc.base.errors import CheckpointError, ConfigError, CorpusError
from erc.training.check import check
from erc.training.config import compose


def test_a_missing_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="dataset=synthetic"):
        check(compose(["model=tiny", "run_dir=x"]))
    with pytest.raises(CorpusError, match="KEMDy19"):
        check(compose(["model=tiny", "dataset.paths=data/KEMDy19", "run_dir=x"]))


def test_a_missing_encoder(kemdy19, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = [f"dataset.paths={kemdy19}", "run_dir=x", "model.text_encoder=tiny-roberta"]
    with pytest.raises(CheckpointError, match="kresnik/wav2vec2-large-xlsr-korean"):
        check(compose(overrides))
    with pytest.raises(CheckpointError, match=r"there is no folder '\./nowhere'"):
        check(compose([*overrides, "model.speech_encoder=./nowhere"]))
    check(compose([*overrides, "model.speech_encoder=tiny-whisper"]))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["experiment=frozen"], "add model.speech_encoder=openai/whisper-tiny"),
        (["dataset=_base", "model=tiny"], "dataset.paths has no value"),
        (["model=tiny", "dataset=synthetic", "trainer.accelerator=gppu"], "accelerator=gppu"),
        (["model=tiny", "dataset=synthetic", "+trainer.strategy=fsdp"], "strategy=fsdp shards"),
        (["model=tiny", "dataset=synthetic", "export=null"], "export=None is not one of"),
    ],
)
def test_what_has_no_value_or_cannot_be_used(overrides, says):
    with pytest.raises(ConfigError, match=says) as error:
        check(compose([*overrides, "run_dir=x"]))
    assert "\n" not in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_ends_train_py_in_one_line(tmp_path):
    words = ["dataset=synthetic", "model=tiny", "trainer.accelerator=gpu"]
    train = Path(__file__).parents[2] / "train.py"
    found = subprocess.run(
        [sys.executable, train, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert found.stderr.startswith("ConfigError: trainer.accelerator=gpu")
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()  # found before a corpus is written
