"""Answering needs nothing that only training needs: the commands where those packages are not there."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import planted
import pytest
from packaging.requirements import Requirement

from erc.client import Client

ROOT = Path(__file__).parents[1]
HIDING = """
import sys
hidden = set(sys.argv.pop(1).split(","))

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path = [Without(finder) for finder in sys.meta_path if hasattr(finder, "find_spec")]
"""
COMMAND = HIDING + "from erc.cli.program import main; sys.exit(main(sys.argv[1:]))"


def needed(requirements: list[str]) -> set[str]:
    """The packages that come along with these."""
    todo, seen = list(map(Requirement, requirements)), set()
    while todo:
        one = todo.pop()
        name = one.name.lower().replace("_", "-")
        if (name, *one.extras) in seen:
            continue
        seen.add((name, *one.extras))
        for inner in map(Requirement, requires(name) or []):
            extras = one.extras or {""}
            if not inner.marker or any(inner.marker.evaluate({"extra": e}) for e in extras):
                todo.append(inner)
    return {name for name, *_ in seen}


@pytest.fixture(scope="module")
def hidden() -> str:
    """Every installed module that `pip install .` without extras would not have brought."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    light = needed(project["dependencies"]) | {"erc", "silero-vad"}  # of which a file is read
    others = {
        module
        for module, found in packages_distributions().items()
        if not light & {name.lower().replace("_", "-") for name in found}
    }
    assert {"torch", "pandas", "lightning", "transformers", "scipy", "hydra"} <= others
    assert not {"numpy", "onnxruntime", "tokenizers", "fastapi", "uvicorn", "soxr"} & others
    return ",".join(sorted(others))


def erc(hidden: str, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", COMMAND, hidden, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    samples, _ = planted.conversation(3)
    return planted.write(tmp_path_factory.mktemp("light") / "talk.wav", samples)


def test_predict(hidden, exported, kemdy19):
    clip = min(kemdy19.glob("wav/*/*/*.wav"))
    done = erc(hidden, "predict", clip, "--text", "정말 좋았어", "--model", exported)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert sum(said["probabilities"].values()) == pytest.approx(1)
    assert said["modalities"] == ["speech", "text"]


def test_timeline(hidden, exported, recording):
    done = erc(hidden, "timeline", recording, "--model", exported, "--format", "json", "-q")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["turns"]) == 3


def test_serve(hidden, exported, kemdy19):
    clip = min(kemdy19.glob("wav/*/*/*.wav"))
    words = ["serve", "--port", "0", "--model", str(exported)]
    command = [sys.executable, "-c", COMMAND, hidden, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = re.search(r"http://[^ ]+", server.stdout.readline())[0]
            assert Client(url).predict(clip).modalities == ("speech",)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0


@pytest.mark.parametrize("words", [["train", "model=tiny"], ["prepare", "."], ["export", "."]])
def test_other_commands_say_in_one_line_what_to_install(words, hidden):
    done = erc(hidden, *words)
    assert done.returncode == 2
    line = r"ConfigError: this needs \w+: pip install 'erc\[(train|physiology)\]'\n"
    assert re.fullmatch(line, done.stderr), done.stderr


def test_a_table_needs_pandas_and_says_so(hidden):
    code = HIDING + "import erc; erc.table([])"
    done = subprocess.run([sys.executable, "-c", code, hidden], capture_output=True, text=True)
    assert "ConfigError: a table needs pandas: pip install 'erc[train]'" in done.stderr


def test_a_published_model_says_what_to_install(hidden, tmp_path):
    """What it is can be read without torch; answering needs it."""
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
    labels = {"id2label": {"0": "joy", "1": "anger"}}
    (tmp_path / "config.json").write_text(json.dumps(config | labels))
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    (tmp_path / "model.safetensors").write_bytes(weights)
    done = erc(hidden, "predict", "--text", "why", "--model", tmp_path)
    assert done.returncode == 2
    line = r"ConfigError: a published model needs \w+: pip install 'erc\[train\]'\n"
    assert re.fullmatch(line, done.stderr), done.stderr
    facts = json.loads(erc(hidden, "info", tmp_path, "--json").stdout)
    assert (facts["takes"], facts["licences"]) == (["text"], [f"{tmp_path.name}: unknown"])
    assert erc(hidden, "models").returncode == 0


def test_the_starter(hidden, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("ERC_CACHE", str(tmp_path))
    monkeypatch.setenv("ERC_ENCODER", str(shared / "encoders" / "whisper-tiny-en"))
    clip = next((shared / "corpora" / "nemo" / "audio").iterdir())
    done = erc(hidden, "predict", clip, "--model", "starter")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"].startswith("starter@")
