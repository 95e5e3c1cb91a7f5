"""How the leaves fall together, on the CPU: one pass over a minute of each leaf for each second."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read, spread
from ._lanes import LANES, everywhere, greater, lane, load, size, store, within
from ._tables import room
from ._tiles import most

__all__ = ["LEAVES", "MEASURES", "together"]

LEAVES = 64
"""Sums over leaves are sums of so many, added up: exact enough, and in one order."""
MEASURES = 6
"""Numbers behind those of the seconds: peaks, greatest moves and so on, see `together`."""


@inner
def _sum(x: Any) -> Any:
    """Of all lanes."""
    low = (lane(x, 0) + lane(x, 1)) + (lane(x, 2) + lane(x, 3))
    return low + ((lane(x, 4) + lane(x, 5)) + (lane(x, 6) + lane(x, 7)))


@inner
def _joined(tail_w: Any, new: Any, leaf: Any, row_w: Any) -> None:
    """A leaf's seconds, the new ones behind the others; NaN where not measured."""
    length = tail_w.shape[1]
    for t in range(length):
        row_w[t] = tail_w[leaf, t]
    for t in range(new[0].shape[1]):
        row_w[length + t] = new[0][leaf, t] if new[1][leaf, t] else np.nan


@inner
def _measured(x: Any) -> Any:
    """Zero where it is no number."""
    return within(x, -np.inf, np.inf, x, 0.0)


@spread
def _added(row_w: Any, first: Any, size_s: Any, rest_w: Any, sums: Any, at: Any) -> None:
    """
    One leaf's window, from second ``first`` on, into what is added up from number ``at`` on.

    ``size_s``: seconds of a window, and filled up to whole lanes. ``rest_w``: room for what is
    behind the whole lanes of a window; NaN behind that.
    """
    zero, (window, width) = everywhere(0.0), size_s
    inside = (window - 1) // LANES * LANES
    peak, top, squares, sizes = zero, zero, zero, zero
    for t in range(inside, window):
        rest_w[t - inside] = row_w[first + t]
    for t in range(0, width, LANES):
        if t < inside:
            here, after = load(row_w, first + t), load(row_w, first + t + 1)
        else:
            here, after = load(rest_w, t - inside), load(rest_w, t - inside + 1)
        moved = _measured(after - here)
        peak, top = greater(here, peak), greater(size(moved), top)
        squares, sizes = squares + moved * moved, sizes + size(moved)
        store(sums, at + t, load(sums, at + t) + _measured(here))
        store(sums, at + width + t, load(sums, at + width + t) + moved)
    top_w, total_w, k = most(top), _sum(sizes), at + 2 * width
    sums[k] += most(peak)
    sums[k + 1] += top_w
    sums[k + 2] += _sum(squares)
    sums[k + 3] += total_w
    sums[k + 4] += total_w * total_w
    sums[k + 5] += top_w > 0


@compiled(
    types.void(
        read(f4, 2), types.Tuple((read(f4, 2), read(b1, 2))), f4[:, ::1], f8[:, :, ::1],
        types.UniTuple(i8, 2),
    )
)  # fmt: skip
def together(tail_w: Any, new: Any, later_w: Any, sums: Any, groups: Any) -> None:
    """
    Some more seconds ``new`` (leaf, time), and which were measured, of the leaves of some groups.

    ``tail_w`` moves into ``later_w``. ``sums`` (group of `LEAVES`, time, number): of the leaves of
    each, power and moves by second of the window, both filled up to whole lanes; then of their
    peaks, greatest moves, squared moves, sizes of moves and squares of those; how many moved.
    """
    leaves, ticks, window = tail_w.shape[0], new[0].shape[1], tail_w.shape[1] + 1
    numbers, flat = sums.shape[2], sums.reshape(-1)
    size_s = (window, (numbers - MEASURES) // 2)
    row_w, rest_w = room(window + ticks + LANES), room(3 * LANES)
    rest_w[:] = np.nan
    for group in range(groups[0], groups[1]):
        sums[group] = 0.0
        for leaf in range(LEAVES * group, min(LEAVES * (group + 1), leaves)):
            _joined(tail_w, new, leaf, row_w)
            for k in range(window - 1):
                later_w[leaf, k] = row_w[ticks + k]
            for tick in range(ticks):
                at = (group * ticks + tick) * numbers
                _added(row_w, tick, size_s, rest_w, flat, at)
