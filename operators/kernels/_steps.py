"""Steps on the CPU: whitened ways and the largest likelihood ratio over all windows, by lanes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from operators import steps

from ._compiled import b1, compiled, f8, i8, inner, read
from ._lanes import LANES, everywhere, greater, lesser, load, pick, root, size, store
from ._tables import room
from ._tiles import columns, rows

__all__ = ["BOXES", "GROUPS", "ratios", "switched", "whitened"]


def _boxed() -> Any:
    """
    Of each box: places of the newer and the older one, the newer's length, its own; ticks before
    the newest of which longer ones need its sum.
    """
    windows, rows = steps.WINDOWS, [[0, 0, 0, 1, 0]]
    for window in windows[1:]:
        half = 1 << (window.bit_length() - 1)
        newer = half // 2 if half == window else half
        rows.append([windows.index(newer), windows.index(window - newer), newer, window, 0])
    for newer, older, shift, _, before in reversed(rows[1:]):
        rows[newer][4] = max(rows[newer][4], before)
        rows[older][4] = max(rows[older][4], before + shift)
    return np.array(rows, np.int64)


BOXES, GROUPS = _boxed(), np.array(steps.GROUPS, np.int64)


@inner
def _gathered(values: Any, span: Any, out: Any) -> Any:
    """One number of each row of a tile; the last row's where there are fewer rows than lanes."""
    for j in range(LANES):
        out[j] = values[span[0] + min(j, span[1] - 1)]
    return load(out, 0)


@inner
def _runs(ok: Any, span: Any, out: Any) -> None:
    """Samples measured in a row, up to each; lanes by sample."""
    for j in range(LANES):
        row, run = span[0] + min(j, span[1] - 1), 0
        for t in range(ok.shape[1]):
            run = run + 1 if ok[row, t] else 0
            out[LANES * t + j] = float(run)


@inner
def _whitened(path: Any, span: Any, plan: Any, work: Any) -> Any:
    """Bounded innovations of a tile's nodes into ``work[0]``; the largest before it was bounded."""
    (z_w, way_w, run, some), (coefficients, offsets, _, bounds) = work, plan[:4]
    order, ticks = coefficients.shape[1], path[0].shape[1] - coefficients.shape[1]
    offset_w, bound_w = _gathered(offsets, span, some), _gathered(bounds, span, some)
    columns(path[0], span, way_w, 0)
    _runs(path[1], span, run)
    for t in range(ticks):
        store(z_w, LANES * t, load(way_w, LANES * (order + t)))
    for lag in range(1, order + 1):
        weight = _gathered(coefficients[:, lag - 1], span, some)
        for t in range(ticks):
            before_w = load(way_w, LANES * (order + t - lag))
            store(z_w, LANES * t, load(z_w, LANES * t) - weight * before_w)
    alone, zero, full = everywhere(0.0), everywhere(0.0), everywhere(float(order))
    for t in range(ticks):
        here = load(z_w, LANES * t) - offset_w
        here = pick(load(run, LANES * (order + t)), full, here, zero)
        alone = greater(size(here), alone)
        store(z_w, LANES * t, lesser(greater(here, zero - bound_w), bound_w))
    return alone


@inner
def _boxes(parts: Any, length: Any, ticks: Any, sums: Any) -> None:
    """
    Sums of the newest samples, window by window, each from two shorter ones.

    The first are the samples. Of each so many ticks before the newest ones as longer ones need.
    """
    for place in range(1, parts.shape[0]):
        own, shift = LANES * place * length, LANES * parts[place, 2]
        newer, older = LANES * parts[place, 0] * length, LANES * parts[place, 1] * length - shift
        for t in range(max(parts[place, 3] - 1, length - ticks - parts[place, 4]), length):
            k = LANES * t
            store(sums, own + k, load(sums, newer + k) + load(sums, older + k))


@inner
def _judged(sums: Any, at: Any, scale: Any, best: Any) -> Any:
    """One window's ratios into the greatest ones; the greatest ``|G|``."""
    (place, start, length, ticks), (spread_w, limit, since) = at, scale
    top, zero, now = everywhere(0.0), everywhere(0.0), everywhere(float(place))
    enough, step = everywhere(float(length)) - since, LANES * ticks
    for t in range(ticks):
        k = LANES * t
        ratio = load(sums, start + k) / spread_w
        ratio = pick(enough, everywhere(float(t + 1)), zero, ratio)
        top = greater(size(ratio), top)
        ratio = ratio / limit
        up, down = load(best, k), load(best, step + k)
        store(best, 2 * step + k, pick(ratio, up, now, load(best, 2 * step + k)))
        store(best, k, greater(ratio, up))
        store(best, 3 * step + k, pick(zero - ratio, down, now, load(best, 3 * step + k)))
        store(best, step + k, greater(zero - ratio, down))
    return top


