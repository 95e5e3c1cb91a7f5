"""How the leaves fall together, on the CPU: one pass over a minute of each leaf."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, inner, read, spread
from ._lanes import LANES, everywhere, greater, lane, load, size, store, within
from ._tables import room
from ._tiles import most

__all__ = ["together"]

LEAVES = 64
"""Sums over leaves are sums of so many, added up: exact enough, and in one order."""


@inner
def _sum(x: Any) -> Any:
    """Of all lanes."""
    low = (lane(x, 0) + lane(x, 1)) + (lane(x, 2) + lane(x, 3))
    return low + ((lane(x, 4) + lane(x, 5)) + (lane(x, 6) + lane(x, 7)))


@spread
def _moved_on(tail_w: Any, leaf: Any, now_w: Any, row_w: Any, later_w: Any) -> None:
    """
    A leaf's seconds without the first and with one more into its row of ``later_w``.

    The last of them, from a whole number of lanes on, go into ``row_w``.
    """
    length = tail_w.shape[1]
    first, inside = leaf * length, _inside(length)
    for t in range(0, inside, LANES):
        store(later_w, first + t, load(tail_w, first + t + 1))
    for t in range(inside, length):
        row_w[t - inside] = tail_w[leaf, t]
        later_w[leaf, t] = tail_w[leaf, t + 1] if t + 1 < length else now_w
    row_w[length - inside] = now_w


@inner
def _inside(length: Any) -> Any:
    """Seconds of whole lanes that have another second behind them."""
    return max(length - 1, 0) // LANES * LANES


@inner
def _measured(x: Any) -> Any:
    """Zero where it is no number."""
    return within(x, -np.inf, np.inf, x, 0.0)


@spread
def _added(tail_w: Any, leaf: Any, row_w: Any, sums_w: Any, part: Any) -> None:
    """One leaf into sums by second of power and of moves, and into ``part``, as `together` says."""
    zero, length, width = everywhere(0.0), tail_w.shape[1], sums_w.shape[1]
    first, inside = leaf * length, _inside(length)
    peak, top, squares, sizes = zero, zero, zero, zero
    for t in range(0, width, LANES):
        if t < inside:
            here, after = load(tail_w, first + t), load(tail_w, first + t + 1)
        else:
            here, after = load(row_w, t - inside), load(row_w, t - inside + 1)
        moved = _measured(after - here)
        peak, top = greater(here, peak), greater(size(moved), top)
        squares, sizes = squares + moved * moved, sizes + size(moved)
        store(sums_w, t, load(sums_w, t) + _measured(here))
        store(sums_w, width + t, load(sums_w, width + t) + moved)
    top_w, total_w = most(top), _sum(sizes)
    part[0] += most(peak)
    part[1] += top_w
    part[2] += _sum(squares)
    part[3] += total_w
    part[4] += total_w * total_w
    part[5] += top_w > 0


@compiled(
    types.void(
        read(f4, 2), types.Tuple((read(f4, 2), read(b1, 2))), f4[:, ::1], f8[:, ::1], f8[::1]
    )
)
def together(tail_w: Any, new: Any, later_w: Any, sums_w: Any, found: Any) -> None:
    """
    One more second ``new`` (leaf, 1), and which were measured; ``tail_w`` moves into ``later_w``.

    ``sums_w``: power and moves of all leaves by second of the window, (2, whole lanes), zeros
    behind it. ``found``: sums over the leaves of their peaks, greatest moves, squared moves, sizes
    of moves and squares of those; how many moved.
    """
    leaves, width = tail_w.shape[0], sums_w.shape[1]
    row_w = room(width + LANES)
    row_w[:] = np.nan
    part_w, part = np.zeros((2, width)), np.zeros(len(found))
    sums_w[:], found[:] = 0.0, 0.0
    for leaf in range(leaves):
        now_w = new[0][leaf, 0] if new[1][leaf, 0] else np.nan
        _moved_on(tail_w, leaf, now_w, row_w, later_w)
        _added(tail_w, leaf, row_w, part_w, part)
        if leaf % LEAVES == LEAVES - 1 or leaf == leaves - 1:
            sums_w += part_w
            found += part
            part_w[:], part[:] = 0.0, 0.0
