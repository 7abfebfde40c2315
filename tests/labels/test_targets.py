"""erc.labels.targets: limits of each target, contradictions, and what the dataset makes of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from erc import labels
from erc.base.errors import ConfigError, LabelError
from erc.corpora import find
from erc.corpora import simulated as synthetic
from erc.datasets import HF_KEMD
from erc.labels.targets import (
    TARGETS,
    Target,
    balanced,
    by_raters,
    choose_target,
)
from erc.labels.ties import choose_tie
from erc.training.config import compose
from erc.training.evaluation import scored

CONFIG = Path(__file__).parents[2] / "config"
VOTES = np.array([[5, 0, 0, 3, 2, 0, 0], [0, 4, 4, 2, 0, 0, 0], [0, 0, 0, 0, 0, 0, 9.0]])


def truth(view):
    """What any system is scored against on a view."""
    n = len(view)
    return scored("any", view, np.full((n, 7), 1 / 7), np.full((n, 2), 3.0))


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Five short simulated sessions."""
    root = tmp_path_factory.mktemp("targets") / "corpus"
    synthetic.write_tree(root, sessions=5, utterances=12)
    return root


@pytest.fixture(scope="module")
def data(tree, tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))

    def build(**options):
        return HF_KEMD(str(tree), cache=cache, **options)

    return build


def test_sharpening_runs_from_the_majority_to_the_votes():
    soft = labels.soft(VOTES)
    np.testing.assert_allclose(labels.sharpen(soft, 1), soft)
    np.testing.assert_allclose(labels.sharpen(soft, 1e-3), labels.majority(soft), atol=1e-12)
    np.testing.assert_allclose(labels.majority(soft)[1, 1:3], 0.5)
    literal = soft[0] ** 2 / (soft[0] ** 2).sum()
    np.testing.assert_allclose(labels.sharpen(soft, 0.5)[0], literal)
    entropies = [labels.entropy(labels.sharpen(soft, t))[0] for t in (0, 0.25, 0.5, 1)]
    assert entropies == sorted(entropies)
    assert np.isnan(labels.sharpen(np.full((1, 7), np.nan), 0.5)).all()
    assert np.isnan(labels.majority(np.full((1, 7), np.nan))).all()
    tensor = labels.sharpen(torch.tensor(soft), 0.5)
    np.testing.assert_allclose(tensor.numpy(), labels.sharpen(soft, 0.5))
    with pytest.raises(LabelError, match="temperature"):
        labels.sharpen(soft, -1)


@pytest.mark.parametrize(
    ("target", "use_peakl", "multilabel", "expected"),
    [
        (None, True, True, "peakl"),
        (None, False, True, "soft"),
        (None, True, False, "hard"),
        (None, False, False, "hard"),
        ("soft", True, True, "soft"),  # use_peakl is true by default: the target wins
        ("hard", True, True, "hard"),
        ("hard", False, False, "hard"),
    ],
)
def test_the_older_keys_keep_their_meaning(target, use_peakl, multilabel, expected):
    assert choose_target(target, use_peakl, multilabel).name == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choose_target("peakl", False, True), "contradict"),
        (lambda: choose_target("soft", True, False), "multilabel"),
        (lambda: choose_target("sharpend", True, True), "did you mean 'sharpened'"),
        (lambda: choose_target("soft", True, True, 0.5), "sharpen_temperature"),
        (lambda: choose_target(None, True, True, None, "dawid_skene"), "rater_weights"),
        (lambda: choose_target("sharpened", True, True, 1.5), "outside 0"),
        (lambda: choose_target("rater_weighted", True, True, None, "dawid"), "not one of"),
        (lambda: choose_tie("first", True), "remove_deuce"),
        (lambda: choose_tie("centroids", False), "did you mean 'centroid'"),
    ],
)
def test_contradictions_are_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_tie_policies(data):
    tied = data().labels.tied
    assert tied.any(), "the simulated corpus must hold ties for this test"
    dropped = [data(remove_deuce=True), data(tie="drop")]
    for view in dropped:
        assert not view.labels.tied[view.rows].any()
    assert (dropped[0].rows == dropped[1].rows).all()
    first, shared = data(tie="first"), data(tie="soft")
    assert (first.labels.hard == labels.hard(first.labels.soft)).all()
    shares = shared.labels.hard[tied].max(1)
    assert (shares <= 0.5 + 1e-9).all()
    np.testing.assert_allclose(shared.labels.hard.sum(1), 1)
    everything = shared.side("all")
    label = truth(everything).label
    assert (label[tied] == -1).all()  # neither right nor wrong
    assert (label[~tied] == shared.labels.hard[~tied].argmax(1)).all()
    assert (truth(data(tie="centroid").side("all")).label >= 0).all()


