"""What is compared, counted and left out; scores against other libraries and literal formulas."""

from __future__ import annotations

import json
import math

import audmetric
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from erc.base.space import KEMDY, Dimension, Space
from erc.corpora.utterance import Utterance
from erc.recognizer.public.labels import meaning
from erc.scores.tables import number
from erc.studies.comparison import compare
from erc.studies.comparison_page import as_csv, html, markdown, terminal
from erc.studies.comparison_table import Comparison, Model, Said
from erc.studies.shared_emotions import shared_emotions

SPACE = Space(("angry", "happy", "sad", "boredom"), (Dimension("valence", 1, 5),))


def plain(label):
    return meaning(label, {})


def corpus(n=80, seed=0):
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(7, [0.3, 0.3, 0.25, 0.15], n)
    rated = rng.uniform(1, 5, n)
    return [
        Utterance(
            f"u{i}", "toy", None, f"sentence {i % 7}", f"s{i % 8}", f"s{i % 8}", tuple(map(float, v)),
            (float(r),),
        )
        for i, (v, r) in enumerate(zip(votes, rated))
    ]  # fmt: skip


def said(space, n=80, seed=1, **more):
    rng = np.random.default_rng(seed)
    k, low, high = len(space.emotions), space.low, space.high
    p = rng.dirichlet(np.ones(k), n) if k else np.zeros((n, 0))
    return Said(space, p, rng.uniform(low, high, (n, len(low))), seconds=2.0, **more)


def untied(utterances, emotions):
    """(rows, truth) by a loop: the one emotion with most votes, if it is one of `emotions`."""
    found = {}
    for i, u in enumerate(utterances):
        best = [e for e, v in zip(SPACE.emotions, u.votes) if v == max(u.votes)]
        if len(best) == 1 and best[0] in emotions:
            found[i] = emotions.index(best[0])
    return list(found), list(found.values())


def test_scores_are_those_of_other_libraries():
    utterances = corpus()
    own = Space(("anger", "joy", "sadness", "calm"), (Dimension("valence", -1, 1),))
    one = said(own)
    column, cells = compare(utterances, SPACE, {"m": one}, plain, name="toy")
    assert column.emotions == ("angry", "happy", "sad")
    rows, truth = untied(utterances, column.emotions)
    assert column.scored == {"uar": len(rows), "ccc_valence": 80}
    assert sum(column.left_out.values()) == 80 - len(rows)
    guess = one.probabilities[rows][:, :3].argmax(1)
    assert cells["m"].scores["uar"].value == pytest.approx(balanced_accuracy_score(truth, guess))
    wanted = audmetric.concordance_cc(
        [u.dimensions[0] for u in utterances], 3 + 2 * one.dimensions[:, 0]
    )
    assert cells["m"].scores["ccc_valence"].value == pytest.approx(wanted)
    assert cells["m"].labels == {"anger": "angry", "joy": "happy", "sadness": "sad", "calm": None}
    assert cells["m"].outside == pytest.approx(one.probabilities[rows][:, 3].mean())
    assert cells["m"].scores["uar"].clusters == 8


def test_the_same_utterances_for_all():
    """What one of them cannot answer counts for nobody."""
    utterances = corpus()
    space = Space(SPACE.emotions)
    whole, part = said(space, seed=1), said(space, seed=2)
    silent = [3, 10, 11]
    part.probabilities[silent] = math.nan
    column, cells = compare(utterances, SPACE, {"a": whole, "b": part}, plain, name="toy")
    rows, truth = untied(utterances, SPACE.emotions)
    kept = [(i, t) for i, t in zip(rows, truth) if i not in silent]
    assert column.scored["uar"] == len(kept)
    assert column.left_out["not answered by b"] == len(rows) - len(kept) > 0
    guess = whole.probabilities[[i for i, _ in kept]].argmax(1)
    wanted = balanced_accuracy_score([t for _, t in kept], guess)
    assert cells["a"].scores["uar"].value == pytest.approx(wanted)
    values = {m: cells[m].scores["uar"].value for m in "ab"}
    best = max(values, key=values.get)
    other = "ab".replace(best, "")
    assert cells[best].against_best is None
    assert cells[other].against_best.value == pytest.approx(values[other] - values[best])


