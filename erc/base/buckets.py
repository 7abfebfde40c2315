"""Batches of like length, cut by a budget: little is padded, and none outgrows the memory."""

from __future__ import annotations

import numpy as np


def by_budget(
    lengths: np.ndarray, budget: float, equal: bool = False, most: int | None = None
) -> list[np.ndarray]:
    """Indices sorted by length and cut so that (longest × number) of a batch fits the budget.

    Args:
        lengths: [N].
        budget: padded length of a batch; a longer single one is a batch of its own.
        equal: lengths of a batch must be the same (encoders with group norm see the padding).
        most: at most so many in a batch.

    Returns:
        The batches, shortest first; within a batch by length, then by index.

    >>> [b.tolist() for b in by_budget(np.array([3, 9, 2, 4]), budget=8)]
    [[2, 0], [3], [1]]
    """
    order = np.argsort(lengths, kind="stable")
    cuts, first = [], 0
    for place in range(1, len(order)):
        longest, count = lengths[order[place]], place - first + 1
        mixed = equal and longest != lengths[order[first]]
        if mixed or longest * count > budget or (most is not None and count > most):
            cuts.append(place)
            first = place
    return np.split(order, cuts) if len(order) else []


def pad(rows: list[np.ndarray], fill: int) -> np.ndarray:
    """[B, longest, …], padded behind."""
    longest = max(len(row) for row in rows)
    table = np.full((len(rows), longest, *rows[0].shape[1:]), fill, rows[0].dtype)
    for place, row in zip(table, rows):
        place[: len(row)] = row
    return table


def gather(
    total: int, rows: np.ndarray, found: list[tuple], width: tuple[int, ...], sequence: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Batches → arrays over all rows; sequences are padded to the longest."""
    if sequence:
        width = (max([p.shape[1] for _, _, p in found] or width[:1]), *width[1:])
    pooled = np.zeros((total, *width), np.float32)
    present = np.zeros((total, width[0]) if sequence else total, bool)
    for batch, x, there in found:
        where = rows[batch]
        if sequence:
            pooled[where, : x.shape[1]], present[where, : x.shape[1]] = x, there
        else:
            pooled[where], present[where] = x, there
    return pooled, present
