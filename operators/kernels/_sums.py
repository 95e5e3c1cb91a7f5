"""
One frame's sums up the tree on the CPU: power, masked differences, votes and peaks.

Rows are channels first, then nodes. Members are added as a tree of neighbouring pairs, whole rows
of ticks at a time: a counter in binary holds the sums of 1, 2, 4, … members. The bits are those of
`segments.segment_sums`. Indices are unsigned, so that none counts from an array's end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read, u8

__all__ = ["DEPTH", "changed", "counted", "largest", "node_sums", "voted"]

DEPTH = 40
"""Levels of pairs that a node's members may have."""
_1 = np.uint64(1)
_SIZE = 0x7FFFFFFFFFFFFFFF
_TREE = types.UniTuple(read(i8, 1), 2)
_ROWS = types.Tuple((read(f8, 2), read(b1, 2)))


@compiled(
    types.void(
        _ROWS, _ROWS, u8, f8[:, ::1], b1[:, ::1],
    )
)  # fmt: skip
def changed(new: Any, old: Any, lag: Any, out: Any, known: Any) -> None:
    """Masked change of every channel over ``lag`` ticks, and whether both ends were measured."""
    (mean_w, ok), (tail_w, tail_ok) = new, old
    ticks, depth = np.uint64(mean_w.shape[1]), np.uint64(tail_w.shape[1])
    early: Any = min(lag, ticks)
    back = depth - lag
    for row in range(np.uint64(mean_w.shape[0])):
        for t in range(early):
            known[row, t] = ok[row, t] & tail_ok[row, back + t]
        for t in range(early):
            moved_w = mean_w[row, t] - tail_w[row, back + t]
            out[row, t] = moved_w if known[row, t] else 0.0
        for t in range(early, ticks):
            known[row, t] = ok[row, t] & ok[row, t - lag]
        for t in range(early, ticks):
            moved_w = mean_w[row, t] - mean_w[row, t - lag]
            out[row, t] = moved_w if known[row, t] else 0.0


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


@compiled(types.void(read(f8, 2), _TREE, f8[:, ::1]))
def node_sums(channels: Any, tree: Any, out: Any) -> None:
    """Sum of every node; ``channels`` (channel, time), ``out`` (node, time)."""
    first, index = tree
    n_channel, ticks = np.uint64(channels.shape[0]), np.uint64(out.shape[1])
    stack, carry = np.empty((DEPTH, out.shape[1])), np.empty(out.shape[1])
    for node in range(np.uint64(out.shape[0])):
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


@inner
def _peak(bits: Any, known: Any, row: Any, span: Any) -> Any:
    """Bits of the largest change of one leaf within a part of the frame; -1 where none is known."""
    most, some = i8(0), False
    for t in range(span[0], span[1]):
        most = max(most, bits[row, t] & _SIZE)  # the bits of sizes are in their order
    for t in range(span[0], span[1]):
        some |= known[row, t]
    return most if some else i8(-1)


@compiled(types.void(_ROWS, types.UniTuple(u8, 2), f8[:, ::1]))
def largest(moved: Any, leaves: Any, peaks: Any) -> None:
    """``peaks`` (leaf, second): largest change of each leaf, -1 where none is known."""
    moved_w, known = moved
    seconds, bits, peak_bits = np.uint64(peaks.shape[1]), moved_w.view(i8), peaks.view(i8)
    length = np.uint64(moved_w.shape[1]) // seconds
    for leaf in range(leaves[1] - leaves[0]):
        row = leaves[0] + leaf
        for s in range(seconds):
            peak = _peak(bits, known, row, (s * length, (s + _1) * length))
            peak_bits[leaf, s] = peak
            if peak < 0:
                peaks[leaf, s] = -1.0


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
