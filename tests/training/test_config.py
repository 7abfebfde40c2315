from __future__ import annotations

import inspect
import multiprocessing
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from erc.base.errors import ConfigError
from erc.studies.experiment import configure
from erc.training.config import FOLDER, claim, compose, make, of_run, plain, resolve


def choices(group: str) -> list[str]:
    return sorted(p.stem for p in (FOLDER / group).glob("[!_]*.yaml"))


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


@pytest.mark.parametrize(
    "path", ["자료/manifest.csv", "a=b/manifest.csv", "take(1)/m.csv", "it's/m.csv", "a b: c/m.csv"]
)
def test_paths_need_no_quotes_within_quotes(path, old_run):
    assert compose([f"dataset.paths={path}"]).dataset.paths == path
    assert of_run(old_run, [f"dataset.paths={path}"]).dataset.paths == path
    assert compose([f"dataset.paths='{path}'"] * ("'" not in path)).dataset.paths in (
        path,
        "./data",
    )


@pytest.mark.parametrize("broken", ["{a: b", "[1, 2", "'open"])
def test_a_list_or_mapping_that_is_not_closed_is_no_text(broken):
    with pytest.raises(ConfigError):
        compose([f"dataset.where={broken}"])


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


def test_every_key_is_an_argument_of_what_its_group_makes():
    from hydra.utils import get_method

    from erc import corpora
    from erc.datasets import HF_KEMD

    further = {"dataset": set(inspect.signature(HF_KEMD).parameters), "scheduler": set()}
    further["dataset"] |= {o for name in corpora.readers() for o in corpora.options_of(name)}
    for group, more in further.items():
        for name in choices(group):
            node = compose([f"{group}={name}", "run_dir=x"])[group]
            allowed = set(inspect.signature(get_method(node._target_)).parameters) | more
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


@pytest.fixture
def old_run(tmp_path):
    """config.yaml of a run that was made before there was `adaptation`."""
    settings = resolve(compose(["model=tiny", "dataset=synthetic", f"run_dir={tmp_path}"]))
    del settings["adaptation"]
    OmegaConf.save(OmegaConf.create(settings), tmp_path / "config.yaml")
    return tmp_path


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("adaptaton=speaker", "no key 'adaptaton' .did you mean 'adaptation'"),
        ("+adaptaton=speaker", "no key 'adaptaton' .did you mean 'adaptation'"),
        ("datset.validation_fold=1", "did you mean 'dataset.validation_fold'"),
        ("dataset.validation_folds=1", "did you mean 'dataset.validation_fold'"),
        ("dataset.dataset_name=kemdy19", "no key 'dataset.dataset_name'"),
        ("dataset=hf", "single keys, dataset"),
        ("dataset.validation_fold=0,1", "one value"),
        ("~adaptation", "one value|no viable|KEY=VALUE"),
        ("seed", "seed"),
    ],
)
def test_mistakes_in_overrides_of_a_finished_run(old_run, override, says):
    with pytest.raises(ConfigError, match=says) as error:
        of_run(old_run, [override])
    assert "\n" not in str(error.value)


def test_a_finished_run_takes_what_train_py_takes(old_run):
    words = ["+adaptation=speaker", "dataset.validation_fold=2", "dataset.paths='a, b'"]
    cfg = of_run(old_run, [*words, "model.fusion_options={depth: 3}"])
    assert (cfg.adaptation, cfg.dataset.validation_fold, cfg.dataset.paths) == (
        "speaker",
        2,
        "a, b",
    )
    assert cfg.model.fusion_options == {"patch_size": 8, "mixer_dim": 64, "depth": 3}
    assert "adaptation" not in of_run(old_run)


def test_no_run():
    with pytest.raises(ConfigError, match="not a run"):
        of_run(Path("nowhere"))


@pytest.mark.parametrize(
    "target", ["os.system", "erc.base.files.shutil.rmtree", "erc.datasets.np.save", "print", None]
)
def test_a_configuration_builds_only_what_is_listed(target):
    node = OmegaConf.create({"_target_": target, "path": "x"})
    with pytest.raises(ConfigError, match="is not built from a configuration"):
        make(node)


def test_nothing_nested_is_built(tmp_path):
    trap = {"_target_": "pathlib.Path.mkdir", "self": str(tmp_path / "trap")}
    node = {
        "_target_": "lightning.pytorch.loggers.CSVLogger",
        "save_dir": str(tmp_path),
        "name": trap,
    }
    make(OmegaConf.create(node | {"_recursive_": True}))
    assert not (tmp_path / "trap").exists()


def test_targets_of_older_runs_are_found():
    from erc.training.schedules import cosine_warmup

    node = OmegaConf.create({"_target_": "erc.schedules.cosine_warmup", "_partial_": True})
    assert make(node).func is cosine_warmup


def test_train_py_and_erc_claim_folders_alike(tmp_path):
    """Two processes, released together, a hundred times over one name each."""
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        found = pool.map(claim, [tmp_path / "run"] * 40, chunksize=1)
    assert len(set(found)) == len(list(tmp_path.iterdir())) == 40
    with initialize_config_dir(str(FOLDER), version_base=None):
        cfg = hydra_compose("train", return_hydra_config=True)
    for place in ("run", "sweep"):
        assert str(cfg.hydra[place]._get_node("dir")).startswith("${new_folder:")
