"""Losses against literal formulas, torch, scipy and audmetric."""

from __future__ import annotations

import audmetric
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import entropy
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.model.emotion import Output
from erc.model.losses import (
    CLASSIFICATION,
    MultiTaskLoss,
    ccc_loss,
    focal,
    kl,
    mse,
    soft_cross_entropy,
)

NAN = float("nan")


@pytest.fixture
def batch() -> tuple[Output, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 7, generator=g, requires_grad=True)
    va = (torch.rand(6, 2, generator=g) * 4 + 1).requires_grad_()
    target = torch.distributions.Dirichlet(torch.ones(7)).sample((6,))
    target[0] = F.one_hot(torch.tensor(3), 7)
    return Output(logits, va, torch.zeros(6, 1)), target, torch.rand(6, 2, generator=g) * 4 + 1


def test_cross_entropy_equals_torch_and_the_sum(batch):
    output, target, _ = batch
    ours = soft_cross_entropy(output.logits, target)
    torch.testing.assert_close(ours, F.cross_entropy(output.logits, target, reduction="none"))
    p = output.logits.softmax(-1)
    literal = -sum(target[2, k] * torch.log(p[2, k]) for k in range(7))
    torch.testing.assert_close(ours[2], literal)


def test_focal_of_a_one_hot_target_is_that_of_lin_et_al(batch):
    logits = batch[0].logits
    target = torch.tensor([0, 1, 2, 3, 4, 5])
    p = logits.softmax(-1)[torch.arange(6), target]
    expected = -((1 - p) ** 2) * torch.log(p)
    torch.testing.assert_close(focal(logits, F.one_hot(target, 7).float()), expected)


