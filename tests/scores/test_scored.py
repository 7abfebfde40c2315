"""Scored and predictions.csv: names survive, spreadsheets execute nothing, scores are scikit-learn's."""

from __future__ import annotations

import csv

import audmetric
import numpy as np
import pandas as pd
import pytest
from planted_scores import answers
from scipy.stats import t
from sklearn import metrics as sk

from erc.base.cells import FORMULA
from erc.base.errors import ConfigError, LabelError
from erc.base.space import KEMDY
from erc.scores.scored import NAMES, Scored, pool, read, write

UGLY = [
    "NA", "nan", "None", "", "1", "01", "1.0", "True", "=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)",
    "'=1", "''=1", "'tis", "\t=1", "\rx", "a\rb", "a\r\nb", "line\nbreak", 'a "b", c', " lead ",
    "정말", "e\u0301", "\u2028", ",", '"', "'",
]  # fmt: skip
# predictions.csv as it was written before there was a column for the corpus.
EARLIER = (
    "system,id,speaker,session,gender,seconds,emotion,predicted,tie,"
    + ",".join(f"{x}_{e}" for x in ("p", "votes") for e in KEMDY.emotions)
    + ",valence,predicted_valence,arousal,predicted_arousal\n"
    "speech,a1,NA,01,F,2.500000,happy,sad,False,0,0,0,0,0.250000,0.750000,0,"
    "0,0,0,0,0.600000,0.400000,0,2.500000,3.000000,4.000000,3.500000\n"
    "speech,a2,7,01,,1.250000,,neutral,True,0,0,0,1.000000,0,0,0,,,,,,,,,3.000000,,1.000000\n"
    "text,a1,NA,01,F,2.500000,happy,happy,False,0,0,0,0,1.000000,0,0,"
    "0,0,0,0,0.600000,0.400000,0,2.500000,3.000000,4.000000,3.500000\n"
)


