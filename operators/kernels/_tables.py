"""What the spectral kernels read, move on and work in; their types for the compiler."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types

from ._compiled import f8, i8, u8

__all__ = ["MEMORY", "RULES", "TABLES", "WORK", "Memory", "Rules", "Tables", "Work", "work"]

TILE = 16
"""Rows worked off together: few enough to stay in the cache, enough to share a call's costs."""


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
    tiny: float
    reach: Any
    """Most bins to either side in the near neighbourhood; uint64."""


class Tables(NamedTuple):
    """An `OscillationPlan` for the kernels; places are uint64: no index counts from the end."""

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
    block_of: Any
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


class Memory(NamedTuple):
    """What one call moves on, in place: the wrapper's own copies."""

    background: Any
    sums: Any
    learned: Any


class Work(NamedTuple):
    """Room for one tile of rows, (row, bin) each; the last three are for logarithms."""

    expected: Any
    line: Any
    ratio: Any
    louder: Any
    cap: Any
    own: Any
    fraction: Any
    exponent: Any
    part: Any
    running: Any


_INT, _FLOAT = u8[::1], f8[::1]
TABLES = types.NamedTuple(
    (
        _INT, _INT, _INT, _FLOAT, _INT, u8[:, ::1], *(_FLOAT,) * 3, _INT, *(_FLOAT,) * 5, i8[::1],
        f8[:, :, ::1],
    ),
    Tables,
)  # fmt: skip
RULES = types.NamedTuple((f8,) * 7 + (u8,), Rules)
MEMORY = types.NamedTuple((f8[:, ::1], f8[:, ::1], i8[:, ::1]), Memory)
WORK = types.NamedUniTuple(f8[:, ::1], 10, Work)


def work(bins: int) -> Work:
    """Room for a tile."""
    return Work(*(np.empty((TILE, bins + 1)) for _ in Work._fields))
