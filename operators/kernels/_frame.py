"""
One frame on the CPU in one pass: power and masked differences of channels, their sums, peaks.

A channel is read once, just before the node that adds it up: its samples with the second before
them in one line, from which tick and second differences are loads at other places. Members are
added as a tree of neighbouring pairs: a counter in binary holds the sums of 1, 2, 4, … members.
The bits are those of `segments.segment_sums`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._lanes import LANES, load, store
from ._sums import DEPTH, popped, push
from ._tables import room

__all__ = ["folded"]

PARTS = 3
"""Rows of a channel or node: power, change in a tick, change in a second."""
_SIZE = 0x7FFFFFFFFFFFFFFF
_NONE = int(np.array(-1.0).view(np.int64))


@inner
def _line(c: Any, new: Any, old: Any, per_s: Any, line: Any) -> bool:
    """A channel's newest second and the frame, one after the other; whether all was measured."""
    (mean_w, ok), (tail_w, tail_ok) = new, old
    ticks, depth, whole = mean_w.shape[1], tail_w.shape[1], True
    for k in range(per_s):
        line[k] = tail_w[c, depth - per_s + k]
    for k in range(ticks):
        line[per_s + k] = mean_w[c, k]
    for k in range(per_s):
        whole &= tail_ok[c, depth - per_s + k]
    for k in range(ticks):
        whole &= ok[c, k]
    return whole


@inner
def _masked(c: Any, new: Any, old: Any, sizes: Any, rows: Any, known: Any) -> None:
    """No change where one end was not measured; ``known``: within a second both were."""
    (_, ok), (_, tail_ok), (per_s, width) = new, old, sizes
    ticks, depth = ok.shape[1], tail_ok.shape[1]
    for t in range(ticks):
        before = ok[c, t - 1] if t else tail_ok[c, depth - 1]
        if not (ok[c, t] & before):
            rows[width + t] = 0.0
        early = tail_ok[c, depth - per_s + t] if t < per_s else ok[c, t - per_s]
        known[t] = ok[c, t] & early
        if not known[t]:
            rows[2 * width + t] = 0.0


@inner
def _second(c: Any, new: Any, old: Any, width: Any, rows: Any) -> bool:
    """As `_channel`, of a frame that is one second of 9 to 16 ticks: without a line, in place."""
    (mean_w, ok), (tail_w, tail_ok) = new, old
    ticks, whole, last = mean_w.shape[1], True, mean_w.shape[1] - LANES
    here, before = c * ticks, (c + 1) * tail_w.shape[1] - ticks
    for k in (0, last):
        now_w = load(mean_w, here + k)
        store(rows, k, now_w)
        store(rows, 2 * width + k, now_w - load(tail_w, before + k))
    for k in (1, last):
        store(rows, width + k, load(mean_w, here + k) - load(mean_w, here + k - 1))
    rows[width] = f8(mean_w[c, 0]) - f8(tail_w[c, tail_w.shape[1] - 1])
    for k in range(ticks):
        whole &= ok[c, k] & tail_ok[c, tail_w.shape[1] - ticks + k]
    return whole


@inner
def _channel(c: Any, new: Any, old: Any, sizes: Any, work: Any) -> bool:
    """The three rows of one channel into ``work``; whether all was measured."""
    (per_s, width), (line, rows, known) = sizes, work
    if len(known) == per_s and LANES < per_s <= 2 * LANES:
        whole = _second(c, new, old, width, rows)
    else:
        whole = _line(c, new, old, per_s, line)
        for k in range(0, width, LANES):
            now_w = load(line, per_s + k)
            store(rows, k, now_w)
            store(rows, width + k, now_w - load(line, per_s + k - 1))
            store(rows, 2 * width + k, now_w - load(line, k))
    if not whole:
        _masked(c, new, old, sizes, rows, known)
    return whole


