"""A label space in words: values with their digits, scales with their ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from erc.base.space import Dimension, Space

WORDS = "no one two three four five six seven eight nine ten eleven twelve".split()
STEPS = 40  # that can be told apart on any scale: 0.1 on 1–5


def digits(dimension: Dimension) -> int:
    """Decimals that a value on this scale is said with.

    >>> [digits(Dimension("x", *ends)) for ends in ((1, 5), (1, 7), (-1, 1), (0, 100))]
    [1, 1, 2, 0]
    """
    step = (dimension.high - dimension.low) / STEPS
    return max(0, math.ceil(-math.log10(step) - 1e-9))


def number(dimension: Dimension, value: float) -> str:
    """A value as it is said to people.

    >>> number(Dimension("valence", -1, 1), -0.314)
    '−0.31'
    """
    return f"{value:.{digits(dimension)}f}".replace("-", "−")


def share(dimension: Dimension, value: float) -> float:
    """How far up the scale a value is, 0 … 1.

    >>> share(Dimension("arousal"), 2)
    0.25
    """
    return (value - dimension.low) / (dimension.high - dimension.low)


def answered(space: Space, dimensions: Mapping[str, float]) -> list[tuple[Dimension, float]]:
    """The dimensions that have a value, in the order of the space."""
    return [(d, dimensions[d.name]) for d in space.dimensions if d.name in dimensions]


def one_scale(dimensions: Iterable[Dimension]) -> Dimension | None:
    """One of the dimensions if all are on the same scale; None: they are not, or there are none."""
    found = list(dimensions)
    return found[0] if len({d[1:] for d in found}) == 1 else None


def said(space: Space, dimensions: Mapping[str, float]) -> str:
    """All values in one line; "" where there is none.

    >>> said(Space((), (Dimension("valence"), Dimension("pain", 0, 100))), {"pain": 40.2})
    'pain 40 of 0–100'
    >>> from erc.base.space import KEMDY
    >>> said(KEMDY, {"valence": 4.12, "arousal": 3.2})
    'valence 4.1, arousal 3.2 of 1–5'
    """
    known = answered(space, dimensions)
    same = one_scale(d for d, _ in known)
    each = [f"{d.name} {number(d, x)}{'' if same else f' of {d.range}'}" for d, x in known]
    return ", ".join(each) + (f" of {same.range}" if same else "")


def ends(dimension: Dimension) -> str:
    """What the ends of the scale mean.

    >>> ends(Dimension("arousal", -1, 1))
    '−1 calm … 1 excited'
    """
    low, high = (f"{x:g}".replace("-", "−") for x in dimension[1:])
    first, last = dimension.poles
    return f"{low} {first} … {high} {last}"


def legend(space: Space) -> str:
    """What the ends of all scales mean, in one line.

    >>> from erc.base.space import KEMDY
    >>> legend(KEMDY)
    'valence 1 negative … 5 positive, arousal 1 calm … 5 excited'
    """
    return ", ".join(f"{d.name} {ends(d)}" for d in space.dimensions)


def count(n: int) -> str:
    """A number in a sentence.

    >>> count(7), count(28)
    ('seven', '28')
    """
    return WORDS[n] if n < len(WORDS) else str(n)
