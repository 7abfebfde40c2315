"""Losses on the vote distribution and on dimensions. Rows of nan are not labelled: weight 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from erc.base.errors import ConfigError, did_you_mean
from erc.model.emotion import Output

GAMMA = 2.0  # focusing parameter of the focal loss


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """−Σₖ yₖ log pₖ of each utterance, [B, K]² → [B]; `target` rows sum to 1."""
    return -(target * logits.log_softmax(-1)).sum(-1)


def focal(logits: Tensor, target: Tensor, gamma: float = GAMMA) -> Tensor:
    """Focal loss (Lin et al. 2017, eq. 4) of each utterance, [B, K]² → [B].

    `(1 − p)^γ · CE` with `p = exp(−CE)`, the probability of the label: for a one-hot target that of
    its emotion, for a soft one the geometric mean over the emotions weighted by the votes.
    """
    ce = soft_cross_entropy(logits, target)
    return (-torch.expm1(-ce)) ** gamma * ce


def kl(logits: Tensor, target: Tensor) -> Tensor:
    """KL(y ‖ p) = Σₖ yₖ (log yₖ − log pₖ) ≥ 0 of each utterance, [B, K]² → [B]; 0 log 0 = 0."""
    return soft_cross_entropy(logits, target) + torch.special.xlogy(target, target).sum(-1)


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the rated values of [B, D]; 0 where there is none."""
    prediction, target, rated = _rated(prediction, target)
    return ((prediction - target) ** 2).sum() / rated.sum().clamp(min=1)


def ccc_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """1 − CCC, mean over the dimensions (Lin 1989); needs batches that vary.

    `CCC = 2 cov / (var + var + (difference of means)²)` with population moments over the rated rows.
    A column with nothing rated counts 0; one with no spread at all (a single row) counts 1, with
    no gradient.
    """
    prediction, target, rated = _rated(prediction, target)
    count = rated.sum(0)
    n = count.clamp(min=1)
    mean_p, mean_t = prediction.sum(0) / n, target.sum(0) / n
    p, t = (prediction - mean_p) * rated, (target - mean_t) * rated
    spread = (p**2).sum(0) / n + (t**2).sum(0) / n + (mean_p - mean_t) ** 2
    loss = 1 - 2 * (p * t).sum(0) / n / spread.clamp(min=1e-8)
    used = count > 0
    return torch.where(used, loss, 0).sum() / used.sum().clamp(min=1)


def mse_and_ccc(prediction: Tensor, target: Tensor) -> Tensor:
    """Half of each, so that `cls_coef` keeps its meaning: CCC for the trend, MSE for small batches."""
    return (mse(prediction, target) + ccc_loss(prediction, target)) / 2


CLASSIFICATION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal": focal,
    "soft_ce": soft_cross_entropy,
    "kl": kl,
}
REGRESSION: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "ccc": ccc_loss,
    "both": mse_and_ccc,
}


class Losses(NamedTuple):
    """Scalars; `total = cls_coef · cls + (1 − cls_coef) · reg`."""

    total: Tensor
    cls: Tensor
    reg: Tensor


NOT_OFFERED = -1e4  # as good as −∞, but 0 · it is 0


class MultiTaskLoss(nn.Module):
    """Classification and regression loss, weighted.

    Args:
        cls: "focal", "soft_ce" or "kl".
        reg: "mse", "ccc" or "both".
        cls_coef: weight of the classification loss, 0…1.
        gamma: focusing parameter of "focal", ≥ 0.
        label_smoothing: ε, 0 ≤ ε < 1: the target is `(1 − ε) y + ε/K` (Szegedy et al. 2016), over the
            K emotions that the corpus of a row has.
        class_weights: [K]; an utterance weighs `Σₖ wₖ yₖ`, y before smoothing. None: all weigh 1.
        units: [D], a fourth of the scale of each dimension, in which its error counts: 1 on 1–5.
            None: all are 1.
    """

    class_weights: Tensor | None
    units: Tensor

    def __init__(
        self,
        cls: str = "focal",
        reg: str = "mse",
        cls_coef: float = 0.7,
        gamma: float = GAMMA,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        units: Sequence[float] | None = None,
    ):
        super().__init__()
        for word, table in ((cls, CLASSIFICATION), (reg, REGRESSION)):
            if word not in table:
                raise ConfigError(
                    f"loss '{word}' is not one of {', '.join(table)}{did_you_mean(word, table)}"
                )
        if not 0 <= cls_coef <= 1:
            raise ConfigError(f"cls_coef {cls_coef} is outside 0…1")
        if not gamma >= 0:
            raise ConfigError(f"focal_gamma {gamma} is negative")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"label_smoothing {label_smoothing} is outside 0 ≤ ε < 1")
        self.classification = partial(focal, gamma=gamma) if cls == "focal" else CLASSIFICATION[cls]
        self.regression, self.cls_coef = REGRESSION[reg], cls_coef
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float)
        self.register_buffer("class_weights", weights, persistent=False)
        self.register_buffer("units", torch.tensor(units or 1.0), persistent=False)

    def forward(
        self,
        output: Output,
        distribution: Tensor,
        dimensions: Tensor,
        offered: Tensor | None = None,
    ) -> Losses:
        """Loss of a batch; a part for which no row has a label is 0.

        Args:
            output: of the model.
            distribution: [B, K] target, rows sum to 1 or are nan.
            dimensions: [B, D] target in the units of their scales, nan where unrated.
            offered: bool [B, K], emotions that the corpus of a row has; the row says nothing about the
                others, which get no gradient from it. None: all. The target is 0 where it is False.
        """
        # 0 · nan is nan, also in gradients: an unlabelled row is given numbers that cannot hurt, in both
        # places, before its loss is left out. No row is cut out, so that shapes do not hang on labels.
        labelled = ~distribution.isnan().any(-1)
        k = distribution.shape[-1]
        logits = torch.where(labelled[:, None], output.logits.float(), 0)
        target = torch.where(labelled[:, None], distribution, 1 / k).to(logits.dtype)
        choices: float | Tensor = k
        if offered is not None:
            logits = logits.masked_fill(~offered, NOT_OFFERED)
            choices = offered.sum(-1, keepdim=True).clamp(min=1)
        smooth = (1 - self.label_smoothing) * target + self.label_smoothing / choices
        if offered is not None:
            smooth = smooth * offered
        each = self.classification(logits, smooth if self.label_smoothing else target)
        if self.class_weights is not None:
            each = each * (target @ self.class_weights)
        cls = torch.where(labelled, each, 0).sum() / labelled.sum().clamp(min=1)
        reg = self.regression(output.dimensions.float() / self.units, dimensions / self.units)
        return Losses(self.cls_coef * cls + (1 - self.cls_coef) * reg, cls, reg)


def _rated(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both with 0 where the target is nan, and the mask of the others."""
    rated = ~target.isnan()
    target = target.to(prediction.dtype)
    return torch.where(rated, prediction, 0), torch.where(rated, target, 0), rated
