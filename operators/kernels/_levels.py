"""The power to be expected in each bin of eight rows at once."""

from __future__ import annotations

from typing import Any

from ._compiled import inner
from ._lanes import (
    LANES,
    any_outside,
    everywhere,
    exponential,
    greater,
    load,
    logarithm,
    store,
    within,
)

__all__ = ["REACH", "levels"]

REACH = 4
"""Most bins to either side in the near neighbourhood; a plan with another is refused."""
_LEAST, _MOST = 1e-290, 1e290


@inner
def _smooth(past: Any, t: Any, out: Any) -> None:
    """Mean over each bin's near neighbourhood."""
    for b in range(len(t.low)):
        low, high = t.low[b], t.high[b]
        if high - low == 2 * REACH + 1:
            k = LANES * low
            one = (load(past, k) + load(past, k + 8)) + (load(past, k + 16) + load(past, k + 24))
            k += 4 * LANES
            two = (load(past, k) + load(past, k + 8)) + (load(past, k + 16) + load(past, k + 24))
            total = (one + two) + load(past, k + 32)
        else:
            total = everywhere(0.0)
            for k in range(low, high):
                total = total + load(past, LANES * k)
        store(out, LANES * b, total * t.weight[b])


@inner
def _one_by_one(y: Any, at: Any, span: Any, tiny: Any, product: Any) -> Any:
    """Sum of the logarithms of a stretch, in the lanes where their product is of no use."""
    total = everywhere(0.0)
    for b in range(span[0], span[1]):
        total = total + logarithm(greater(load(y, at + LANES * b), tiny))
    safe = within(product, _LEAST, _MOST, product, 1.0)
    return within(product, _LEAST, _MOST, logarithm(safe), total)


@inner
def _running(y: Any, at: Any, cuts: Any, tiny: Any, out: Any) -> None:
    """
    Sums of the logarithms before each cut.

    One logarithm a stretch: of its product, where that neither overflows nor vanishes.
    """
    total = everywhere(0.0)
    store(out, 0, total)
    for s in range(len(cuts) - 1):
        start, stop = cuts[s], cuts[s + 1]
        product = greater(load(y, at + LANES * start), tiny)
        for b in range(start + 1, stop):
            product = product * greater(load(y, at + LANES * b), tiny)
        if any_outside(product, _LEAST, _MOST):
            total = total + _one_by_one(y, at, (start, stop), tiny, product)
        else:
            total = total + logarithm(product)
        store(out, LANES * (s + 1), total)


@inner
def _around(running: Any, edges: Any, k: Any, share: Any) -> Any:
    """Mean logarithm of a block's neighbourhood, without the block's own main lobe."""
    before = load(running, LANES * edges[1, k]) - load(running, LANES * edges[0, k])
    after = load(running, LANES * edges[3, k]) - load(running, LANES * edges[2, k])
    return (before + after) * share


@inner
def levels(power: Any, at: Any, past: Any, tables: Any, out: Any) -> None:
    """
    ``power`` lanes by bin from number ``at`` on, ``past`` lanes by bin.

    ``out``: the smoothed past by bin; by block how much louder than the past it is around, and
    what caps a line; two arrays of room for running sums.
    """
    t, rules = tables
    smooth, louder, cap, now, before = out
    _smooth(past, t, smooth)
    _running(power, at, t.cuts, rules.tiny, now)
    _running(smooth, 0, t.cuts, rules.tiny, before)
    for k in range(len(t.share)):
        level = _around(now, t.edges, k, t.share[k])
        usual = _around(before, t.edges, k, t.share[k])
        store(louder, LANES * k, exponential(level - usual + t.offset[k]))
        store(cap, LANES * k, exponential(level) * t.cap[k])
