"""The tables of an oscillation design beside the arrays they are for."""

import math
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from . import _arrays
from ._oscillation_design import EULER, Neighbours, OscillationDesign

__all__ = ["OscillationPlan", "heard", "to_namespace"]

SUMMED_S = 60.0
"""Longer windows are not summed over time: it takes their sums hours, in which no noise stays as
it was."""
CAP = 25.0
"""A line this much above its neighbours is judged against them, whatever its past."""


class OscillationPlan(NamedTuple):
    """A design, its tables beside the arrays they are for."""

    design: OscillationDesign
    tapers: list[Any]
    look_of: Any
    tested: Any
    gain: Any
    narrow: tuple[Any, Any, Any]
    wide: Neighbours
    memory: Any
    bars: Any
    """By window and looks learned: 1 / threshold, 1 / that of a line's own past, warm or not."""
    base: Any
    factor: Any
    offset: Any
    louder: Any
    """`Neighbours.offset` by bin."""
    cap: Any
    """`CAP` over the neighbours' mean logarithm; without limit where there are too few of them."""
    heard: Any
    """1 / threshold of the sums; 0 for guard bins."""


def heard(design: OscillationDesign) -> Any:
    """1 / threshold of the sums; 0 for guard bins and in windows longer than `SUMMED_S`; (bin,)."""
    return design.tested * (design.width_hz >= 1 / SUMMED_S) / design.height


def to_namespace(design: OscillationDesign, like: Any) -> OscillationPlan:
    """Return the design with its tables in the library, dtype and device of ``like``."""
    xp = array_namespace(like)

    def near(part: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        low, high, weight = part
        return (
            _arrays.table(low, like, dtype=xp.int64),
            _arrays.table(high, like, dtype=xp.int64),
            _arrays.table(weight, like),
        )

    windows, most, _ = design.bars.shape
    offset = design.wide.offset[design.wide.block_of]
    return OscillationPlan(
        design,
        [_arrays.table(look.taper, like) for look in design.looks],
        _arrays.table(design.look_of, like, dtype=xp.int64),
        _arrays.table(design.tested, like),
        _arrays.table(design.gain, like),
        near(design.narrow),
        Neighbours._make(
            _arrays.table(part, like, dtype=xp.int64 if part.dtype.kind == "i" else None)
            for part in design.wide
        ),
        _arrays.table(design.memory, like, dtype=xp.int64),
        _arrays.table(design.bars.reshape(windows * most, 4), like),
        _arrays.table(np.arange(windows) * most, like, dtype=xp.int64),
        _arrays.table(design.drift[0], like),
        _arrays.table(design.drift[1], like),
        _arrays.table(offset, like),
        _arrays.table(np.where(np.isfinite(offset), CAP * math.exp(EULER), np.inf), like),
        _arrays.table(heard(design), like),
    )
