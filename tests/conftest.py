"""Fixtures that every test file may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference values, real corpora and weights beside the repository; not committed."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' with reference data beside the repository")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's cache, nor the model that the user chose."""
    os.environ["ERC_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="session")
def kemdy19(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated KEMDy19 folder: 5 sessions of 8 utterances."""
    from erc.corpora.simulated import write_tree

    root = tmp_path_factory.mktemp("data") / "KEMDy19"
    write_tree(root, "kemdy19", sessions=5, utterances=8, seed=0, defects=False)
    return root


@pytest.fixture(scope="session")
def kemdy20(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated KEMDy20 folder: 5 sessions of 8 utterances."""
    from erc.corpora.simulated import write_tree

    root = tmp_path_factory.mktemp("data") / "KEMDy20_v1_1"
    write_tree(root, "kemdy20", sessions=5, utterances=8, seed=0, defects=False)
    return root


@pytest.fixture(scope="session")
def run(kemdy19: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run: tiny model, one epoch, fold 4 of the simulated KEMDy19."""
    from erc.studies.experiment import run as train

    folder = tmp_path_factory.mktemp("run")
    train(
        [
            "dataset=hf", f"dataset.paths={kemdy19}", "dataset.protocol=strict", "model=tiny",
            "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
            "export=false",
        ],
        folder,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of `run` with the copy that starts without torch, which takes half a minute."""
    import shutil

    pytest.importorskip("onnxscript", reason="pip install 'erc[export]'")
    from erc.model.folder.export import keep_copy

    folder = shutil.copytree(run / "model", tmp_path_factory.mktemp("exported") / "model")
    keep_copy(folder, True)
    return folder