def test_every_target_of_the_dataset(data):
    plain = data()
    assert (plain[0].target == plain[0].peakl).all()  # as before there was a choice
    said = plain.labels
    expected = {
        "hard": said.hard,
        "soft": said.soft,
        "peakl": said.peakl,
        "sharpened": labels.sharpen(said.soft, 0.25),
    }
    for name in TARGETS:
        view = data(target=Target(name, 0.25))
        learned = view.labels.target
        assert learned.shape == said.soft.shape
        np.testing.assert_allclose(learned.sum(1), 1)
        if name in expected:
            np.testing.assert_allclose(learned, expected[name])
            np.testing.assert_array_equal(view.labels.target_dimensions, said.dimensions)
    weighted, rated = view.labels, said.dimensions
    assert (weighted.target != said.soft).any()  # rater_weighted
    assert (weighted.target_dimensions[:, 1] != rated[:, 1]).any()
    test = view.side("test")
    assert (test[0].target == weighted.target[test.rows[0]]).all()
    assert (truth(view).ratings == rated[view.rows]).all()  # scored against plain means


def test_whom_to_trust_is_learned_from_training_sessions_only(data):
    view = data(validation_fold=4)
    utterances = list(view.store.utterances(np.arange(len(view.store))))
    training = {int(i) for i in view.fold.sides["train"]}
    swapped = [
        u
        if i in training
        else dataclasses.replace(
            u, ratings=tuple(r._replace(emotion=0, dimensions=(1.0, 1.0)) for r in u.ratings)
        )
        for i, u in enumerate(utterances)
    ]
    args = (sorted(training), "dawid_skene", view.labels.soft, view.labels.dimensions)
    before, after = by_raters(utterances, *args), by_raters(swapped, *args)
    rows = sorted(training)
    np.testing.assert_array_equal(before[0][rows], after[0][rows])
    np.testing.assert_array_equal(before[1][rows], after[1][rows])


def test_rater_weights_need_raters(tree):
    anonymous = [dataclasses.replace(u, ratings=()) for u in find(tree).utterances]
    soft = labels.soft([u.votes for u in anonymous])
    with pytest.raises(ConfigError, match="single ratings"):
        by_raters(anonymous, range(20), "reliability", soft, np.full((len(soft), 2), 3.0))


def test_balanced_weights_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.choice(7, 300, p=[0.3, 0, 0.2, 0.2, 0.1, 0.15, 0.05])
    one_hot = np.eye(7)[y]
    present = np.unique(y)
    expected = compute_class_weight("balanced", classes=present, y=y)
    np.testing.assert_allclose(balanced(one_hot)[present], expected)
    assert balanced(one_hot)[1] == 0
    soft = rng.dirichlet(np.ones(7), 50)
    assert (soft @ balanced(soft)).mean() == pytest.approx(1)
    soft[3] = np.nan
    assert np.isfinite(balanced(soft)).all()


def test_distribution_of_all_zero_temperature_is_the_majority():
    soft = labels.soft(VOTES)
    found = Target("sharpened", 0.0).distribution(soft, soft, soft)
    np.testing.assert_allclose(found, labels.majority(soft))


@pytest.mark.parametrize("model", sorted(p.stem for p in (CONFIG / "model").glob("[!_]*.yaml")))
def test_every_model_has_every_key_with_todays_behaviour_as_default(model):
    found = compose([f"model={model}"]).model
    assert (found.target, found.sharpen_temperature, found.rater_weights) == (None, None, None)
    assert (found.focal_gamma, found.label_smoothing, found.class_weights) == (2.0, 0.0, None)


@pytest.mark.parametrize("dataset", sorted(p.stem for p in (CONFIG / "dataset").glob("[!_]*.yaml")))
def test_every_dataset_has_a_tie_policy(dataset):
    assert compose([f"dataset={dataset}"]).dataset.tie is None
