from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from erc.base.errors import CheckpointError, ConfigError, CorpusError
from erc.studies.experiment import configure
from erc.training.config import FOLDER, check, compose, plain, resolve


def choices(group: str) -> list[str]:
    return sorted(p.stem for p in (FOLDER / group).glob("*.yaml"))


@pytest.mark.parametrize(
    "choice", [f"{g}={c}" for g in ("dataset", "model", "scheduler", "logger") for c in choices(g)]
)
def test_every_yaml_composes(choice):
    assert compose([choice, "run_dir=x"]).trainer.max_epochs > 0


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_composes(name):
    assert compose([f"experiment={name}", "run_dir=x"])


def test_plus_forms_are_the_plain_ones():
    cfg = compose(["+model.use_peakl=False", "++model.cls_coef=0.5", "+trainer.fast_dev_run=True"])
    assert (cfg.model.use_peakl, cfg.model.cls_coef, cfg.trainer.fast_dev_run) == (False, 0.5, True)
    assert compose(["+trainer.limit_train_batches=3"]).trainer.limit_train_batches == 3
    assert plain("~dataset.where") == "~dataset.where"


def test_models_have_the_same_keys():
    keys = {name: set(compose([f"model={name}"]).model) for name in choices("model")}
    first = keys["mlp_mixer_roberta"]
    assert {name: found ^ first for name, found in keys.items() if found ^ first} == {}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("dataset.valdation_fold=3", "did you mean 'dataset.validation_fold'"),
        ("+model.use_peekl=True", "did you mean 'model.use_peakl'"),
        ("model=tiney", "did you mean 'tiny'"),
        ("scheduler=cosine", "cosine_warmup"),
        ("seed", "seed"),
    ],
)
def test_mistakes_are_one_line_with_a_suggestion(override, says):
    with pytest.raises(ConfigError, match=says) as error:
        compose([override])
    assert "\n" not in str(error.value)


def test_resolved_config_is_plain(tmp_path):
    plain_dict = resolve(compose([f"run_dir={tmp_path}"]))
    assert plain_dict["logger"]["save_dir"] == str(tmp_path)
    assert "hydra" not in plain_dict


def test_a_missing_corpus_is_found_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="dataset=synthetic"):
        check(compose(["model=tiny", "run_dir=x"]))
    with pytest.raises(CorpusError, match="KEMDy19"):
        check(compose(["model=tiny", "dataset.paths=data/KEMDy19", "run_dir=x"]))


def test_a_missing_encoder_is_found_before_training(kemdy19, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = [f"dataset.paths={kemdy19}", "run_dir=x", "model.text_encoder=tiny-roberta"]
    with pytest.raises(CheckpointError, match="kresnik/wav2vec2-large-xlsr-korean"):
        check(compose(overrides))
    with pytest.raises(CheckpointError, match=r"there is no folder '\./nowhere'"):
        check(compose([*overrides, "model.speech_encoder=./nowhere"]))
    check(compose([*overrides, "model.speech_encoder=tiny-whisper"]))


def test_every_group_mirrors_its_constructor():
    import inspect

    from hydra.utils import get_class, get_method

    for group in ("dataset", "scheduler"):
        for name in choices(group):
            node = compose([f"{group}={name}", "run_dir=x"])[group]
            target = node._target_
            made = (
                get_class(target) if target[target.rfind(".") + 1].isupper() else get_method(target)
            )
            allowed = set()
            for layer in inspect.getmro(made) if inspect.isclass(made) else [made]:
                if layer is not object:
                    allowed |= set(inspect.signature(layer).parameters)
            assert set(node) - {"_target_", "_partial_"} <= allowed, (group, name)


def test_an_installed_erc_composes_what_the_checkout_does(tmp_path):
    root, source, installed = Path(__file__).parents[2], tmp_path / "source", tmp_path / "installed"
    assert (root / "config").samefile(FOLDER)  # what `python train.py` reads
    for folder in ("erc", "config"):
        shutil.copytree(root / folder, source / folder, symlinks=True)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / file, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "wheel", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "-w", tmp_path, "."], cwd=source, check=True)
    zipfile.ZipFile(next(tmp_path.glob("erc-*.whl"))).extractall(installed)
    code = (
        "import erc, sys; from erc.training.config import compose, resolve\n"
        "print(erc.__file__, resolve(compose(sys.argv[1:])), sep='\\n')"
    )
    overrides = ["experiment=demo", "model.dim=32", "run_dir=x"]
    done = subprocess.run(
        [sys.executable, "-c", code, *overrides],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )  # fmt: skip
    file, composed = done.stdout.strip().splitlines()
    assert Path(file).is_relative_to(installed)
    assert composed == str(resolve(compose(overrides)))


@pytest.mark.parametrize("name", ["a, b", "it's", "back\\slash", "x=y {z}"])
def test_a_run_may_lie_in_a_folder_of_any_name(name, tmp_path):
    assert configure(["model=tiny"], tmp_path / name).run_dir == str(tmp_path / name)
