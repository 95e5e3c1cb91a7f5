"""Sixteen rows at once, float32: spectra, their logarithms and exponentials."""

from __future__ import annotations

import math
from typing import Any

from ._compiled import f4, inner
from ._vector import operations

__all__ = [
    "LANES", "above", "any_outside", "everywhere", "exponential", "greater", "lane", "lesser",
    "load", "logarithm", "mantissa", "pick", "piled", "root", "size", "store", "turned", "unpiled",
]  # fmt: skip

LANES = 16
_SIXTEEN = operations(f4, LANES)
above, any_outside, everywhere = _SIXTEEN.above, _SIXTEEN.any_outside, _SIXTEEN.everywhere
greater, lane, lesser, load = _SIXTEEN.greater, _SIXTEEN.lane, _SIXTEEN.lesser, _SIXTEEN.load
pick, root, size, store = _SIXTEEN.pick, _SIXTEEN.root, _SIXTEEN.size, _SIXTEEN.store
turned, _shape = _SIXTEEN.turned, _SIXTEEN.shape

_FRACTION, _ONE, _HALF, _BIAS = 0x007FFFFF, 0x3F800000, 0x3F000000, 127
_ROOT2 = 0x003504F3
"""The fraction of the square root of 2."""


def _of(build: Any, count: int) -> Any:
    return _shape.function(_SIXTEEN.kind, build, count)


def _int(builder: Any, x: Any) -> Any:
    return builder.bitcast(x, _shape.bits)


def _float(builder: Any, x: Any) -> Any:
    return builder.bitcast(x, _shape.of)


def _high(builder: Any, x: Any, yes: int, no: int) -> Any:
    """``yes`` where the fraction of x is above that of the square root of 2."""
    fraction = builder.and_(_int(builder, x), _shape.whole(_FRACTION))
    above = builder.icmp_unsigned(">", fraction, _shape.whole(_ROOT2))
    return builder.select(above, _shape.whole(yes), _shape.whole(no))


def _scaled(builder: Any, x: Any, exponent: Any) -> Any:
    """The number x with another exponent."""
    fraction = builder.and_(_int(builder, x), _shape.whole(_FRACTION))
    return _float(builder, builder.or_(fraction, exponent))


def _exponent_of(builder: Any, x: Any) -> Any:
    """Such that x is 2 to it times `_near_one`."""
    found = builder.lshr(_int(builder, x), _shape.whole(23))
    found = builder.sub(found, _high(builder, x, _BIAS - 1, _BIAS))
    return builder.sitofp(found, _shape.of)


def _piled(builder: Any, pile: Any, x: Any) -> Any:
    exponent = builder.lshr(_int(builder, x), _shape.whole(23))
    return _float(builder, builder.add(_int(builder, pile), exponent))


def _two_to_of(builder: Any, shifted: Any) -> Any:
    bits = builder.shl(_int(builder, shifted), _shape.whole(23))
    return _float(builder, builder.add(bits, _shape.whole(_ONE)))


mantissa = _of(lambda b, x: _scaled(b, x, _shape.whole(_ONE)), 1)
"""From 1 to 2, of what is above 0 and normal: x without the power of two in it."""
piled = _of(_piled, 2)
"""Of pile, x: one more power of two onto a pile of them, which 0 begins; no number to add to."""
_unpiled = _of(lambda b, pile: b.sitofp(_int(b, pile), _shape.of), 1)
_near_one = _of(lambda b, x: _scaled(b, x, _high(b, x, _HALF, _ONE)), 1)
_exponent = _of(_exponent_of, 1)
_two_to = _of(_two_to_of, 1)
"""2**n from n + 1.5 * 2**23."""

LN2 = math.log(2.0)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_ROUND = 1.5 * 2.0**23
_LOG2E = 1 / LN2
_MOST = 87.0


@inner
def unpiled(pile: Any, count: Any) -> Any:
    """The sum of the exponents of a pile of ``count``."""
    return _unpiled(pile) - float(_BIAS * count)


@inner
def logarithm(x: Any) -> Any:
    """Exponent of two and natural logarithm of the rest, of what is above 0 and normal."""
    y = _near_one(x)
    s = (y - 1.0) / (y + 1.0)
    z = s * s
    p = z * (2.0 / 3 + z * (2.0 / 5 + z * (2.0 / 7 + z * (2.0 / 9))))
    return _exponent(x), 2.0 * s + s * p


@inner
def exponential(x: Any) -> Any:
    """Of -87 to 87, what lies beyond is taken there; to 2 units in the last place."""
    x = lesser(greater(x, -_MOST), _MOST)
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 120 + r * (1.0 / 720 + r * (1.0 / 5040))
    p = 1.0 + r * (1.0 + r * (1.0 / 2 + r * (1.0 / 6 + r * (1.0 / 24 + r * p))))
    return p * _two_to(shifted)
