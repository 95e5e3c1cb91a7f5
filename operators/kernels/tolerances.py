"""How near compiled kernels are to the reference: stated once, tested for every kernel."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CPU", "CUDA", "Tolerance"]


class Tolerance(NamedTuple):
    """``|kernel - reference| <= relative * |reference| + absolute``; 0 and 0: the same bits."""

    relative: float = 0.0
    absolute: float = 0.0


EXACT = Tolerance()

_ROUNDED = Tolerance(1e-6, 1e-6)
"""
Of what rests on numbers that are remembered in float32: where two devices differ in the last bits
before one is rounded, a few of them are an ulp (1.2e-7) apart afterwards, and what follows as much.
"""

CPU: dict[str, Tolerance] = {
    # sums in the reference's own order
    "frame": EXACT,
    "scan": EXACT,
    "two_threshold": EXACT,
    "autocovariance": EXACT,
    "block_moments": EXACT,
    "newest": EXACT,
    "remember": EXACT,
    "noise_scale": EXACT,
    "frame_means": EXACT,
    "second_stats": EXACT,
    # neighbourhoods are summed directly, not as differences of running sums over all bins; FFTs are
    # their own, whose error goes by the strongest line: the weakest bins need absolute bounds
    "periodogram.now": _ROUNDED,
    "periodogram.votes": _ROUNDED,
    "periodogram.lasting": _ROUNDED,
    "periodogram.amplitude_w": Tolerance(1e-9, 1e-6),
    "periodogram.strongest_w": Tolerance(1e-9, 1e-6),
    "periodogram.background_w2": _ROUNDED,
    "periodogram.sums": _ROUNDED,
    "periodogram.most": _ROUNDED,
    # sums over leaves in an order of their own
    "together": Tolerance(1e-12),
}
"""By kernel and output, for float64 input."""

CUDA: dict[str, Tolerance] = {
    **dict.fromkeys(CPU, EXACT),
    # logarithms, exponentials and FFTs of a GPU round in their own way; an FFT's error goes by the
    # strongest line, so that the weakest bins need an absolute bound: of ratios, W and W^2
    **{name: tolerance for name, tolerance in CPU.items() if name.startswith("periodogram.")},
    "snapshots": Tolerance(1e-9, 1e-7),
    "leading": Tolerance(1e-9, 1e-9),
}
"""By kernel and output, for float64 input; counts and flags are exact always."""
