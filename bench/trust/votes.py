"""Random tables of votes: what labels made of them must always be.

python -m bench.trust.votes [--tables 100000] [--seed 0]

A table has 1 to 8 utterances and 2 to 16 emotions; votes are counts, weights of raters, or numbers as
large and as small as a float can be. hypothesis draws the tables, and makes small what breaks a rule.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as tables

from erc.base.errors import LabelError
from erc.labels import hard, majority, peakl, sharpen, soft, tied

TEMPERATURES = (0.02, 0.25, 0.5, 1.0, 2.0)
TIE = 1e-6  # shares that differ by less are tied


@st.composite
def votes(draw: st.DrawFn) -> np.ndarray:
    """[N, K], no row without a vote."""
    shape = draw(st.integers(1, 8)), draw(st.integers(2, 16))
    ordinary = st.sampled_from([st.integers(0, 10), st.integers(0, 10_000), st.floats(0, 1e4)])
    extreme = st.just(st.floats(0, sys.float_info.max))
    values = draw(st.one_of(ordinary, ordinary, ordinary, extreme))
    found = draw(tables.arrays(np.float64, shape, elements=values.map(float)))
    empty = np.flatnonzero(~(found > 0).any(-1))
    found[empty, draw(st.integers(0, shape[1] - 1))] = draw(st.integers(1, 10))
    return found


def violations(table: np.ndarray, order: np.ndarray) -> Iterator[str]:
    """Rules that labels of a table break.

    Args:
        table: [N, K] votes.
        order: [K], another order of the emotions.
    """
    try:
        y = soft(table)
    except LabelError:  # votes that no float can add up
        if (table < sys.float_info.max / 16).all():
            yield "soft: votes are refused"
        return
    made = {"soft": y, "peakl": peakl(y), "majority": majority(y), "hard": hard(y)}
    made |= {f"sharpen {t:g}": sharpen(y, t) for t in TEMPERATURES}
    alone = (table > 0).sum(-1) == 1
    for name, label in made.items():
        if not np.isfinite(label).all():
            yield f"{name}: nan"
            continue
        if (label < 0).any() or not np.allclose(label.sum(-1), 1, rtol=0, atol=1e-9):
            yield f"{name}: rows do not sum to 1"
        if ((label > 0) & (table == 0)).any():
            yield f"{name}: an emotion that nobody heard"
        if not np.array_equal(label[alone], y[alone] > 0):
            yield f"{name}: unanimous votes changed"
        if not rising(y, label):
            yield f"{name}: the order of the shares changed"
        if (label.max(-1) < y.max(-1) - 1e-9).any() and name not in ("majority", "sharpen 2"):
            yield f"{name}: flatter than the votes"
    yield from same_in_another_order(y, made, order)
    if not np.allclose(made["sharpen 1"], y, rtol=0, atol=1e-12):
        yield "sharpen 1: is not what it was given"
    tops = [made[f"sharpen {t:g}"].max(-1) for t in TEMPERATURES]
    if any((b > a + 1e-9).any() for a, b in pairwise(tops)):
        yield "sharpen: warmer and sharper"
    first = y.max(-1)[:, None] - y < TIE
    if not np.array_equal(made["majority"] > 0, first):
        yield "majority: not those with the most votes"
    if not np.array_equal(tied(y), first.sum(-1) > 1):
        yield "tied: not where two share the most votes"
    chosen = made["hard"] == 1
    if not (chosen.sum(-1) == 1).all() or (chosen & ~first).any():
        yield "hard: not one of the majority"


def rising(y: np.ndarray, label: np.ndarray) -> bool:
    """Whether of two emotions the one with more votes never has the smaller label.

    `hard` makes a choice among equals, and shares that differ by less than `TIE` are equal for it.
    """
    more = y[:, :, None] > y[:, None, :] + TIE
    less = label[:, :, None] < label[:, None, :]
    return not (more & less).any()


def same_in_another_order(
    y: np.ndarray, made: dict[str, np.ndarray], order: np.ndarray
) -> Iterator[str]:
    """Emotions in another order, and utterances one by one, have the same labels."""
    calls = {"peakl": peakl, "majority": majority}
    calls |= {f"sharpen {t:g}": lambda y, t=t: sharpen(y, t) for t in TEMPERATURES}
    for name, call in calls.items():
        if not np.allclose(call(y[:, order]), made[name][:, order], rtol=0, atol=1e-9):
            yield f"{name}: depends on the order of the emotions"
        if not np.allclose(call(y[-1]), made[name][-1], rtol=0, atol=1e-9):
            yield f"{name}: depends on other utterances"
        missing = y.copy()
        missing[0] = np.nan
        found = call(missing)
        if not np.isnan(found[0]).all() or not np.allclose(found[1:], made[name][1:], atol=1e-9):
            yield f"{name}: a row without a label does not stay one, or touches others"


def refused(table: np.ndarray) -> Iterator[str]:
    """What is no vote, and is taken for one."""
    for what, value in (("negative", -1.0), ("infinite", np.inf)):
        wrong = table.copy()
        wrong[-1, -1] = value
        try:
            soft(wrong)
            yield f"soft: a {what} vote passes"
        except LabelError:
            pass
    try:
        soft(table * 0)
        yield "soft: a row without a vote passes"
    except LabelError:
        pass


def attack(count: int, seed: int) -> int:
    """Draw so many tables; how many there were. Raises AssertionError with the smallest bad one."""
    seen = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(votes(), st.randoms(use_true_random=False))
    def check(table: np.ndarray, chance) -> None:  # type: ignore[no-untyped-def]
        nonlocal seen
        seen += 1
        order = list(range(table.shape[1]))
        chance.shuffle(order)
        found = [*violations(table, np.array(order)), *refused(table)]
        assert not found, f"{found} of {table.tolist()}"

    check()
    return seen


def main() -> int:
    """Print the count, or the smallest table that breaks a rule."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--tables", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    start = time.monotonic()
    try:
        seen = attack(given.tables, given.seed)
    except Exception as found:  # also what labels raise of votes that are in order
        print(f"broken: {type(found).__name__}: {found}")
        return 1
    print(
        f"{seen} tables of votes, hypothesis {hypothesis.__version__}, numpy {np.__version__}, "
        f"seed {given.seed}: 0 violations; {time.monotonic() - start:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
