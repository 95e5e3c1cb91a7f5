"""The power to be expected in each bin of sixteen rows at once."""

from __future__ import annotations

from typing import Any

from ._compiled import inner
from ._sixteen import (
    LANES,
    LN2,
    everywhere,
    exponential,
    greater,
    load,
    logarithm,
    mantissa,
    piled,
    store,
    unpiled,
)

__all__ = ["REACH", "STRETCH", "levels"]

REACH = 4
"""Most bins to either side in the near neighbourhood; a plan with another is refused."""
STRETCH = 64
"""Most bins between two cuts: the product of so many mantissas is a number still."""


@inner
def _nine(past: Any, low: Any) -> Any:
    """Sum of nine bins from ``low`` on."""
    k = LANES * low
    one = (load(past, k) + load(past, k + LANES)) + (
        load(past, k + 2 * LANES) + load(past, k + 3 * LANES)
    )
    k += 4 * LANES
    two = (load(past, k) + load(past, k + LANES)) + (
        load(past, k + 2 * LANES) + load(past, k + 3 * LANES)
    )
    return (one + two) + load(past, k + 4 * LANES)


@inner
def _smooth(past: Any, t: Any, out: Any) -> None:
    """Mean over each bin's near neighbourhood."""
    for b in range(len(t.low)):
        low, high = t.low[b], t.high[b]
        if high - low == 2 * REACH + 1:
            total = _nine(past, low)
        else:
            total = everywhere(0.0)
            for k in range(low, high):
                total = total + load(past, LANES * k)
        store(out, LANES * b, total * t.weight[b])


@inner
def _running(y: Any, at: Any, cuts: Any, least: Any, out: Any) -> None:
    """
    Sums of the logarithms before each cut: exponents of two, and natural logarithms of the rest.

    Exponents are whole numbers: their sum is exact, and that of the rest stays small. One logarithm
    a stretch, of the product of its mantissas.
    """
    twos, rest = everywhere(0.0), everywhere(0.0)
    store(out, 0, twos)
    store(out, LANES, rest)
    for s in range(len(cuts) - 1):
        product, pile = everywhere(1.0), everywhere(0.0)
        for b in range(cuts[s], cuts[s + 1]):
            here = greater(load(y, at + LANES * b), least)
            product, pile = product * mantissa(here), piled(pile, here)
        two, more = logarithm(product)
        twos = twos + (unpiled(pile, cuts[s + 1] - cuts[s]) + two)
        rest = rest + more
        store(out, 2 * LANES * (s + 1), twos)
        store(out, 2 * LANES * (s + 1) + LANES, rest)


@inner
def _part(running: Any, edges: Any, k: Any, which: Any) -> Any:
    """Sum over a block's neighbourhood, without the block's own main lobe."""
    at = LANES * which
    before = load(running, 2 * LANES * edges[1, k] + at) - load(
        running, 2 * LANES * edges[0, k] + at
    )
    after = load(running, 2 * LANES * edges[3, k] + at) - load(
        running, 2 * LANES * edges[2, k] + at
    )
    return before + after


@inner
def levels(power: Any, at: Any, past: Any, tables: Any, out: Any) -> None:
    """
    ``power`` lanes by bin from number ``at`` on, ``past`` lanes by bin.

    ``out``: the smoothed past by bin; by block how much louder than the past it is around, and
    what caps a line; two arrays of room for running sums, of two by cut.
    """
    t, rules = tables
    smooth, louder, cap, now, before = out
    _smooth(past, t, smooth)
    _running(power, at, t.cuts, rules.least, now)
    _running(smooth, 0, t.cuts, rules.least, before)
    for k in range(len(t.share)):
        share = t.share[k]
        twos, rest = _part(now, t.edges, k, 0), _part(now, t.edges, k, 1)
        more = (twos - _part(before, t.edges, k, 0)) * share * LN2
        more = more + (rest - _part(before, t.edges, k, 1)) * share
        store(louder, LANES * k, exponential(more + t.offset[k]))
        store(cap, LANES * k, exponential(twos * share * LN2 + rest * share) * t.cap[k])
