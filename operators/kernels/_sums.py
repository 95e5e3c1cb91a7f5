"""
Sums up the tree on the CPU: what was measured, and what moved.

Rows are channels first, then nodes. Members are added as a tree of neighbouring pairs, whole rows
of ticks at a time: a counter in binary holds the sums of 1, 2, 4, … members. The bits are those of
`segments.segment_sums`. Indices of flags are unsigned, so that none counts from an array's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read
from ._lanes import LANES, everywhere, load, store

__all__ = ["DEPTH", "counted", "popped", "push"]

DEPTH = 40
"""Levels of pairs that a node's members may have."""
_1 = np.uint64(1)
_TREE = types.UniTuple(read(i8, 1), 2)


@inner
def push(rows: Any, stack: Any, member: Any) -> None:
    """Add the ``member``-th member's rows to the sums of pairs."""
    size = len(rows)
    for k in range(0, size, LANES):
        carry, level = load(rows, k), 0
        while (member >> level) & 1:
            carry = load(stack, level * size + k) + carry
            level += 1
        store(stack, level * size + k, carry)


@inner
def popped(stack: Any, members: Any, rows: Any) -> None:
    """The sums of all members, of the levels whose bits are in ``members``."""
    size = len(rows)
    for k in range(0, size, LANES):
        total, some, level = everywhere(0.0), False, 0
        while members >> level:
            if (members >> level) & 1:
                part = load(stack, level * size + k)
                total = part + total if some else part
                some = True
            level += 1
        store(rows, k, total)


@compiled(types.void(read(b1, 2), _TREE, f8[:, ::1]))
def counted(channels: Any, tree: Any, out: Any) -> None:
    """How many channels of every node are marked; whole numbers, so that any order will do."""
    first, index = tree
    n_channel, ticks = np.uint64(channels.shape[0]), np.uint64(out.shape[1])
    for node in range(np.uint64(out.shape[0])):
        for t in range(ticks):
            out[node, t] = 0.0
        for k in range(np.uint64(first[node]), np.uint64(first[node + _1])):
            row = np.uint64(index[k])
            if row < n_channel:
                for t in range(ticks):
                    out[node, t] += channels[row, t]
            else:
                row -= n_channel
                for t in range(ticks):
                    out[node, t] += out[row, t]
