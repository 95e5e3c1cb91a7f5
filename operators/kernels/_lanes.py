"""
Eight rows at once: a value of eight float64 that the compiler keeps in vector registers.

Every operation is of one lane and its fellows in the same place: what a lane says does not depend
on its neighbours, on its tile or on who computes it. Nothing is contracted or reordered; where
registers are shorter LLVM takes two or four, with the same bits. Arrays of lanes are float64
arrays with `LANES` in a row; places count values. What is remembered is float32: loads widen it,
stores round to it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from ._compiled import f4, f8, inner

__all__ = [
    "LANES", "above", "any_outside", "behind", "everywhere", "exponential", "greater", "lane",
    "lanes", "lesser", "load", "logarithm", "narrowed", "pick", "root", "size", "store", "turned",
    "within",
]  # fmt: skip

LANES = 8


class _Lanes(types.Type):
    """Eight float64."""

    def __init__(self) -> None:
        super().__init__(name="lanes8")


lanes = _Lanes()
_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_BITS = ir.VectorType(ir.IntType(64), LANES)
_NARROW = ir.VectorType(ir.FloatType(), LANES)


@register_model(_Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _bits(value: int) -> Any:
    return ir.Constant(_BITS, [value] * LANES)


def _spread(builder: Any, value: Any) -> Any:
    """The same number in all lanes."""
    if value.type == _VECTOR:
        return value
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, _place(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _place(k: int) -> Any:
    return ir.Constant(ir.IntType(32), k)


def _arithmetic(function: Any, build: Callable[..., Any]) -> None:
    """``function`` of lanes and of lanes with a number."""
    pairs = ((lanes, lanes), (lanes, f8), (f8, lanes))
    found = {"key": function, "cases": [signature(lanes, *pair) for pair in pairs]}
    infer_global(function)(type("_Lanes_" + function.__name__, (ConcreteTemplate,), found))

    def lowered(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return build(builder, *(_spread(builder, one) for one in args))

    for pair in pairs:
        lower_builtin(function, *pair)(lowered)


_arithmetic(operator.add, lambda b, x, y: b.fadd(x, y))
_arithmetic(operator.sub, lambda b, x, y: b.fsub(x, y))
_arithmetic(operator.mul, lambda b, x, y: b.fmul(x, y))
_arithmetic(operator.truediv, lambda b, x, y: b.fdiv(x, y))


def _of(build: Callable[..., Any], count: int, result: Any = lanes) -> Any:
    """An operation on ``count`` lanes or numbers."""

    def generated(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return build(builder, *(_spread(builder, one) for one in args))

    makers: dict[int, Callable[..., Any]] = {
        1: lambda _ctx, x: (result(x), generated),
        2: lambda _ctx, x, y: (result(x, y), generated),
        3: lambda _ctx, x, y, z: (result(x, y, z), generated),
        4: lambda _ctx, x, y, z, w: (result(x, y, z, w), generated),
        5: lambda _ctx, x, y, z, w, v: (result(x, y, z, w, v), generated),
    }
    return intrinsic(makers[count])


def _root(builder: Any, x: Any) -> Any:
    kind, name = ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.sqrt.v{LANES}f64"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [x])


def _sized(builder: Any, x: Any) -> Any:
    bits = builder.and_(builder.bitcast(x, _BITS), _bits(0x7FFFFFFFFFFFFFFF))
    return builder.bitcast(bits, _VECTOR)


def _halves(builder: Any, x: Any) -> tuple[Any, Any]:
    """Fraction within 0.71 to 1.42 and the exponent as a number, of what is above 0 and normal."""
    bits = builder.bitcast(x, _BITS)
    fraction = builder.and_(bits, _bits(0x000FFFFFFFFFFFFF))
    high = builder.icmp_unsigned(">", fraction, _bits(0x6A09E667F3BCD))
    one = builder.select(high, _bits(0x3FE0000000000000), _bits(0x3FF0000000000000))
    more = builder.select(high, _bits(1), _bits(0))
    raised = builder.add(builder.lshr(bits, _bits(52)), more)
    number = builder.bitcast(builder.or_(raised, _bits(0x4330000000000000)), _VECTOR)
    exponent = builder.fsub(number, _constant(2.0**52 + 1023))
    return builder.bitcast(builder.or_(fraction, one), _VECTOR), exponent


def _inside(builder: Any, x: Any, low: Any, high: Any) -> Any:
    return builder.and_(builder.fcmp_ordered(">=", x, low), builder.fcmp_ordered("<=", x, high))


def _outside(builder: Any, x: Any, low: Any, high: Any) -> Any:
    bits = builder.bitcast(_inside(builder, x, low, high), ir.IntType(LANES))
    return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), (1 << LANES) - 1))


def _narrowed(builder: Any, x: Any) -> Any:
    most = _constant((2 - 2.0**-23) * 2.0**127)
    x = builder.select(builder.fcmp_ordered("<", x, most), x, most)
    return builder.fpext(builder.fptrunc(x, _NARROW), _VECTOR)


def _two_to(builder: Any, shifted: Any) -> Any:
    """2**n from n + 1.5 * 2**52."""
    bits = builder.shl(builder.bitcast(shifted, _BITS), _bits(52))
    return builder.bitcast(builder.add(bits, _bits(0x3FF0000000000000)), _VECTOR)


narrowed = _of(_narrowed, 1)
"""Rounded to float32, no more than its greatest."""
everywhere = _of(lambda _b, x: x, 1)
"""A number in all lanes."""
root = _of(_root, 1)
size = _of(_sized, 1)
greater = _of(lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y), 2)
lesser = _of(lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y), 2)
above = _of(lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), _constant(1.0), _constant(0.0)), 2)
"""1 where x > y."""
pick = _of(lambda b, x, y, yes, no: b.select(b.fcmp_ordered(">", x, y), yes, no), 4)
"""``yes`` where x > y, else ``no``."""
within = _of(lambda b, x, low, high, yes, no: b.select(_inside(b, x, low, high), yes, no), 5)
"""``yes`` where low <= x <= high, else ``no``."""
any_outside = _of(_outside, 3, types.boolean)
"""Some lane is not within low to high, or no number."""
behind = _of(lambda b, x, y: _shuffled(b, y, x, [0, *range(LANES, 2 * LANES - 1)]), 2)
"""y, and behind it all lanes of x but the last."""
_fraction = _of(lambda b, x: _halves(b, x)[0], 1)
_exponent = _of(lambda b, x: _halves(b, x)[1], 1)
_two_to_the = _of(_two_to, 1)


def _pointer(context: Any, builder: Any, kinds: Any, args: Any) -> Any:
    """Where the place-th value of an array is."""
    where = builder.gep(context.make_array(kinds[0])(context, builder, args[0]).data, [args[1]])
    kind = _NARROW if kinds[0].dtype == f4 else _VECTOR
    return builder.bitcast(where, kind.as_pointer())


def _loaded(builder: Any, where: Any) -> Any:
    if where.type.pointee == _NARROW:
        return builder.fpext(builder.load(where, align=4), _VECTOR)
    return builder.load(where, align=8)


def _stored(builder: Any, value: Any, where: Any) -> None:
    if where.type.pointee == _NARROW:
        builder.store(builder.fptrunc(value, _NARROW), where, align=4)
    else:
        builder.store(value, where, align=8)


@intrinsic
def load(_ctx: Any, array: Any, place: Any) -> Any:
    """Eight values from a place of a C-contiguous array on."""

    def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _loaded(builder, _pointer(context, builder, sig.args, args))

    return lanes(array, place), generated


@intrinsic
def store(_ctx: Any, array: Any, place: Any, value: Any) -> Any:
    """Eight values to a place of a C-contiguous array."""

    def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _stored(builder, args[2], _pointer(context, builder, sig.args, args))
        return context.get_dummy_value()

    return types.void(array, place, value), generated


@intrinsic
def lane(_ctx: Any, value: Any, which: Any) -> Any:
    """The number in one lane."""

    def generated(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], args[1])

    return f8(value, which), generated


def _shuffled(builder: Any, x: Any, y: Any, order: list[int]) -> Any:
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), order)
    return builder.shuffle_vector(x, y, places)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Columns of eight rows."""
    for step in (4, 2, 1):
        found: list[Any] = [None] * LANES
        for k in range(LANES):
            if k & step:
                continue
            x, y = rows[k], rows[k + step]
            low = [j if not j & step else j - step + LANES for j in range(LANES)]
            high = [j + step if not j & step else j + LANES for j in range(LANES)]
            found[k], found[k + step] = (_shuffled(builder, x, y, o) for o in (low, high))
        rows = found
    return rows


