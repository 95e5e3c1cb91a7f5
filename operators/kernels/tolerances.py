"""
How near a kernel must come to the reference, in one place.

Everything is exact but what rests on a logarithm, an exponential, a running sum or an FFT: there every
device rounds in its own way. Whole numbers and flags are exact always.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["EXACT", "TOLERANCES", "Tolerance", "excess"]


class Tolerance(NamedTuple):
    """``|found - wanted| <= relative * |wanted| + of_most * max |wanted|``."""

    relative: float
    of_most: float
    """Share of the largest of the array: an FFT's error goes by the strongest line."""


EXACT = Tolerance(0.0, 0.0)
_SPECTRAL = Tolerance(1e-9, 1e-11)
TOLERANCES: dict[str, Tolerance] = {
    "now": _SPECTRAL,
    "lasting": _SPECTRAL,
    "votes": _SPECTRAL,
    "amplitude_w": _SPECTRAL,
    "most": _SPECTRAL,
    "background_w2": _SPECTRAL,
    "sums": _SPECTRAL,
}
"""By field of what a kernel returns; what is not named is `EXACT`."""


def excess(name: str, found: Any, wanted: Any) -> float:
    """Largest error of a field over what it may be, host arrays; 1 and less is near enough."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return np.inf
    exact = TOLERANCES.get(name, EXACT) == EXACT or wanted.dtype.kind != "f"
    if exact or not np.isfinite(wanted).all():
        return 0.0 if np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f") else np.inf
    relative, of_most = TOLERANCES[name]
    size = np.abs(wanted)
    allowed = relative * size + of_most * size.max(initial=0.0) + np.finfo(float).tiny
    error = np.abs(found - wanted) / allowed
    return float(np.nan_to_num(error, nan=np.inf).max(initial=0.0))
