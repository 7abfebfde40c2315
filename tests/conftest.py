"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

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
def once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """`once(name, make)`: the folder `name` filled by `make`, the same for all processes of `-n`."""
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        place, done = common / name, common / f"{name}.done"
        with FileLock(common / f"{name}.lock"):
            if not done.exists():
                make(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def kemdy19(once) -> Path:
    """A simulated KEMDy19 folder: 5 sessions of 8 utterances."""
    from erc.corpora.simulated import write_tree

    options = {"sessions": 5, "utterances": 8, "seed": 0, "defects": False}
    return once("KEMDy19", lambda root: write_tree(root, "kemdy19", **options))


@pytest.fixture(scope="session")
def kemdy20(once) -> Path:
    """A simulated KEMDy20 folder: 5 sessions of 8 utterances."""
    from erc.corpora.simulated import write_tree

    options = {"sessions": 5, "utterances": 8, "seed": 0, "defects": False}
    return once("KEMDy20_v1_1", lambda root: write_tree(root, "kemdy20", **options))


@pytest.fixture(scope="session")
def run(kemdy19: Path, once) -> Path:
    """Folder of a finished run: tiny model, one epoch, fold 4 of the simulated KEMDy19."""
    from erc.studies.experiment import run as train

    words = [
        "dataset=hf", f"dataset.paths={kemdy19}", "dataset.protocol=strict", "model=tiny",
        "trainer.max_epochs=1", "trainer.accelerator=cpu", "trainer.enable_progress_bar=false",
        "export=false",
    ]  # fmt: skip
    return once("run", lambda folder: train(words, folder))


@pytest.fixture(scope="session")
def exported(run: Path, once) -> Path:
    """The model folder of `run` with the copy that starts without torch, which takes half a minute."""
    pytest.importorskip("onnxscript", reason="pip install 'erc[export]'")
    from erc.model.folder.export import keep_copy

    return once("exported", lambda place: keep_copy(shutil.copytree(run / "model", place), True))


@pytest.fixture(scope="session")
def speech_model(once) -> Path:
    """A model folder of tiny size with random weights, which takes speech alone."""

    def make(folder: Path) -> None:
        import torch

        from erc.model.emotion import EmotionModel
        from erc.model.encoders import SpeechEncoder
        from erc.model.folder.checkpoint import save

        torch.manual_seed(0)
        encoder = SpeechEncoder.from_name("tiny-whisper")
        save(folder, EmotionModel(encoder, None, fusion="single", dim=16))

    return once("speech_model", make)


@pytest.fixture(scope="session")
def many_clips(once) -> Path:
    """532 recordings of noise, .2 to .4 s, of which 0300.wav is none."""

    def make(folder: Path) -> None:
        import numpy as np
        import soundfile

        rng = np.random.default_rng(0)
        folder.mkdir()
        for i in range(532):
            clip = 0.1 * rng.standard_normal(3200 + 160 * int(rng.integers(20)))
            soundfile.write(folder / f"{i:04d}.wav", clip, 16_000)
        (folder / "0300.wav").write_bytes(b"RIFF, but no recording")

    return once("many_clips", make)