@inner
def _told(best: Any, ticks: Any, span: Any, out: Any, place: Any) -> None:
    """Up, down and their windows of a tile's nodes."""
    for which in range(2):
        rows(best, LANES * ticks * which, span, out[which])
        for j in range(span[1]):
            for t in range(ticks):
                value = best[LANES * (ticks * (2 + which) + t) + j]
                place[which, span[0] + j, t] = i8(value)


@inner
def _newest(past_z_w: Any, new_w: Any, ticks: Any, span: Any, z_w: Any) -> None:
    """The newest innovations of a tile's nodes, as many as of the past: ``new_w`` behind it."""
    tail = z_w.shape[1]
    kept = max(tail - ticks, 0)
    for row in range(span[0], span[0] + span[1]):
        for k in range(kept):
            z_w[row, k] = past_z_w[row, k + ticks]
    for j in range(span[1]):
        for k in range(kept, tail):
            z_w[span[0] + j, k] = new_w[LANES * (k + ticks - tail) + j]


_PLAN = types.Tuple((read(f8, 2), *(read(f8, 1),) * 4, read(f8, 2)))


@compiled(
    types.void(
        types.Tuple((read(f8, 2), read(b1, 2), read(i8, 1), read(f8, 2))), _PLAN,
        types.Tuple((read(i8, 2), read(i8, 2), types.UniTuple(i8, 2))),
        f8[:, :, ::1], i8[:, :, ::1], types.UniTuple(f8[:, ::1], 2),
    )
)  # fmt: skip
def ratios(path: Any, plan: Any, windows: Any, best: Any, place: Any, out: Any) -> None:
    """
    The whole of `reference.scan`, of the nodes of some tiles.

    ``path``: ways, what was measured, samples since the past counts, past innovations. ``windows``:
    `parts` of each box, (window, 5): places of newer and older, length of the newer, own length,
    ticks of the past that longer ones need; (group, 2); the first tile and past the last. ``best``,
    ``place``: ratio and window of `Scan`. ``out``: its greatest and innovations.
    """
    (parts, groups, tiles), (greatest, z_w) = windows, out
    ticks, (count, tail) = best.shape[2], z_w.shape
    length = tail + ticks
    sums, found = room(LANES * length * len(parts)), room(4 * LANES * ticks)
    new_w, way_w, run = (room(LANES * path[0].shape[1]), room(LANES * path[0].shape[1]),
                         room(LANES * path[0].shape[1]))  # fmt: skip
    some, tops = room(LANES), room(LANES)
    for tile in range(tiles[0], tiles[1]):
        span = (LANES * tile, min(LANES, count - LANES * tile))
        columns(path[3], span, sums, 0)
        alone = _whitened(path, span, plan, (new_w, way_w, run, some))
        sums[LANES * tail : LANES * length] = new_w[: LANES * ticks]
        _newest(path[3], new_w, ticks, span, z_w)
        sigma_w, baseline = _gathered(plan[2], span, some), _gathered(plan[4], span, some)
        never, zero = everywhere(np.inf), everywhere(0.0)
        _boxes(parts, length, ticks, sums)
        found[:] = 0.0
        top = pick(sigma_w, zero, alone / sigma_w, zero)
        since = _gathered(path[2], span, some)
        for group in range(len(groups)):
            limit = _gathered(plan[5][:, group], span, some)
            for k in range(groups[group, 0], groups[group, 1]):
                own = float(parts[k, 3])
                spread_w = sigma_w * root(own * (1.0 + own / baseline))
                spread_w = pick(sigma_w, zero, pick(baseline, zero, spread_w, never), never)
                at = (k, LANES * (k * length + tail), parts[k, 3], ticks)
                top = greater(_judged(sums, at, (spread_w, limit, since), found), top)
            store(tops, 0, top)
            for j in range(span[1]):
                greatest[span[0] + j, group] = tops[j]
            top = zero
        _told(found, ticks, span, best, place)


@compiled(
    types.void(types.Tuple((read(f8, 2), read(b1, 2))), _PLAN, types.UniTuple(i8, 2), f8[:, ::1])
)
def whitened(path: Any, plan: Any, tiles: Any, out: Any) -> None:
    """`reference.innovations` of the nodes of some tiles."""
    width = LANES * path[0].shape[1]
    new_w, way_w, run, some = room(width), room(width), room(width), room(LANES)
    for tile in range(tiles[0], tiles[1]):
        span = (LANES * tile, min(LANES, out.shape[0] - LANES * tile))
        _whitened(path, span, plan, (new_w, way_w, run, some))
        rows(new_w, 0, span, out)


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
