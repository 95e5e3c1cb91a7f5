"""Eight rows at once, float64: what is added up and what is judged by differences of it."""

from __future__ import annotations

from ._compiled import f8
from ._vector import operations

__all__ = [
    "LANES", "behind", "everywhere", "greater", "lane", "lesser", "load", "pick", "root", "size",
    "store", "turned", "within",
]  # fmt: skip

LANES = 8
_EIGHT = operations(f8, LANES)
behind, everywhere, greater, lane = _EIGHT.behind, _EIGHT.everywhere, _EIGHT.greater, _EIGHT.lane
lesser, load, pick, root = _EIGHT.lesser, _EIGHT.load, _EIGHT.pick, _EIGHT.root
size, store, turned, within = _EIGHT.size, _EIGHT.store, _EIGHT.turned, _EIGHT.within
