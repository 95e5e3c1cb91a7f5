"""Eight rows become lanes, and lanes rows or one number."""

from __future__ import annotations

from typing import Any

from ._compiled import inner
from ._lanes import LANES, lane, turned

__all__ = ["columns", "most", "rows"]


@inner
def most(x: Any) -> float:
    """The greatest of all lanes."""
    one, two = max(lane(x, 0), lane(x, 1)), max(lane(x, 2), lane(x, 3))
    three, four = max(lane(x, 4), lane(x, 5)), max(lane(x, 6), lane(x, 7))
    left, right = max(one, two), max(three, four)
    return max(left, right)


@inner
def columns(source: Any, span: Any, first: Any, out: Any, to: Any) -> None:
    """
    Columns of ``span[1]`` rows from ``span[0]`` on into lanes, from lane group ``to`` on.

    From column ``first`` on. Where a tile has fewer rows than lanes, its last row fills the rest.
    """
    start, live = span
    width = source.shape[1]
    k, base = first, start * width
    if live == LANES:
        while k + LANES <= width:
            turned(source, out, (base + k, width, LANES * (to + k - first), LANES))
            k += LANES
    while k < width:
        for j in range(LANES):
            out[LANES * (to + k - first) + j] = source[start + min(j, live - 1), k]
        k += 1


@inner
def rows(source: Any, at: Any, span: Any, out: Any) -> None:
    """Lanes from number ``at`` on into ``span[1]`` rows of ``out`` from ``span[0]`` on."""
    start, live = span
    width = out.shape[1]
    k, base = 0, start * width
    if live == LANES:
        while k + LANES <= width:
            turned(source, out, (at + LANES * k, LANES, base + k, width))
            k += LANES
    while k < width:
        for j in range(live):
            out[start + j, k] = source[at + LANES * k + j]
        k += 1
