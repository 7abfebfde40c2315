"""Many models of one shape trained as one: their weights side by side, a step for all of them at a time.

Each keeps its own batches, random numbers, schedule, clipping and moments; a step of R models is the R
steps that they would make one after the other, but for the order in which numbers are added up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from erc.training.draws import Given

CLIP_EPSILON = 1e-6  # of torch.nn.utils.clip_grad_norm_


class Stack:
    """R models: trainable parameters [R, P], the columns of an optimiser group side by side.

    Args:
        nets: of one shape; the first is the one that is run, with the weights of all.
        groups: parameter names of each group, its learning rate and decay; the same for all.
    """

    def __init__(
        self,
        nets: Sequence[nn.Module],
        groups: Sequence[tuple[Sequence[str], float, float]],
    ):
        self.net = nets[0]
        each = [dict(net.named_parameters()) for net in nets]
        self.names = [name for names, _, _ in groups for name in names]
        self.shapes = [each[0][name].shape for name in self.names]
        self.sizes = [shape.numel() for shape in self.shapes]
        own = [torch.cat([one[n].detach().flatten() for n in self.names]) for one in each]
        self.weights = torch.stack(own)
        self.gradients = torch.zeros_like(self.weights)
        self.buffers = _stacked([dict(net.named_buffers()) for net in nets])
        size_of = dict(zip(self.names, self.sizes, strict=True))
        ends = torch.tensor([sum(size_of[n] for n in names) for names, _, _ in groups]).cumsum(0)
        options = [{"lr": rate, "weight_decay": decay} for _, rate, decay in groups]
        self.rates = [rate for _, rate, _ in groups]
        # A row of the matrix is, to the optimiser, one tensor a group: it looks at no other row, and
        # a row without a gradient stays as it is.
        self.slopes = [row.tensor_split(ends[:-1]) for row in self.gradients]
        rows = [row.tensor_split(ends[:-1]) for row in self.weights]
        self.optimizer = torch.optim.AdamW(
            [{"params": [p]} | o for row in rows for p, o in zip(row, options, strict=True)],
            fused=True,
        )

    def step(
        self,
        who: list[int],
        inputs: Sequence[Any],
        drawn: list[Tensor],
        counts: Sequence[float],
        factors: Sequence[float],
        clip: float | None,
    ) -> Tensor:
        """One optimiser step of some models.

        Args:
            who: A of the R models.
            inputs: arguments of the net, every tensor [A, B, …].
            drawn: the random numbers of the step, [A, B, …] each; see `draws.draw`.
            counts: [A], what the loss of each batch counts.
            factors: [A] of the learning rates, by the schedule.
            clip: greatest norm of a gradient; None: any.

        Returns:
            [A, 3] total, classification and regression loss.
        """
        weights = self.weights[who].requires_grad_()
        losses = self._run(weights, self._of(who), inputs, drawn)
        loss = (losses[:, 0] * torch.tensor(counts)).sum()
        [gradient] = torch.autograd.grad(loss, weights)
        if clip is not None:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient.mul_((clip / (norm + CLIP_EPSILON)).clamp(max=1))
        self.gradients[who] = gradient
        groups = self.optimizer.param_groups
        for group in groups:
            group["params"][0].grad = None
        each = len(self.rates)
        for r, factor in zip(who, factors, strict=True):
            own = groups[r * each : (r + 1) * each]
            for group, rate, slope in zip(own, self.rates, self.slopes[r], strict=True):
                group["lr"], group["params"][0].grad = rate * factor, slope
        self.optimizer.step()
        return losses.detach()

    def run(self, inputs: Sequence[Any], who: list[int]) -> Any:
        """What the nets say without gradients, [A, B, …] each."""
        with torch.no_grad():
            return self._run(self.weights[who], self._of(who), inputs, [])

    def _of(self, who: list[int]) -> dict[str, Tensor]:
        return {name: buffer[who] for name, buffer in self.buffers.items()}

    def _run(
        self,
        weights: Tensor,
        buffers: dict[str, Tensor],
        inputs: Sequence[Any],
        drawn: list[Tensor],
    ) -> Any:
        parts = weights.split(self.sizes, 1)
        values = {
            name: part.unflatten(1, shape or (1,)) if shape else part[:, 0]
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

        def one(own: dict[str, Tensor], given: Sequence[Any], random: list[Tensor]) -> Any:
            with Given.of(random), sdpa_kernel(SDPBackend.MATH):  # vmap knows no other on a CPU
                return torch.func.functional_call(self.net, own, tuple(given), tie_weights=False)

        return torch.func.vmap(one)(values | buffers, list(inputs), drawn)

    @torch.no_grad()
    def give_back(self, net: nn.Module, row: Tensor) -> None:
        """Write weights [P] of one model into `net`."""
        own = dict(net.named_parameters())
        for name, part, shape in zip(self.names, row.split(self.sizes), self.shapes, strict=True):
            own[name].copy_(part.view(shape))


def _stacked(each: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Buffers that are no encoder's, [R, …]."""
    names = [name for name in each[0] if ".encoder." not in name]
    return {name: torch.stack([own[name] for own in each]) for name in names}


def shape_of(net: nn.Module) -> tuple[Any, ...]:
    """What two nets must have in common to be stacked: names and sizes of all but the encoders."""
    tensors = [*net.named_parameters(), *net.named_buffers()]
    return tuple((n, tuple(x.shape)) for n, x in tensors if ".encoder." not in n)
