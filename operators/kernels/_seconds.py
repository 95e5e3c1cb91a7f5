"""Seconds, frames and the noise memory on the CPU, channel by channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from ._compiled import b1, compiled, f4, f8, i8, inner, read
from ._lanes import LANES, everywhere, greater, lesser, load, store
from ._tables import room
from ._tiles import columns, rows

__all__ = ["lagged", "means", "medians", "middles", "pushed", "slowed", "stats"]

MEASURED = 0.8
"""Share of the samples behind a slower one that must be measured, as `decimation.newest` has it."""


@inner
def _fold(y: Any, length: int) -> float:
    """Sum of the first ``length`` as a tree of neighbouring pairs; ``y`` is spoilt."""
    while length > 1:
        half = length // 2
        for k in range(half):
            y[k] = y[2 * k] + y[2 * k + 1]
        if length % 2:
            y[half] = y[length - 1] + 0.0
            half += 1
        length = half
    return y[0]


@inner
def _whole(valid: Any, width: Any, span: Any) -> bool:
    """Whether all of a tile's rows is measured; ``valid`` flat, ``width`` samples a row."""
    found = True
    for k in range(np.uint64(span[0] * width), np.uint64((span[0] + span[1]) * width)):
        found &= valid[k]
    return found


@inner
def _folded(y: Any, first: Any, length: Any) -> Any:
    """`_fold` of lanes from sample ``first`` on."""
    while length > 1:
        half = length // 2
        for k in range(half):
            at = LANES * (first + 2 * k)
            store(y, LANES * (first + k), load(y, at) + load(y, at + LANES))
        if length % 2:
            store(y, LANES * (first + half), load(y, LANES * (first + length - 1)) + 0.0)
            half += 1
        length = half
    return load(y, LANES * first)


