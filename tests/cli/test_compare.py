"""`erc compare`: the numbers of `erc predict`, what was left out, leaks, terms."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from published import MAKERS
from sklearn.metrics import balanced_accuracy_score

import erc
from erc.base.errors import ConfigError
from erc.cli.program import main
from erc.model.folder.heard import Heard

TEXTS = ("I am so happy about this", "why would you do that", "nothing happened", "this is sad")
CLIP = Path(__file__).parents[2] / "docs" / "samples" / "clip.wav"
LABELS = ("angry", "happy", "sad", "neutral")


@pytest.fixture(scope="module")
def hubert(once) -> Path:
    return once("public-hubert", MAKERS["hubert"])


@pytest.fixture(scope="module")
def bert(once) -> Path:
    return once("public-bert", MAKERS["bert"])


@pytest.fixture(scope="module")
def voices(once) -> Path:
    """24 pieces of simulated speech of 6 speakers, labelled, with a sentence each; one is silent."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        rng = np.random.default_rng(5)
        sound, rate = soundfile.read(CLIP)
        rows = ["id,audio,text,speaker,session,emotion,valence"]
        for i in range(24):
            start = int(rng.integers(len(sound) // 4))
            voice = sound[start : start + rate + 700 * i] * rng.uniform(0.3, 1)
            soundfile.write(folder / f"{i}.wav", voice * (i != 4), rate)
            emotion = LABELS[i % 4]
            rows.append(f"u{i},{i}.wav,{TEXTS[i * 5 % 4]},p{i % 6},p{i % 6},{emotion},{1 + i % 5}")
        (folder / "manifest.csv").write_text("\n".join(rows) + "\n", "utf-8")

    return once("voices", make)


@pytest.fixture(scope="module")
def pages(once, hubert, bert, voices) -> Path:
    """Three models on one corpus, in all forms."""

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        both = f"{hubert}+{bert}"
        words = [
            "compare",
            str(hubert),
            str(bert),
            both,
            "--on",
            str(voices),
            "-q",
            "--device",
            "cpu",
        ]
        words += ["--labels", "neutral calm=neutral", "-o"]
        forms = [str(folder / f"c.{suffix}") for suffix in ("json", "html", "csv", "md")]
        assert main([*words, *forms]) == 0

    return once("compared", make)


def test_the_numbers_are_those_of_predict(pages, hubert, voices, tmp_path, capsys):
    """From the answers that `erc predict` writes, with another library."""
    out = tmp_path / "p.csv"
    files = [str(voices / f"{i}.wav") for i in range(24)]
    assert main(["predict", *files, "--model", str(hubert), "-o", str(out), "-q"]) == 0
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    found = json.loads((pages / "c.json").read_text("utf-8"))
    [column] = found["columns"]
    assert column["emotions"] == ["angry", "happy"]  # which all three know
    names = {"angry": "angry", "happy": "happy"}
    truth, said, other = [], [], []
    for i, row in enumerate(rows):
        label = LABELS[i % 4]
        if label not in names or row["reason"]:
            continue
        truth.append(label)
        other.append(1 - sum(float(row[f"p_{x}"]) for x in names))
        said.append(max(names, key=lambda e: float(row[f"p_{names[e]}"])))
    assert column["scored"]["uar"] == len(truth) == 11
    assert column["left_out"]["labelled sad, which not all models know"] == 6
    [name] = [m["name"] for m in found["models"] if m["name"].endswith("hubert")]
    assert column["left_out"][f"not answered by {name}"] == 1
    cell = found["cells"][name][0]
    assert cell["scores"]["uar"]["value"] == pytest.approx(balanced_accuracy_score(truth, said))
    assert cell["outside"] == pytest.approx(np.mean(other), abs=1e-5)
    assert cell["labels"] == {
        "angry": "angry", "happy": "happy", "sad": None, "neutral calm": None,
    }  # fmt: skip


def test_what_a_page_has_to_say(pages):
    found = json.loads((pages / "c.json").read_text("utf-8"))
    assert [m["takes"] for m in found["models"]] == [["speech"], ["text"], ["speech", "text"]]
    assert all(m["parameters"] > 1000 and m["per_second"] > 0 for m in found["models"])
    assert found["models"][1]["times_real"] is None  # it hears nothing
    assert [name for name in found["cells"] if name.startswith("baseline")] == [
        "baseline: most frequent", "baseline: sentence look-up", "baseline: duration and level",
    ]  # fmt: skip
    text = (pages / "c.html").read_text("utf-8")
    assert "not recorded: it may have heard this corpus" in text
    assert "data: voices: unknown" in text
    assert "no speech found" in text


def test_who_was_trained_on_it_is_named(run, kemdy19, bert, capsys):
    """On all utterances the score is a leak; on the held-out fold it is none."""
    words = ["compare", str(run), "--on", str(kemdy19), "--json", "-q", "--device", "cpu"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    [model] = found["models"]
    assert model["simulated"]
    assert found["columns"][0]["simulated"]
    assert "was trained on speakers of" in found["cells"][model["name"]][0]["seen"]
    assert set(found["columns"][0]["scored"]) == {"uar", "ccc_valence", "ccc_arousal"}
    assert main([*words, "--fold", "4/5"]) == 0
    found = json.loads(capsys.readouterr().out)
    cell = found["cells"][model["name"]][0]
    assert cell["seen"] == ""
    assert "trained on other speakers of this corpus" in cell["notes"]
    results = json.loads((run / "results.json").read_text("utf-8"))
    both = results["scores"]["speech + text"]
    column = found["columns"][0]
    if column["scored"]["uar"] == both["n"]:  # no tie in the fold: the same utterances
        assert cell["scores"]["uar"]["value"] == pytest.approx(both["uar"], abs=1e-6)
    for name in ("valence", "arousal"):
        said = cell["scores"][f"ccc_{name}"]["value"]
        assert said == pytest.approx(both[f"ccc_{name}"], abs=1e-4)


def test_a_missing_modality_is_said(bert, voices, tmp_path, capsys):
    rows = (voices / "manifest.csv").read_text("utf-8").splitlines()
    cut = [",".join(x for k, x in enumerate(row.split(",")) if k != 2) for row in rows]
    cut = [row.replace(",", f",{voices}/", 1) if k else row for k, row in enumerate(cut)]
    (tmp_path / "manifest.csv").write_text("\n".join(cut) + "\n", "utf-8")
    assert main(["compare", str(bert), "--on", str(tmp_path), "-q", "--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert "no score: it takes text; the corpus has none" in said
    assert "no transcript: 24 of 24 utterances" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m"], "name corpora behind --on"),
        (["m", "--on", "c", "-o", "a.pdf"], "a.pdf: give it one of the suffixes"),
        (["m", "m", "--on", "c"], "the model 'm' is named twice"),
        (["m", "--on", "c", "c"], "the corpus 'c' is named twice"),
    ],
)
def test_usage(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", *words])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("fold", ["x", "5", "4/", "a/b", "7/5"])
def test_a_fold_that_there_is_not(fold, bert, voices, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", str(bert), "--on", str(voices), "--fold", fold, "-q"])
    assert end.value.code == 2


def test_commercial_use_is_refused_by_name(run, bert, voices, capsys):
    with pytest.raises(ConfigError, match="public-bert: licence unknown"):
        erc.load(bert, commercial=True)
    erc.load(run, commercial=True, device="cpu")  # simulated speech, random weights
    for words in (
        ["predict", str(voices / "1.wav"), "--model", str(bert)],
        ["timeline", str(voices / "1.wav"), "--model", str(bert)],
        ["compare", str(bert), "--on", str(voices), "-q"],
        ["serve", "--model", str(bert), "--port", "0"],
        ["web", "--model", str(bert), "--port", "0"],
    ):
        with pytest.raises(SystemExit) as end:
            main([*words, "--commercial"])
        assert end.value.code == 2
        assert "refused for commercial use: public-bert: licence unknown" in capsys.readouterr().err


def test_the_folder_carries_terms_and_speakers(run):
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    assert config["meta"]["terms"] == [{"of": "data: simulated by erc", "licence": "none needed"}]
    heard = Heard.of(config)
    assert heard.corpora == ("kemdy19",)
    assert heard.training
    assert heard.held_out
    assert not heard.training & heard.held_out
    assert "commercial use: allowed" in (run / "model" / "README.md").read_text("utf-8")
