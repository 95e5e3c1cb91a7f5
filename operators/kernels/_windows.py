"""From samples to the power of each bin on the CPU, sixteen rows at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._fourier import POINT, Transform, transform, transformed
from ._sixteen import LANES, above, any_outside, everywhere, load, pick, size, store
from ._tables import room_16 as room
from ._tiles import columns_16 as columns

__all__ = ["Windows", "powers", "windows"]


class Windows(NamedTuple):
    """The FFTs of all windows of a design, one after the other."""

    taper: Any
    radix: Any
    turn: Any
    circle: Any
    last: Any
    at: Any
    """Where each window's tables begin, in the order above, and where the last ends; (6, window +
    1): the sixth row is the first bin asked for."""


_WINDOWS = types.NamedTuple((f4[::1], i8[::1], f4[::1], f4[::1], f4[::1], i8[:, ::1]), Windows)


def windows(looks: Any) -> Windows:
    """Lay out the FFTs of a design's windows."""
    plans = [transform(one.taper, one.first, one.last - one.first) for one in looks]
    tables: list[list[Any]] = [[plan[k] for plan in plans] for k in range(5)]
    at = [np.cumsum([0, *(len(one) for one in table)]) for table in tables]
    first = np.array([*(plan.first for plan in plans), 0])
    kinds = (np.float32, np.int64, *(np.float32,) * 3)
    joined = [np.concatenate(t).astype(kind) for t, kind in zip(tables, kinds, strict=True)]
    return Windows._make([*joined, np.ascontiguousarray(np.stack([*at, first]), dtype=np.int64)])


_HUGE_W = 1e17
"""A change that is no less is no number: its square, and sums of it, would not be."""
_LIFT = float(np.finfo(np.float32).max) / _HUGE_W


@inner
def _one(all_: Any, w: Any) -> Any:
    """The tables of one window."""
    at = all_.at
    return Transform(
        all_.taper[at[0, w] : at[0, w + 1]], all_.radix[at[1, w] : at[1, w + 1]],
        all_.turn[at[2, w] : at[2, w + 1]], all_.circle[at[3, w] : at[3, w + 1]],
        all_.last[at[4, w] : at[4, w + 1]], at[5, w], (at[4, w + 1] - at[4, w]) // 2,
    )  # fmt: skip


@inner
def _known(old: Any, new: Any, span: Any, out: Any) -> bool:
    """Whether all is measured; if not, 1 where it is, lanes by sample."""
    whole = True
    for row in range(span[0], span[0] + span[1]):
        for k in range(old.shape[1]):
            whole &= old[row, k]
        for k in range(new.shape[1]):
            whole &= new[row, k]
    if whole:
        return True
    for j in range(LANES):
        row = span[0] + min(j, span[1] - 1)
        for k in range(old.shape[1]):
            out[LANES * k + j] = 1.0 if old[row, k] else 0.0
        for k in range(new.shape[1]):
            out[LANES * (old.shape[1] + k) + j] = 1.0 if new[row, k] else 0.0
    return False


@inner
def _moves(x_w: Any, count: Any, known: Any, whole: Any) -> bool:
    """
    Samples become changes from the one before, in place; zero where either was not measured.

    Returns whether all of them are numbers.
    """
    total = everywhere(0.0)
    for k in range(count - 1):
        moved_w = load(x_w, LANES * (k + 1)) - load(x_w, LANES * k)
        if not whole:
            both = load(known, LANES * (k + 1)) * load(known, LANES * k)
            moved_w = pick(both, everywhere(0.0), moved_w, everywhere(0.0))
            store(known, LANES * k, both)
        total = total + (moved_w * _LIFT) * 0.0
        store(x_w, LANES * k, moved_w)
    return not any_outside(total, 0.0, 0.0)


