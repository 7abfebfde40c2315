"""Random numbers of a step, drawn before it: each of many models gets what it would draw alone.

`torch.func.vmap` draws for all models from one generator. Here each has its own: what a forward pass
asks for is learned once (`plan`), drawn for each model from its generator in the same order and shapes
(`draw`), and handed out while all of them go through the step together (`Given`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from erc.base.errors import ConfigError


@dataclass(frozen=True)
class Draw:
    """Numbers that a forward pass asks for: one shape for each row of a batch."""

    drop: float | None  # rate of a dropout; None: uniform in 0 … 1
    shape: tuple[int, ...]  # without the batch

    def fill(self, empty: Tensor, generator: torch.Generator) -> None:
        """As `torch.nn.functional.dropout` and `torch.rand` fill their own."""
        if self.drop is None:
            empty.uniform_(generator=generator)
        else:
            empty.bernoulli_(1 - self.drop, generator=generator)


class Given(TorchFunctionMode):
    """Within it dropout and `torch.rand` take what they are given, in the order in which they ask."""

    def __init__(self, give: Callable[[float | None, torch.Size], Tensor]):
        super().__init__()
        self.give = give

    @classmethod
    def of(cls, drawn: Sequence[Tensor]) -> Given:
        """What was drawn, one after the other."""
        left: Iterator[Tensor] = iter(drawn)
        return cls(lambda drop, shape: next(left))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.rand:
            return self.give(None, torch.Size(args if isinstance(args[0], int) else args[0]))
        if func is F.dropout:
            x, p, training = _dropout(*args, **(kwargs or {}))
            if p == 1 and training:  # nothing is left, and nothing is drawn
                return x * 0
            return x * self.give(p, x.shape) if training and p else x
        return func(*args, **(kwargs or {}))


def _dropout(
    x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> tuple[Tensor, float, bool]:
    return x, p, training


def plan(step: Callable[[int], object]) -> list[Draw]:
    """What a step draws.

    Args:
        step: runs a batch of so many rows.

    Raises:
        ConfigError: it draws what cannot be handed out, such as the dropout within attention.
    """
    first, second = ([*_asked(step, rows)] for rows in (2, 3))
    if first != second:
        raise ConfigError("what the model draws does not grow with its batch, row by row")
    return first


def _asked(step: Callable[[int], object], rows: int) -> Iterator[Draw]:
    found: list[Draw | None] = []

    def give(drop: float | None, shape: torch.Size) -> Tensor:
        grows = len(shape) > 0 and shape[0] == rows
        found.append(Draw(drop, tuple(shape[1:])) if grows else None)
        return torch.ones(shape)

    before = torch.get_rng_state()
    with Given(give):
        step(rows)
    if not torch.equal(before, torch.get_rng_state()):
        torch.set_rng_state(before)
        raise ConfigError("the model draws random numbers in a way that only it alone can")
    for one in found:
        if one is None:
            raise ConfigError("the model draws random numbers that do not belong to a row")
        yield one


def draw(
    wanted: Sequence[Draw], rows: Sequence[int], generators: Sequence[torch.Generator]
) -> list[Tensor]:
    """[R, max rows, *shape] for each `Draw`; of model r the first rows[r] are filled, the rest is 0.

    Masks of dropout are already divided by what is kept.
    """
    size = max(rows)
    found = [torch.zeros(len(rows), size, *one.shape) for one in wanted]
    for r, (count, generator) in enumerate(zip(rows, generators, strict=True)):
        for one, place in zip(wanted, found, strict=True):
            one.fill(place[r, :count], generator)
    for one, place in zip(wanted, found, strict=True):
        if one.drop is not None:
            place.div_(1 - one.drop)
    return found
