"""`erc agreement` on a simulated corpus: what it prints and writes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from erc.__main__ import main
from erc.base.figures import COLOURS, heat_map
from erc.base.space import KEMDY
from erc.corpora import find
from erc.corpora import simulated as synthetic
from erc.labels.agreement import krippendorff_alpha
from erc.labels.ratings import rating_matrix


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("agreement") / "corpus"
    synthetic.write_tree(root, sessions=3, utterances=30)
    return root


@pytest.mark.parametrize("words", [["kemdy19"], []])
def test_command_names_the_outlier_and_writes_json_and_heat_maps(tree, tmp_path, capsys, words):
    out = tmp_path / "out"
    assert main(["agreement", *words, str(tree), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("SIMULATED corpus kemdy19: 90 utterances")
    assert "unlike the others in arousal, 19-A: Eval06M" in printed
    assert "weight of Eval06M in arousal: 0." in printed
    assert "95 % interval over 6 speakers" in printed
    found = json.loads((out / "agreement.json").read_text())
    (table,) = rating_matrix(find(tree).utterances).values()
    alpha = krippendorff_alpha(table.dimensions[0], "ordinal")
    assert found["groups"][0]["alpha"]["valence ordinal"] == pytest.approx(alpha)
    assert found["outliers"]["19-A"]["arousal"] == ["Eval06M"]
    assert found["weights"]["19-A"]["arousal"]["Eval06M"] < 0.2
    pairs = np.array(found["pairwise"]["19-A"]["valence"], float)
    assert pairs.shape == (10, 10)
    assert pairs[0, 1] == pytest.approx(np.corrcoef(table.dimensions[0][:2])[0, 1])
    assert found["one_rater"]["f1_macro"]["low"] < found["one_rater"]["f1_macro"]["high"]
    assert (out / "agreement-19-A.png").read_bytes()[:4] == b"\x89PNG"


def test_a_corpus_without_raters_says_so(tmp_path, capsys):
    table = tmp_path / "manifest.csv"
    table.write_text("id,text,speaker,session,emotion\na,hello,s,1,happy\nb,bye,s,1,sad;fear\n")
    assert main(["agreement", str(table), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 majorities tied (50.0%)" in printed
    assert "agreement is undefined" in printed


def test_one_colour_an_emotion_and_a_heat_map_with_holes():
    from erc.base.figures import figure, png

    assert tuple(COLOURS) == KEMDY.emotions
    assert len(set(COLOURS.values())) == 7
    fig, ax = figure()
    heat_map(ax, [[np.nan, 0.5], [-0.25, np.nan]], ["a", "b"], marked=["b"])
    assert [t.get_text() for t in ax.texts] == [".50", "-.25"]
    assert png(fig)[:4] == b"\x89PNG"
