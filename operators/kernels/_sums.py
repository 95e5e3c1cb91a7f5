"""
Sums up the tree on the CPU: what was measured, and what moved.

Rows are channels first, then nodes. Members are added as a tree of neighbouring pairs, whole rows
of ticks at a time: a counter in binary holds the sums of 1, 2, 4, … members. The bits are those of
`segments.segment_sums`. Indices are unsigned, so that none counts from an array's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read, u8
from ._lanes import LANES, everywhere, load, store
from ._tables import room

__all__ = ["DEPTH", "counted", "node_sums", "voted"]

DEPTH = 40
"""Levels of pairs that a node's members may have."""
_0, _1, _8 = np.uint64(0), np.uint64(1), np.uint64(LANES)
_TREE = types.UniTuple(read(i8, 1), 2)
_ROWS = types.Tuple((read(f8, 2), read(b1, 2)))


@inner
def _push(rows: Any, row: Any, stack: Any, carry: Any, member: Any) -> None:
    """Add the ``member``-th row to the sums of pairs."""
    ticks, level = np.uint64(rows.shape[1]), np.uint64(0)
    for t in range(ticks):
        carry[t] = rows[row, t]
    while (member >> level) & _1:
        for t in range(ticks):
            carry[t] = stack[level, t] + carry[t]
        level += _1
    for t in range(ticks):
        stack[level, t] = carry[t]


@inner
def _popped(stack: Any, members: Any, out: Any, node: Any) -> None:
    """The sum of all members into row ``node``."""
    ticks, level, first = np.uint64(out.shape[1]), np.uint64(0), True
    for t in range(ticks):
        out[node, t] = 0.0
    while members >> level:
        if (members >> level) & _1:
            for t in range(ticks):
                out[node, t] = stack[level, t] if first else stack[level, t] + out[node, t]
            first = False
        level += _1


@inner
def _second(channels: Any, tree: Any, node: Any, stack: Any, out: Any) -> None:
    """One node's sums of 8 to 16 ticks: two vectors, which overlap, hold them all."""
    first, index = tree
    n_channel, ticks, level = np.uint64(channels.shape[0]), np.uint64(out.shape[1]), np.uint64(0)
    start, rest, double = np.uint64(first[node]), ticks - _8, _8 + _8
    count, low, high = np.uint64(first[node + _1]) - start, everywhere(0.0), everywhere(0.0)
    for member in range(count):
        row = np.uint64(index[start + member])
        if row < n_channel:
            low, high = load(channels, row * ticks), load(channels, row * ticks + rest)
        else:
            at = (row - n_channel) * ticks
            low, high = load(out, at), load(out, at + rest)
        level = np.uint64(0)
        while (member >> level) & _1:
            low = load(stack, double * level) + low
            high = load(stack, double * level + _8) + high
            level += _1
        store(stack, double * level, low)
        store(stack, double * level + _8, high)
    some, level = False, np.uint64(0)
    low, high = everywhere(0.0), everywhere(0.0)
    while count >> level:
        if (count >> level) & _1:
            one, two = load(stack, double * level), load(stack, double * level + _8)
            low, high = (one + low, two + high) if some else (one, two)
            some = True
        level += _1
    store(out, node * ticks, low)
    store(out, node * ticks + rest, high)


@compiled(types.void(read(f8, 2), _TREE, f8[:, ::1]))
def node_sums(channels: Any, tree: Any, out: Any) -> None:
    """Sum of every node; ``channels`` (channel, time), ``out`` (node, time)."""
    first, index = tree
    n_channel, ticks = np.uint64(channels.shape[0]), np.uint64(out.shape[1])
    stack, carry = np.empty((DEPTH, out.shape[1])), np.empty(out.shape[1])
    pairs = room(2 * LANES * DEPTH)
    for node in range(np.uint64(out.shape[0])):
        if _8 <= ticks <= _8 + _8:
            _second(channels, tree, node, pairs, out)
            continue
        start = np.uint64(first[node])
        count = np.uint64(first[node + _1]) - start
        if count == _1 and np.uint64(index[start]) < n_channel:
            row = np.uint64(index[start])
            for t in range(ticks):
                out[node, t] = channels[row, t]
            continue
        for k in range(count):
            row = np.uint64(index[start + k])
            if row < n_channel:
                _push(channels, row, stack, carry, k)
            else:
                _push(out, row - n_channel, stack, carry, k)
        _popped(stack, count, out, node)


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
