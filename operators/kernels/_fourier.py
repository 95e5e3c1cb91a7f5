"""
Real FFTs of sixteen rows at once: mixed radix, in the order that needs no reordering (Stockham).

A window of n samples with as many zeros behind it is a complex series of n points (even samples,
odd samples), half of them zeros. Points are two lanes in a row: real, imaginary.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ._compiled import inner, spread
from ._sixteen import LANES, everywhere, load, store

__all__ = ["POINT", "Transform", "transform", "transformed"]

POINT = 2 * LANES
"""Numbers of one complex point."""
_SQRT3_2 = math.sqrt(3) / 2
_C1, _C2 = math.cos(2 * math.pi / 5), math.cos(4 * math.pi / 5)
_S1, _S2 = math.sin(2 * math.pi / 5), math.sin(4 * math.pi / 5)


class Transform(NamedTuple):
    """Tables of one window."""

    taper: Any
    """(sample,)"""
    radix: Any
    """Of each stage; their product is the number of samples; (stage,) int64."""
    turn: Any
    """Cosine and minus sine of each stage, place and leg but the first, flat."""
    circle: Any
    """The same of all multiples of ``1 / radix``, stage after stage, for radices above 5."""
    last: Any
    """What puts even and odd together, bin after bin, cosine and sine; flat."""
    first: int
    bins: int
    """Bins asked for: the first and how many."""


def transform(taper: Any, first: int, bins: int) -> Transform:
    """Lay out the FFT of one window, bins from ``first`` on."""
    n = len(taper)
    radix, turn, circle, rest = _factors(n), [], [], n
    for r in radix:
        legs = np.arange(1, r) * np.arange(rest // r)[:, None] / rest
        turn.append(_circle(legs.ravel()))
        circle.append(_circle(np.arange(r) / r))
        rest //= r
    last = _circle(np.arange(first, first + bins) / (2 * n))
    flat = [np.concatenate(tables) if tables else np.zeros(0) for tables in (turn, circle)]
    taper = np.ascontiguousarray(taper, dtype=np.float64)
    return Transform(taper, np.array(radix, np.int64), flat[0], flat[1], last, first, bins)


def _circle(share: Any) -> Any:
    """Cosine and minus sine of shares of a turn, one after the other; flat."""
    return np.stack([np.cos(2 * np.pi * share), -np.sin(2 * np.pi * share)], axis=-1).ravel()


def _factors(n: int) -> list[int]:
    """Fours, then what is left by size."""
    found = []
    for r in (4, 2, 3, 5):
        while n % r == 0:
            found.append(r)
            n //= r
    r = 7
    while n > 1:
        while n % r == 0:
            found.append(r)
            n //= r
        r += 2
    return found


@spread
def _put(b: Any, at: Any, y: Any, turn: Any, w: Any) -> None:
    """A point, turned where ``w`` is no less than 0."""
    c, s = everywhere(turn[w]), everywhere(turn[w + 1])
    store(b, at, y[0] * c - y[1] * s)
    store(b, at + LANES, y[0] * s + y[1] * c)


@spread
def _set(b: Any, at: Any, y: Any) -> None:
    store(b, at, y[0])
    store(b, at + LANES, y[1])


@spread
def _got(a: Any, at: Any) -> Any:
    return load(a, at), load(a, at + LANES)


@inner
def _plus(x: Any, y: Any) -> Any:
    return x[0] + y[0], x[1] + y[1]


@inner
def _minus(x: Any, y: Any) -> Any:
    return x[0] - y[0], x[1] - y[1]


@inner
def _two(a: Any, b: Any, size: Any, turn: Any, at: Any) -> None:
    """Stages of two legs: ``size`` places of this stage and repetitions of each."""
    m, s = size
    step, out = POINT * s * m, POINT * s
    for p in range(m):
        w = at + 2 * p
        for q in range(s):
            i, o = POINT * (q + s * p), POINT * (q + s * 2 * p)
            x0, x1 = _got(a, i), _got(a, i + step)
            _set(b, o, _plus(x0, x1))
            _put(b, o + out, _minus(x0, x1), turn, w)


@inner
def _three(a: Any, b: Any, size: Any, turn: Any, at: Any) -> None:
    """Of three."""
    m, s = size
    step, out = POINT * s * m, POINT * s
    for p in range(m):
        w1, w2 = at + 4 * p, at + 4 * p + 2
        for q in range(s):
            i, o = POINT * (q + s * p), POINT * (q + s * 3 * p)
            x0, x1, x2 = _got(a, i), _got(a, i + step), _got(a, i + 2 * step)
            both, apart = _plus(x1, x2), _minus(x1, x2)
            mid = (x0[0] - 0.5 * both[0], x0[1] - 0.5 * both[1])
            side = (_SQRT3_2 * apart[1], -_SQRT3_2 * apart[0])
            _set(b, o, _plus(x0, both))
            _put(b, o + out, _plus(mid, side), turn, w1)
            _put(b, o + 2 * out, _minus(mid, side), turn, w2)


@inner
def _four(a: Any, b: Any, size: Any, turn: Any, at: Any) -> None:
    """Of four."""
    m, s = size
    step, out = POINT * s * m, POINT * s
    for p in range(m):
        w1, w2, w3 = at + 6 * p, at + 6 * p + 2, at + 6 * p + 4
        for q in range(s):
            i, o = POINT * (q + s * p), POINT * (q + s * 4 * p)
            x0, x1 = _got(a, i), _got(a, i + step)
            x2, x3 = _got(a, i + 2 * step), _got(a, i + 3 * step)
            even, odd, d, e = _plus(x0, x2), _plus(x1, x3), _minus(x0, x2), _minus(x1, x3)
            _set(b, o, _plus(even, odd))
            _put(b, o + out, (d[0] + e[1], d[1] - e[0]), turn, w1)
            _put(b, o + 2 * out, _minus(even, odd), turn, w2)
            _put(b, o + 3 * out, (d[0] - e[1], d[1] + e[0]), turn, w3)


@inner
def _five(a: Any, b: Any, size: Any, turn: Any, at: Any) -> None:
    """Of five."""
    m, s = size
    step, out = POINT * s * m, POINT * s
    for p in range(m):
        w = at + 8 * p
        for q in range(s):
            i, o = POINT * (q + s * p), POINT * (q + s * 5 * p)
            x0, x1, x2 = _got(a, i), _got(a, i + step), _got(a, i + 2 * step)
            x3, x4 = _got(a, i + 3 * step), _got(a, i + 4 * step)
            t1, t2, d1, d2 = _plus(x1, x4), _plus(x2, x3), _minus(x1, x4), _minus(x2, x3)
            m1 = (x0[0] + _C1 * t1[0] + _C2 * t2[0], x0[1] + _C1 * t1[1] + _C2 * t2[1])
            m2 = (x0[0] + _C2 * t1[0] + _C1 * t2[0], x0[1] + _C2 * t1[1] + _C1 * t2[1])
            n1 = (_S1 * d1[1] + _S2 * d2[1], everywhere(0.0) - (_S1 * d1[0] + _S2 * d2[0]))
            n2 = (_S2 * d1[1] - _S1 * d2[1], _S1 * d2[0] - _S2 * d1[0])
            _set(b, o, _plus(x0, _plus(t1, t2)))
            _put(b, o + out, _plus(m1, n1), turn, w)
            _put(b, o + 2 * out, _plus(m2, n2), turn, w + 2)
            _put(b, o + 3 * out, _minus(m2, n2), turn, w + 4)
            _put(b, o + 4 * out, _minus(m1, n1), turn, w + 6)


@inner
def _odd(a: Any, b: Any, size: Any, turn: Any, at: Any, legs: Any) -> None:
    """Any odd number of legs: pairs of them added and subtracted, then turned."""
    (m, s), (circle, room, r) = size, legs
    half, step, out = (r - 1) // 2, POINT * s * m, POINT * s
    for p in range(m):
        w = at + 2 * (r - 1) * p
        for q in range(s):
            i, o = POINT * (q + s * p), POINT * (q + s * r * p)
            x0 = _got(a, i)
            total = x0
            for j in range(1, half + 1):
                x, y = _got(a, i + j * step), _got(a, i + (r - j) * step)
                both = _plus(x, y)
                total = _plus(total, both)
                _set(room, 2 * POINT * j, both)
                _set(room, 2 * POINT * j + POINT, _minus(x, y))
            _set(b, o, total)
            for k in range(1, half + 1):
                mid, side, place = x0, (everywhere(0.0), everywhere(0.0)), 0
                for j in range(1, half + 1):
                    place = place + k - (r if place + k >= r else 0)
                    c, sine = circle[2 * place], circle[2 * place + 1]
                    t, d = _got(room, 2 * POINT * j), _got(room, 2 * POINT * j + POINT)
                    mid = (mid[0] + c * t[0], mid[1] + c * t[1])
                    side = (side[0] - sine * d[1], side[1] + sine * d[0])
                _put(b, o + k * out, _plus(mid, side), turn, w + 2 * (k - 1))
                _put(b, o + (r - k) * out, _minus(mid, side), turn, w + 2 * (r - k - 1))


@inner
def _taken(moved: Any, start: Any, taper: Any, out: Any) -> None:
    """Tapered samples as complex points, zeros behind them; ``start`` counts samples."""
    n, zero = len(taper), everywhere(0.0)
    for k in range(n):
        store(out, LANES * k, load(moved, LANES * (start + k)) * taper[k])
    for k in range(n, 2 * n):
        store(out, LANES * k, zero)


@inner
def _begun(moved: Any, start: Any, plan: Any, out: Any) -> None:
    """As `_taken` and the first stage of fours: the later two of four are zero."""
    taper, turn = plan.taper, plan.turn
    m = len(taper) // 4
    for p in range(m):
        i, j, w, o = 2 * p, 2 * (p + m), 6 * p, 4 * POINT * p
        at, to = LANES * (start + i), LANES * (start + j)
        x0 = load(moved, at) * taper[i], load(moved, at + LANES) * taper[i + 1]
        x1 = load(moved, to) * taper[j], load(moved, to + LANES) * taper[j + 1]
        _set(out, o, _plus(x0, x1))
        _put(out, o + POINT, (x0[0] + x1[1], x0[1] - x1[0]), turn, w)
        _put(out, o + 2 * POINT, _minus(x0, x1), turn, w + 2)
        _put(out, o + 3 * POINT, (x0[0] - x1[1], x0[1] + x1[0]), turn, w + 4)


@inner
def transformed(moved: Any, start: Any, plan: Any, work: Any, out: Any, to: Any) -> None:
    """
    Squared sizes of the bins of one window of sixteen rows.

    ``moved``: differences, lanes by sample; the window begins at sample ``start``. ``work``: three
    arrays of room. ``out``: lanes by bin, from number ``to`` on.
    """
    a, b, room = work
    n, s, at, circle, begun = len(plan.taper), 1, 0, 0, 0
    if n % 4 == 0:
        _begun(moved, start, plan, a)
        s, at, circle, begun = 4, 6 * (n // 4), 8, 1
    else:
        _taken(moved, start, plan.taper, a)
    for stage in range(begun, len(plan.radix)):
        r = plan.radix[stage]
        m = n // (s * r)
        if r == 4:
            _four(a, b, (m, s), plan.turn, at)
        elif r == 2:
            _two(a, b, (m, s), plan.turn, at)
        elif r == 3:
            _three(a, b, (m, s), plan.turn, at)
        elif r == 5:
            _five(a, b, (m, s), plan.turn, at)
        else:
            _odd(a, b, (m, s), plan.turn, at, (plan.circle[circle:], room, r))
        s, at, circle = s * r, at + 2 * (r - 1) * m, circle + 2 * r
        a, b = b, a
    _sizes(a, plan, out, to)


@inner
def _sizes(a: Any, plan: Any, out: Any, to: Any) -> None:
    """Spectra of even and odd samples into squared sizes of the whole."""
    n = len(plan.taper)
    for k in range(plan.bins):
        place = plan.first + k
        low = _got(a, POINT * (place if place < n else 0))
        high = _got(a, POINT * (n - place))
        if place in (0, n):
            high = low
        even = (0.5 * (low[0] + high[0]), 0.5 * (low[1] - high[1]))
        odd = (0.5 * (low[1] + high[1]), 0.5 * (high[0] - low[0]))
        c, s = plan.last[2 * k], plan.last[2 * k + 1]
        real = even[0] + (c * odd[0] - s * odd[1])
        imag = even[1] + (c * odd[1] + s * odd[0])
        store(out, to + LANES * k, real * real + imag * imag)
