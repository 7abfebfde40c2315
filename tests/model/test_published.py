"""save_pretrained, from_pretrained, push_to_hub; hub ids from a cache on disk. No network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import erc
from erc import EmotionModel
from erc.base import hub
from erc.base.errors import CheckpointError
from erc.model.folder import find_folder

FILES = {"config.json", "model.safetensors", "README.md", "tokenizer", "held_out.npz"}


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(hub, "reachable", lambda: False)


@pytest.fixture
def cache(run, tmp_path, monkeypatch) -> Path:
    """A Hugging Face cache that holds `someone/emotions`, as downloads leave it: links to blobs."""
    root = tmp_path / "cache"
    repo = root / "models--someone--emotions"
    snapshot, blobs = repo / "snapshots" / ("a" * 40), repo / "blobs"
    blobs.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    for number, file in enumerate(sorted((run / "model").rglob("*"))):
        if file.is_file():
            shutil.copy(file, blobs / str(number))
            link = snapshot / file.relative_to(run / "model")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blobs / str(number))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    return root


def same(a: EmotionModel, b: EmotionModel) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)


def test_a_saved_model_is_a_model_folder(run, tmp_path):
    model = EmotionModel.from_pretrained(run / "model")
    assert not model.training
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    model.save_pretrained(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {*FILES, "notes.txt"}
    for name in ("config.json", "README.md", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (run / "model" / name).read_bytes()
    assert same(EmotionModel.from_pretrained(tmp_path / "out"), model)
    said, expected = (
        erc.load(f).predict(text="정말 좋았어").to_dict() for f in (tmp_path / "out", run / "model")
    )
    assert said | {"model": expected["model"]} == expected  # the folder has another name
    model.save_pretrained(tmp_path / "out")  # over itself
    said = erc.load(tmp_path / "out").predict(text="정말 좋았어").to_dict()
    assert said | {"model": expected["model"]} == expected  # the folder has another name


def test_changed_weights_do_not_keep_the_scores(run, tmp_path):
    model = EmotionModel.from_pretrained(run / "model")
    with torch.no_grad():
        model.head.bias += 0.5
    model.save_pretrained(tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert set(config["meta"]) == {"prediction", "began_as", "terms"}
    assert config["meta"]["terms"][-1] == {
        "of": "what it was trained on since",
        "licence": "unknown",
    }
    assert "temperature" not in config["meta"]["prediction"]
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    assert "No scores are known" in card
    assert "It began as `model`" in card
    assert "Not for: judging people" in card
    said = erc.load(tmp_path / "out").predict(text="정말 좋았어")
    assert said.label
    assert said.typicality is None  # of other weights


def test_a_model_that_was_never_in_a_folder_can_be_saved(tmp_path):
    from erc.model.encoders import TextEncoder

    torch.manual_seed(0)
    model = EmotionModel(text=TextEncoder.from_name("tiny-roberta"), dim=8)
    model.save_pretrained(tmp_path / "m")
    assert same(EmotionModel.from_pretrained(tmp_path / "m"), model)
    assert "No scores are known" in (tmp_path / "m" / "README.md").read_text("utf-8")


def test_a_hub_id_is_taken_from_the_cache(cache, offline, run):
    expected = erc.load(run / "model").predict(text="정말 좋았어")
    said = erc.load("someone/emotions").predict(text="정말 좋았어")
    assert said.to_dict() | {"model": expected.model} == expected.to_dict()
    model = EmotionModel.from_pretrained("someone/emotions")
    assert same(model, EmotionModel.from_pretrained(run / "model"))
    assert find_folder("someone/emotions").name == "a" * 40
    same_revision = EmotionModel.from_pretrained("someone/emotions", revision="a" * 40)
    assert same(same_revision, model)
    with pytest.raises(CheckpointError):
        EmotionModel.from_pretrained("someone/emotions", revision="b" * 40)


def test_a_local_folder_comes_before_the_hub(cache, offline, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run / "model", tmp_path / "someone" / "emotions")
    assert find_folder("someone/emotions") == Path("someone/emotions")
    with pytest.raises(CheckpointError, match="no model folder 'someone/emotion'"):
        find_folder("someone/emotion")  # a typing error is not asked of the hub


@pytest.mark.slow
def test_an_exported_model_from_the_hub(cache, offline, tmp_path):
    """Graphs are found through the links of the cache."""
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library)
    from erc.model.encoders import TextEncoder
    from erc.recognizer.export import export

    EmotionModel(text=TextEncoder.from_name("tiny-roberta"), dim=8).save_pretrained(tmp_path / "m")
    snapshot = cache / "models--someone--emotions" / "snapshots" / ("a" * 40)
    shutil.rmtree(snapshot)
    snapshot.mkdir()
    for file in export(tmp_path / "m").iterdir():
        shutil.copy(file, snapshot.parents[1] / "blobs" / f"x-{file.name}")
        (snapshot / file.name).symlink_to(snapshot.parents[1] / "blobs" / f"x-{file.name}")
    assert erc.load("someone/emotions").runtime.name == "onnx-fp32"


@pytest.mark.parametrize("gone", ["model.safetensors", "config.json"])
def test_a_cache_that_is_incomplete_says_so(cache, offline, gone):
    (find_folder("someone/emotions") / gone).unlink()
    with pytest.raises(CheckpointError, match="neither a folder nor in the local"):
        erc.load("someone/emotions")


def test_names_that_are_nowhere(offline, cache, tmp_path):
    with pytest.raises(CheckpointError, match="neither a folder nor in the local"):
        erc.load("someone/else")
    for name in ("model", "./a/model", "runs/a/b", str(tmp_path / "x"), "~/nowhere", "tests/modle"):
        with pytest.raises(CheckpointError, match="there is no model folder"):
            erc.load(name)
    (tmp_path / "empty").mkdir()
    shutil.copy(find_folder("someone/emotions") / "config.json", tmp_path / "empty")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        EmotionModel.from_pretrained(tmp_path / "empty")
    with pytest.raises(TypeError):
        EmotionModel.from_pretrained("someone/emotions", revison="main")


def test_download_asks_for_nothing_that_could_run(run, monkeypatch, tmp_path):
    asked = []

    def download(name, *, local_files_only, **options):
        asked.append((name, local_files_only, options))
        if local_files_only:
            raise OSError("not in the cache")
        return str(run / "model")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(hub, "reachable", lambda: True)
    assert find_folder("someone/new") == run / "model"
    assert [(name, local) for name, local, _ in asked] == [
        ("someone/new", True), ("someone/new", False),
    ]  # fmt: skip
    kept = list(
        huggingface_hub.utils.filter_repo_objects(
            ["model.py", "model.safetensors", "pytorch_model.bin", "x.pkl", "tokenizer/tokenizer.json",
             "config.json", "README.md", "exports/openvino/fuse.onnx", "fuse.onnx", "a.pt"],
            allow_patterns=asked[1][2]["allow_patterns"],
            ignore_patterns=asked[1][2]["ignore_patterns"],
        )
    )  # fmt: skip
    assert kept == [
        "model.safetensors", "tokenizer/tokenizer.json", "config.json", "README.md",
        "exports/openvino/fuse.onnx", "fuse.onnx",
    ]  # fmt: skip


def test_push_sends_a_model_folder(run, monkeypatch):
    calls = []

    class Api:
        def __init__(self, token=None):
            self.token = token

        def create_repo(self, repo_id, **options):
            calls.append(("create", repo_id, options["private"]))
            return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

        def upload_folder(self, *, repo_id, folder_path, **options):
            files = {str(p.relative_to(folder_path)) for p in Path(folder_path).rglob("*")}
            text = (Path(folder_path) / "README.md").read_text("utf-8")
            calls.append(("upload", repo_id, files, text, options["commit_message"]))
            return "commit"

    monkeypatch.setattr(huggingface_hub.hub_mixin, "HfApi", Api)
    model = EmotionModel.from_pretrained(run / "model")
    assert model.push_to_hub("someone/emotions", private=True, commit_message="first") == "commit"
    (_, repo, private), (_, uploaded, files, text, message) = calls
    assert (repo, private, uploaded, message) == (
        "someone/emotions", True, "someone/emotions", "first",
    )  # fmt: skip
    expected = {str(p.relative_to(run / "model")) for p in (run / "model").rglob("*")}
    assert files == expected
    assert text == (run / "model" / "README.md").read_text("utf-8")
    assert not any(name.endswith((".py", ".bin", ".pkl", ".pt")) for name in files)
