"""How near compiled kernels are to the reference: stated once, tested for every kernel."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CPU", "Tolerance"]


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
    # neighbourhoods are summed directly, not as differences of running sums over all bins
    "periodogram.now": Tolerance(1e-9),
    "periodogram.votes": Tolerance(1e-9),
    "periodogram.lasting": Tolerance(1e-9, 1e-9),
    "periodogram.amplitude_w": EXACT,
    "periodogram.background_w2": Tolerance(1e-9),
    "periodogram.sums": Tolerance(1e-9, 1e-9),
    "periodogram.most": Tolerance(1e-9, 1e-9),
    # sums over leaves in an order of their own
    "movement": Tolerance(1e-12),
    "coincidence_factor": Tolerance(1e-12),
}
"""By kernel and output, for float64 input."""
