"""
Rows at once: a value of some numbers of one kind that the compiler keeps in vector registers.

Every operation is of one lane and its fellows in the same place: what a lane says does not depend
on its neighbours, on its tile or on who computes it. Nothing is contracted or reordered; where
registers are shorter LLVM takes two or four, with the same bits. An array of lanes has those of a
value in a row; places count numbers. Loads and stores take float32 and float64, and widen or round.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from ._compiled import f4, f8

__all__ = ["Operations", "Shape", "operations"]


class Shape(NamedTuple):
    """How many lanes of what kind, for LLVM."""

    lanes: int
    number: Any
    """A numba type, float32 or float64."""
    of: Any
    """The vector."""
    bits: Any
    """The same, as integers."""
    width: int
    """Bits of a number."""

    def constant(self, value: float) -> Any:
        """A number in all lanes."""
        return ir.Constant(self.of, [value] * self.lanes)

    def whole(self, value: int) -> Any:
        """An integer in all lanes."""
        return ir.Constant(self.bits, [value] * self.lanes)

    def spread(self, builder: Any, value: Any) -> Any:
        """The same number in all lanes; lanes as they are."""
        if value.type == self.of:
            return value
        if self.number == f4 and value.type == ir.DoubleType():
            value = builder.fptrunc(value, ir.FloatType())
        elif self.number == f8 and value.type == ir.FloatType():
            value = builder.fpext(value, ir.DoubleType())
        none, places = ir.Constant(self.of, ir.Undefined), [0] * self.lanes
        one = builder.insert_element(none, value, ir.Constant(ir.IntType(32), 0))
        return self.shuffled(builder, one, none, places)

    def shuffled(self, builder: Any, x: Any, y: Any, order: list[int]) -> Any:
        """Lanes of x and, counted on, of y in another order."""
        return builder.shuffle_vector(
            x, y, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), order)
        )

    def function(self, kind: Any, build: Callable[..., Any], count: int, result: Any = None) -> Any:
        """An operation on ``count`` lanes or numbers; ``kind``: the type of these lanes."""
        result = kind if result is None else result

        def generated(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
            return build(builder, *(self.spread(builder, one) for one in args))

        makers: dict[int, Callable[..., Any]] = {
            1: lambda _ctx, x: (result(x), generated),
            2: lambda _ctx, x, y: (result(x, y), generated),
            3: lambda _ctx, x, y, z: (result(x, y, z), generated),
            4: lambda _ctx, x, y, z, w: (result(x, y, z, w), generated),
            5: lambda _ctx, x, y, z, w, v: (result(x, y, z, w, v), generated),
        }
        return intrinsic(makers[count])


class Operations(NamedTuple):
    """What lanes of one kind can do."""

    shape: Shape
    kind: Any
    """Their numba type."""
    everywhere: Any
    """A number in all lanes."""
    root: Any
    size: Any
    greater: Any
    lesser: Any
    above: Any
    """1 where x > y."""
    pick: Any
    """Of x, y, yes, no: ``yes`` where x > y, else ``no``."""
    within: Any
    """Of x, low, high, yes, no: ``yes`` where low <= x <= high, else ``no``."""
    any_outside: Any
    """Of x, low, high: some lane is not within low to high, or no number."""
    behind: Any
    """Of x, y: y, and behind it all lanes of x but the last."""
    load: Any
    """Values from a place of a C-contiguous array on."""
    store: Any
    """Values to a place of a C-contiguous array."""
    lane: Any
    """The number in one lane."""
    turned: Any
    """
    Of source, out, places: as many rows of as many values as there are lanes become columns.

    ``places``: first number and numbers between rows in ``source``, the same in ``out``.
    """


def operations(number: Any, count: int) -> Operations:
    """Make the type of ``count`` lanes and all it can do."""
    one, width = (ir.FloatType(), 32) if number == f4 else (ir.DoubleType(), 64)
    bits = ir.VectorType(ir.IntType(width), count)
    shape = Shape(count, number, ir.VectorType(one, count), bits, width)
    kind = _registered(shape)
    parts = *_choices(shape, kind), *_moves(shape, kind), _turned(shape)
    return Operations._make((shape, kind, *parts))


def _registered(shape: Shape) -> Any:
    """A numba type with arithmetic of lanes, and of lanes with a number."""

    class Lanes(types.Type):
        def __init__(self) -> None:
            super().__init__(name=f"lanes{shape.lanes}x{shape.width}")

    class Model(models.PrimitiveModel):
        def __init__(self, dmm: Any, fe_type: Any) -> None:
            super().__init__(dmm, fe_type, shape.of)

    register_model(Lanes)(Model)
    kind = Lanes()
    pairs = [(kind, kind), *((kind, one) for one in (f4, f8)), *((one, kind) for one in (f4, f8))]
    for name, build in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
        function = getattr(operator, name)
        found = {"key": function, "cases": [signature(kind, *pair) for pair in pairs]}
        infer_global(function)(type(f"_{kind.name}_{name}", (ConcreteTemplate,), found))

        def lowered(_ctx: Any, builder: Any, _sig: Any, args: Any, build: str = build) -> Any:
            return getattr(builder, build)(*(shape.spread(builder, each) for each in args))

        for pair in pairs:
            lower_builtin(function, *pair)(lowered)
    return kind


def _choices(shape: Shape, kind: Any) -> tuple[Any, ...]:
    """From ``everywhere`` to ``behind``."""

    def root(builder: Any, x: Any) -> Any:
        of = ir.FunctionType(shape.of, [shape.of])
        name = f"llvm.sqrt.v{shape.lanes}f{shape.width}"
        return builder.call(cgutils.get_or_insert_function(builder.module, of, name), [x])

    def size(builder: Any, x: Any) -> Any:
        mask = shape.whole((1 << (shape.width - 1)) - 1)
        return builder.bitcast(builder.and_(builder.bitcast(x, shape.bits), mask), shape.of)

    def inside(builder: Any, x: Any, low: Any, high: Any) -> Any:
        above = builder.fcmp_ordered(">=", x, low)
        return builder.and_(above, builder.fcmp_ordered("<=", x, high))

    def outside(builder: Any, x: Any, low: Any, high: Any) -> Any:
        every = ir.IntType(shape.lanes)
        bits = builder.bitcast(inside(builder, x, low, high), every)
        return builder.icmp_unsigned("!=", bits, ir.Constant(every, (1 << shape.lanes) - 1))

    def chosen(relation: str) -> Callable[..., Any]:
        return lambda b, x, y, *of: b.select(b.fcmp_ordered(relation, x, y), *(of or (x, y)))

    def above(b: Any, x: Any, y: Any) -> Any:
        return chosen(">")(b, x, y, shape.constant(1.0), shape.constant(0.0))

    def within(b: Any, *of: Any) -> Any:
        return b.select(inside(b, *of[:3]), *of[3:])

    later = [0, *range(shape.lanes, 2 * shape.lanes - 1)]
    made = (
        (lambda _b, x: x, 1), (root, 1), (size, 1), (chosen(">"), 2), (chosen("<"), 2), (above, 2),
        (chosen(">"), 4), (within, 5), (outside, 3, types.boolean),
        (lambda b, x, y: shape.shuffled(b, y, x, later), 2),
    )  # fmt: skip
    return tuple(shape.function(kind, *each) for each in made)


_ALIGNED = {f4: (ir.FloatType(), 4), f8: (ir.DoubleType(), 8)}
"""What arrays hold, and where it may begin, B."""


def _pointer(shape: Shape, builder: Any, context: Any, array: Any, args: Any) -> tuple[Any, int]:
    """Where the place-th value of an array is, and what it is a multiple of."""
    where = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
    number, align = _ALIGNED[array.dtype]
    return builder.bitcast(where, ir.VectorType(number, shape.lanes).as_pointer()), align


def _loaded(shape: Shape, builder: Any, where: Any, align: int) -> Any:
    value = builder.load(where, align=align)
    if value.type == shape.of:
        return value
    return (builder.fpext if shape.number == f8 else builder.fptrunc)(value, shape.of)


def _stored(shape: Shape, builder: Any, value: Any, where: Any, align: int) -> None:
    to = where.type.pointee
    if to != shape.of:
        value = (builder.fptrunc if shape.number == f8 else builder.fpext)(value, to)
    builder.store(value, where, align=align)


def _moves(shape: Shape, kind: Any) -> tuple[Any, ...]:
    """From ``load`` to ``lane``."""

    @intrinsic
    def load(_ctx: Any, array: Any, place: Any) -> Any:
        def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            where = _pointer(shape, builder, context, sig.args[0], args)
            return _loaded(shape, builder, *where)

        return kind(array, place), generated

    @intrinsic
    def store(_ctx: Any, array: Any, place: Any, value: Any) -> Any:
        def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            where = _pointer(shape, builder, context, sig.args[0], args)
            _stored(shape, builder, args[2], *where)
            return context.get_dummy_value()

        return types.void(array, place, value), generated

    @intrinsic
    def lane(_ctx: Any, value: Any, which: Any) -> Any:
        def generated(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
            return builder.extract_element(args[0], args[1])

        return shape.number(value, which), generated

    return load, store, lane


def _turned(shape: Shape) -> Any:
    """``turned``."""

    @intrinsic
    def turned(_ctx: Any, source: Any, out: Any, places: Any) -> Any:
        def generated(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            at, step, to, out_step = (builder.extract_value(args[2], k) for k in range(4))
            rows = []
            for _ in range(shape.lanes):
                where = _pointer(shape, builder, context, sig.args[0], (args[0], at))
                rows.append(_loaded(shape, builder, *where))
                at = builder.add(at, step)
            for column in _transposed(shape, builder, rows):
                where = _pointer(shape, builder, context, sig.args[1], (args[1], to))
                _stored(shape, builder, column, *where)
                to = builder.add(to, out_step)
            return context.get_dummy_value()

        return types.void(source, out, places), generated

    return turned


def _transposed(shape: Shape, builder: Any, rows: list[Any]) -> list[Any]:
    """Columns of as many rows as there are lanes, a power of two."""
    count, step = shape.lanes, shape.lanes // 2
    while step:
        found: list[Any] = [None] * count
        for k in range(count):
            if k & step:
                continue
            low = [j if not j & step else j - step + count for j in range(count)]
            high = [j + step if not j & step else j + count for j in range(count)]
            found[k], found[k + step] = (
                shape.shuffled(builder, rows[k], rows[k + step], order) for order in (low, high)
            )
        rows, step = found, step // 2
    return rows
