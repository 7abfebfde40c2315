"""The HTML page: complete, self-contained, escaped, and equal to the files it is made from."""

import math
import re
from html.parser import HTMLParser

import audmetric
import numpy as np
import pandas as pd
import pytest
from planted_scores import answers, results
from sklearn import metrics as sk

from erc.base.errors import ConfigError
from erc.base.files import write_json
from erc.base.space import KEMDY
from erc.scores import breakdown
from erc.scores.scored import Scored, pool, write
from erc.scores.selective import areas
from erc.scores.sets import Sets
from erc.studies import report

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SECTIONS = (
    "scores data labels agreement curves classes map calibration doubt sets embedding groups repeat"
)
VOID = {"meta", "br", "hr", "img", "link", "input"}
NASTY = "<script>alert('&')</script>"


@pytest.fixture(scope="module")
def rows() -> Scored:
    """120 utterances, 78 of them right."""
    speakers = [f"{NASTY}{i % 6}" for i in range(120)]
    return answers(120, right=78, speaker=speakers)


@pytest.fixture(scope="module")
def run(rows, tmp_path_factory):
    """A finished run, without a model or corpus."""
    folder = tmp_path_factory.mktemp("run")
    n = len(rows)
    write(folder / "predictions.csv", [rows])
    audit = {"n": n, "speakers": 0, "sentences": 4, "dialogues": 0, "recordings": 0,
             "lookup": 0.25, "majority": math.nan, "warnings": ["a warning"]}  # fmt: skip
    human = {"accuracy": 0.71, "accuracy_std": 0.02, "ece": math.nan}
    command = "python train.py a='<b>'"
    sets = Sets.of(rows, np.linspace(0.1, 0.9, 50), 5)
    found = results(
        rows, human=human, corpus=NASTY, command=command, audit=audit, calibrated=True, sets=sets,
        risk=areas(rows),
    )  # fmt: skip
    found.write(folder / "results.json")
    labels = {kind: dict.fromkeys(KEMDY.emotions, 1 / 7) for kind in ("votes", "PeakL", "majority")}
    side = {"n": n, "minutes": 1.5, "speakers": 6, "sessions": 3, "ties": 2, "labels": labels}
    group = {"group": "19-A", "raters": 10, "utterances": n, "kappa": {"emotion": 0.512},
             "alpha": {"emotion nominal": 0.513}, "outliers": {"arousal": ["Eval06M"]}}  # fmt: skip
    data = {"sides": {"train": side}, "dropped": {"listener row": 7}, "corrected": {},
            "examples": {"listener row": [NASTY]}, "agreement": [group],
            "fingerprints": {"data": "x-1", "configuration": "abc"}, "erc": "0.1.0"}  # fmt: skip
    write_json(folder / "data.json", data)
    epochs = [{"epoch": e, "step": e, "train/loss": 2 - e, "val/loss": 1.5, "val/f1_macro": 0.3 + e / 9}
              for e in range(2)]  # fmt: skip
    pd.DataFrame(epochs).to_csv(folder / "metrics.csv", index=False)
    score = {"value": 0.888, "low": 0.8, "high": 0.9, "p": 0.001, "chance": 0.2}
    write_json(folder / "embedding.json", {"procrustes_r2": score, "rsa": score, "n": n, "speakers": 6,
                                           "emotions": 7, "permutations": 999, "seed": 0})  # fmt: skip
    points = pd.DataFrame({"id": rows.id, "emotion": rows.emotion, "x": 0.0, "y": 1.0})
    points[["valence", "arousal"]] = rows.ratings
    points.to_csv(folder / "embedding.csv", index=False)
    (folder / "config.yaml").write_text("seed: 0 # <i>\n")
    return folder


