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

_SINGLE = Tolerance(1e-5, 1e-3)
"""
Of what is computed in float32 (ADR 0022), an FFT first of all, whose error goes by the strongest
line: the weakest bins are as far off as 1e-6 of it.
"""

CPU: dict[str, Tolerance] = {
    # sums in the reference's own order
    "frame": EXACT,
    "scan": EXACT,
    "innovations": EXACT,
    "two_threshold": EXACT,
    "autocovariance": EXACT,
    "block_moments": EXACT,
    "newest": EXACT,
    "remember": EXACT,
    "noise_scale": EXACT,
    "frame_means": EXACT,
    "second_stats": EXACT,
    # of ratios, of ratios added up, W and W^2
    "periodogram.now": _SINGLE,
    "periodogram.votes": _SINGLE,
    "periodogram.lasting": Tolerance(1e-4, 1e-5),
    "periodogram.amplitude_w": Tolerance(1e-6, 0.1),
    "periodogram.strongest_w": Tolerance(1e-6, 0.1),
    "periodogram.background_w2": _SINGLE,
    "periodogram.sums": Tolerance(1e-4, 1e-4),
    "periodogram.most": _SINGLE,
    # sums over leaves in an order of their own
    "together": Tolerance(1e-12),
}
"""By kernel and output, for float64 input."""

CUDA: dict[str, Tolerance] = {
    **dict.fromkeys(CPU, EXACT),
    # logarithms, exponentials and FFTs of a GPU round in their own way; an FFT's error goes by the
    # strongest line, so that the weakest bins need an absolute bound: of ratios, W and W^2
    **{name: _ROUNDED for name in CPU if name.startswith("periodogram.")},
    "periodogram.amplitude_w": Tolerance(1e-9, 1e-6),
    "periodogram.strongest_w": Tolerance(1e-9, 1e-6),
    "snapshots": Tolerance(1e-9, 1e-7),
    "leading": Tolerance(1e-9, 1e-9),
}
"""By kernel and output, for float64 input; counts and flags are exact always."""