@compiled(*(types.void(read(f, 2), read(b1, 2), i8, f8[:, ::1], b1[:, ::1]) for f in (f4, f8)))
def means(x_w: Any, valid: Any, length: int, mean_w: Any, some: Any) -> None:
    """`seconds.frame_means`: eight rows at once where nothing is missing."""
    y, z, found = room(LANES * x_w.shape[1]), np.empty(length), room(LANES * mean_w.shape[1])
    ok = valid.reshape(-1)
    for tile in range((x_w.shape[0] + LANES - 1) // LANES):
        span = (LANES * tile, min(LANES, x_w.shape[0] - LANES * tile))
        if _whole(ok, x_w.shape[1], span):
            columns(x_w, span, y, 0)
            for frame in range(mean_w.shape[1]):
                store(found, LANES * frame, _folded(y, frame * length, length) / float(length))
            rows(found, 0, span, mean_w)
            for j in range(span[1]):
                for frame in range(mean_w.shape[1]):
                    some[span[0] + j, frame] = True
            continue
        for row in range(span[0], span[0] + span[1]):
            for frame in range(mean_w.shape[1]):
                x, use, count = x_w[row, frame * length :], valid[row, frame * length :], 0
                for k in range(length):
                    count += use[k]
                for k in range(length):
                    z[k] = x[k] if use[k] | (count == 0) else 0.0
                mean_w[row, frame] = _fold(z, length) / (count or length)
                some[row, frame] = count > 0


@inner
def _stats(x: Any, ok: Any, out: Any, z: Any) -> Any:
    """Mean, least and greatest of one row's second into ``out``; how many samples there are."""
    count, low, high, length = 0, np.inf, -np.inf, len(z)
    for k in range(length):
        count += ok[k]
    for k in range(length):
        use = ok[k] | (count == 0)
        z[k] = x[k] if use else 0.0
        low = min(low, x[k] if use else np.inf)
        high = max(high, x[k] if use else -np.inf)
    out[0], out[1], out[2] = _fold(z, length) / (count or length), low, high
    return count


_STATS = types.Tuple((f8[:, :, ::1], i8[:, ::1]))


@compiled(
    *(
        types.void(types.Tuple((read(f, 2), read(b1, 2))), i8, _STATS, types.UniTuple(i8, 2))
        for f in (f4, f8)
    )
)
def stats(given: Any, length: int, said: Any, tiles: Any) -> None:
    """
    `seconds.second_stats` of the channels of some tiles.

    ``said``: mean, min and max as (3, second, channel), and counts alike.
    """
    (x_w, valid), (out, counts) = given, said
    y, z = room(LANES * x_w.shape[1]), np.empty(length)
    ok, apart = valid.reshape(-1), counts.size
    for tile in range(tiles[0], tiles[1]):
        span = (LANES * tile, min(LANES, x_w.shape[0] - LANES * tile))
        if span[1] == LANES and _whole(ok, x_w.shape[1], span):
            columns(x_w, span, y, 0)
            for second in range(counts.shape[0]):
                low, high, first = everywhere(np.inf), everywhere(-np.inf), second * length
                for k in range(length):
                    here = load(y, LANES * (first + k))
                    low, high = lesser(here, low), greater(here, high)
                total, at = _folded(y, first, length), second * x_w.shape[0] + span[0]
                store(out, at, total / float(length))
                store(out, apart + at, low)
                store(out, 2 * apart + at, high)
                for j in range(LANES):
                    counts[second, span[0] + j] = length
            continue
        for row in range(span[0], span[0] + span[1]):
            for second in range(counts.shape[0]):
                part, three = slice(second * length, (second + 1) * length), out[:, second, row]
                counts[second, row] = _stats(x_w[row, part], valid[row, part], three, z)


@compiled(
    types.void(
        read(f4, 2), read(b1, 2), types.Tuple((read(f4, 2), read(i8, 1))),
        types.Tuple((f4[:, ::1], i8[::1])),
    )
)  # fmt: skip
def pushed(peak_w: Any, keep: Any, old: Any, new: Any) -> None:
    """`noise.remember`; ``old`` and ``new``: peaks_w, warm_s."""
    (old_w, old_s), (new_w, new_s), memory_s = old, new, old[0].shape[1]
    for row in range(old_w.shape[0]):
        peaks, use, before, after = peak_w[row], keep[row], old_w[row], new_w[row]
        kept = 0
        for s in range(len(peaks)):
            kept += use[s]
        away = min(kept, memory_s)
        for s in range(memory_s - away):
            after[s] = before[s + away]
        place = memory_s - 1
        for s in range(len(peaks) - 1, -1, -1):
            if use[s] and place >= memory_s - away:
                after[place] = peaks[s]
                place -= 1
        new_s[row] = min(old_s[row] + kept, memory_s)


@inner
def _ordered(y: Any, count: int) -> None:
    """Lanes by place in ascending order: Batcher's network, the same steps whatever is in them."""
    p, shift = 1, 1
    while p < count:
        k = p
        while k >= 1:
            for j in range(k % p, count - k, 2 * k):
                for i in range(j, min(j + k, count - k)):
                    if i >> shift == (i + k) >> shift:
                        one, two = load(y, LANES * i), load(y, LANES * (i + k))
                        store(y, LANES * i, lesser(one, two))
                        store(y, LANES * (i + k), greater(two, one))
            k //= 2
        p, shift = 2 * p, shift + 1


@compiled(types.void(read(f4, 2), read(i8, 1), f8[::1]))
def medians(peaks_w: Any, warm_s: Any, out: Any) -> None:
    """`noise.noise_scale`: eight rows sorted at once, what is not filled behind the rest."""
    memory_s, count = peaks_w.shape[1], peaks_w.shape[0]
    y = room(LANES * memory_s)
    for tile in range((count + LANES - 1) // LANES):
        span = (LANES * tile, min(LANES, count - LANES * tile))
        columns(peaks_w, span, y, 0)
        for j in range(span[1]):
            for k in range(memory_s - warm_s[span[0] + j]):
                y[LANES * k + j] = np.inf
        _ordered(y, memory_s)
        for j in range(span[1]):
            filled = warm_s[span[0] + j]
            low = max(filled - 1, 0) // 2
            first, second = y[LANES * low + j], y[LANES * min(low + 1, max(filled - 1, 0)) + j]
            share = 0.5 * (filled - 1) - low
            middle = min(first + share * (second - first), second)
            out[span[0] + j] = middle if filled else 0.0


@compiled(types.void(read(f8, 2), read(b1, 2), f8[:, ::1]))
def lagged(x_w: Any, valid: Any, out: Any) -> None:
    """`whitening.autocovariance`; ``out`` (channel, order + 1)."""
    n_time = x_w.shape[1]
    moved_w, room = np.empty(n_time), np.empty(n_time)
    for row in range(x_w.shape[0]):
        x, ok, count = x_w[row], valid[row], 0
        for t in range(n_time):
            count += ok[t]
            room[t] = x[t] if ok[t] else x[t] * 0.0
        mean_w = _fold(room, n_time) / max(count, 1)
        for t in range(n_time):
            moved_w[t] = (x[t] - mean_w) * (1.0 if ok[t] else 0.0)
        for lag in range(out.shape[1]):
            later = moved_w[lag:]
            for t in range(n_time - lag):
                room[t] = later[t] * moved_w[t]
            out[row, lag] = _fold(room, n_time - lag)


@compiled(types.void(read(f4, 2), read(i8, 1), read(f4, 2), read(f8, 1), f8[:, ::1]))
def middles(maxima: Any, counts: Any, ordered: Any, levels: Any, out: Any) -> None:
    """
    `extremes.moments`; ``out`` (channel, 3 + level): count, mean, spread, quantiles.

    ``counts``: how many of the newest maxima count. ``ordered``: these in ascending order first.
    """
    room = np.empty(maxima.shape[1])
    for row in range(maxima.shape[0]):
        y, count, blocks = maxima[row], counts[row], maxima.shape[1]
        for k in range(blocks):
            room[k] = y[k] if k >= blocks - count else 0.0
        some = max(count, 1)
        mean = _fold(room, blocks) / some
        for k in range(blocks):
            off = y[k] - mean if k >= blocks - count else 0.0
            room[k] = off * off
        out[row, 0], out[row, 1] = count, mean
        out[row, 2] = math.sqrt(_fold(room, blocks) / some)
        for n in range(len(levels)):
            last = max(count - 1, 0)
            place = last * levels[n]
            low = math.floor(place)
            high = min(low + 1, last)
            below = f8(ordered[row, low]) if count else 0.0
            above = f8(ordered[row, high]) if count else 0.0
            out[row, 3 + n] = min(below + (place - low) * (above - below), above)


@compiled(
    types.void(
        read(f4, 2), read(b1, 2), read(f8, 1), types.UniTuple(i8, 2),
        types.Tuple((f8[:, ::1], b1[:, ::1])),
    )
)  # fmt: skip
def slowed(tail_w: Any, valid: Any, taps: Any, steps: Any, out: Any) -> None:
    """`decimation.newest`; ``steps``: first sample behind the first one made, samples per one."""
    (first, factor), (x_w, enough) = steps, out
    length, room = len(taps), np.empty(len(taps))
    for row in range(x_w.shape[0]):
        for n in range(x_w.shape[1]):
            start, count = first + n * factor, 0
            y, ok = tail_w[row, start : start + length], valid[row, start : start + length]
            for k in range(length):
                room[k] = y[k] * taps[k]
            for k in range(length):
                count += ok[k]
            x_w[row, n] = _fold(room, length)
            enough[row, n] = count / length >= MEASURED