def test_who_heard_the_speakers_is_measured_against_nobody():
    utterances = corpus()
    truth = np.array([u.votes for u in utterances])
    perfect = Said(Space(SPACE.emotions), truth / truth.sum(1, keepdims=True), np.zeros((80, 0)),
                   seconds=1.0, seen="was trained on them")  # fmt: skip
    honest = said(Space(SPACE.emotions))
    _, cells = compare(utterances, SPACE, {"leak": perfect, "m": honest}, plain, name="toy")
    assert cells["leak"].scores["uar"].value == 1
    assert cells["m"].against_best is None
    assert cells["leak"].against_best.value > 0


def test_baselines_learn_from_others():
    """Sentence look-up with one sentence an emotion is right for all; the most frequent is chance."""
    emotions = Space(("angry", "happy"))
    utterances = [
        Utterance(f"u{i}", "toy", None, "ab"[i % 2], f"s{i // 4}", "s", tuple(np.eye(2)[i % 2]))
        for i in range(40)
    ]
    answers = {"m": said(emotions, 40)}
    _, cells = compare(utterances, emotions, answers, plain, name="toy")
    assert cells["baseline: sentence look-up"].scores["uar"].value == 1
    assert cells["baseline: most frequent"].scores["uar"].value == 0.5
    assert "baseline: duration and level" not in cells
    alone = [u for u in utterances if u.speaker == "s0"]
    few = {"m": said(emotions, 4)}
    assert list(compare(alone, emotions, few, plain, name="toy")[1]) == ["m"]
    _, stated = compare(alone, emotions, few, plain, name="toy", train=utterances[4:])
    assert stated["baseline: sentence look-up"].scores["uar"].value == 1


def test_calm_is_calm_where_all_know_it():
    both = Space(("neutral", "calm", "happy"))
    emotions, tables = shared_emotions(both, [both], plain)
    assert emotions == ("neutral", "calm", "happy")
    emotions, (own, one, other) = shared_emotions(both, [both, Space(("neutral", "joy"))], plain)
    assert emotions == ("neutral", "happy")
    assert own["calm"] == one["calm"] == "neutral"
    assert other == {"neutral": "neutral", "joy": "happy"}
    assert tables[0] == {e: e for e in both.emotions}


def test_nothing_in_common_is_said():
    utterances = corpus()
    scales = Space((), (Dimension("dominance", 0, 1),))
    answers = {
        "m": said(Space(SPACE.emotions)),
        "d": said(scales),
        "x": said(Space(("love", "sad"))),
    }
    answers["gone"] = Said(
        scales, np.zeros((0, 0)), np.zeros((0, 1)), missing="takes text; has none"
    )
    column, cells = compare(utterances, SPACE, answers, plain, name="toy")
    assert "nothing to compare" in cells["d"].missing
    assert "nothing to compare" in cells["x"].missing
    assert cells["gone"].missing == "takes text; has none"
    assert column.emotions == SPACE.emotions  # those without a part in it take nothing away


@pytest.mark.parametrize("votes", [None, (0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0)])
def test_without_a_majority_nothing_counts(votes):
    one = Utterance("u", "toy", None, "a", "s", "s", votes, (math.nan,))
    answers = {"m": said(Space(SPACE.emotions), 1)}
    column, cells = compare([one], SPACE, answers, plain, name="toy")
    assert column.scored == {"uar": 0}
    assert sum(column.left_out.values()) == 1
    assert "nothing to compare" in cells["m"].missing


def test_every_form_tells_the_same():
    utterances = corpus()
    answers = {"<m>": said(Space(SPACE.emotions)), "leak": said(KEMDY, seen="was trained on it")}
    column, cells = compare(utterances, SPACE, answers, plain, name="toy", simulated=True)
    models = tuple(Model(name, f"{name}@1", ("speech",), 10, 1.0, ("x: MIT",)) for name in answers)
    found = Comparison(models, (column,), {m: (cell,) for m, cell in cells.items()}, "a machine")
    value = number(cells["<m>"].scores["uar"].value)
    for form in (terminal, markdown, html):
        text = form(found)
        assert value in text
        assert "†" in text
        assert "SIMULATED" in text
        assert "was trained on it" in text
        assert "which not all models know" in text
    assert "<m>" not in html(found)
    assert "&lt;m&gt;" in html(found)
    line = next(x for x in as_csv(found).splitlines() if x.startswith("<m>,toy,all,uar"))
    assert float(line.split(",")[4]) == pytest.approx(cells["<m>"].scores["uar"].value, abs=1e-6)
    again = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert again["cells"]["<m>"][0]["scores"]["uar"]["value"] == cells["<m>"].scores["uar"].value
