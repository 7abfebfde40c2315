"""What many models draw at once is what each would draw alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from erc.base.errors import ConfigError
from erc.training.draws import Draw, Given, draw, plan


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_same_numbers_as_torch_draws_for_itself():
    wanted = [Draw(None, (2,)), Draw(0.3, (5, 7)), Draw(None, ()), Draw(0.5, (64,))]
    rows = [3, 8, 8]
    mine = generators(11, 12, 13)
    steps = [draw(wanted, rows, mine) for _ in range(2)]
    for r, (count, seed) in enumerate(zip(rows, (11, 12, 13))):
        torch.manual_seed(seed)
        for found in steps:
            alone = [
                torch.rand(count, 2), F.dropout(torch.ones(count, 5, 7), 0.3),
                torch.rand(count), F.dropout(torch.ones(count, 64), 0.5),
            ]  # fmt: skip
            for ours, theirs in zip(found, alone, strict=True):
                assert torch.equal(ours[r, :count], theirs)
                assert not ours[r, count:].any()
        assert torch.equal(mine[r].get_state(), torch.get_rng_state())


def test_a_plan_names_what_a_step_asks_for_in_its_order():
    net = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.2), nn.Dropout(0.0), nn.Linear(6, 3))

    def step(rows):
        return net(torch.rand(rows, 4))

    assert plan(step) == [Draw(None, (4,)), Draw(0.2, (6,))]


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (lambda rows: torch.bernoulli(torch.ones(rows)), "only it alone"),
        (lambda rows: torch.rand(5), "belong to a row"),
        (lambda rows: [torch.rand(rows) for _ in range(rows)], "row by row"),
    ],
)
def test_other_random_numbers_are_refused(step, what):
    with pytest.raises(ConfigError, match=what):
        plan(step)


def test_what_is_given_is_used_and_evaluation_asks_for_nothing():
    x = torch.ones(2, 3)
    with Given.of([torch.full((2, 3), 4.0)]):
        assert torch.equal(F.dropout(x, 0.5), 4 * x)
        assert torch.equal(F.dropout(x, 0.5, training=False), x)
        assert not F.dropout(x, 1.0).any()
