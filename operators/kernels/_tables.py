"""What the spectral kernels read and move on; their types for the compiler; room to work in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from . import _lanes, _sixteen
from ._compiled import f4, f8, i8, inner, read

__all__ = ["MEMORY", "MOVED", "RULES", "TABLES", "Rules", "Tables", "aligned", "room", "room_16"]

LINE_BYTES = 64
"""Lanes begin where a line of the cache does: those that straddle two cost twice."""


class Rules(NamedTuple):
    """The detector's constants; arguments, because compiled code outlives a change of a global."""

    line: float
    frozen: float
    keep: float
    keep_gain: float
    """`KEEP` over the mean of an exponential cut there."""
    clip: float
    full: float
    """Where the sums stop."""
    least: float
    """Noise is no less, W^2."""
    most: float
    """Nothing is more: the greatest float32."""


class Tables(NamedTuple):
    """An `OscillationPlan` for the kernels; places are int64."""

    place: Any
    """First bin of each window, and the number of bins; (window + 1,)."""
    low: Any
    high: Any
    weight: Any
    """Near neighbourhood of each bin: first, past the last, 1 / their number."""
    cuts: Any
    """Bins at which running sums of logarithms are needed, ascending, the first 0."""
    edges: Any
    """Places in `cuts` of each block's low, inner_low, inner_high and high; (4, block)."""
    share: Any
    """1 / number of bins in each block's neighbourhood."""
    offset: Any
    cap: Any
    """Limit over the neighbours' mean logarithm, maybe infinite; (block,)."""
    block: Any
    """First bin of each block, and the number of bins; (block + 1,)."""
    blocks: Any
    """First block of each window, and the number of blocks; (window + 1,)."""
    tested: Any
    gain: Any
    heard: Any
    factor: Any
    drift: Any
    """Offset of the sums; (bin,)."""
    memory: Any
    """(window,) int64"""
    bars: Any
    """(window, 1 + most looks, 4)"""


_INT, _FLOAT = i8[::1], f4[::1]
TABLES = types.NamedTuple(
    (
        *(_INT,) * 3, _FLOAT, _INT, i8[:, ::1], *(_FLOAT,) * 3, *(_INT,) * 2, *(_FLOAT,) * 5, _INT,
        f4[:, :, ::1],
    ),
    Tables,
)  # fmt: skip
RULES = types.NamedUniTuple(f8, 8, Rules)
MEMORY = types.Tuple((read(f4, 2), read(f4, 2), read(i8, 2)))
"""What a call reads: background, sums, learned (`oscillations.OscillationState`)."""
MOVED = types.Tuple((f4[:, ::1], f4[:, ::1], i8[:, ::1]))
"""The same, moved on."""


def _room(lanes: int, number: Any) -> Any:
    """So many numbers from the begin of a line on, which holds ``lanes`` of them; (count,)."""

    @inner
    def room(count: Any) -> Any:
        found = np.empty(count + lanes, number)
        place = (-found.ctypes.data % LINE_BYTES) * lanes // LINE_BYTES
        return found[place : place + count]

    return room


room, room_16 = _room(_lanes.LANES, np.float64), _room(_sixteen.LANES, np.float32)
"""Within kernels: ``room(count)``."""
aligned = room_16.py_func
"""The same outside of them."""
