"""
The power to be expected in each bin, row by row of a tile.

Loops are short and name few arrays, so that the compiler proves them independent and makes vector
instructions of them; indices are unsigned, so that none counts from an array's end.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._compiled import i8, inner

__all__ = ["expected"]

_0, _1 = np.uint64(0), np.uint64(1)
_EXPONENT = 52
_FRACTION, _ONE = 0x000FFFFFFFFFFFFF, 0x3FF0000000000000
_HALF, _ROOT = 0x3FE0000000000000, 0x6A09E667F3BCD
_LN2 = math.log(2.0)
_LEAST, _MOST = 1e-290, 1e290


@inner
def _mean(past: Any, row: Any, span: Any, weight: float) -> float:
    total = 0.0
    for k in range(span[0], span[1]):
        total += past[row, k]
    return total * weight


@inner
def _smooth(past: Any, rows: Any, t: Any, reach: Any, out: Any) -> None:
    """Mean over each bin's near neighbourhood; rows from ``rows[0]`` on into a tile's."""
    place, low, high, weight = t.place, t.low, t.high, t.weight
    for r in range(rows[1]):
        row = rows[0] + r
        for w in range(len(place) - 1):
            start, stop = place[w], place[w + 1]
            inside, beyond = start + reach, stop - reach
            if stop - start <= reach + reach:
                inside, beyond = stop, stop
            for b in range(start, inside):
                out[r, b] = _mean(past, row, (low[b], high[b]), weight[b])
            for b in range(beyond, stop):
                out[r, b] = _mean(past, row, (low[b], high[b]), weight[b])
            if inside == stop:
                continue
            for b in range(inside, beyond):
                out[r, b] = past[row, b - reach]
            for k in range(_1, reach + reach + _1):
                for b in range(inside, beyond):
                    out[r, b] += past[row, b - reach + k]
            for b in range(inside, beyond):
                out[r, b] *= weight[b]


@inner
def _logarithms(y: Any, bits: Any, exponent: Any, size: Any) -> None:
    """``size[1]`` columns of ``y`` (above 0, normal) become logarithms, to 2 units in the last."""
    for r in range(size[0]):
        for k in range(size[1]):
            high = (bits[r, k] & _FRACTION) > _ROOT
            exponent[r, k] = (bits[r, k] >> _EXPONENT) - 1023 + (1 if high else 0)
        for k in range(size[1]):
            fraction = bits[r, k] & _FRACTION
            bits[r, k] = fraction | (_HALF if fraction > _ROOT else _ONE)
        for k in range(size[1]):
            s = (y[r, k] - 1.0) / (y[r, k] + 1.0)
            z = s * s
            p = 2.0 / 15 + z * (2.0 / 17 + z * (2.0 / 19 + z * (2.0 / 21)))
            p = 2.0 / 7 + z * (2.0 / 9 + z * (2.0 / 11 + z * (2.0 / 13 + z * p)))
            p = z * (2.0 / 3 + z * (2.0 / 5 + z * p))
            y[r, k] = 2.0 * s + s * p + exponent[r, k] * _LN2


@inner
def _running_logs(y: Any, rows: Any, cuts: Any, rest: Any) -> None:
    """
    Sums of the logarithms of ``y`` before each cut, into ``rest[2]``.

    One logarithm a stretch: of its product, where that neither overflows nor vanishes.
    """
    part, exponent, out = rest
    stretches = len(cuts) - 1
    for r in range(rows):
        for s in range(stretches):
            product = 1.0
            for b in range(cuts[s], cuts[s + 1]):
                product *= y[r, b]
            out[r, s + 1] = 0.0
            if not _LEAST < product < _MOST:
                product = 1.0
                for b in range(cuts[s], cuts[s + 1]):
                    out[r, s + 1] += math.log(y[r, b])
            part[r, s] = product
    _logarithms(part, part.view(i8), exponent.view(i8), (rows, stretches))
    for r in range(rows):
        out[r, 0] = 0.0
        for s in range(stretches):
            out[r, s + 1] = out[r, s] + (part[r, s] + out[r, s + 1])


@inner
def _around(running: Any, rows: Any, t: Any, out: Any) -> None:
    """Mean logarithm of each block's neighbourhood, without the block's own main lobe."""
    edges, share = t.edges, t.share
    for r in range(rows):
        for k in range(len(share)):
            before = running[r, edges[1, k]] - running[r, edges[0, k]]
            after = running[r, edges[3, k]] - running[r, edges[2, k]]
            out[r, k] = (before + after) * share[k]


@inner
def _above(y: Any, rows: Any, size: Any, least: float, out: Any) -> None:
    """The greater of ``y`` and ``least``; ``size`` rows and columns."""
    for r in range(size[0]):
        row = rows + r
        for b in range(size[1]):
            out[r, b] = max(least, y[row, b])


@inner
def _neighbours(power: Any, at: Any, t: Any, tiny: float, work: Any) -> None:
    """By block, how much louder than the past it is around, and what caps a line; by bin then."""
    rows, bins = at[1], power.shape[1]
    now, before, offset, limit = work.ratio, work.own, t.offset, t.cap
    rest = (work.part, work.exponent, work.running)
    _above(power, at[0], (rows, bins), tiny, work.fraction)
    _running_logs(work.fraction, rows, t.cuts, rest)
    _around(work.running, rows, t, now)
    _above(work.expected, 0, (rows, bins), tiny, work.fraction)
    _running_logs(work.fraction, rows, t.cuts, rest)
    _around(work.running, rows, t, before)
    louder, cap, block_of = work.louder, work.cap, t.block_of
    for r in range(rows):
        for k in range(len(offset)):
            level = now[r, k]
            now[r, k] = math.exp(level - before[r, k] + offset[k])
            before[r, k] = math.exp(level) * limit[k]
        for b in range(bins):
            louder[r, b] = now[r, block_of[b]]
        for b in range(bins):
            cap[r, b] = before[r, block_of[b]]


@inner
def _own(past: Any, at: Any, own: Any) -> None:
    """Greatest of each bin and its two neighbours."""
    last = np.uint64(past.shape[1] - 1)
    for r in range(at[1]):
        row = at[0] + r
        for b in range(_1, last):
            most = max(past[row, b + _1], past[row, b - _1])
            own[r, b] = max(past[row, b], most)
        second = min(_1, last)
        own[r, _0] = max(past[row, _0], past[row, second])
        own[r, last] = max(past[row, last], past[row, last - second])


@inner
def expected(power: Any, past: Any, at: Any, tables: Any, work: Any) -> None:
    """
    Power to be expected into ``work.expected``; ``work.line`` is 1 where the past is a line.

    ``at``: first row (of ``power`` and of ``past``), and how many of a tile. ``tables``: tables and
    rules.
    """
    t, rules = tables
    _smooth(past, at, t, rules.reach, work.expected)
    _neighbours(power, at, t, rules.tiny, work)
    _own(past, at, work.own)
    smooth, line, louder, cap, own = work.expected, work.line, work.louder, work.cap, work.own
    least, factor, bins = rules.tiny, rules.line, power.shape[1]
    for r in range(at[1]):
        for b in range(bins):
            line[r, b] = 1.0 if own[r, b] > factor * smooth[r, b] else 0.0
        for b in range(bins):
            louder[r, b] *= smooth[r, b]
        for b in range(bins):
            smooth[r, b] = own[r, b] if own[r, b] > factor * smooth[r, b] else smooth[r, b]
        for b in range(bins):
            smooth[r, b] = max(smooth[r, b], louder[r, b])
        for b in range(bins):
            most = min(smooth[r, b], cap[r, b])
            smooth[r, b] = max(least, most)
