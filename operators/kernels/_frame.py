"""
One frame on the CPU in one pass: power and masked differences of channels, their sums, peaks.

A channel is read once, just before the node that adds it up. A row of ticks is lanes, the last of
which ends with the frame and may overlap the one before: what overlaps is computed twice. Rows wait
lane beside lane, for what is stored overlapping is slow to load. Members are added as a tree of
neighbouring pairs: a counter in binary holds the sums of 1, 2, 4, … members. The bits are those of
`segments.segment_sums`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._lanes import LANES, behind, greater, load, pick, size, store
from ._sums import DEPTH, popped, push
from ._tables import room
from ._tiles import most

__all__ = ["folded"]

PARTS = 3
"""Rows of a channel or node: power, change in a tick, change in a second."""


@inner
def _first(group: Any, ticks: Any) -> Any:
    """First tick of a group of lanes."""
    return min(LANES * group, max(ticks - LANES, 0))


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
def _masked(c: Any, new: Any, old: Any, per_s: Any, work: Any) -> None:
    """No change where one end was not measured; ``known``: in a tick, in a second both were."""
    (_, ok), (_, tail_ok), (_, rows, moved_w, known) = new, old, work
    ticks, depth, groups = ok.shape[1], tail_ok.shape[1], len(rows) // (PARTS * LANES)
    for t in range(ticks):
        before = ok[c, t - 1] if t else tail_ok[c, depth - 1]
        early = tail_ok[c, depth - per_s + t] if t < per_s else ok[c, t - per_s]
        known[0, t], known[1, t] = ok[c, t] & before, ok[c, t] & early
    for part in range(2):
        for g in range(groups):
            at = LANES * ((part + 1) * groups + g)
            kept = load(known, part * known.shape[1] + _first(g, ticks))
            store(rows, at, pick(kept, 0.0, load(rows, at), 0.0))
    for t in range(ticks):
        moved_w[t] = moved_w[t] if known[1, t] else 0.0


@inner
def _peak(moved_w: Any, start: Any, length: Any) -> float:
    """The largest of so many changes."""
    most_w = 0.0
    if length < LANES:
        for t in range(start, start + length):
            most_w = max(most_w, abs(moved_w[t]))
        return most_w
    sizes = size(load(moved_w, start + length - LANES))
    for t in range(start, start + length - LANES, LANES):
        sizes = greater(size(load(moved_w, t)), sizes)
    return most(sizes)


@inner
def _peaks(work: Any, ticks: Any, whole: Any, peaks: Any, leaf: Any) -> None:
    """The largest change of a leaf in each second of the frame, -1 where none is known."""
    (_, _, moved_w, known), seconds = work, peaks.shape[1]
    length = ticks // seconds
    for s in range(seconds):
        some = whole
        if not whole:
            for t in range(s * length, (s + 1) * length):
                some |= known[1, t] > 0
        peaks[leaf, s] = _peak(moved_w, s * length, length) if some else -1.0


@inner
def _channel(c: Any, new: Any, old: Any, how: Any, work: Any, peaks: Any) -> None:
    """The three rows of one channel into ``work``, and its peaks where it is a leaf."""
    (leaves, per_s), (line, rows, moved_w, _) = how, work
    ticks, groups = new[0].shape[1], len(rows) // (PARTS * LANES)
    whole = _line(c, new, old, per_s, line)
    for g in range(groups):
        k = _first(g, ticks)
        now_w = load(line, per_s + k)
        second_w = now_w - load(line, k)
        store(rows, LANES * g, now_w)
        store(rows, LANES * (groups + g), now_w - load(line, per_s + k - 1))
        store(rows, LANES * (2 * groups + g), second_w)
        store(moved_w, k, second_w)
    if not whole:
        _masked(c, new, old, per_s, work)
    if leaves[0] <= c < leaves[1]:
        _peaks(work, ticks, whole, peaks, c - leaves[0])


@inner
def _second(c: Any, new_w: Any, old_w: Any, rows: Any, leaves: Any, peaks: Any) -> None:
    """The same of a channel without a gap, in a frame of one second of 9 to 16 ticks: in place."""
    ticks = new_w.shape[1]
    last, here, before = ticks - LANES, c * ticks, (c + 1) * old_w.shape[1] - ticks
    first_w, last_w = load(new_w, here), load(new_w, here + last)
    store(rows, 0, first_w)
    store(rows, LANES, last_w)
    store(rows, 2 * LANES, first_w - behind(first_w, f8(old_w[c, old_w.shape[1] - 1])))
    store(rows, 3 * LANES, last_w - load(new_w, here + last - 1))
    first_w, last_w = first_w - load(old_w, before), last_w - load(old_w, before + last)
    store(rows, 4 * LANES, first_w)
    store(rows, 5 * LANES, last_w)
    if leaves[0] <= c < leaves[1]:
        peaks[c - leaves[0], 0] = most(greater(size(first_w), size(last_w)))


@inner
def _keep_row(rows: Any, part: Any, out: Any, node: Any) -> None:
    ticks, groups = out.shape[1], len(rows) // (PARTS * LANES)
    if ticks < LANES:
        for t in range(ticks):
            out[node, t] = rows[part * LANES + t]
        return
    for g in range(groups):
        store(out, node * ticks + _first(g, ticks), load(rows, LANES * (part * groups + g)))


@inner
def _keep(rows: Any, out: Any, node: Any, asked: Any) -> None:
    """Write a node's rows; its changes in a tick where they are ``asked`` for."""
    power_w, tick_w, second_w = out
    _keep_row(rows, 0, power_w, node)
    if asked:
        _keep_row(rows, 1, tick_w, node)
    _keep_row(rows, 2, second_w, node)


