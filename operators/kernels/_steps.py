"""Steps on the CPU: whitened ways and the largest likelihood ratio over all windows, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read

__all__ = ["ratios", "switched"]

_0, _1 = np.uint64(0), np.uint64(1)
_SIZE = 0x7FFFFFFFFFFFFFFF


@inner
def _whitened(path: Any, ok: Any, row: Any, plan: Any, z_w: Any) -> float:
    """Bounded innovations of one node into ``z_w``; the largest before it was bounded."""
    coefficients, offset_w, bound_w = plan[0][row], plan[1][row], plan[3][row]
    order, alone = len(coefficients), 0.0
    way_w, known = path[row], ok[row]
    for t in range(len(z_w)):
        z_w[t] = way_w[order + t]
    for lag in range(1, order + 1):
        before_w = way_w[order - lag :]
        for t in range(len(z_w)):
            z_w[t] -= coefficients[lag - 1] * before_w[t]
    run = 0
    for t in range(order):
        run = run + 1 if known[t] else 0
    for t in range(len(z_w)):
        run = run + 1 if known[order + t] else 0
        z_w[t] = z_w[t] - offset_w if run > order else 0.0
        alone = max(alone, abs(z_w[t]))
        z_w[t] = min(max(z_w[t], -bound_w), bound_w)
    return alone


@inner
def _boxes(z_w: Any, row: Any, parts: Any, sums: Any) -> None:
    """Sums of the newest samples, window by window, each from two shorter ones."""
    length = np.uint64(z_w.shape[1])
    for t in range(length):
        sums[_0, t] = z_w[row, t]
    for place in range(_1, np.uint64(parts.shape[0])):
        newer, older = np.uint64(parts[place, 0]), np.uint64(parts[place, 1])
        shift, first = np.uint64(parts[place, 2]), np.uint64(parts[place, 3] - 1)
        for t in range(first, length):
            sums[place, t] = sums[newer, t] + sums[older, t - shift]


@inner
def _judged(sums: Any, at: Any, scale: Any, out: Any, room: Any) -> Any:
    """One window's ratios into the greatest ones; bits of the greatest ``|G|``."""
    row, place, first, tail = at
    spread_w, limit = scale
    up, down, up_window, down_window = out
    size, top, ticks = room.view(i8), i8(0), np.uint64(up.shape[1])
    for t in range(first, ticks):
        room[_0, t] = sums[place, tail + t] / spread_w
    for t in range(first, ticks):
        top = max(top, size[_0, t] & _SIZE)  # the bits of sizes are in their order
    for t in range(first, ticks):
        room[_0, t] /= limit
    for t in range(first, ticks):
        up_window[row, t] = i8(place) if room[_0, t] > up[row, t] else up_window[row, t]
    for t in range(first, ticks):
        up[row, t] = max(up[row, t], room[_0, t])
    for t in range(first, ticks):
        down_window[row, t] = i8(place) if -room[_0, t] > down[row, t] else down_window[row, t]
    for t in range(first, ticks):
        down[row, t] = max(down[row, t], -room[_0, t])
    return top


_PLAN = types.Tuple((read(f8, 2), *(read(f8, 1),) * 4, read(f8, 2)))


@compiled(
    types.void(
        types.Tuple((read(f8, 2), read(b1, 2), read(i8, 1))), _PLAN,
        types.Tuple((read(i8, 2), read(i8, 2), types.UniTuple(i8, 2))),
        types.UniTuple(f8[:, ::1], 2), types.UniTuple(i8[:, ::1], 2),
        types.UniTuple(f8[:, ::1], 2),
    )
)  # fmt: skip
def ratios(path: Any, plan: Any, windows: Any, best: Any, place: Any, out: Any) -> None:
    """
    The whole of `reference.scan`.

    Of the nodes from the first up to the last, exclusive, that ``windows`` ends with.
    ``path``: ways, what was measured, samples since the past counts. ``windows``: `parts` of each
    box, (window, 4): places of newer and older, length of the newer, own length; and (group, 2).
    ``out``: greatest (watched, group), innovations with the past in front (watched, TAIL + time).
    """
    parts, groups, rows = windows
    greatest, z_w = out
    ticks = best[0].shape[1]
    tail, sums = z_w.shape[1] - ticks, np.zeros((len(parts), z_w.shape[1]))
    room, most = np.empty((1, ticks)), greatest.view(i8)
    sigma_w, baseline, limits = plan[2], plan[4], plan[5]
    tables = (best[0], best[1], place[0], place[1])
    for row in range(np.uint64(rows[0]), np.uint64(rows[1])):
        alone = _whitened(path[0], path[1], row, plan, z_w[row, tail:])
        if sigma_w[row] > 0:
            greatest[row, 0] = alone / sigma_w[row]
        if not (sigma_w[row] > 0 and baseline[row] > 0):
            continue
        _boxes(z_w, row, parts, sums)
        for group in range(len(groups)):
            for k in range(groups[group, 0], groups[group, 1]):
                length = parts[k, 3]
                first = max(length - path[2][row] - 1, 0)
                if first >= ticks:
                    continue
                spread_w = sigma_w[row] * math.sqrt(length * (1 + length / baseline[row]))
                at = (row, np.uint64(k), np.uint64(first), np.uint64(tail))
                top = _judged(sums, at, (spread_w, limits[row, group]), tables, room)
                most[row, group] = max(most[row, group], top)


@compiled(types.void(read(f8, 2), b1[::1], f8, f8, b1[:, ::1]))
def switched(statistic: Any, state: Any, on: float, off: float, active: Any) -> None:
    """`trigger.two_threshold`; ``state`` moves on in place."""
    for row in range(statistic.shape[0]):
        now = state[row]
        for t in range(statistic.shape[1]):
            value = statistic[row, t]
            if value >= on:
                now = True
            elif value < off:
                now = False
            active[row, t] = now
        state[row] = now
