"""As many rows as there are lanes become lanes, and lanes rows or one number."""

from __future__ import annotations

from typing import Any

from . import _lanes, _sixteen
from ._compiled import inner

__all__ = ["columns", "columns_16", "most", "rows", "rows_16"]

lane = _lanes.lane


@inner
def most(x: Any) -> float:
    """The greatest of all eight lanes."""
    one, two = max(lane(x, 0), lane(x, 1)), max(lane(x, 2), lane(x, 3))
    three, four = max(lane(x, 4), lane(x, 5)), max(lane(x, 6), lane(x, 7))
    left, right = max(one, two), max(three, four)
    return max(left, right)


def _made(count: int, turned: Any) -> tuple[Any, Any]:
    """``columns`` and ``rows`` for so many lanes."""

    @inner
    def columns(source: Any, span: Any, out: Any, to: Any) -> None:
        start, live = span
        width = source.shape[1]
        k, base = 0, start * width
        if live == count:
            while k < width and width >= count:
                k = min(k, width - count)  # the last of them once more
                turned(source, out, (base + k, width, count * (to + k), count))
                k += count
        while k < width:
            for j in range(count):
                out[count * (to + k) + j] = source[start + min(j, live - 1), k]
            k += 1

    @inner
    def rows(source: Any, at: Any, span: Any, out: Any) -> None:
        start, live = span
        width = out.shape[1]
        k, base = 0, start * width
        if live == count:
            while k < width and width >= count:
                k = min(k, width - count)
                turned(source, out, (at + count * k, count, base + k, width))
                k += count
        while k < width:
            for j in range(live):
                out[start + j, k] = source[at + count * k + j]
            k += 1

    return columns, rows


columns, rows = _made(_lanes.LANES, _lanes.turned)
columns_16, rows_16 = _made(_sixteen.LANES, _sixteen.turned)
"""
``columns(source, span, out, to)``: columns of ``span[1]`` rows from ``span[0]`` on into lanes, from
lane group ``to`` on. Where a tile has fewer rows than lanes, its last row fills the rest.

``rows(source, at, span, out)``: lanes from number ``at`` on into ``span[1]`` rows of ``out`` from
``span[0]`` on.
"""