@intrinsic
def turned(_ctx: Any, source: Any, out: Any, places: Any) -> Any:
    """
    Eight rows of eight values become columns.

    ``places``: first number and numbers between rows in ``source``, the same in ``out``.
    """

    def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows, kinds = [], sig.args
        at, step, to, out_step = (builder.extract_value(args[2], k) for k in range(4))
        for _ in range(LANES):
            where = _pointer(context, builder, kinds, (args[0], at))
            rows.append(_loaded(builder, where))
            at = builder.add(at, step)
        for column in _transposed(builder, rows):
            where = _pointer(context, builder, kinds[1:], (args[1], to))
            _stored(builder, column, where)
            to = builder.add(to, out_step)
        return context.get_dummy_value()

    return types.void(source, out, places), generated


_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 1.5 * 2.0**52
_LOG2E = 1 / math.log(2.0)


@inner
def logarithm(x: Any) -> Any:
    """Of what is above 0 and normal, to 2 units in the last place."""
    y, e = _fraction(x), _exponent(x)
    s = (y - 1.0) / (y + 1.0)
    z = s * s
    p = 2.0 / 15 + z * (2.0 / 17 + z * (2.0 / 19 + z * (2.0 / 21)))
    p = 2.0 / 7 + z * (2.0 / 9 + z * (2.0 / 11 + z * (2.0 / 13 + z * p)))
    p = z * (2.0 / 3 + z * (2.0 / 5 + z * p))
    return e * _LN2_HIGH + (2.0 * s + (s * p + e * _LN2_LOW))


@inner
def exponential(x: Any) -> Any:
    """Of -700 to 700, what lies beyond is taken there; to 2 units in the last place."""
    x = lesser(greater(x, -700.0), 700.0)
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 39916800 + r * (1.0 / 479001600 + r * (1.0 / 6227020800))
    p = 1.0 / 40320 + r * (1.0 / 362880 + r * (1.0 / 3628800 + r * p))
    p = 1.0 / 120 + r * (1.0 / 720 + r * (1.0 / 5040 + r * p))
    p = 1.0 + r * (1.0 + r * (1.0 / 2 + r * (1.0 / 6 + r * (1.0 / 24 + r * p))))
    return p * _two_to_the(shifted)
