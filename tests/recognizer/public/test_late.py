"""Late fusion against its formula written out, and the fit against what made the labels."""

from __future__ import annotations

import numpy as np
import pytest

import erc
from erc.base.errors import CalibrationError, CheckpointError, ConfigError
from erc.base.numbers import softmax
from erc.model.encoded import Encoded
from erc.model.folder.heard import Heard
from erc.recognizer.public.folder import describe
from erc.recognizer.public.late import Fusion, LateRuntime, Shared, fit
from erc.recognizer.public.opened import Pair, look
from erc.recognizer.public.runtime import PublicRuntime


@pytest.fixture(scope="module")
def parts(model):
    return {"speech": describe(model("wav2vec2")), "text": describe(model("roberta"))}


def test_the_pool_is_the_weighted_sum_of_logarithms(parts, clips):
    """angry–anger, happy–joy, neutral calm; SAD and love have no counterpart."""
    pair = Pair(parts, Fusion((0.7, 0.3), labels={"neutral calm": "neutral"}))
    runtimes = {m: PublicRuntime(public, "cpu") for m, public in parts.items()}
    late = LateRuntime(runtimes, pair.shared, (0.7, 0.3))
    heard = late.encode("speech", clips[0][None], np.array([len(clips[0])]))
    ids = np.array(runtimes["text"].tokens("why would you"))
    read = late.encode("text", ids[None], np.array([len(ids)]))
    encoded = Encoded({"speech": heard[0], "text": read[0]}, {"speech": heard[1], "text": read[1]})
    p = softmax(heard[0][0].astype(float))[[0, 1, 3]]  # angry, Happy, neutral_calm
    q = softmax(read[0][0].astype(float))[[1, 0, 2]]  # anger, joy, neutral
    p, q = p / p.sum(), q / q.sum()
    wanted = p**0.7 * q**0.3
    assert pair.shared.emotions == ("angry", "happy", "neutral calm")
    assert softmax(late.fuse(encoded)[0])[0] == pytest.approx(wanted / wanted.sum(), abs=1e-6)
    for one, alone in (("speech", p), ("text", q)):
        found = softmax(late.fuse(encoded.only([one]))[0])[0]
        assert found == pytest.approx(alone, abs=1e-6)
    assert softmax(late.fuse(encoded.only([]))[0])[0] == pytest.approx([1 / 3] * 3)
    deaf = LateRuntime(
        runtimes, pair.shared, (0.0, 1.0)
    )  # what is alone answers, whatever its weight
    assert softmax(deaf.fuse(encoded.only(["speech"]))[0])[0] == pytest.approx(p, abs=1e-6)


def test_what_is_left_out_is_named_and_counted(parts):
    pair = Pair(parts, Fusion())
    assert pair.shared.emotions == ("angry", "happy")
    assert pair.shared.unmapped == {"speech": ("sad", "neutral calm"), "text": ("neutral", "love")}
    assert (
        "labels of the speech model without a counterpart, left out: 2 (sad, neutral calm)"
        in pair.notes
    )
    config = pair.to_config()
    assert config["emotions"] == ["angry", "happy"]
    assert config["dimensions"] == {}
    assert config["model"]["fusion"] == "late: speech 0.5, text 0.5"


def test_labels_of_one_meaning_are_added_up():
    """Labels that mean the same count together, under the first of them that `Space` has."""
    shared = Shared.of(["calm", "neutral", "ang"], ["sadness", "anger", "neutral"])
    assert shared.emotions == ("neutral", "ang")
    logs = shared.logs("speech", np.log([[0.2, 0.3, 0.5]]))
    assert np.exp(logs)[0] == pytest.approx([0.5, 0.5])
    only = Shared.of(["ang", "hap", "sad"], ["joy", "anger", "sadness"], {"joy": None})
    assert only.emotions == ("ang", "sad")