class Page(HTMLParser):
    """Checks nesting; keeps ids, words, and whatever a browser would fetch."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.fetched, self.words = [], [], [], []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "data", "srcset", "poster"):
                self.fetched.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def html(run):
    return report.write(run).read_text("utf-8")


def test_whole_and_well_formed(html):
    page = Page(html)
    assert [i for i in page.ids if i in SECTIONS.split()] == SECTIONS.split()
    assert len(set(page.ids)) == len(page.ids)
    assert html.count("<svg") == 7
    assert "Not shown" not in html


def test_nothing_is_fetched(html):
    page = Page(html)
    assert all(x.startswith(("#", "data:image/")) for x in page.fetched)
    assert not re.search(r"@import|url\((?!['\"]?#)|<script|<link|<iframe", html)
    urls = set(re.findall(r"https?://[^\"' <]+", html))
    assert urls <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names only


def test_text_is_escaped(html):
    text = "".join(Page(html).words)
    assert text.count(NASTY) >= 6
    assert "python train.py a='<b>'" in text
    assert "seed: 0 # <i>" in text


def test_simulated_is_said_first(html):
    words = "".join(
        Page(html[html.index("<body>") :].replace("</html>", "")[6:].replace("</body>", "")).words
    )
    assert words.strip().startswith("SIMULATED")
    assert "<title>SIMULATED" in html


def test_numbers_are_those_of_the_files(html, rows):
    """Each score beside what scikit-learn and audmetric make of the same answers."""
    text = " ".join("".join(Page(html).words).split())
    label, guess = rows.label, rows.probabilities.argmax(1)
    expected = {
        "accuracy": 78 / 120,
        "UAR": sk.balanced_accuracy_score(label, guess),
        "F1 weighted": sk.f1_score(label, guess, average="weighted"),
        "F1 macro": sk.f1_score(label, guess, average="macro"),
        "AUROC": sk.roc_auc_score(label, rows.probabilities, multi_class="ovr"),
        "CCC valence": audmetric.concordance_cc(rows.ratings[:, 0], rows.dimensions[:, 0]),
        "CCC arousal": audmetric.concordance_cc(rows.ratings[:, 1], rows.dimensions[:, 1]),
    }
    for name, value in expected.items():
        assert re.search(rf"{name} ?{value:.3f} ?\[0\.\d{{3}}, 0\.\d{{3}}\]", text), name
    for k, emotion in enumerate(KEMDY.emotions):
        precision, recall, f1, n = (
            x[0] for x in sk.precision_recall_fscore_support(label, guess, labels=[k])
        )
        row = f"{emotion} ?{n} ?{(guess == k).sum()} ?{precision:.3f} ?{recall:.3f} ?{f1:.3f}"
        assert re.search(row, text), emotion
    for number in (
        "0.710", "± 0.020", "0.512", "0.513", "Eval06M", "0.888", "listener row", "T = 1.250",
        "right in 25 %", "most frequent emotion in –",
    ):  # fmt: skip
        assert number in text, number


def test_sets_and_doubt(html, rows):
    text = " ".join("".join(Page(html).words).split())
    found = Sets.of(rows, np.linspace(0.1, 0.9, 50), 5)
    assert f"in {found.coverage:.3f} [{found.low:.3f}, {found.high:.3f}] of the sets" in text
    for group in found.groups:
        assert f"{group.kind} {group.name}{group.n}{group.coverage:.3f}{group.size:.1f}" in text
    for area in areas(rows).values():
        assert f"{area:.3f}" in text


def test_missing_pieces_say_why(run, tmp_path):
    for name in ("results.json", "predictions.csv"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    html = report.write(tmp_path, tmp_path / "page.html").read_text("utf-8")
    text = " ".join("".join(Page(html).words).split())
    assert [i for i in Page(html).ids if i in SECTIONS.split()] == SECTIONS.split()
    assert text.count("Not shown") == 5  # data, agreement, curves, embedding, configuration
    assert "this folder has no data.json" in text
    assert "this folder has no metrics.csv" in text
    assert "is not a run: it has no config.yaml" in text


def test_no_run_and_cross_validation_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="not a finished run"):
        report.write(tmp_path)
    write_json(tmp_path / "results.json", {"pooled": {}})
    with pytest.raises(ConfigError, match="fold0"):
        report.write(tmp_path)


def test_unlabelled_and_unrated_splits(run, tmp_path):
    nan = np.full((20, 7), np.nan)
    none = answers(20, votes=nan, label=[-1] * 20, ratings=nan[:, :2])
    write(tmp_path / "predictions.csv", [none])
    results(none).write(tmp_path / "results.json")
    text = report.write(tmp_path).read_text("utf-8")
    assert "no held-out utterance has an emotion label" in text
    assert "no held-out utterance was rated" in text


def test_breakdown_equals_scikit_learn_on_each_group(rows):
    groups = breakdown.breakdown(rows)
    kinds = {"gender", "session", "speaker", "raters' agreement", "length"}
    assert {g.kind for g in groups} == kinds
    for kind in kinds:
        assert sum(g.n for g in groups if g.kind == kind) == len(rows)
    women = rows.gender == "F"
    label, guess = rows.label[women], rows.probabilities[women].argmax(1)
    found = next(g for g in groups if g.name == "F").scores
    assert found["f1_macro"].value == pytest.approx(sk.f1_score(label, guess, average="macro"))
    expected = audmetric.concordance_cc(rows.ratings[women, 0], rows.dimensions[women, 0])
    assert found["ccc_valence"].value == pytest.approx(expected)
    assert found["accuracy"].value == pytest.approx((label == guess).mean())
    assert found["accuracy"].low < found["accuracy"].high
    short = next(g for g in groups if g.name == "under 2 s")
    assert short.n == (rows.seconds < 2).sum()


def test_speakers_of_one_name_in_two_corpora_are_two():
    one = answers(60, right=60, speakers=3)
    rows = pool([one, answers(60, right=0, speakers=3, corpus=["b"] * 60)])
    found = {g.name: g for g in breakdown.breakdown(rows, ("speaker",))}
    assert sorted(found) == ["b/00", "b/01", "b/02", "planted/00", "planted/01", "planted/02"]
    assert found["b/00"].scores["accuracy"].value == 0
    assert found["planted/00"].scores["accuracy"].value == 1
    assert {g.speakers for g in breakdown.breakdown(rows, ("gender",))} == {6}
    assert breakdown.per_class(rows)[0]["f1"].clusters == 6
    assert {g.name for g in breakdown.breakdown(one, ("speaker",))} == {"00", "01", "02"}


def test_per_class_of_an_emotion_that_does_not_occur():
    label = np.random.default_rng(0).integers(0, 6, 80)  # no disgust
    guess = np.random.default_rng(1).integers(0, 6, 80)
    rows = answers(80, label=label, probabilities=np.eye(7)[guess])
    found = breakdown.per_class(rows)
    expected = sk.precision_recall_fscore_support(label, guess, labels=range(6))
    for k, (precision, recall, f1, n) in enumerate(zip(*expected)):
        row = found[k]
        assert (row["precision"], row["recall"], row["f1"].value, row["n"]) == pytest.approx(
            (precision, recall, f1, n)
        )
    assert found[6]["n"] == 0
    assert np.isnan(found[6]["f1"].value)
