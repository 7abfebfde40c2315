"""Results and results.json: nothing is lost on the way, earlier files open, folds add up."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from planted_scores import answers, results
from sklearn.metrics import f1_score

from erc.base.errors import ConfigError
from erc.scores.metrics import is_count
from erc.scores.panels import Panels, Worth
from erc.scores.results import Human, Results, anywhere
from erc.scores.scored import pool
from erc.scores.statistics import Interval
from erc.scores.summary import Spread, Summary
from erc.scores.tables import results_table, summary_table

EARLIER = {  # results.json as it was written when one rater stood among the systems
    "simulated": True, "corpus": "/data/KEMDy19", "store": "kemdy19-12", "protocol": "paper",
    "fold": 4, "folds": 5, "n": 8, "speakers": 2, "sessions": ["Session05"], "seed": 0,
    "temperature": 1.1, "command": "python train.py", "versions": {"python": "3.11.7"},
    "scores": {
        "speech": {"accuracy": 0.5, "ccc_valence": None, "n": 8.0, "n_hard": 6.0},
        "speech + text": {"accuracy": 0.75, "ccc_valence": 0.25, "n": 8.0, "n_hard": 6.0},
        "speech + text, speaker-adapted": {"accuracy": 0.625, "ccc_valence": 0.5, "n": 8.0},
        "human ceiling": {"accuracy": 0.7, "auroc": None, "accuracy_std": 0.05, "raters": 10.0},
    },
    "intervals": {
        "speech": {"accuracy": [0.25, 0.75], "ccc_valence": [None, None], "n": [8.0, 8.0]},
        "speech + text": {"accuracy": [0.5, 1.0], "ccc_valence": [0.1, 0.3]},
        "speech + text, speaker-adapted": {"accuracy": [0.5, 0.75], "ccc_valence": [0.4, 0.6]},
    },
    "audit": {"n": 8, "speakers": 0, "lookup": None, "majority": 0.25, "warnings": []},
}  # fmt: skip


def test_a_file_of_an_earlier_version(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(EARLIER), "utf-8")
    found = Results.read(tmp_path)
    assert list(found.systems) == ["speech", "speech + text", "speech + text, speaker-adapted"]
    assert found.fullest.name == "speech + text"
    assert found.adapted
    assert found.fullest.modalities == ("speech", "text")
    assert found.systems["speech + text, speaker-adapted"].modalities == ("speech", "text")
    assert found.fullest["accuracy"][:3] == (0.75, 0.5, 1.0)
    assert math.isnan(found.systems["speech"]["ccc_valence"].value)
    assert math.isnan(found.systems["speech"]["ccc_valence"].low)
    assert math.isnan(found.fullest["never measured"].value)
    assert (found.human["accuracy"], found.human.std("accuracy")) == (0.7, 0.05)
    assert math.isnan(found.human["auroc"])
    assert math.isnan(found.human.std("uar"))
    assert math.isnan(found.audit["lookup"])
    assert (found.precision, found.sessions) == ("", ("Session05",))


@pytest.mark.parametrize("source", ["earlier", "measured"])
def test_what_is_written_is_read(tmp_path, source):
    if source == "earlier":
        one = Results.from_json(EARLIER)
    else:
        unrated = answers(30, ratings=np.full((30, 2), np.nan), system="text")
        one = results(answers(30), unrated, human={"uar": 0.5, "auroc": math.nan})
    one.write(tmp_path / "results.json")
    plain = json.loads(
        (tmp_path / "results.json").read_text("utf-8"),
        parse_constant=lambda word: pytest.fail(f"{word} is not JSON"),
    )
    assert set(plain) > {"scores", "intervals", "human", "protocol", "precision", "audit"}
    sure = plain["intervals"]["text" if source == "measured" else "speech"]
    assert not set(filter(is_count, sure)) - {"n"}
    again = Results.read(tmp_path / "results.json")
    np.testing.assert_equal(again.to_json(), one.to_json())  # nan is nan


def test_a_system_is_measured_from_its_rows():
    one = results(answers(60, right=45))
    system = one.fullest
    assert system["accuracy"].value == 0.75
    assert system["accuracy"].low < 0.75 < system["accuracy"].high
    assert system.scores["n_hard"] == 60
    assert "n_hard" not in system.intervals


def test_what_is_no_result_of_a_run_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="not a finished run: it has no results"):
        Results.read(tmp_path)
    file = tmp_path / "results.json"
    without = {k: v for k, v in EARLIER.items() if k != "fold"}
    cases = {
        "is not JSON": "{",
        "fold0": json.dumps({"pooled": {}}),
        "'fold'": json.dumps(without),
        "'scores'": json.dumps({"protocols": {}}),
        "not what a run": json.dumps(EARLIER | {"scores": []}),
    }
    for words, text in cases.items():
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=words) as caught:
            Results.read(tmp_path)
        assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python train.py dataset.paths=/home/me/KEMDy19", "python train.py dataset.paths=KEMDy19"),
        ("dataset.paths=['/a/b/KEMDy19', '/a/KEMDy20/']", "dataset.paths=['KEMDy19', 'KEMDy20/']"),
        ("'dataset.paths=/home/my corpus'", "'dataset.paths=my corpus'"),
        ("~/data/x C:\\data\\y", "x y"),
        ("data/KEMDy19 ../up klue/roberta-large", "data/KEMDy19 ../up klue/roberta-large"),
        ("https://hub.org/a/b", "https://hub.org/a/b"),
    ],
)
def test_no_folder_of_this_machine_leaves_it(text, expected):
    assert anywhere(text) == expected


def test_public_results_differ_in_folders_only():
    one = results(answers(12))
    public = one.public()
    assert (public.corpus, public.command) == ("planted", "python train.py dataset.paths=planted")
    changed = {k for k, v in one.to_json().items() if v != public.to_json()[k]}
    assert changed == {"corpus", "command"}


def test_folds_add_up():
    folds = [answers(40, right=right, fold=k) for k, right in enumerate((36, 20, 28))]
    human = [{"accuracy": x} for x in (0.7, 0.8, 0.9)]
    each = [results(f, human=h, fold=k, folds=3) for k, (f, h) in enumerate(zip(folds, human))]
    summary = Summary.of(each, [{f.system: f} for f in folds])
    spread = summary.systems["speech + text"]
    assert spread.mean["accuracy"] == pytest.approx(np.mean([0.9, 0.5, 0.7]))
    assert spread.std["accuracy"] == pytest.approx(0.2)  # ddof 1
    assert summary.human.mean["accuracy"] == pytest.approx(0.8)
    assert summary.human.std["accuracy"] == pytest.approx(0.1)
    together = pool(folds)
    expected = f1_score(together.label, together.predicted, average="macro")
    assert summary.fullest["f1_macro"].value == pytest.approx(expected)
    assert summary.n == 120
    plain = summary.to_json()
    assert plain["mean"]["speech + text"]["accuracy"] == pytest.approx(0.7)
    assert plain["pooled"]["speech + text"]["accuracy"] == pytest.approx(84 / 120)
    assert plain["human"]["std"]["accuracy"] == pytest.approx(0.1)
    table = summary_table(summary)
    assert "0.700 ±0.200" in table
    assert "0.800 ±0.100" in table


def test_one_fold_has_no_deviation_and_an_undefined_score_no_mean():
    alone = Spread.over([Human({"uar": 0.5})])
    assert alone.mean == {"uar": 0.5}
    assert math.isnan(alone.std["uar"])
    assert math.isnan(Spread.over([Human({"uar": 0.5}), Human({"uar": math.nan})]).mean["uar"])


def test_the_table_shows_systems_then_one_rater_and_no_column_of_dashes():
    one = answers(12, right=9, ratings=np.full((12, 2), np.nan))
    head, row, human = results_table(results(one, human={"accuracy": 0.7})).splitlines()[2:5]
    assert "CCC" not in head
    assert row.split()[:4] == ["speech", "+", "text", "0.750"]
    assert human.split()[:4] == ["one", "rater", "0.700", "–"]


def test_no_row_in_which_a_single_vote_cannot_compete():
    """Runs of earlier versions hold the distance of a one-hot vote to a distribution: not shown."""
    human = {"accuracy": 0.7, "js_distance": 0.48, "brier": 0.5}
    scores = EARLIER["scores"] | {"human ceiling": human}
    found = Results.from_json(EARLIER | {"scores": scores})
    assert math.isnan(found.human["js_distance"])
    assert math.isnan(found.human["brier"])


def test_calibrated_is_what_was_fitted_on_other_data():
    one = results(answers(12), calibrated=True)
    assert Results.from_json(one.to_json()).calibrated
    assert "not calibrated" not in results_table(one)
    assert "not calibrated" in results_table(results(answers(12)))
    plain = {k: v for k, v in one.to_json().items() if k != "calibrated"}  # an earlier version's
    fitted = {"strict": True, "paper": False, "fixed": False}
    for protocol, expected in fitted.items():
        assert Results.from_json(plain | {"protocol": protocol}).calibrated == expected
    assert not Results.from_json(plain | {"temperature": 1.0}).calibrated


def test_few_speakers_are_named_and_people_stand_below_the_model():
    one = answers(12, right=9)
    sizes = {k: {"accuracy": Interval(0.1 * k, 0, 1)} for k in range(1, 10)}
    worth = {"speech + text": {"f1_macro": Worth(2.5, 1.8, math.inf, 9)}}
    table = results_table(results(one, human={"accuracy": 0.1}, panels=Panels(sizes, worth)))
    rows = [line.split()[:3] for line in table.splitlines()[4:7]]
    assert rows == [["one", "rater", "0.100"], ["2", "raters", "0.200"], ["4", "raters", "0.400"]]
    assert "worth so many raters (95 %): F1 macro 2.5 (1.8 – more than 9)" in table
    assert "only 6 speakers" in table
    assert "only" not in results_table(results(answers(36, speakers=12)))
