"""The leave-one-corpus-out matrix on simulated corpora: real, small trainings in closed form."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from erc.__main__ import main
from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.corpora.simulated import write_tree
from erc.preprocess import make_total_df
from erc.studies import folds as studies_folds
from erc.studies.transfer import transfer

EMOTIONS = ["angry", "neutral", "happy"]
NAMES = ["kemdy19", "kemdy20", "third"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Three simulated corpora, the third a manifest whose classes are those of its owner."""
    root = tmp_path_factory.mktemp("transfer")
    options = {"sessions": 3, "utterances": 8, "defects": False}
    for seed, layout in enumerate(["kemdy19", "kemdy20", "kemdy19"]):
        write_tree(root / f"tree{seed}", layout, seed=seed, **options)
    make_total_df(str(root / "tree2"), save_path=str(root / "third.csv"))
    found = pd.read_csv(root / "third.csv", dtype={"id": str}).assign(corpus="third")
    found.rename(columns={"happy": "joy"}).to_csv(root / "third.csv", index=False)
    own = ["surprise", "fear", "angry", "neutral", "joy", "sad", "disgust"]
    third = {"paths": str(root / "third.csv"), "dataset_name": "manifest", "emotions": own}
    return [str(root / "tree0"), str(root / "tree1"), third]


@pytest.fixture(scope="module")
def settings():
    return ["model.speech_encoder=tiny-whisper", "trainer.accelerator=cpu", "adaptation=corpus"]


@pytest.fixture(scope="module")
def study(places, settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder, transfer(places, settings, folder, EMOTIONS, pairs=False)


def test_every_corpus_against_the_others(study):
    folder, found = study
    assert [(c.trained_on, c.tested_on) for c in found.cells] == [("all others", b) for b in NAMES]
    for cell in found.cells:
        run = folder / "others" / cell.tested_on
        rows = pd.read_csv(run / "predictions.csv", keep_default_na=False, dtype=str)
        assert set(rows.corpus) == {cell.tested_on}
        mine = rows[(rows.system == cell.main.name) & rows.emotion.isin(EMOTIONS)]
        uar = balanced_accuracy_score(mine.emotion, mine.predicted)
        assert cell.main["uar"].value == pytest.approx(uar, abs=1e-6)
        assert cell.main["uar"].low <= uar <= cell.main["uar"].high
        data = json.loads((run / "data.json").read_text())
        names = set(NAMES) - {cell.tested_on}
        tested = {c.name: c for c in found.corpora}
        assert data["sides"]["train"]["n"] == sum(
            tested[n].utterances + tested[n].rated for n in names
        )
        assert cell.audit["speakers"] == 0
        assert {"baseline: most frequent", "baseline: duration and level"} <= set(cell.systems)
    assert found.simulated


def test_what_is_left_out_is_said(study, places):
    _, found = study
    for one, place in zip(found.corpora, places, strict=True):
        root = place if isinstance(place, str) else place["paths"]
        options = {} if isinstance(place, str) else {"emotions": place["emotions"]}
        table = make_total_df(root, **options).df.rename(columns={"joy": "happy"})
        assert one.utterances + one.rated + sum(one.left_out.values()) == len(table)
        rest = [e for e in KEMDY.emotions if e not in EMOTIONS]
        ahead = table[EMOTIONS].max(axis=1) > table[rest].max(axis=1)
        assert one.utterances == ahead.sum()
        assert one.sessions == table.session.nunique()
    assert found.corpora[2].labels["joy"] == "happy"
    assert {"sad", "fear"} & {own for own, to in found.corpora[0].labels.items() if to is None}


def test_the_same_numbers_in_each_file(study):
    folder, _ = study
    as_json = json.loads((folder / "transfer.json").read_text())
    rows = list(csv.DictReader((folder / "transfer.csv").open()))
    text = (folder / "transfer.md").read_text()
    assert text.startswith("**SIMULATED**")
    for cell in as_json["cells"]:
        value, low, high = cell["scores"][cell["main"]]["uar"]
        at = [cell["trained_on"], cell["tested_on"], cell["main"], "uar"]
        [row] = [r for r in rows if list(r.values())[:4] == at]
        assert [float(row[k]) for k in ("value", "low", "high")] == pytest.approx(
            [value, low, high], abs=1e-6
        )
        assert f"{value:.3f} [{low:.3f}, {high:.3f}]" in text
    line = next(x for x in text.splitlines() if x.startswith("|all others|"))
    cells = [float(x.split()[0]) for x in line.strip("|").split("|")[1:]]
    assert cells[3] == pytest.approx(np.mean(cells[:3]), abs=1e-3)
    assert cells[4] == min(cells[:3])
    assert re.search(r"\|all others, corpus-adapted\|", text)
    assert "|chance|0.333|" in text
    assert "joy → happy" in text


def test_it_goes_on_and_refuses_another_study(study, places, settings, monkeypatch, capsys):
    folder, found = study
    monkeypatch.setattr(studies_folds, "run", lambda *a: pytest.fail("trained again"))
    again = transfer(places, settings, folder, EMOTIONS, pairs=False)
    assert [c.main["uar"] for c in again.cells] == [c.main["uar"] for c in found.cells]
    assert "3 of 3 trainings are there already" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"made from something else .*dataset.tau"):
        transfer(places, [*settings, "dataset.tau=1"], folder, EMOTIONS, pairs=False)
    monkeypatch.undo()
    (folder / "others" / "third" / "fold.json").unlink()
    with pytest.raises(ConfigError, match=r"no fold.json that says what made them"):
        transfer(places, settings, folder, EMOTIONS, pairs=False)


