"""How the leaves fall together, on the CPU: one pass over a minute of each leaf."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, inner, read
from ._lanes import LANES, everywhere, greater, lane, load, size, store, within
from ._tables import room

__all__ = ["together"]

LEAVES = 64
"""Sums over leaves are sums of so many, added up: exact enough, and in one order."""


@inner
def _sum(x: Any) -> Any:
    """Of all lanes."""
    low = (lane(x, 0) + lane(x, 1)) + (lane(x, 2) + lane(x, 3))
    return low + ((lane(x, 4) + lane(x, 5)) + (lane(x, 6) + lane(x, 7)))


@inner
def _most(x: Any) -> Any:
    """Of all lanes."""
    most = lane(x, 0)
    for k in range(1, LANES):
        most = max(most, lane(x, k))
    return most


@inner
def _joined(tail_w: Any, leaf: Any, now_w: Any, out: Any, later_w: Any) -> None:
    """A leaf's seconds and one more into ``out``; without the first into its row of ``later_w``."""
    length = tail_w.shape[1]
    first, whole = leaf * length, length // LANES * LANES
    for t in range(0, whole, LANES):
        store(out, t, load(tail_w, first + t))
    for t in range(whole, length):
        out[t] = tail_w[leaf, t]
    out[length] = now_w
    for t in range(0, whole, LANES):
        store(later_w, first + t, load(out, t + 1))
    for t in range(whole, length):
        later_w[leaf, t] = out[t + 1]


@inner
def _measured(x: Any) -> Any:
    """Zero where it is no number."""
    return within(x, -np.inf, np.inf, x, 0.0)


@inner
def _added(row_w: Any, sums_w: Any, moved_w: Any, part: Any) -> None:
    """One leaf into sums by second of power and of moves, and into ``part``, as `together` says."""
    zero = everywhere(0.0)
    peak, most, squares, sizes = zero, zero, zero, zero
    for t in range(0, len(sums_w), LANES):
        here, after = load(row_w, t), load(row_w, t + 1)
        moved = _measured(after - here)
        peak, most = greater(here, peak), greater(size(moved), most)
        squares, sizes = squares + moved * moved, sizes + size(moved)
        store(sums_w, t, load(sums_w, t) + _measured(here))
        store(moved_w, t, load(moved_w, t) + moved)
    top_w, total_w = _most(most), _sum(sizes)
    part[0] += _most(peak)
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
        _joined(tail_w, leaf, now_w, row_w, later_w)
        _added(row_w, part_w[0], part_w[1], part)
        if leaf % LEAVES == LEAVES - 1 or leaf == leaves - 1:
            sums_w += part_w
            found += part
            part_w[:], part[:] = 0.0, 0.0