@inner
def _counts(moved_w: Any, count: Any, known: Any, whole: Any, out: Any) -> None:
    """Running sums of what was not measured and of what is no number, which becomes zero."""
    missing, bad = everywhere(0.0), everywhere(0.0)
    for k in range(count - 1):
        store(out, 2 * LANES * k, missing)
        store(out, 2 * LANES * k + LANES, bad)
        if not whole:
            missing = missing + (1.0 - load(known, LANES * k))
        here = load(moved_w, LANES * k)
        finite = above(everywhere(_HUGE_W), size(here))
        bad = bad + (1.0 - finite)
        store(moved_w, LANES * k, pick(finite, everywhere(0.0), here, everywhere(0.0)))
    store(out, 2 * LANES * (count - 1), missing)
    store(out, 2 * LANES * (count - 1) + LANES, bad)


@inner
def _measured(counts: Any, start: Any, n: Any, least: Any) -> tuple[Any, Any]:
    """1 where enough of a window of changes was measured, and where all of it is numbers."""
    i, j = 2 * LANES * start, 2 * LANES * (start + n)
    missing = load(counts, j) - load(counts, i)
    numbers = 1.0 - above(load(counts, j + LANES) - load(counts, i + LANES), everywhere(0.0))
    share = (float(n) - missing) / float(n)
    return (1.0 - above(everywhere(least), share)) * numbers, numbers


@inner
def _judged(counts: Any, window: Any, least: Any, power: Any, to: Any, room: Any) -> None:
    """Which rows of a tile count in one window, into ``room``; no power where no numbers are."""
    start, n, bins = window
    enough, numbers = _measured(counts, start, n, least)
    store(room, 0, enough)
    if any_outside(numbers, 1.0, 1.0):
        for b in range(bins):
            here = load(power, to + LANES * b)
            store(power, to + LANES * b, here * numbers)


_FEED = types.Tuple((read(f4, 2), read(b1, 2)))


@compiled(
    types.void(
        _FEED, _FEED, types.UniTuple(i8, 3), types.Tuple((_WINDOWS, f8)),
        types.Tuple((f4[::1], b1[:, :, ::1])), types.UniTuple(i8, 2),
    )
)  # fmt: skip
def powers(old: Any, new: Any, ends: Any, rules: Any, out: Any, tiles: Any) -> None:
    """
    Squared sizes of the bins of every window before each hop's end, of the rows of some tiles.

    ``old``, ``new``: samples (channel, time) and which were measured, of the past and after it.
    ``ends``: past the last sample of the first hop, samples between hops, bins of all windows.
    ``rules``: the windows, and the least share of one that must be measured. ``out``: lanes by
    hop, tile and bin; which windows count (hop, channel, window). A window with something that is
    no number does not, so that nothing is learned from it.
    """
    (all_, least), (power, enough), (until, step, bins) = rules, out, ends
    hops, rows = enough.shape[0], enough.shape[1]
    depth, count = old[0].shape[1], old[0].shape[1] + new[0].shape[1]
    moved_w, known, counts = room(LANES * count), room(LANES * count), room(2 * LANES * count)
    longest, most = 0, 1
    for w in range(enough.shape[2]):
        longest = max(longest, all_.at[0, w + 1] - all_.at[0, w])
    for r in all_.radix:
        most = max(most, r)
    work = room(POINT * longest), room(POINT * longest), room(POINT * (most + 1))
    here = room(LANES)
    for tile in range(tiles[0], tiles[1]):
        span = (LANES * tile, min(LANES, rows - LANES * tile))
        columns(old[0], span, moved_w, 0)
        columns(new[0], span, moved_w, depth)
        whole = _known(old[1], new[1], span, known)
        plain = _moves(moved_w, count, known, whole) and whole
        if not plain:
            _counts(moved_w, count, known, whole, counts)
        for hop in range(hops):
            to = (hop * ((rows + LANES - 1) // LANES) + tile) * LANES * bins
            for w in range(enough.shape[2]):
                plan = _one(all_, w)
                start = until + hop * step - len(plan.taper) - 1
                transformed(moved_w, start, plan, work, power, to)
                if not plain:
                    window = (start, len(plan.taper), plan.bins)
                    _judged(counts, window, least, power, to, here)
                for j in range(span[1]):
                    enough[hop, span[0] + j, w] = plain or here[j] > 0
                to += LANES * plan.bins