def test_two_folders_or_one_that_names_them(model, parts, tmp_path):
    speech, text = model("wav2vec2"), model("roberta")
    pair = look((speech, text))
    assert pair.fusion == Fusion()
    fusion = Fusion((0.25, 0.75), 1.5, {"neutral calm": "neutral"})
    fusion.write(tmp_path / "both", speech, text)
    kept = look(tmp_path / "both")
    assert kept.fusion == fusion
    assert kept.to_config()["meta"]["prediction"] == {"temperature": 1.5}
    assert kept.id != pair.id
    assert kept.id.startswith("public-wav2vec2+public-roberta@")
    met = Heard.of_sides([("mine", "anna")], [])
    Fusion((0.25, 0.75), 1.5, fitted=met).write(tmp_path / "met", speech, text)
    known = look(tmp_path / "met")
    assert known.fusion.fitted == met
    assert "fitted on mine; typicality and training unknown" in known.notes[0]
    path = tmp_path / "met" / "config.json"
    path.write_text(path.read_text().replace(min(met.training), "anna"))
    with pytest.raises(CheckpointError, match=r"fitted\.training\.0"):
        look(tmp_path / "met")
    (tmp_path / "near").symlink_to(speech)
    Fusion().write(tmp_path / "beside", "../near", text)
    assert look(tmp_path / "beside").parts["speech"].labels == parts["speech"].labels


def test_pairs_that_are_none(model, copy, tmp_path):
    speech, text = model("wav2vec2"), model("roberta")
    with pytest.raises(CheckpointError, match=f"needs a speech model there; '{text}' is of text"):
        look((text, speech))
    with pytest.raises(ConfigError, match="of two models, speech and text; got 3"):
        look((speech, text, text))
    other = copy("roberta", id2label={"0": "love", "1": "pride", "2": "grief", "3": "relief"})
    with pytest.raises(CheckpointError, match="share fewer than two emotions"):
        look((speech, other))
    with pytest.raises(ConfigError, match="their sum is 1"):
        Fusion((0.5, 0.6))
    Fusion().write(tmp_path / "m", speech, text)
    path = tmp_path / "m" / "config.json"
    path.write_text(path.read_text().replace("0.5", "-1"))
    with pytest.raises(CheckpointError, match=r"weights.0: a number from 0 to 1 is expected"):
        erc.load(tmp_path / "m")


def test_the_fit_finds_what_made_the_labels():
    """Labels drawn from softmax(a log p + b log q) give a and b back."""
    rng = np.random.default_rng(0)
    p, q = (softmax(rng.normal(size=(40_000, 4)) * 1.5) for _ in range(2))
    truth = softmax(0.9 * np.log(p) + 0.3 * np.log(q))
    labels = (truth.cumsum(1) < rng.random((len(p), 1))).sum(1)
    for given, close in ((labels, 0.03), (truth, 1e-5)):
        found = fit(p, q, given)
        assert found.weights[0] == pytest.approx(0.75, abs=close)
        assert found.temperature == pytest.approx(1 / 1.2, abs=close)


def test_no_better_weights_lie_on_a_grid():
    rng = np.random.default_rng(1)
    p, q = (softmax(rng.normal(size=(50, 3))) for _ in range(2))
    labels = rng.integers(0, 3, 50)
    labels[:35] = p[:35].argmax(1)

    def loss(a: float, b: float) -> float:
        return -np.log(softmax(a * np.log(p) + b * np.log(q))[np.arange(50), labels]).mean()

    found = fit(p, q, labels)
    a, b = (w / found.temperature for w in found.weights)
    grid = [loss(x, y) for x in np.linspace(0, 4, 81) for y in np.linspace(0, 4, 81)]
    assert loss(a, b) <= min(grid) + 1e-9


def test_answers_that_say_nothing_of_the_labels():
    flat = np.full((40, 2), 0.5)
    wrong = np.eye(2)[np.arange(40) % 2] * 0.8 + 0.1
    with pytest.raises(CalibrationError, match="do not fit the labels"):
        fit(1 - wrong, 1 - wrong, np.arange(40) % 2)
    with pytest.raises(CalibrationError, match="not of the same utterances"):
        fit(flat, flat, np.zeros(3, int))
