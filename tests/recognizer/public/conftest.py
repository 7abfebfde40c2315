from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from published import MAKERS


@pytest.fixture(scope="session")
def model(once) -> Callable[[str], Path]:
    """`model("hubert")`: the folder of a tiny model, made once."""
    return lambda name: once(f"public-{name}", MAKERS[name])


@pytest.fixture
def copy(model, tmp_path) -> Callable[..., Path]:
    """`copy("bert", id2label=…)`: a copy of a folder with other entries in its config.json."""

    def made(name: str, file: str = "config.json", **changes) -> Path:
        folder = shutil.copytree(model(name), tmp_path / f"{name}-{len(os.listdir(tmp_path))}")
        path = folder / file
        config = (json.loads(path.read_text()) if path.exists() else {}) | changes
        path.write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
        return folder

    return made


@pytest.fixture(scope="session")
def clips() -> list[np.ndarray]:
    """Three seconds of vowel-like sound of different pitch, and shorter ones; 16 kHz."""
    rng = np.random.default_rng(0)
    found = []
    for pitch, length in ((110, 20_000), (180, 9_000), (240, 14_321)):
        t = np.arange(length) / 16_000
        voice = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12))
        found.append(0.1 * voice * (1 + np.sin(9 * t)) + 0.003 * rng.standard_normal(length))
    return [clip.astype(np.float32) for clip in found]