def equal(a: Scored, b: Scored, digits: int = 6) -> None:
    assert a.system == b.system
    for name in (*NAMES, "label", "tie"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name
    for name in ("seconds", "typicality", "probabilities", "dimensions", "votes", "ratings"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=0.6 * 10**-digits)


def test_names_come_back_as_they_were(tmp_path):
    n = len(UGLY)
    turned = {name: np.roll(UGLY, k).tolist() for k, name in enumerate(NAMES)}
    one = answers(n, system="=speech", **turned)
    other = answers(n, seed=1, system="text", typicality=np.linspace(0, 1, n), **turned)
    write(tmp_path / "predictions.csv", [one, other])
    found = read(tmp_path / "predictions.csv")
    assert list(found) == ["=speech", "text"]
    equal(found["=speech"], one)
    equal(found["text"], other)


def test_no_spreadsheet_executes_a_name(tmp_path):
    write(tmp_path / "predictions.csv", [answers(len(UGLY), speaker=UGLY, system="@s")])
    frame = pd.read_csv(tmp_path / "predictions.csv", dtype=str, keep_default_na=False)
    assert len(frame) == len(UGLY)  # another reader counts the same rows
    for name in ("system", *NAMES, "emotion", "predicted"):
        assert not any(cell.startswith(FORMULA) for cell in frame[name]), name
    assert frame.speaker[UGLY.index("NA")] == "NA"
    assert frame.speaker[UGLY.index("+1")] == "'+1"


def test_a_file_of_an_earlier_version(tmp_path):
    (tmp_path / "predictions.csv").write_text(EARLIER, "utf-8")
    speech, text = read(tmp_path / "predictions.csv").values()
    assert (speech.system, text.system, len(speech), len(text)) == ("speech", "text", 2, 1)
    assert speech.speaker.tolist() == ["NA", "7"]
    assert speech.session.tolist() == ["01", "01"]
    assert speech.gender.tolist() == ["F", ""]
    assert speech.corpus.tolist() == ["", ""]
    assert speech.label.tolist() == [KEMDY.emotions.index("happy"), -1]
    assert speech.predicted.tolist() == [
        KEMDY.emotions.index("sad"),
        KEMDY.emotions.index("neutral"),
    ]
    assert speech.votes[0, KEMDY.emotions.index("happy")] == 0.6
    assert np.isnan(speech.votes[1]).all()
    np.testing.assert_array_equal(speech.ratings, [[2.5, 4.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(speech.dimensions, [[3.0, 3.5], [3.0, 1.0]])
    assert speech.tie.tolist() == [False, True]
    assert text.evaluate(only=["accuracy"]) == {"accuracy": 1.0}


def test_what_is_unknown_stays_unknown(tmp_path):
    nan = np.full((3, 7), np.nan)
    one = answers(3, votes=nan, label=[-1] * 3, ratings=nan[:, :2], seconds=[np.nan] * 3)
    write(tmp_path / "predictions.csv", [one])
    equal(read(tmp_path / "predictions.csv")["speech + text"], one)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (
            {"probabilities": np.full((4, 7), 0.2)},
            "probabilities of utterance 0-000 .* distribution",
        ),
        ({"probabilities": np.full((4, 7), np.nan)}, "no distribution"),
        ({"probabilities": np.eye(7)[:3]}, r"probabilities must be \(4, 7\); got \(3, 7\)"),
        ({"dimensions": [[3, 3], [3, 5.2], [3, 3], [3, 3]]}, r"utterance 0-001 \(row 1\) .*5.2"),
        ({"dimensions": np.full((4, 2), np.nan)}, "dimensions"),
        ({"ratings": [[0.5, 3]] * 4}, "ratings"),
        ({"votes": np.eye(7)[:4] / 2}, "votes"),
        ({"label": [0, 1, 2, 7]}, "label of utterance 0-003"),
        ({"votes": np.full((4, 7), np.nan)}, "a label without votes"),
        ({"speaker": ["a"]}, "speaker"),
    ],
)
def test_what_cannot_be_is_refused(broken, words):
    with pytest.raises(LabelError, match=words):
        answers(4, **broken)


def test_nobody_changes_a_record():
    one = answers(4)
    with pytest.raises(ValueError, match="read-only"):
        one.label[0] = 3
    with pytest.raises(AttributeError):
        one.system = "other"


def test_scores_are_those_of_other_libraries():
    one = answers(70, right=50)
    found = one.evaluate()
    label, guess = one.label, one.probabilities.argmax(1)
    assert found["accuracy"] == pytest.approx(50 / 70)
    assert found["f1_macro"] == pytest.approx(sk.f1_score(label, guess, average="macro"))
    assert found["uar"] == pytest.approx(sk.balanced_accuracy_score(label, guess))
    for k, name in enumerate(("valence", "arousal")):
        expected = audmetric.concordance_cc(one.ratings[:, k], one.dimensions[:, k])
        assert found[f"ccc_{name}"] == pytest.approx(expected)
    assert one.evaluate(only=["uar", "n"]) == {"uar": found["uar"], "n": 70}
    sure = one.intervals(["accuracy"])["accuracy"]
    assert sure.low <= sure.value == found["accuracy"] <= sure.high
    assert sure.clusters == 6  # speakers


def test_intervals_leave_out_speakers():
    one = answers(60, speakers=5)
    one = one.take(one.labelled)
    hit = one.label == one.predicted
    without = np.array([hit[one.speaker != s].mean() for s in sorted(set(one.speaker))])
    assert (
        abs(without - hit.mean()) < 1e-12
    ).sum() == 1  # one speaker is exactly average, and counts
    half = t.ppf(0.975, 4) * np.sqrt(((without - without.mean()) ** 2).sum())
    sure = one.intervals(["accuracy"])["accuracy"]
    assert (sure.low, sure.high) == pytest.approx((hit.mean() - half, min(1, hit.mean() + half)))


def test_pooled_folds_and_the_difference_of_two_systems():
    a = pool([answers(40, right=36, fold=k) for k in range(3)])
    b = pool([answers(40, right=20, seed=1, fold=k) for k in range(3)])
    assert len(a) == 120
    assert a.evaluate(only=["accuracy"])["accuracy"] == pytest.approx(108 / 120)
    gap = a.minus(b, ["accuracy"])["accuracy"]
    assert gap.value == pytest.approx((108 - 60) / 120)
    assert not gap.within_noise
    assert gap.clusters == 18  # speakers, not the three sessions
    assert a.minus(a, ["accuracy"])["accuracy"].value == 0
    with pytest.raises(LabelError, match="not tested on the same utterances"):
        a.minus(answers(120), ["accuracy"])


def test_some_utterances(tmp_path):
    one = answers(10)
    part = one.take([3, 1])
    assert part.id.tolist() == ["0-003", "0-001"]
    assert part.label.tolist() == [one.label[3], one.label[1]]
    assert one.take(one.gender == "F").gender.tolist() == ["F"] * 5


def test_other_files_are_refused_by_name(tmp_path):
    file = tmp_path / "predictions.csv"
    with pytest.raises(ConfigError, match="erc evaluate RUN -o"):
        read(file)
    write(file, [answers(2)])
    head, *rows = list(csv.reader(file.open(encoding="utf-8")))
    place = head.index("p_happy")
    cases = {
        "no column 'p_happy'": [[*r[:place], *r[place + 1 :]] for r in (head, *rows)],
        "dimensions of utterance 0-001": [head, rows[0], rows[1][:-1]],
        "no column 'system'": [["a", "b"], ["1", "2"]],
        "not what erc writes": [head, [*rows[0][:-1], "high"]],
        "jolly": [head, [x.replace(rows[0][head.index("emotion")], "jolly") for x in rows[0]]],
    }
    for words, lines in cases.items():
        with file.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(lines)
        with pytest.raises(ConfigError, match=words) as caught:
            read(file)
        assert str(file) in str(caught.value)