def test_focal_works_per_utterance(batch):
    output, target, _ = batch
    alone = [focal(output.logits[i : i + 1], target[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(focal(output.logits, target), torch.cat(alone))
    torch.testing.assert_close(
        focal(output.logits, target, gamma=0), soft_cross_entropy(output.logits, target)
    )


def test_focal_of_a_certain_hit_is_zero_with_finite_gradient():
    logits = torch.tensor([[200.0, 0, 0, 0, 0, 0, 0]], requires_grad=True)
    loss = focal(logits, F.one_hot(torch.tensor([0]), 7).float())
    loss.sum().backward()
    assert loss.item() == 0
    assert logits.grad.isfinite().all()


def test_kl_equals_torch_and_scipy(batch):
    output, target, _ = batch
    ours = kl(output.logits, target)
    logp = output.logits.log_softmax(-1)
    torch.testing.assert_close(ours.mean(), F.kl_div(logp, target, reduction="batchmean"))
    np.testing.assert_allclose(
        ours.detach(), entropy(target.numpy(), logp.exp().detach().numpy(), axis=1), rtol=1e-5
    )
    assert (kl(target.clamp(min=1e-30).log(), target) < 1e-6).all()  # 0 for the right answer


def test_mse_and_ccc_equal_torch_and_audmetric(batch):
    prediction, target = batch[0].dimensions, batch[2]
    torch.testing.assert_close(mse(prediction, target), F.mse_loss(prediction, target))
    p, t = prediction.detach().numpy(), target.numpy()
    expected = 1 - np.mean([audmetric.concordance_cc(t[:, k], p[:, k]) for k in range(2)])
    assert ccc_loss(prediction, target).item() == pytest.approx(expected, abs=1e-5)
    assert ccc_loss(target, target).item() == pytest.approx(0, abs=1e-6)


def test_values_that_are_not_rated_are_left_out(batch):
    prediction, target = batch[0].dimensions, batch[2].clone()
    target[1], target[3, 0] = NAN, NAN
    keep = [[0, 2, 4, 5], [0, 2, 3, 4, 5]]
    kept = [(prediction[rows, k], target[rows, k]) for k, rows in enumerate(keep)]
    expected = sum(((p - t) ** 2).sum() for p, t in kept) / 9
    torch.testing.assert_close(mse(prediction, target), expected)
    cccs = [audmetric.concordance_cc(t.numpy(), p.detach().numpy()) for p, t in kept]
    assert ccc_loss(prediction, target).item() == pytest.approx(1 - np.mean(cccs), abs=1e-5)
    target[:, 0] = NAN  # a whole column: the other decides alone
    assert ccc_loss(prediction, target).item() == pytest.approx(1 - cccs[1], abs=1e-5)


@pytest.mark.parametrize(
    ("prediction", "target"), [([[3.0, 3]], [[3.0, 4]]), ([[2.0, 2]] * 3,) * 2]
)
def test_ccc_of_what_does_not_vary_is_one_and_finite(prediction, target):
    prediction = torch.tensor(prediction, requires_grad=True)
    loss = ccc_loss(prediction, torch.tensor(target))
    loss.backward()
    assert loss.item() == 1
    assert prediction.grad.isfinite().all()


@pytest.mark.parametrize("reg", ["mse", "ccc"])
@pytest.mark.parametrize("cls", CLASSIFICATION)
def test_multi_task_adds_up_and_ignores_unlabelled_rows(batch, cls, reg):
    output, target, va = batch
    loss = MultiTaskLoss(cls, reg, cls_coef=0.6)
    whole = loss(output, target, va)
    torch.testing.assert_close(whole.cls, CLASSIFICATION[cls](output.logits, target).mean())
    torch.testing.assert_close(whole.total, 0.6 * whole.cls + 0.4 * whole.reg)

    target, va = target.clone(), va.clone()
    target[4:], va[:2] = NAN, NAN
    part = loss(output, target, va)
    first = Output(output.logits[:4], output.dimensions[:4], output.features[:4])
    last = Output(output.logits[2:], output.dimensions[2:], output.features[2:])
    torch.testing.assert_close(part.cls, loss(first, target[:4], va[:4]).cls)
    torch.testing.assert_close(part.reg, loss(last, target[2:], va[2:]).reg)
    part.total.backward()
    assert output.logits.grad.isfinite().all()
    assert (output.logits.grad[4:] == 0).all()
    assert (output.dimensions.grad[:2] == 0).all()


@pytest.mark.parametrize("reg", ["mse", "ccc"])
def test_a_batch_without_any_label_costs_nothing(batch, reg):
    output, target, va = batch
    losses = MultiTaskLoss("focal", reg)(
        output, torch.full_like(target, NAN), torch.full_like(va, NAN)
    )
    assert [x.item() for x in losses] == [0, 0, 0]
    losses.total.backward()
    assert (output.logits.grad == 0).all()
    assert (output.dimensions.grad == 0).all()


def test_published_values(shared):
    """Ours differs from the published loss only in where the focal factor is applied."""
    for name in ("tensor_mixer", "concat"):
        stored = load_file(shared / "reference" / f"{name}_outputs.safetensors")
        output = Output(stored["cls_pred"], stored["reg_pred"], torch.empty(0))
        ce = soft_cross_entropy(output.logits, stored["emotion"]).mean()
        torch.testing.assert_close((1 - torch.exp(-ce)) ** 2 * ce, stored["cls_loss"])
        ours = MultiTaskLoss()(output, stored["emotion"], stored["regress"])
        torch.testing.assert_close(ours.reg, stored["reg_loss"])
        assert ours.total.item() == pytest.approx(stored["loss"].item(), rel=1e-2)


def test_wrong_names_are_refused():
    for options in ({"cls": "focl"}, {"reg": "mae"}, {"cls_coef": 1.5}):
        with pytest.raises(ConfigError):
            MultiTaskLoss(**options)


def test_label_smoothing_is_torchs(batch):
    output, _, va = batch
    index = torch.tensor([0, 1, 2, 3, 4, 5])
    found = MultiTaskLoss("soft_ce", label_smoothing=0.1)(output, F.one_hot(index, 7).float(), va)
    expected = F.cross_entropy(output.logits, index, label_smoothing=0.1)
    torch.testing.assert_close(found.cls, expected)


@pytest.mark.parametrize("cls", CLASSIFICATION)
def test_class_weights_weigh_utterances(batch, cls):
    output, target, va = batch
    weights = torch.linspace(0.5, 2, 7)
    found = MultiTaskLoss(cls, class_weights=weights.tolist())(output, target, va).cls
    each = CLASSIFICATION[cls](output.logits, target)
    expected = sum(each[i] * sum(weights[k] * target[i, k] for k in range(7)) for i in range(6)) / 6
    torch.testing.assert_close(found, expected)
    index = target.argmax(-1)  # on one-hot labels that is torch's `weight`, before its own mean
    hard = MultiTaskLoss("soft_ce", class_weights=weights.tolist())(
        output, F.one_hot(index, 7).float(), va
    )
    literal = F.cross_entropy(output.logits, index, weight=weights, reduction="sum") / 6
    torch.testing.assert_close(hard.cls, literal)


def test_gamma_and_both_regressions(batch):
    output, target, va = batch
    plain = MultiTaskLoss("soft_ce", "both")(output, target, va)
    unfocused = MultiTaskLoss("focal", "both", gamma=0)(output, target, va)
    torch.testing.assert_close(plain.cls, unfocused.cls)
    half = (mse(output.dimensions, va) + ccc_loss(output.dimensions, va)) / 2
    torch.testing.assert_close(plain.reg, half)


def test_loss_options_out_of_range_are_refused_and_not_saved():
    for options in ({"gamma": -1}, {"label_smoothing": 1.0}, {"label_smoothing": -0.1}):
        with pytest.raises(ConfigError):
            MultiTaskLoss(**options)
    assert not MultiTaskLoss(class_weights=[1.0] * 7).state_dict()  # old checkpoints still load