@inner
def _peak(bits: Any, at: Any, known: Any, whole: Any, peaks: Any, leaf: Any) -> None:
    """Bits of the largest change of a leaf in each second of the frame, of -1 where none is."""
    seconds = peaks.shape[1]
    length = len(known) // seconds
    for s in range(seconds):
        most, some = i8(0), whole
        for t in range(s * length, (s + 1) * length):
            most = max(most, bits[at + t] & _SIZE)  # the bits of sizes are in their order
        if not whole:
            for t in range(s * length, (s + 1) * length):
                some |= known[t]
        peaks[leaf, s] = most if some else _NONE


@inner
def _keep(rows: Any, width: Any, out: Any, node: Any, which: Any) -> None:
    """Write a node's rows."""
    for part in range(PARTS):
        if which[part]:
            for t in range(out[part].shape[1]):
                out[part][node, t] = rows[part * width + t]


@inner
def _alone(first: Any, index: Any, channels: Any, out: Any) -> None:
    """Nodes with one channel that another node adds up: they are computed with that one."""
    for k in range(len(index)):
        child = index[k] - channels
        if child >= 0 and first[child + 1] - first[child] == 1:
            out[child] = index[first[child]] < channels


@inner
def _added_before(out: Any, node: Any, width: Any, rows: Any) -> None:
    """Rows of a node that is done."""
    for part in range(PARTS):
        for t in range(out[part].shape[1]):
            rows[part * width + t] = out[part][node, t]


_TABLES = types.Tuple((read(i8, 1), read(i8, 1), read(b1, 1), types.UniTuple(i8, 2), i8))


@compiled(
    types.void(
        types.Tuple((read(f4, 2), read(b1, 2))), types.Tuple((read(f4, 2), read(b1, 2))), _TABLES,
        types.UniTuple(f8[:, ::1], PARTS), f8[:, ::1],
    )
)  # fmt: skip
def folded(new: Any, old: Any, tables: Any, out: Any, peaks: Any) -> None:
    """
    Rows of all nodes, and peaks of the leaves.

    ``new``: tick means (channel, time) and what was measured; ``old``: the same of the second
    before, or more. ``tables``: `Tree.first` and `Tree.index`, nodes whose changes from tick to
    tick are asked for (of others with one channel they are left out), leaves, ticks of a second.
    ``out``: power, change in a tick and in a second, (node, time) each. ``peaks`` (leaf, second).
    """
    first, index, asked, leaves, per_s = tables
    channels, ticks = new[0].shape
    width = (ticks + LANES - 1) // LANES * LANES
    line = np.zeros(per_s + width + LANES, np.float32)
    rows, known, stack = room(PARTS * width), np.ones(ticks, np.bool_), room(DEPTH * PARTS * width)
    sizes, work = (per_s, width), (line, rows, known)
    alone, seen = np.zeros(len(asked), np.bool_), np.zeros(channels, np.bool_)
    bits, peak_bits = rows.view(np.int64), peaks.view(np.int64)
    rows[:] = 0.0
    _alone(first, index, channels, alone)
    for node in range(len(asked)):
        members = 0 if alone[node] else first[node + 1] - first[node]
        for member in range(members):
            row = index[first[node] + member]
            child = row - channels
            if child >= 0 and not alone[child]:
                _added_before(out, child, width, rows)
            else:
                c = row if child < 0 else index[first[child]]
                whole, seen[c] = _channel(c, new, old, sizes, work), True
                if leaves[0] <= c < leaves[1]:
                    _peak(bits, 2 * width, known, whole, peak_bits, c - leaves[0])
                if child >= 0:
                    _keep(rows, width, out, child, (True, asked[child], True))
            if members > 1:
                push(rows, stack, member)
        if members != 1:
            popped(stack, members, rows)
        if not alone[node]:
            _keep(rows, width, out, node, (True, True, True))
    for c in range(leaves[0], leaves[1]):
        if not seen[c]:
            whole = _channel(c, new, old, sizes, work)
            _peak(bits, 2 * width, known, whole, peak_bits, c - leaves[0])
