"""Steps on the CPU: whitened ways and the largest likelihood ratio over all windows, row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f8, i8, inner, read

__all__ = ["ratios", "switched"]


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
def _boxes(z_w: Any, parts: Any, sums: Any) -> None:
    """Sums of the newest samples, window by window, each from two shorter ones."""
    sums[0, :] = z_w
    for place in range(1, len(parts)):
        newer, older, shift = sums[parts[place, 0]], sums[parts[place, 1]], parts[place, 2]
        here, first = sums[place], parts[place, 3] - 1
        new, old, out = newer[first:], older[first - shift :], here[first:]
        for t in range(len(out)):
            out[t] = new[t] + old[t]


@inner
def _judged(sums: Any, window: Any, scale: Any, out: Any, room: Any) -> float:
    """One window's ratios into the greatest ones; the greatest ``|G|``."""
    place, first = window
    spread_w, limit = scale
    up, up_window = out[0][first:], out[2][first:]
    down, down_window = out[1][first:], out[3][first:]
    shift, size, top = room[0, : len(up)], room[1, : len(up)].view(i8), 0
    for t in range(len(up)):
        shift[t] = sums[first + t] / spread_w
    for t in range(len(up)):
        room[1, t] = abs(shift[t])
    for t in range(len(up)):
        top = max(top, size[t])  # the bits of what is not below zero are in its order
    for t in range(len(up)):
        shift[t] /= limit
    for t in range(len(up)):
        up_window[t] = place if shift[t] > up[t] else up_window[t]
    for t in range(len(up)):
        up[t] = max(up[t], shift[t])
    for t in range(len(up)):
        down_window[t] = place if -shift[t] > down[t] else down_window[t]
    for t in range(len(up)):
        down[t] = max(down[t], -shift[t])
    room.view(i8)[1, 0] = top
    return room[1, 0]


_PLAN = types.Tuple((read(f8, 2), *(read(f8, 1),) * 4, read(f8, 2)))


@compiled(
    types.void(
        types.Tuple((read(f8, 2), read(b1, 2), read(i8, 1))), _PLAN, types.UniTuple(read(i8, 2), 2),
        types.UniTuple(f8[:, ::1], 2), types.UniTuple(i8[:, ::1], 2),
        types.UniTuple(f8[:, ::1], 2),
    )
)  # fmt: skip
def ratios(path: Any, plan: Any, windows: Any, best: Any, place: Any, out: Any) -> None:
    """
    The whole of `reference.scan`.

    ``path``: ways, what was measured, samples since the past counts. ``windows``: `parts` of each
    box, (window, 4): places of newer and older, length of the newer, own length; and (group, 2).
    ``out``: greatest (watched, group), innovations with the past in front (watched, TAIL + time).
    """
    parts, groups = windows
    greatest, z_w = out
    ticks = best[0].shape[1]
    tail, sums = z_w.shape[1] - ticks, np.zeros((len(parts), z_w.shape[1]))
    room = np.empty((2, ticks))
    sigma_w, baseline, limits = plan[2], plan[4], plan[5]
    for row in range(z_w.shape[0]):
        alone = _whitened(path[0], path[1], row, plan, z_w[row, tail:])
        if sigma_w[row] > 0:
            greatest[row, 0] = alone / sigma_w[row]
        if not (sigma_w[row] > 0 and baseline[row] > 0):
            continue
        _boxes(z_w[row], parts, sums)
        here = (best[0][row], best[1][row], place[0][row], place[1][row])
        for group in range(len(groups)):
            for k in range(groups[group, 0], groups[group, 1]):
                length = parts[k, 3]
                first = max(length - path[2][row] - 1, 0)
                if first >= ticks:
                    continue
                spread_w = sigma_w[row] * math.sqrt(length * (1 + length / baseline[row]))
                scale = (spread_w, limits[row, group])
                most = _judged(sums[k, tail:], (k, first), scale, here, room)
                greatest[row, group] = max(greatest[row, group], most)


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
