"""The head in closed form: scikit-learn's ridge and LDA, refits without a group, planted truth."""

from __future__ import annotations

from pathlib import Path

import audmetric
import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge as Theirs

from erc.base.errors import ConfigError
from erc.base.numbers import softmax
from erc.base.space import KEMDY
from erc.model.linear import UNSEEN, Discriminant, Ridge
from erc.recognizer import load
from erc.scores.metrics import uar
from erc.studies.experiment import configure, evaluate, run
from erc.training import closed_form
from erc.training.assembly import Assembly

RNG = np.random.default_rng
SHAPES = [(40, 90), (90, 40), (30, 30)]  # rows × features: either Gram matrix


def corpus(
    n: int,
    d: int,
    strength: float,
    speakers: int = 6,
    often: tuple[float, ...] = (0.5, 0.2, 0.2, 0.1),
):
    """Features [n, d], one-hot emotions [n, 7] so frequent, speakers [n] with a voice each."""
    rng = RNG(0)
    emotion = rng.choice(len(often), n, p=often)
    speaker = np.arange(n) % speakers
    z = rng.standard_normal((n, d)) + rng.standard_normal((speakers, d))[speaker]
    z += strength * rng.standard_normal((4, d))[emotion]
    return z, np.eye(len(KEMDY.emotions))[emotion], speaker


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 300.0])
def test_equals_scikit_learn(n, d, alpha):
    z, y, _ = corpus(n, d, 0.5)
    ridge = Ridge(z, y, weights := RNG(1).uniform(0.1, 3, n))
    theirs = Theirs(alpha, solver="cholesky").fit(z, y, weights)
    w, b = ridge.solve(alpha)
    np.testing.assert_allclose(w, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(b, theirs.intercept_, atol=1e-6)


def row_differences(scores: np.ndarray) -> np.ndarray:
    """Scores are log-posteriors up to a constant of the row."""
    return scores - scores[:, :1]


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("shrinkage", [0.01, 0.5])
def test_equals_lda_of_scikit_learn(n, d, shrinkage):
    z, y, _ = corpus(n, d, 0.5)
    weights = y @ closed_form.balanced(y)
    theirs = LinearDiscriminantAnalysis("lsqr", shrinkage, priors=np.full(4, 1 / 4))
    theirs.fit(z, y.argmax(1))
    # Their covariance is (1 − λ) S + λ tr(S)/D I.
    within = np.mean([np.cov(z[y[:, k] > 0].T, bias=True) for k in range(4)], 0)
    alpha = n * shrinkage / (1 - shrinkage) * np.trace(within) / d
    w, b = Discriminant(z, y, weights).solve(alpha)
    ours = (z @ w.T + b)[:, :4]
    theirs = (1 - shrinkage) * theirs.decision_function(z)
    np.testing.assert_allclose(row_differences(ours), row_differences(theirs), rtol=1e-6, atol=1e-6)
    assert np.abs(w[4:]).max() == 0
    assert (b[4:] == UNSEEN).all()


def literal(z, y, weights, alpha, new):
    """LDA of rows with memberships y [n, K] and weights, written down: means, covariance, inverse."""
    share, n = weights @ y / weights.sum(), weights.sum()
    means = (weights[:, None] * y).T @ z / n / share[:, None]
    within = sum(
        w * m * np.outer(x - means[k], x - means[k])
        for x, row, w in zip(z, y, weights)
        for k, m in enumerate(row)
    )
    inverse = np.linalg.inv(within / n + alpha / n * np.eye(z.shape[1]))
    return new @ inverse @ means.T - np.einsum("kd,de,ke->k", means, inverse, means) / 2


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("soft", [False, True])
def test_lda_held_out_is_a_refit_without_the_group(n, d, soft):
    z, y, groups = corpus(n, d, 0.5)
    y = RNG(2).dirichlet(np.ones(4), n) if soft else y[:, :4]
    weights = RNG(1).uniform(0.1, 3, n)
    found = Discriminant(z, y, weights).held_out(2.0, groups)
    for g in set(groups):
        out = groups == g
        refit = literal(z[~out], y[~out], weights[~out], 2.0, z[out])
        np.testing.assert_allclose(row_differences(found[out]), row_differences(refit), atol=1e-6)


def test_an_emotion_of_one_speaker_alone_is_never_said_of_that_speaker():
    z, y, groups = corpus(90, 40, 0.5)
    y[groups == 2] = np.eye(7)[6]
    found = Discriminant(z, y).held_out(2.0, groups)[groups == 2]
    assert np.isfinite(found).all()
    assert (found[:, 6] == found[:, :4].min(1)).all()
    assert (found[:, 4:6] == UNSEEN).all()


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
    # Priors are equal: they mean it where emotions are equally frequent.
    z, y, speaker = corpus(3000, 20, 0.4, speakers=60, often=(0.25,) * 4)
    new = speaker > 39
    fitted = closed_form.fit_emotions(z[~new], y[~new], speaker[~new])
    scores = torch.from_numpy(z[new] @ fitted.weight.T + fitted.bias)
    sure = (scores / fitted.temperature).softmax(-1).amax(-1).mean()
    right = (scores.argmax(-1).numpy() == y[new].argmax(1)).mean()
    assert abs(float(sure) - right) < 0.08


def test_valence_and_arousal_of_a_planted_line():
    rng = RNG(0)
    z = rng.standard_normal((300, 30))
    rated = 3 + z[:, :1] * 0.5 + 0.1 * rng.standard_normal((300, 1))
    for loss in ("mse", "ccc"):
        fitted = closed_form.fit_dimension(z, rated, np.arange(300) % 5, loss=loss)
        np.testing.assert_allclose(fitted.weight[0], np.eye(30)[0] * 0.5, atol=0.03)
        np.testing.assert_allclose(fitted.bias, 3, atol=0.03)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_dimension_fitted_for_ccc_has_more_of_it_on_new_speakers(weighted):
    """Noisy ratings, few rows: ridge says little; stretched, as much as was rated."""
    rng = RNG(1)
    z = rng.standard_normal((2400, 60))
    rated = 3 + 0.3 * z[:, :4].sum(1, keepdims=True) + rng.standard_normal((2400, 1))
    train, new, groups = slice(400), slice(400, None), np.arange(400) % 8
    counts = rng.uniform(0.5, 2, 400) if weighted else None
    found = {}
    for loss in ("mse", "ccc"):
        fitted = closed_form.fit_dimension(z[train], rated[train], groups, counts, loss)
        found[loss] = z[new] @ fitted.weight[0] + fitted.bias
    truth = rated[new, 0]
    assert audmetric.concordance_cc(truth, found["ccc"]) > 0.03 + audmetric.concordance_cc(
        truth, found["mse"]
    )
    assert found["ccc"].std() == pytest.approx(truth.std(), rel=0.15)
    assert ((found["mse"] - truth) ** 2).mean() < ((found["ccc"] - truth) ** 2).mean()


def test_noise_against_the_truth_is_not_stretched():
    """Held-out speakers contradict it: what is said stays near the mean."""
    speakers = np.repeat(np.arange(4), 25)
    z = np.eye(4)[speakers] + 0.01 * RNG(0).standard_normal((100, 4))  # only who speaks
    rated = 1.0 + speakers[:, None]
    fitted = closed_form.fit_dimension(z, rated, speakers, loss="ccc")
    said = [closed_form.Ridge(z, rated).held_out(s * closed_form.Ridge(z, rated).scale, speakers)
            for s in closed_form.STRENGTHS]  # fmt: skip
    assert max(np.corrcoef(x[:, 0], rated[:, 0])[0, 1] for x in said) < 0
    plain = closed_form.Ridge(z, rated).solve(fitted.strength * closed_form.Ridge(z, rated).scale)
    np.testing.assert_allclose(fitted.weight, plain[0])


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
    assert "emotions: LDA of strength" in capsys.readouterr().out
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
        for name in ("target", "target_dimensions"):
            values = getattr(labels, name)
            values[rows] = values[RNG(0).permutation(rows)]
        second = closed_form.fit(parts)
        same = all(torch.equal(a, b) for a, b in zip(before, state(parts), strict=True))
        as_before = first.temperature == second.temperature
        assert (same, as_before) == (unchanged, unchanged)


def test_prediction_sets_without_a_valid_side(kemdy19, tmp_path: Path):
    """Each training speaker is held out in turn: what is said of them then calibrates the sets."""
    words = [f"dataset.paths={kemdy19}", "dataset.protocol=fixed", "adaptation=none"]
    found = run([*WORDS, *words], tmp_path / "run").sets
    recognizer = load(tmp_path / "run" / "model", sets=0.5)
    assert list(recognizer.held_out.shares) == ["speech"]
    torch.manual_seed(0)  # as the run does: the untrained encoder is the same
    parts = Assembly(configure([*WORDS, *words], tmp_path))
    outcome, data = closed_form.fit(parts), parts.sides["train"]
    p = softmax(outcome.held_out / outcome.temperature)
    hard = data.labels.hard[data.rows]
    sure = hard.max(1) > 0.999
    expected = np.sort(p[sure, hard[sure].argmax(1)])
    assert recognizer.held_out.shares["speech"] == pytest.approx(expected, abs=1e-6)
    assert (found.calibrated_on, found.speakers) == (len(expected), recognizer.held_out.speakers)
    assert recognizer.predict(next(kemdy19.rglob("*.wav"))).prediction_set


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


def test_the_baseline_of_a_network_is_this_model_on_its_features(kemdy19, tmp_path: Path):
    words = [w for w in WORDS if "adaptation" not in w]
    parts = Assembly(configure([*words, f"dataset.paths={kemdy19}", "model.target=soft"], tmp_path))
    temperature = closed_form.fit(parts).temperature
    from erc.training.evaluation import predict_split

    [said] = predict_split(parts, "test")
    train, test = (parts.sides[side].rows for side in ("train", "test"))
    nothing = np.full((len(test), 7), np.nan), np.full((len(test), 2), np.nan)
    probabilities, ratings = closed_form.rival(parts, train, test, nothing)
    np.testing.assert_allclose(probabilities, said.probabilities(temperature or 1), atol=1e-4)
    np.testing.assert_allclose(ratings, said.dimensions, atol=1e-4)
    same = closed_form.rival(parts, train[:0], test, nothing)  # nothing to learn from
    assert np.isnan(same[0]).all()


@pytest.mark.parametrize(
    "words", [["model.freeze_speech=false"], ["model.fusion=single"], ["model.speech_pooling=segments"],
              ["model.speech_options.layer=weighted"]]
)  # fmt: skip
def test_what_is_not_linear_in_known_features_is_refused(kemdy19, tmp_path: Path, words):
    parts = [*WORDS[:-1], f"dataset.paths={kemdy19}", *words]
    with pytest.raises(ConfigError):
        closed_form.fit(Assembly(configure(parts, tmp_path)))
