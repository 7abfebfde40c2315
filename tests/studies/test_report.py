"""The HTML page: complete, self-contained, escaped, and equal to the files it is made from."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError
from erc.base.files import write_json
from erc.labels import peakl
from erc.scores import breakdown
from erc.scores.metrics import ccc, evaluate, f1
from erc.scores.statistics import interval
from erc.studies import report
from erc.training.data_record import shares

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

SECTIONS = "scores data labels agreement curves classes map calibration embedding groups repeat"
VOID = {"meta", "br", "hr", "img", "link", "input"}
NASTY = "<script>alert('&')</script>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of 120 utterances, without a model or corpus."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    n = 120
    votes = rng.multinomial(10, rng.dirichlet(np.ones(7) * 0.4), n) / 10
    label, va = votes.argmax(1), rng.uniform(1, 5, (n, 2))
    q = 0.5 * np.eye(7)[np.where(rng.random(n) < 0.6, label, 0)] + 0.5 * rng.dirichlet(
        np.ones(7), n
    )
    guess = (va + rng.normal(0, 0.7, (n, 2))).clip(1, 5)
    frame = pd.DataFrame({"system": "speech + text", "id": [f"{i:03d}" for i in range(n)]})
    frame["speaker"] = [f"{NASTY}{i % 6}" for i in range(n)]
    frame["session"] = [f"S{i % 3}" for i in range(n)]
    frame["gender"] = ["F" if i % 2 else "M" for i in range(n)]
    frame["seconds"] = rng.uniform(0.5, 9, n)
    frame["emotion"] = [EMOTIONS[k] for k in label]
    for k, e in enumerate(EMOTIONS):
        frame[f"p_{e}"], frame[f"votes_{e}"] = q[:, k], votes[:, k]
    for k, name in enumerate(("valence", "arousal")):
        frame[name], frame[f"predicted_{name}"] = va[:, k], guess[:, k]
    frame.to_csv(folder / "predictions.csv", index=False)
    spread = interval(evaluate, (q, guess, votes, label, va), frame.speaker.to_numpy(), 50)
    results = {
        "simulated": True, "corpus": NASTY, "store": "x-1", "protocol": "strict", "fold": 4,
        "folds": 5, "n": n, "speakers": 6, "sessions": ["S0"], "seed": 0, "temperature": 1.25,
        "command": "python train.py a='<b>'", "versions": {"python": "3.11"},
        "scores": {"speech + text": {k: v.value for k, v in spread.items()},
                   "human ceiling": {"accuracy": 0.71, "accuracy_std": 0.02, "ece": None}},
        "intervals": {"speech + text": {k: [v.low, v.high] for k, v in spread.items()}},
        "audit": {"n": n, "speakers": 0, "sentences": 4, "dialogues": 0, "recordings": 0,
                  "lookup": 0.25, "majority": 0.24, "warnings": ["a warning"]},
    }  # fmt: skip
    write_json(folder / "results.json", results)
    labels = {
        "votes": shares(votes),
        "PeakL": shares(peakl(votes)),
        "majority": shares(np.eye(7)[label]),
    }
    side = {"n": n, "minutes": 1.5, "speakers": 6, "sessions": 3, "ties": 2, "labels": labels}
    group = {"group": "19-A", "raters": 10, "utterances": n, "kappa": {"emotion": 0.512},
             "alpha": {"emotion nominal": 0.513}, "outliers": {"arousal": ["Eval06M"]}}  # fmt: skip
    data = {"sides": {"train": side}, "dropped": {"listener row": 7}, "corrected": {},
            "examples": {"listener row": [NASTY]}, "agreement": [group],
            "fingerprints": {"data": "x-1", "configuration": "abc"}, "erc": "0.1.0"}  # fmt: skip
    write_json(folder / "data.json", data)
    rows = [{"epoch": e, "step": e, "train/loss": 2 - e, "val/loss": 1.5, "val/f1_macro": 0.3 + e / 9}
            for e in range(2)]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    found = {"value": 0.888, "low": 0.8, "high": 0.9, "p": 0.001, "chance": 0.2}
    write_json(folder / "embedding.json", {"procrustes_r2": found, "rsa": found, "n": n, "speakers": 6,
                                           "emotions": 7, "permutations": 999, "seed": 0})  # fmt: skip
    points = frame[["id", "emotion", "valence", "arousal"]].assign(x=va[:, 0], y=va[:, 1])
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
    assert html.count("<svg") == 6
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


def test_numbers_are_those_of_the_files(html, run):
    results = json.loads((run / "results.json").read_text())
    text = " ".join("".join(Page(html).words).split())
    for key in ("accuracy", "uar", "f1_macro", "auroc", "ccc_valence", "ccc_arousal", "ece"):
        low, high = results["intervals"]["speech + text"][key]
        assert f"{results['scores']['speech + text'][key]:.3f}" in text
        assert f"[{low:.3f}, {high:.3f}]" in text
    for number in (
        "0.710",
        "± 0.020",
        "0.512",
        "0.513",
        "Eval06M",
        "0.888",
        "listener row",
        "T = 1.250",
    ):
        assert number in text


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
    frame = pd.read_csv(run / "predictions.csv", dtype={"id": str})
    frame["emotion"] = ""
    frame[["valence", "arousal"] + [f"votes_{e}" for e in EMOTIONS]] = np.nan
    frame.to_csv(tmp_path / "predictions.csv", index=False)
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())
    text = report.write(tmp_path).read_text("utf-8")
    assert "no held-out utterance has an emotion label" in text
    assert "no held-out utterance was rated" in text


def test_breakdown_equals_the_metrics_of_each_group(run):
    from erc.training.evaluation import arrays_of_frame

    frame = pd.read_csv(run / "predictions.csv", dtype={"id": str})
    groups = breakdown.breakdown(frame, arrays_of_frame(frame))
    assert {g.kind for g in groups} == {
        "gender",
        "session",
        "speaker",
        "raters' agreement",
        "length",
    }
    for kind in ("gender", "session", "speaker", "length", "raters' agreement"):
        assert sum(g.n for g in groups if g.kind == kind) == len(frame)
    women = frame[frame.gender == "F"]
    q = women[[f"p_{e}" for e in EMOTIONS]].to_numpy()
    label = [EMOTIONS.index(e) for e in women.emotion]
    found = next(g for g in groups if g.name == "F")
    assert found.n == len(women)
    assert found.scores["f1_macro"].value == pytest.approx(f1(label, q.argmax(1)))
    expected = ccc(women.valence, women.predicted_valence)
    assert found.scores["ccc_valence"].value == pytest.approx(expected)
    assert found.scores["accuracy"].low < found.scores["accuracy"].high


def test_per_class_equals_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    label, guess = rng.integers(0, 6, 80), rng.integers(0, 6, 80)  # disgust does not occur
    rows = breakdown.per_class(label, guess, rng.integers(0, 5, 80))
    p, r, f, n = sklearn.precision_recall_fscore_support(label, guess, labels=range(6))
    for k in range(6):
        row = rows[k]
        assert (row["precision"], row["recall"], row["f1"].value, row["n"]) == pytest.approx(
            (p[k], r[k], f[k], n[k])
        )
    assert rows[6]["n"] == 0
    assert np.isnan(rows[6]["f1"].value)
