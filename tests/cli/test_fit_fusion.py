"""`erc fit-fusion`: the best weights by a grid over the answers of `erc.load`, leaks, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from published import MAKERS, TEXTS
from safetensors.numpy import load_file, save_file
from sklearn.metrics import balanced_accuracy_score, log_loss

import erc
from erc.cli.program import main
from erc.recognizer.public.opened import look

CLIP = Path(__file__).parents[2] / "docs" / "samples" / "clip.wav"
EMOTIONS = ("angry", "happy", "neutral")  # as angry, happy, neutral calm and as anger, joy, neutral
MEANT = "neutral calm=neutral"


@pytest.fixture(scope="module")
def sounds(once) -> Path:
    """48 recordings: one piece of simulated speech at other speeds and levels."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(3)
        sound, rate = soundfile.read(CLIP)
        for i in range(48):
            at = np.arange(0, len(sound) - 1, rng.uniform(0.7, 1.4))
            voice = np.interp(at, np.arange(len(sound)), sound) * rng.uniform(0.2, 1)
            soundfile.write(folder / f"{i}.wav", voice, rate)

    return once("fusion-voices", make)


@pytest.fixture(scope="module")
def models(once, sounds) -> Path:
    """Random models as published whose answers differ: the last layer is moved and enlarged."""

    def make(folder: Path) -> None:
        for kind, inputs in (("hubert", _heard(sounds)), ("bert", _read())):
            MAKERS[kind](folder / kind)
            said = erc.load(folder / kind, device="cpu").predict_many(inputs)
            logs = np.log([list(one.probabilities.values()) for one in said])
            times = 1.5 / logs.std(0).mean()
            path = folder / kind / "model.safetensors"
            weights = load_file(path)
            weights["classifier.bias"] -= logs.mean(0).astype(np.float32)
            for name in ("classifier.weight", "classifier.bias"):
                weights[name] = (weights[name] * times).astype(np.float32)
            save_file(weights, path, {"format": "pt"})

    return once("sure-models", make)


def _heard(folder: Path) -> list[dict]:
    return [{"audio": folder / f"{i}.wav"} for i in range(48)]


def _read() -> list[dict]:
    rng = np.random.default_rng(4)
    return [
        {"text": " ".join(rng.permutation(TEXTS[i % 4].split())[:4]).replace(",", "")}
        for i in range(48)
    ]


@pytest.fixture(scope="module")
def answers(models, sounds) -> tuple[Path, np.ndarray, np.ndarray, np.ndarray]:
    """A corpus of 12 speakers labelled by chance after both models' answers; these; the labels."""
    folder = sounds
    ear, eye = (erc.load(models / kind, device="cpu") for kind in ("hubert", "bert"))
    p = _shares(ear, _heard(folder), ("angry", "happy", "neutral calm"))
    q = _shares(eye, _read(), ("anger", "joy", "neutral"))
    rng = np.random.default_rng(5)
    texts = [one["text"] for one in _read()]
    made = p**0.5 * q**0.9
    made /= made.sum(1, keepdims=True)
    labels = (made.cumsum(1) < rng.random((48, 1))).sum(1)
    rows = ["id,audio,text,speaker,session,emotion"]
    rows += [
        f"u{i},{i}.wav,{texts[i]},p{i % 12},p{i % 12},{EMOTIONS[labels[i]]}" for i in range(48)
    ]
    rows += [f"s{i},{i}.wav,{texts[i]},p{i},p{i},sad" for i in range(3)]  # only one model knows sad
    rows += ["mute,,a word,p0,p0,happy"]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder, p, q, labels


def _shares(recognizer, inputs, labels) -> np.ndarray:
    said = [one.probabilities for one in recognizer.predict_many(inputs)]
    found = np.array([[one[label] for label in labels] for one in said])
    return found / found.sum(1, keepdims=True)


def fit_fusion(models: Path, folder: Path, out: Path, *more: str) -> int:
    words = ["fit-fusion", str(models / "hubert"), str(models / "bert"), "--on", str(folder)]
    return main([*words, "-o", str(out), "--labels", MEANT, "--device", "cpu", "-q", *more])


