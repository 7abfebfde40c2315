"""Many trainings at once: heads on the known features of frozen encoders, stacked to one model.

Every run has its own data, first weights, batches, dropout, schedule and best epoch, those that it has
alone (`Member`); what it leaves behind is written by `erc.training.run.finish`, as alone. Only the
checkpoints to go on from are not there: a stopped one begins again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from erc.base.errors import ConfigError
from erc.datasets.batches import Batch
from erc.training import draws
from erc.training.member import Member
from erc.training.stack import Stack

SMALL = 1_000_000  # parameters of a run; below, a second thread waits longer than it computes


def share_encoders(member: Member, first: Member) -> None:
    """Keep a frozen encoder in memory once where two runs have the same."""
    for name, branch in member.parts.model.branches.items():
        other = first.parts.model.branches[name].encoder
        mine, known = branch.encoder.state_dict(), other.state_dict()
        if mine.keys() == known.keys() and all(torch.equal(mine[k], known[k]) for k in mine):
            branch.encoder = other


def fit(members: Sequence[Member], wanted: Sequence[draws.Draw]) -> None:
    """Train runs of one kind to their ends; the weights are then those of the best epoch of each.

    Args:
        wanted: what a step draws, see `plan`.
    """
    with _threads(Stack([m.net for m in members], members[0].groups())) as stack:
        _fit(members, wanted, stack)
    for member, last in zip(members, stack.weights, strict=True):
        stack.give_back(member.net, last if member.kept is None else member.kept)


@contextmanager
def _threads(stack: Stack) -> Iterator[Stack]:
    """One thread for small models: another draws what the next step needs."""
    before = torch.get_num_threads()
    if stack.weights.shape[1] < SMALL:
        torch.set_num_threads(1)
    try:
        yield stack
    finally:
        torch.set_num_threads(before)


def _fit(members: Sequence[Member], wanted: Sequence[draws.Draw], stack: Stack) -> None:
    epochs = members[0].cfg.trainer.max_epochs
    clip = members[0].cfg.trainer.get("gradient_clip_val") or None
    train = _padded([m.inputs(cast(Batch, m.train)) for m in members])
    alive = list(range(len(members)))
    for epoch in range(epochs):
        stack.net.train()
        for now, places, drawn in _steps(members, alive, epoch, wanted):
            own = [members[r] for r in now]
            losses = stack.step(
                now,
                _taken(train, *_index(now, places, train[2].shape[1] - 1)),
                drawn,
                [m.sampler.weight(len(batch)) for m, batch in zip(own, places, strict=True)],
                [m.factor(m.steps) for m in own],
                clip,
            )
            for member, loss in zip(own, losses.tolist(), strict=True):
                member.logged(epoch, loss)
        stack.net.eval()
        checked = [r for r in alive if members[r].valid is not None]
        if checked:
            valid = _padded([members[r].inputs(cast(Batch, members[r].valid)) for r in checked])
            said = stack.run(valid, checked)
            for i, r in enumerate(checked):
                size = len(cast(Batch, members[r].valid).speech_lengths)
                logits, placed = (x[i, :size] for x in said)
                if not members[r].validated(epoch, logits, placed, stack.weights[r]):
                    alive.remove(r)
        if not alive:
            break


def _steps(
    members: Sequence[Member], alive: list[int], epoch: int, wanted: Sequence[draws.Draw]
) -> Iterator[tuple[list[int], list[list[int]], list[Tensor]]]:
    """Each step of an epoch: which runs take it, their batches, and what they draw.

    The next numbers are drawn while a step is computed: they do not hang on it, and take long.
    """
    batches = {r: members[r].batches(epoch) for r in alive}
    plans = []
    for k in range(max(map(len, batches.values()))):
        now = [r for r in alive if k < len(batches[r])]
        plans.append((now, [batches[r][k] for r in now]))

    def drawn(now: list[int], places: list[list[int]]) -> list[Tensor]:
        return draws.draw(wanted, list(map(len, places)), [members[r].generator for r in now])

    with ThreadPoolExecutor(1) as apart:
        coming = apart.submit(drawn, *plans[0])
        for k, (now, places) in enumerate(plans):
            found = coming.result()
            if k + 1 < len(plans):
                coming = apart.submit(drawn, *plans[k + 1])
            yield now, places, found


def _index(now: list[int], places: list[list[int]], padding: int) -> tuple[Tensor, Tensor]:
    """[A, 1] which run, [A, B] which of its utterances; `padding` behind the end of a batch."""
    longest = max(map(len, places))
    rows = [own + [padding] * (longest - len(own)) for own in places]
    return torch.tensor(now)[:, None], torch.tensor(rows)


def _padded(each: Sequence[Any], fill: Any = None) -> Any:
    """Inputs of several nets → [R, N + 1, …] each, N of the longest; behind its end a side is padded,
    at least by one row: nothing is there, and nothing is labelled."""
    first = each[0]
    if isinstance(first, dict):
        return {k: _padded([one[k] for one in each], fill) for k in first}
    if isinstance(first, list) and fill is None:
        fills = (0, 0, torch.nan, torch.nan, True)
        return [_padded([one[i] for one in each], fills[i]) for i in range(len(first))]
    if isinstance(first, list):
        return [_padded([one[i] for one in each], fill) for i in range(len(first))]
    size = max(map(len, each)) + 1
    found = first.new_full((len(each), size, *first.shape[1:]), fill)
    for place, one in zip(found, each, strict=True):
        place[: len(one)] = one
    return found


def _taken(inputs: Any, who: Tensor, index: Tensor) -> Any:
    if isinstance(inputs, dict):
        return {k: _taken(x, who, index) for k, x in inputs.items()}
    if isinstance(inputs, list):
        return [_taken(x, who, index) for x in inputs]
    return inputs[who, index]


def plan(member: Member) -> list[draws.Draw]:
    """What a step draws.

    Raises:
        ConfigError: a step that cannot be taken together with others.
    """
    net, whole = member.net.train(), cast(Batch, member.train)
    found = draws.plan(lambda rows: net(*member.inputs(whole, slice(rows))))
    with draws.Given(lambda drop, shape: torch.ones(shape)):
        total = net(*member.inputs(whole, slice(3)))[0]
    trained = [p for p in net.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(total, trained, allow_unused=True)
    if any(g is None for g in gradients):
        raise ConfigError("a part of the model has no influence on the loss")
    return found
