"""How near compiled kernels are to the reference: stated once, tested for every kernel."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CPU", "CUDA", "Tolerance"]


class Tolerance(NamedTuple):
    """``|kernel - reference| <= relative * |reference| + absolute``; 0 and 0: the same bits."""

    relative: float = 0.0
    absolute: float = 0.0


EXACT = Tolerance()

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
    "periodogram.now": Tolerance(1e-9, 1e-9),
    "periodogram.votes": Tolerance(1e-9, 1e-9),
    "periodogram.lasting": Tolerance(1e-9, 1e-9),
    "periodogram.amplitude_w": Tolerance(1e-9, 1e-6),
    "periodogram.background_w2": Tolerance(1e-9, 1e-6),
    "periodogram.sums": Tolerance(1e-9, 1e-9),
    "periodogram.most": Tolerance(1e-9, 1e-9),
    # sums over leaves in an order of their own
    "movement": Tolerance(1e-12),
    "coincidence_factor": Tolerance(1e-12),
}
"""By kernel and output, for float64 input."""

_RATIO = Tolerance(1e-9, 1e-9)

CUDA: dict[str, Tolerance] = {
    **dict.fromkeys(CPU, EXACT),
    # logarithms, exponentials and FFTs of a GPU round in their own way; an FFT's error goes by the
    # strongest line, so that the weakest bins need an absolute bound: of ratios, W and W^2
    "periodogram.now": _RATIO,
    "periodogram.votes": _RATIO,
    "periodogram.lasting": _RATIO,
    "periodogram.sums": _RATIO,
    "periodogram.most": _RATIO,
    "periodogram.amplitude_w": Tolerance(1e-9, 1e-6),
    "periodogram.background_w2": Tolerance(1e-9, 1e-6),
    "snapshots": Tolerance(1e-9, 1e-7),
    "leading": _RATIO,
}
"""By kernel and output, for float64 input; counts and flags are exact always."""
