from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import erc
from erc.base.errors import ConfigError
from erc.base.space import KEMDY
from erc.recognizer import Clip, Recognizer
from erc.recognizer.explain import explain, shapley
from erc.recognizer.runtimes import Runtime, Spec


class Planted(Runtime):
    """Logits of "happy" by hand: 1 for speech, 2 for text, 3 more for both; features are sums."""

    name = "planted"

    def __init__(self, modalities=("speech", "text"), needs_all=False):
        self.spec = Spec(modalities, dict.fromkeys(modalities, (1,)), needs_all=needs_all)

    def encode(self, modality, x, lengths):
        return np.abs(x).sum(1, keepdims=True).astype(np.float32), np.ones(len(x), bool)

    def fuse(self, encoded):
        pooled, present = encoded.pooled, encoded.present
        there = [present[m] for m in self.spec.modalities]
        value = sum((i + 1.0) * t for i, t in enumerate(there)) + 3.0 * np.all(there, 0)
        value = value + 0.01 * sum(pooled[m][:, 0] * present[m] for m in self.spec.modalities)
        logits = np.zeros((len(value), 7), np.float32)
        logits[:, KEMDY.emotions.index("happy")] = value
        return logits, np.full((len(value), 2), 3.0, np.float32)


def happy(value: float) -> float:
    return np.exp(value) / (np.exp(value) + 6)


@pytest.fixture
def recognizer() -> Recognizer:
    words = {"so": 40, "nice": 5}
    return Recognizer(
        Planted(), {"meta": {}}, lambda text: [words.get(w, 1) for w in text.split()], workers=1
    )


def clip(loud: float = 1.0) -> Clip:
    speech = np.zeros(16_000, np.float32)
    speech[4000:8000] = loud / 4000
    return Clip("x", {"speech": speech, "text": np.array([40, 5])}, "so nice")


def test_shapley_is_the_mean_over_both_orders(recognizer):
    nothing, shares = shapley(recognizer, clip(), KEMDY.emotions.index("happy"))
    p = {"": happy(0), "s": happy(1.01), "t": happy(2.45), "st": happy(6.46)}
    assert nothing == pytest.approx(p[""], abs=1e-6)
    speech = ((p["s"] - p[""]) + (p["st"] - p["t"])) / 2
    text = ((p["t"] - p[""]) + (p["st"] - p["s"])) / 2
    assert shares == pytest.approx({"speech": speech, "text": text}, abs=1e-6)
    assert nothing + sum(shares.values()) == pytest.approx(p["st"], abs=1e-6)


def test_saliency_finds_the_moment_and_the_word_that_matter(recognizer):
    found = explain(recognizer, clip(loud=100.0))
    assert found.prediction.label == "happy"
    start, end, _ = max(found.time, key=lambda moment: moment[2])
    assert (start, end) == (0.25, 0.5)
    assert found.time[0][0] == 0
    assert found.time[-1][1] == 1.0
    assert [word for word, _ in found.words] == ["so", "nice"]
    assert found.words[0][1] > found.words[1][1] > 0
    assert found.to_dict()["prediction"]["label"] == "happy"


def test_what_is_missing_has_no_share(recognizer):
    only = Clip("x", {"text": np.array([5])}, "nice")
    found = explain(recognizer, only)
    assert list(found.shares) == ["text"]
    assert found.time == []
    assert found.words == []


def test_models_that_need_everything():
    single = Recognizer(Planted(("speech",), needs_all=True), {"meta": {}})
    found = explain(single, Clip("x", {"speech": np.ones(800, np.float32)}))
    assert found.nothing == 0
    assert found.shares["speech"] == found.prediction.confidence
    both = Recognizer(Planted(needs_all=True), {"meta": {}})
    with pytest.raises(ConfigError, match="cannot do without"):
        explain(both, SimpleNamespace(name="x", inputs={}, text=None))


def test_a_trained_model_adds_up(run, kemdy19):
    recognizer = erc.load(run / "model")
    wav = min(kemdy19.glob("wav/*/*/*.wav"))
    found = recognizer.explain(wav, "정말 좋았어 그래서")
    total = found.nothing + sum(found.shares.values())
    assert total == pytest.approx(found.prediction.confidence, abs=1e-6)
    assert set(found.shares) == {"speech", "text"}
    assert len(found.words) == 3
