"""Which bins of a design show each band of `BANDS_HZ`."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators.oscillations import OscillationDesign
from pipeline.second_stage import BANDS_HZ

__all__ = ["bins_of_bands"]

COVERED = 0.9
"""Share of a band that a window's bins must cover."""
HIGHEST_HZ = 55.0


def _covering(design: OscillationDesign, low_hz: float, high_hz: float) -> slice | None:
    """Bins of the shortest window that covers a band, as far as that is looked at."""
    high_hz = min(high_hz, HIGHEST_HZ)
    for look in design.looks:
        freq_hz = design.freq_hz[look.place]
        inside = design.tested[look.place] & (freq_hz >= low_hz * 0.99) & (freq_hz <= high_hz)
        bins = np.flatnonzero(inside)
        if len(bins) and np.ptp(freq_hz[bins]) >= COVERED * (high_hz - low_hz):
            return slice(look.place.start + bins[0], look.place.start + bins[-1] + 1)
    return None


def bins_of_bands(design: OscillationDesign) -> Any:
    """First bin and past the last of each band, equal where no window covers it; (band, 2)."""
    found = [_covering(design, *band) or slice(0, 0) for band in BANDS_HZ]
    return np.array([(one.start, one.stop) for one in found], np.int64)
