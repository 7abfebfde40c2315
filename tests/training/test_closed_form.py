"""The head in closed form: scikit-learn's ridge, refits without a group, planted truth, no leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as Theirs
from sklearn.linear_model import RidgeClassifier

from erc.base.emotions import EMOTIONS
from erc.base.errors import ConfigError
from erc.model.linear import Ridge
from erc.recognizer import load
from erc.scores.metrics import uar
from erc.studies.experiment import configure, evaluate, run
from erc.training import closed_form
from erc.training.assembly import Assembly

RNG = np.random.default_rng
SHAPES = [(40, 90), (90, 40), (30, 30)]  # rows × features: either Gram matrix


def corpus(n: int, d: int, strength: float, seed: int = 0, speakers: int = 6):
    """Features [n, d], one-hot emotions [n, 7] of unequal frequency, speakers [n] with a voice each."""
    rng = RNG(seed)
    emotion = rng.choice(4, n, p=[0.5, 0.2, 0.2, 0.1])
    speaker = np.arange(n) % speakers
    z = rng.standard_normal((n, d)) + rng.standard_normal((speakers, d))[speaker]
    z += strength * rng.standard_normal((4, d))[emotion]
    return z, np.eye(len(EMOTIONS))[emotion], speaker


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 300.0])
def test_equals_scikit_learn(n, d, alpha):
    z, y, _ = corpus(n, d, 0.5)
    ridge = Ridge(z, y, weights := RNG(1).uniform(0.1, 3, n))
    theirs = Theirs(alpha, solver="cholesky").fit(z, y, weights)
    w, b = ridge.solve(alpha)
    np.testing.assert_allclose(w, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(b, theirs.intercept_, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_emotions_equal_a_balanced_ridge_classifier(n, d):
    z, y, groups = corpus(n, d, 0.5)
    ours = closed_form.fit_emotions(z, y, groups)
    alpha = ours.strength * Ridge(z, 2 * y - 1, y @ closed_form.balanced(y)).scale
    theirs = RidgeClassifier(alpha, class_weight="balanced", solver="cholesky").fit(z, y.argmax(1))
    np.testing.assert_allclose(ours.weight[:4], theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.bias[:4], theirs.intercept_, atol=1e-6)
    assert np.abs(ours.weight[4:]).max() < 1e-9  # never seen: always −1
    np.testing.assert_allclose(ours.bias[4:], -1)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_held_out_is_a_refit_without_the_group(n, d):
    z, y, groups = corpus(n, d, 0.5)
    weights = RNG(1).uniform(0.1, 3, n)
    found = Ridge(z, y, weights).held_out(2.0, groups)
    for g in set(groups):
        out = groups == g
        refit = Theirs(2.0, solver="cholesky").fit(z[~out], y[~out], weights[~out])
        np.testing.assert_allclose(found[out], refit.predict(z[out]), atol=1e-6)


def test_rows_without_weight_or_without_rows_are_refused():
    with pytest.raises(ValueError, match="least weight 0"):
        Ridge(np.ones((2, 1)), np.ones((2, 1)), np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="of 0 rows"):
        Ridge(np.ones((0, 1)), np.ones((0, 1)))


def recall_of_new_speakers(strength: float, n: int = 600) -> float:
    z, y, speaker = corpus(n, 200, strength)
    new = speaker == 5
    fitted = closed_form.fit_emotions(z[~new], y[~new], speaker[~new])
    guess = (z[new] @ fitted.weight.T + fitted.bias).argmax(1)
    return uar(y[new].argmax(1), guess)


def test_planted_truth_is_found_and_noise_is_not():
    assert recall_of_new_speakers(1.0) > 0.95
    # 100 new clips, four emotions, 10 to 50 of each: sd of chance = √(Σₖ .19 / (16 nₖ)) < .06
    assert abs(recall_of_new_speakers(0.0) - 0.25) < 2 * 0.06


def test_probabilities_mean_what_they_say_on_new_speakers():
    z, y, speaker = corpus(3000, 20, 0.4, speakers=60)
    new = speaker > 39
    fitted = closed_form.fit_emotions(z[~new], y[~new], speaker[~new])
    scores = torch.from_numpy(z[new] @ fitted.weight.T + fitted.bias)
    sure = (scores / fitted.temperature).softmax(-1).amax(-1).mean()
    right = (scores.argmax(-1).numpy() == y[new].argmax(1)).mean()
    assert abs(float(sure) - right) < 0.08


def test_valence_and_arousal_of_a_planted_line():
    rng = RNG(0)
    z = rng.standard_normal((300, 30))
    rated = 3 + z[:, :2] * 0.5 + 0.1 * rng.standard_normal((300, 2))
    fitted = closed_form.fit_dimension(z, rated, np.arange(300) % 5)
    np.testing.assert_allclose(fitted.weight[:, :2], np.eye(2) * 0.5, atol=0.03)
    np.testing.assert_allclose(fitted.bias, [3, 3], atol=0.03)


def test_one_speaker_is_cut_into_parts(capsys):
    z, y, _ = corpus(200, 50, 1.0, speakers=1)
    fitted = closed_form.fit_emotions(z[:150], y[:150], np.zeros(150))
    assert uar(y[150:].argmax(1), (z[150:] @ fitted.weight.T + fitted.bias).argmax(1)) > 0.9
    assert "one speaker in training" in capsys.readouterr().out


WORDS = (
    "model=linear", "model.speech_encoder=tiny-whisper", "trainer.accelerator=cpu", "export=false",
    "dataset=hf", "adaptation=speaker",
)  # fmt: skip


def state(parts: Assembly) -> list[torch.Tensor]:
    tensors = [b.projector.weight for b in parts.model.branches.values()] + [parts.model.head.bias]
    return [t.detach().clone() for t in tensors]


def test_a_whole_run_and_no_label_outside_training_matters(kemdy19, tmp_path: Path, capsys):
    words = [*WORDS, f"dataset.paths={kemdy19}", "dataset.protocol=strict"]
    results = run(words, tmp_path / "run")
    assert {"speech", "speech, speaker-adapted"} <= set(results.systems)
    assert "emotions: ridge of strength" in capsys.readouterr().out
    # It is a model folder like any other: evaluated and loaded again, it says the same.
    again = evaluate(str(tmp_path / "run"))
    assert again.systems["speech"]["uar"] == results.systems["speech"]["uar"]
    recognizer = load(tmp_path / "run" / "model")
    wav = next(kemdy19.rglob("*.wav"))
    assert sum(recognizer.predict(wav).probabilities.values()) == pytest.approx(1)

    parts = Assembly(configure(words, tmp_path))
    first = closed_form.fit(parts)
    before, labels = state(parts), parts.sides["train"].labels
    held_out = np.concatenate([parts.sides[side].rows for side in ("valid", "test")])
    for rows, unchanged in ((held_out, True), (parts.sides["train"].rows, False)):
        for name in ("target", "target_valence_arousal"):
            values = getattr(labels, name)
            values[rows] = values[RNG(0).permutation(rows)]
        second = closed_form.fit(parts)
        same = all(torch.equal(a, b) for a, b in zip(before, state(parts), strict=True))
        assert (same, first == second) == (unchanged, unchanged)


def test_a_missing_modality_adds_nothing(kemdy19, tmp_path: Path):
    words = [*WORDS, f"dataset.paths={kemdy19}", "model.text_encoder=tiny-roberta"]
    parts = Assembly(configure(words, tmp_path))
    closed_form.fit(parts)
    data, model = parts.sides["test"], parts.model.eval()
    z = closed_form.side_by_side(model, parts.tables, data)
    weight = torch.cat([b.projector.weight for b in model.branches.values()], 1).detach().numpy()
    size = model.branches["speech"].projector.in_features
    from erc.training.evaluation import Condition, predict_split

    asked = [Condition(("speech", "text")), Condition(("speech",))]
    both, speech = predict_split(parts, "test", asked)
    z_speech = np.where(np.arange(z.shape[1]) < size, z, 0)
    bias = model.head.bias.detach().numpy()
    for said, features in ((both, z), (speech, z_speech)):
        np.testing.assert_allclose(said.logits, (features @ weight.T + bias)[:, :7], atol=1e-4)


@pytest.mark.parametrize(
    "words", [["model.freeze_speech=false"], ["model.fusion=single"], ["model.speech_pooling=segments"],
              ["model.speech_options.layer=weighted"]]
)  # fmt: skip
def test_what_is_not_linear_in_known_features_is_refused(kemdy19, tmp_path: Path, words):
    parts = [*WORDS[:-1], f"dataset.paths={kemdy19}", *words]
    with pytest.raises(ConfigError):
        closed_form.fit(Assembly(configure(parts, tmp_path)))