def test_the_command(places, tmp_path, capsys, monkeypatch):
    """Pairs, and other speakers of the same corpus: the tests of its folds together are the corpus."""
    monkeypatch.setattr("erc.studies.transfer.PARTS", 2)
    out = tmp_path / "out"
    words = ["--emotions", "angry,neutral,happy", "--encoder", "tiny-whisper", "--within"]
    words += ["--set", "trainer.accelerator=cpu", "-o", str(out)]
    first = f"{{paths: '{places[0]}', dataset_name: kemdy19}}"
    assert main(["transfer", first, places[1], *words]) == 0
    said = capsys.readouterr().out
    assert "all others" not in said  # of two corpora that is the other one
    assert "itself, other speakers" in said
    assert not list(out.rglob("model"))
    assert json.loads((out / "kemdy19" / "kemdy20" / "fold.json").read_text())["finished"]
    found = json.loads((out / "transfer.json").read_text())
    pairs = {(c["trained_on"], c["tested_on"]): c for c in found["cells"]}
    own = "itself, other speakers"
    assert set(pairs) == {
        ("kemdy20", "kemdy19"), ("kemdy19", "kemdy20"), (own, "kemdy19"), (own, "kemdy20"),
    }  # fmt: skip
    mine = found["corpora"]["kemdy19"]
    assert pairs[own, "kemdy19"]["n"] == mine["utterances"] + mine["rated"]
    parts = [
        pd.read_csv(out / "within" / "kemdy19" / f"fold{k}" / "predictions.csv") for k in (0, 1)
    ]
    rows = pd.concat(parts)
    mine = rows[(rows.system == "speech") & rows.emotion.isin(EMOTIONS)]
    uar = balanced_accuracy_score(mine.emotion, mine.predicted)
    assert pairs[own, "kemdy19"]["scores"]["speech"]["uar"][0] == pytest.approx(uar, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["A"], "two corpora or more"),
        (
            ["A", "B", "--encoder", "tiny-whisper", "--set", "--json"],
            "expected at least one argument",
        ),
        (["A", "B"], "needs an encoder: --encoder openai/whisper-tiny"),
        (
            ["A", "B", "--emotions", "angry,bored", "--encoder", "x"],
            "no corpus of the mix has bored",
        ),
        (["{paths", "B", "--encoder", "x"], "argument CORPUS: invalid place value: '{paths'"),
        (["{path: x}", "B", "--encoder", "x"], "names no folder"),
        (["A", "A", "--encoder", "x"], "two corpora of the mix are called 'kemdy19'"),
    ],
)
def test_usage(words, said, places, capsys):
    known = dict(zip("AB", places))
    encoder = ["--encoder", "x"] if words == ["A"] else []
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(["transfer", *[known.get(w, w) for w in words], *encoder]))
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