def test_no_better_weights_lie_on_a_grid(models, answers, tmp_path, capsys):
    """Against scikit-learn, from what `erc.load` says of each."""
    folder, p, q, labels = answers
    assert fit_fusion(models, folder, tmp_path / "both") == 0
    said = capsys.readouterr()
    kept = json.loads((tmp_path / "both" / "config.json").read_text("utf-8"))["late_fusion"]

    def loss(a: float, b: float) -> float:
        mixed = p**a * q**b
        return log_loss(labels, mixed / mixed.sum(1, keepdims=True), labels=[0, 1, 2])

    a, b = (w / kept["temperature"] for w in kept["weights"])
    assert a > 0.05
    assert b > 0.05
    grid = [loss(x, y) for x in np.linspace(0, 3, 16) for y in np.linspace(0, 3, 16)]
    assert loss(a, b) <= min(grid) + 1e-6
    assert "on 48 utterances of 12 speakers, told apart: angry, happy, neutral calm" in said.out
    rows = {line[:26].strip(): line[26:].split() for line in said.out.splitlines() if "[" in line}
    for name, told in (("speech alone", p), ("text alone", q), ("both, equal weights", p * q)):
        uar = balanced_accuracy_score(labels, told.argmax(1))
        assert float(rows[name][0]) == pytest.approx(uar, abs=6e-4), name
    assert float(rows["speech alone"][-1]) == pytest.approx(loss(1, 0), abs=6e-4)
    other = float(rows["fitted on other speakers"][-1])
    assert loss(a, b) < other < loss(a, b) + 0.3  # never better than weights fitted on the same
    assert "left out: 3 labelled sad" in said.err
    assert "left out: 1 without recording, transcript or emotion" in said.err


def test_the_folder_answers_as_its_weights_say(models, answers, tmp_path):
    """And may be moved together with the models."""
    folder, p, q, _ = answers
    shutil.copytree(models, tmp_path / "a" / "m")
    assert fit_fusion(tmp_path / "a" / "m", folder, tmp_path / "a" / "both") == 0
    (tmp_path / "a").rename(tmp_path / "b")
    text = (tmp_path / "b" / "both" / "config.json").read_text("utf-8")
    assert str(tmp_path) not in text
    pair = look(tmp_path / "b" / "both")
    (a, b), warm = pair.fusion.weights, pair.fusion.temperature
    manifest = (folder / "manifest.csv").read_text("utf-8").splitlines()
    one = erc.load(tmp_path / "b" / "both", device="cpu")
    said = one.predict(folder / "7.wav", text=manifest[8].split(",")[2])
    wanted = p[7] ** (a / warm) * q[7] ** (b / warm)
    assert list(said.probabilities.values()) == pytest.approx(wanted / wanted.sum(), abs=1e-5)
    assert one.learned.calibrated


def test_whom_it_was_fitted_on_is_no_score(models, answers, tmp_path, capsys):
    folder, *_ = answers
    out = tmp_path / "both"
    assert fit_fusion(models, folder, out, "--fold", "1/4") == 0
    assert "36 utterances of 9 speakers" in capsys.readouterr().out
    seen = []
    for fold in ([], ["--fold", "1/4"]):
        words = ["compare", str(out), "--on", str(folder), *fold, "--labels", MEANT]
        assert main([*words, "--json", "-q", "--device", "cpu"]) == 0
        found = json.loads(capsys.readouterr().out)
        seen.append(found["cells"][found["models"][0]["name"]][0]["seen"])
    assert "9 speakers" in seen[0]
    assert not seen[1]


def test_what_is_refused(models, answers, tmp_path, capsys):
    """In a line, and nothing is touched."""
    folder, *_ = answers
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.md").touch()
    only = tmp_path / "only"
    only.mkdir()
    text = (folder / "manifest.csv").read_text("utf-8").splitlines()
    only.joinpath("manifest.csv").write_text("\n".join([text[0], text[-1]]), "utf-8")
    for corpus, out, says in (
        (folder, tmp_path / "thesis", "thesis is something else than two fused models"),
        (only, tmp_path / "new", "none of 1 utterances has a recording, a transcript"),
    ):
        with pytest.raises(SystemExit) as left:
            fit_fusion(models, corpus, out)
        assert left.value.code == 2
        assert says in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["fit-fusion", "a", "b"])
    assert "name a corpus behind --on and a new folder behind -o" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "text.md").exists()
    assert not (tmp_path / "new").exists()
