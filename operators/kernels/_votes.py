"""
How far leaves move together, on the CPU: only those that moved are looked at.

Rows are of ticks: what rose, what fell, and how many did. They add up as `_sums` has it, a tree of
neighbouring pairs, in which who did not move is left out: zero changes no bit of a sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._lanes import LANES
from ._sums import DEPTH, popped
from ._tables import room

__all__ = ["moved_together"]

ROWS = 3


@inner
def _vote(row: Any, new: Any, old: Any, rules: Any, out: Any) -> None:
    """One leaf's rise, fall and count at each tick of a second into ``out``."""
    at, ticks, lag, limit_w = rules
    depth = old[0].shape[1]
    for k in range(ticks):
        t = at + k
        ok = new[1][row, t]
        if t < lag:
            before_w, ok = old[0][row, depth - lag + t], ok and old[1][row, depth - lag + t]
        else:
            before_w, ok = new[0][row, t - lag], ok and new[1][row, t - lag]
        moved_w = f8(new[0][row, t]) - f8(before_w)
        up, down = ok and moved_w >= limit_w, ok and -moved_w >= limit_w
        out[k] = moved_w if up else 0.0
        out[ticks + k] = -moved_w if down else 0.0
        out[2 * ticks + k] = 1.0 if up or down else 0.0


@inner
def _put(stack: Any, member: Any, held: Any, here: Any, rows: Any) -> Any:
    """
    Add a member's rows to the sums of pairs, nothing where it is not ``here``.

    ``held``: a bit for each level that has a sum; answers the same afterwards.
    """
    level, size = 0, len(rows)
    while (member >> level) & 1:
        if (held >> level) & 1:
            for k in range(size):
                part = stack[level * size + k]
                rows[k] = part + rows[k] if here else part
            here, held = True, held & ~(1 << level)
        level += 1
    if here:
        stack[level * size : (level + 1) * size] = rows
        held |= 1 << level
    return held


@inner
def _share(sums: Any, least: Any, out: Any, node: Any, span: Any) -> None:
    """`synchrony.synchrony` of one node at some ticks, where as many as ``least`` moved."""
    at, ticks = span
    for k in range(ticks):
        up_w, down_w = sums[k], sums[ticks + k]
        if sums[2 * ticks + k] >= least and up_w + down_w > 0:
            out[node, at + k] = max(up_w, down_w) / (up_w + down_w)


_FEED = types.Tuple((read(f4, 2), read(b1, 2)))


@compiled(
    types.void(
        _FEED, _FEED, types.Tuple((read(f8, 2), read(f8, 1))),
        types.Tuple((read(i8, 1), read(i8, 1), types.UniTuple(i8, 2), i8, f8)), f8[:, ::1],
        types.UniTuple(i8, 2),
    )
)  # fmt: skip
def moved_together(new: Any, old: Any, moves: Any, tables: Any, out: Any, span: Any) -> None:
    """
    Synchrony of every node in some seconds, from the first of ``span`` up to the last, exclusive.

    ``new``, ``old``: tick means (channel, time) and what was measured, of the frame and before it.
    ``moves``: the leaves' greatest changes (leaf, second) and thresholds. ``tables``: `Tree.first`
    and `Tree.index` of the leaves, which channels they are, ticks of a second, least count. ``out``
    (node, time).
    """
    (peaks, limits_w), (first, index, leaves, per_s, least) = moves, tables
    channels, seconds = new[0].shape[0], peaks.shape[1]
    ticks = out.shape[1] // seconds
    size = (ROWS * ticks + LANES - 1) // LANES * LANES
    moved, some = np.empty(channels, np.bool_), np.empty(out.shape[0], np.bool_)
    sums, stack, rows = np.empty((out.shape[0], size)), room(DEPTH * size), room(size)
    moved[:], rows[:] = False, 0.0
    for second in range(span[0], span[1]):
        for leaf in range(len(limits_w)):
            moved[leaves[0] + leaf] = peaks[leaf, second] >= limits_w[leaf]
        at = second * ticks
        for node in range(out.shape[0]):
            held, members = 0, first[node + 1] - first[node]
            for member in range(members):
                row = index[first[node] + member]
                child = row - channels
                here = some[child] if child >= 0 else moved[row]
                if here and child >= 0:
                    rows[:] = sums[child]
                elif here:
                    _vote(row, new, old, (at, ticks, per_s, limits_w[row - leaves[0]]), rows)
                if members == 1 and here:
                    sums[node], held = rows, 1
                elif here or held:
                    held = _put(stack, member, held, here, rows)
            some[node] = held > 0
            if held and members > 1:
                popped(stack, held, sums[node])
            out[node, at : at + ticks] = 0.0
            if held:
                _share(sums[node], least, out, node, (at, ticks))
