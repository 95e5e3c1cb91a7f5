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

from ._compiled import b1, compiled, f8, i8, inner, read, u8
from ._lanes import LANES, everywhere, load, store
from ._tables import room

__all__ = ["DEPTH", "counted", "node_sums", "popped", "push", "voted"]

DEPTH = 40
"""Levels of pairs that a node's members may have."""
_1 = np.uint64(1)
_TREE = types.UniTuple(read(i8, 1), 2)
_ROWS = types.Tuple((read(f8, 2), read(b1, 2)))


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
    """The sums of all members."""
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


@compiled(types.void(read(f8, 2), _TREE, f8[:, ::1]))
def node_sums(channels: Any, tree: Any, out: Any) -> None:
    """Sum of every node; ``channels`` (channel, time), ``out`` (node, time)."""
    first, index = tree
    n_channel, ticks = channels.shape[0], out.shape[1]
    width = (ticks + LANES - 1) // LANES * LANES
    rows, stack = room(width), room(DEPTH * width)
    rows[:] = 0.0
    for node in range(out.shape[0]):
        members = first[node + 1] - first[node]
        for member in range(members):
            row = index[first[node] + member]
            for t in range(ticks):
                rows[t] = channels[row, t] if row < n_channel else out[row - n_channel, t]
            push(rows, stack, member)
        popped(stack, members, rows)
        for t in range(ticks):
            out[node, t] = rows[t]


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


@compiled(types.void(_ROWS, types.UniTuple(u8, 2), read(f8, 1), types.UniTuple(f8[:, ::1], 3)))
def voted(moved: Any, leaves: Any, limits_w: Any, votes: Any) -> None:
    """Which leaves moved by their threshold; ``votes`` up, down, count (channel, time), zeros."""
    (moved_w, known), (up, down, count) = moved, votes
    for leaf in range(leaves[1] - leaves[0]):
        row, limit_w = leaves[0] + leaf, limits_w[leaf]
        for t in range(np.uint64(moved_w.shape[1])):
            if known[row, t] and moved_w[row, t] >= limit_w:
                up[row, t], count[row, t] = moved_w[row, t], 1.0
            if known[row, t] and -moved_w[row, t] >= limit_w:
                down[row, t], count[row, t] = -moved_w[row, t], 1.0