@inner
def _row_of(out: Any, node: Any, part: Any, rows: Any) -> None:
    ticks, groups = out.shape[1], len(rows) // (PARTS * LANES)
    if ticks < LANES:
        for t in range(ticks):
            rows[part * LANES + t] = out[node, t]
        return
    for g in range(groups):
        store(rows, LANES * (part * groups + g), load(out, node * ticks + _first(g, ticks)))


@inner
def _added_before(out: Any, node: Any, rows: Any) -> None:
    """Rows of a node that is done."""
    power_w, tick_w, second_w = out
    _row_of(power_w, node, 0, rows)
    _row_of(tick_w, node, 1, rows)
    _row_of(second_w, node, 2, rows)


_TABLES = types.Tuple(
    (read(i8, 1), read(i8, 1), *(read(b1, 1),) * 3, types.UniTuple(i8, 2), i8, b1)
)


@compiled(
    types.void(
        types.Tuple((read(f4, 2), read(b1, 2))), types.Tuple((read(f4, 2), read(b1, 2))), _TABLES,
        types.UniTuple(f8[:, ::1], PARTS), f8[:, ::1], types.UniTuple(i8, 2),
    )
)  # fmt: skip
def folded(new: Any, old: Any, tables: Any, out: Any, peaks: Any, some: Any) -> None:
    """
    Rows of the nodes from the first of ``some`` to before the last, and peaks of their leaves.

    Nodes that these add up are done. With the last of all nodes go leaves that no node adds up.

    ``new``: tick means (channel, time) and what was measured; ``old``: the same of the second
    before, or more. ``tables``: `Tree.first` and `Tree.index`, nodes whose changes from tick to
    tick are asked for (of others with one channel they are left out), `Tree.alone` and
    `Tree.stray`, leaves, ticks of a second, whether all was measured. ``out``: power, change in a
    tick and in a second, (node, time) each. ``peaks`` (leaf, second).
    """
    first, index, asked, alone, stray, leaves, per_s, measured = tables
    channels, ticks = new[0].shape
    width = (ticks + LANES - 1) // LANES * LANES
    rows, stack = room(PARTS * width), room(DEPTH * PARTS * width)
    work = (np.zeros(per_s + width, np.float32), rows, room(width), np.ones((2, width)))
    how, short = (leaves, per_s), measured and ticks == per_s and width == 2 * LANES
    rows[:] = 0.0
    for node in range(some[0], some[1]):
        members = 0 if alone[node] else first[node + 1] - first[node]
        for member in range(members):
            row = index[first[node] + member]
            child = row - channels
            if child >= 0 and not alone[child]:
                _added_before(out, child, rows)
            else:
                c = row if child < 0 else index[first[child]]
                if short:
                    _second(c, new[0], old[0], rows, leaves, peaks)
                else:
                    _channel(c, new, old, how, work, peaks)
                if child >= 0:
                    _keep(rows, out, child, asked[child])
            if members > 1:
                push(rows, stack, member)
        if members != 1:
            popped(stack, members, rows)
        if not alone[node]:
            _keep(rows, out, node, True)
    for c in range(leaves[0], leaves[1] if some[1] == len(asked) else 0):
        if stray[c]:
            _channel(c, new, old, how, work, peaks)
