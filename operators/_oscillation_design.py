"""Layout of the oscillation periodogram for one sample rate: host values, made once."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from . import _check

__all__ = ["OscillationDesign", "design"]

_PARTS = 3
"""
Equal parts, end to end, of the newest 80 % of the window; a line must be in all of them. One step
is in one part, a dip and its recovery are in two, an oscillation is in three.
"""


class OscillationDesign(NamedTuple):
    """Everything about the periodogram that does not change; host values."""

    rate_hz: float
    window: int
    """Samples looked at."""
    hop: int
    """Samples between looks."""
    first_bin: int
    """Fourier bin of ``freq_hz[0]``; bins are ``rate_hz / window`` apart."""
    freq_hz: Any
    """Frequencies looked at; (bin,)."""
    tapers: Any
    """Hann over the whole window, then over each part, each of sum 2; (1 + part, window)."""
    gain: Any
    """From a differenced amplitude back to power, ``1 / (2 sin(pi f / rate))``; (bin,)."""
    neighbours: Any
    """Bins whose median is the noise at each anchor; (anchor, width), int64."""
    anchor: Any
    """Anchor at or below each bin; (bin,), int64."""
    anchor_share: Any
    """Share of the next anchor in the linear interpolation; (bin,)."""
    steady_share: float
    """Every part must show at least this share of the whole window's amplitude."""
    valid_share: float
    """Below this share of measured samples the window says nothing."""
    memory_hops: int
    """Hops over which the background is averaged."""
    warm_hops: int
    """Hops the background must rest on before the window says anything."""
    background_cap: float
    """A line this much above its neighbours is judged against them, whatever its past."""


def _hann(n: int, first: int, length: int) -> Any:
    """Periodic Hann of ``length`` samples at ``first`` among ``n``, of sum 2."""
    taper = np.zeros(n)
    turn = 2 * math.pi * (np.arange(length) + 0.5) / length
    taper[first : first + length] = 0.5 - 0.5 * np.cos(turn)
    return taper * (2 / taper.sum())


def _neighbourhood(n_bin: int, width: int, step: int) -> tuple[Any, Any, Any]:
    """Anchors every ``step`` bins, each with the ``width`` bins around it, inside the band."""
    width = min(width, n_bin)
    n_anchor = max(1, -(-(n_bin - 1) // step)) + 1
    centre = np.minimum(np.arange(n_anchor) * step, n_bin - 1)
    first = np.clip(centre - width // 2, 0, n_bin - width)
    neighbours = first[:, None] + np.arange(width)[None, :]
    bins = np.arange(n_bin)
    anchor = np.minimum(bins // step, n_anchor - 2)
    return neighbours, anchor, bins / step - anchor


def design(
    rate_hz: float | Fraction,
    *,
    window_s: float = 20.0,
    hop_s: float = 1.0,
    least_cycles: int = 6,
    steady_share: float = 0.3,
    noise_bins: int = 33,
) -> OscillationDesign:
    """
    Lay out the periodogram for one sample rate, on the host.

    Parameters
    ----------
    rate_hz : float or Fraction
        Sample rate; 2 Hz or more.
    window_s, hop_s : float
        Length looked at and length moved, in s; whole numbers of samples after rounding.
    least_cycles : int
        Frequencies go from this many cycles per window to ``min(55, 0.45 rate)`` Hz. With fewer
        than 6 a single dip with slow edges (a checkpoint) is a line.
    steady_share : float
        Share of the amplitude that every part must show.
    noise_bins : int
        Bins whose median is the noise; the main lobe of Hann is 4 of them.
    """
    rate = float(rate_hz)
    window, hop = round(window_s * rate), round(hop_s * rate)
    _check.positive(hop, name="hop_s * rate_hz")
    first_bin = least_cycles
    last_bin = math.floor(min(55.0, 0.45 * rate) * window / rate)
    if last_bin < first_bin + 8:
        msg = f"rate_hz is {rate} and window_s {window_s}: fewer than 9 bins; use a longer window"
        raise ValueError(msg)
    freq_hz = np.arange(first_bin, last_bin + 1) * (rate / window)
    part = round(0.8 * window / _PARTS)
    places = [(0, window), *((window - (k + 1) * part, part) for k in range(_PARTS))]
    tapers = [_hann(window, first, length) for first, length in places]
    n_bin = freq_hz.shape[0]
    neighbours, anchor, share = _neighbourhood(n_bin, noise_bins, 4 if n_bin <= 256 else 16)
    gain = 1 / (2 * np.sin(math.pi * freq_hz / rate))
    return OscillationDesign(
        rate, window, hop, first_bin, freq_hz, np.stack(tapers), gain,
        neighbours, anchor, share, steady_share, 0.8, 120, 10, 25.0,
    )  # fmt: skip
