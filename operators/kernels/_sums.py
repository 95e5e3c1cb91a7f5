"""
One frame's sums up the tree on the CPU: power, masked differences, votes and peaks.

Members are added as a tree of neighbouring pairs, whole rows of ticks at a time: a counter in
binary holds the sums of 1, 2, 4, … members. The bits are those of `segments.segment_sums`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read

__all__ = ["DEPTH", "leaf_sums", "node_sums"]

DEPTH = 40
"""Levels of pairs that a node's members may have."""
POWER, CHANGE, SECOND, MEASURED, SOME = range(5)
UP, DOWN, COUNT = range(3)


@inner
def _changed(new: Any, old: Any, row: Any, lag: int, out: Any) -> None:
    """Masked change over ``lag`` ticks into ``out[0]``, whether it is known into ``out[1]``."""
    mean_w, ok = new
    tail_w, tail_ok = old
    ticks, depth = mean_w.shape[1], tail_w.shape[1]
    early = min(lag, ticks)
    before_w, before = tail_w[row, depth - lag :], tail_ok[row, depth - lag :]
    here_w, here, diff_w, known = mean_w[row], ok[row], out[0], out[1]
    for t in range(early):
        known[t] = 1.0 if here[t] & before[t] else 0.0
    for t in range(early):
        diff_w[t] = here_w[t] - before_w[t] if known[t] > 0 else 0.0
    if lag >= ticks:
        return
    later_w, later, moved_w, both = here_w[lag:], here[lag:], diff_w[lag:], known[lag:]
    for t in range(ticks - lag):
        both[t] = 1.0 if later[t] & here[t] else 0.0
    for t in range(ticks - lag):
        moved_w[t] = later_w[t] - here_w[t] if both[t] > 0 else 0.0


@inner
def _push(carry: Any, stack: Any, member: int) -> None:
    """Add ``carry`` (quantity, time), the ``member``-th, to the sums of pairs."""
    level = 0
    while (member >> level) & 1:
        older = stack[level]
        for q in range(carry.shape[0]):
            for t in range(carry.shape[1]):
                carry[q, t] = older[q, t] + carry[q, t]
        level += 1
    stack[level, :, :] = carry


@inner
def _popped(carry: Any, stack: Any, members: int) -> None:
    """The sum of all members into ``carry``."""
    first = True
    carry[:, :] = 0.0
    for level in range(DEPTH):
        if not (members >> level) & 1:
            continue
        older = stack[level]
        for q in range(carry.shape[0]):
            for t in range(carry.shape[1]):
                carry[q, t] = older[q, t] if first else older[q, t] + carry[q, t]
        first = False


@inner
def _channel(new: Any, old: Any, row: Any, per_s: int, out: Any) -> None:
    """The five quantities of a channel; ``out`` (quantity, time)."""
    mean_w, ok = new
    power, measured = mean_w[row], ok[row]
    _changed(new, old, row, 1, (out[CHANGE], out[SOME]))
    _changed(new, old, row, per_s, (out[SECOND], out[MEASURED]))
    for t in range(out.shape[1]):
        out[POWER, t] = power[t]
    for t in range(out.shape[1]):
        out[MEASURED, t] = 1.0 if measured[t] else 0.0


_ROWS = types.Tuple((read(f8, 2), read(b1, 2)))


@compiled(types.void(_ROWS, _ROWS, types.UniTuple(read(i8, 1), 2), i8, f8[:, :, ::1]))
def node_sums(new: Any, old: Any, tree: Any, per_s: int, out: Any) -> None:
    """
    Quantities of every node; ``out`` (node, quantity, time).

    ``new`` and ``old``: power (channel, time) and what was measured, of this frame and before.
    """
    first, index = tree
    channels, ticks = new[0].shape
    carry, stack = np.empty((5, ticks)), np.empty((DEPTH, 5, ticks))
    for node in range(len(first) - 1):
        start, count = first[node], first[node + 1] - first[node]
        if count == 1 and index[start] < channels:
            _channel(new, old, index[start], per_s, out[node])
            continue
        for k in range(count):
            row = index[start + k]
            if row < channels:
                _channel(new, old, row, per_s, carry)
            else:
                carry[:, :] = out[row - channels]
            _push(carry, stack, k)
        _popped(out[node], stack, count)


@inner
def _voted(new: Any, old: Any, leaf: Any, plan: Any, out: Any) -> None:
    """Depth up, depth down and count of one leaf; its greatest change a second, to ``peak``."""
    row, limit_w, peak = leaf
    per_s, diff_w, known = plan
    _changed(new, old, row, per_s, (diff_w, known))
    seconds, ticks = len(peak), len(diff_w)
    length = ticks // seconds
    for s in range(seconds):
        most = -1.0
        for t in range(s * length, (s + 1) * length):
            if known[t] > 0:
                most = max(most, abs(diff_w[t]))
        peak[s] = most
    for t in range(ticks):
        out[UP, t] = diff_w[t] if known[t] > 0 and diff_w[t] >= limit_w else 0.0
    for t in range(ticks):
        out[DOWN, t] = -diff_w[t] if known[t] > 0 and -diff_w[t] >= limit_w else 0.0
    for t in range(ticks):
        out[COUNT, t] = 1.0 if known[t] > 0 and abs(diff_w[t]) >= limit_w else 0.0


@compiled(
    types.void(
        _ROWS, _ROWS, types.UniTuple(read(i8, 1), 2), types.Tuple((i8, i8, i8, read(f8, 1))),
        f8[:, :, ::1], f8[:, ::1],
    )
)  # fmt: skip
def leaf_sums(new: Any, old: Any, tree: Any, plan: Any, out: Any, peaks: Any) -> None:
    """
    Votes of the leaves at every node; ``out`` (node, quantity, time), ``peaks`` (leaf, second).

    ``plan``: ticks of a second, first leaf, past the last, thresholds.
    """
    (first, index), (per_s, start_leaf, stop_leaf, limits_w) = tree, plan
    channels, ticks = new[0].shape
    carry, stack = np.empty((3, ticks)), np.empty((DEPTH, 3, ticks))
    room = (per_s, np.empty(ticks), np.empty(ticks))
    for node in range(len(first) - 1):
        start, count = first[node], first[node + 1] - first[node]
        for k in range(count):
            row = index[start + k]
            if row >= channels:
                carry[:, :] = out[row - channels]
            elif start_leaf <= row < stop_leaf:
                leaf = row - start_leaf
                _voted(new, old, (row, limits_w[leaf], peaks[leaf]), room, carry)
            else:
                carry[:, :] = 0.0
            _push(carry, stack, k)
        _popped(out[node], stack, count)
