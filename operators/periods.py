"""Period of one series: the first strong peak of its autocorrelation, refined at its multiples."""

from typing import Any, NamedTuple

import numpy as np

from . import _arrays, _check

__all__ = ["Period", "period"]

LEAST = 4
"""Samples a period must have at least to be told from noise."""
STRONG = 0.3
"""Autocorrelation from which a series counts as periodic."""
FIRST = 0.8
"""The first peak of at least this share of the highest one is the period, not its multiple."""
HALF = 0.5


class Period(NamedTuple):
    """``samples`` a period (0: not periodic) and the autocorrelation at it."""

    samples: float
    strength: float


def period(history_w: Any, *, longest: int) -> Period:
    """
    Find the period of the newest samples; reads values on the host.

    Parameters
    ----------
    history_w : array, shape (time,)
        The past, oldest first, W; at least four times ``longest`` to see a period of that length.
    longest : int
        Longest period looked for, samples.

    Returns
    -------
    Period
        Unbiased autocorrelation by FFT (Wiener-Khinchin); peaks at 2, 4 and 8 periods, while they
        stand at half the first one's height, refine it by parabolas through three points.
    """
    _check.frame(history_w, name="history_w", axes=("time",))
    _check.positive(longest, name="longest")
    xp = _arrays.namespace(history_w)
    count = history_w.shape[0]
    x = history_w - _arrays.fold_sum(history_w[None, :], axis=-1)[0] / count
    size = 1 << (2 * count - 1).bit_length()
    spectrum = xp.fft.rfft(x, n=size)
    power = xp.real(spectrum) ** 2 + xp.imag(spectrum) ** 2
    raw = xp.fft.irfft(xp.astype(power, spectrum.dtype), n=size)[:count]
    pairs = xp.astype(xp.arange(count, 0, -1), x.dtype)
    at = np.asarray(raw / pairs)
    if not at[0] > 0.0:
        return Period(0.0, 0.0)
    at = at / at[0]
    head = at[: min(longest, count // 3) + 2]
    peaks = np.flatnonzero((head[1:-1] > head[:-2]) & (head[1:-1] >= head[2:])) + 1
    peaks = peaks[peaks >= LEAST]
    best = float(head[peaks].max()) if len(peaks) else 0.0
    if best < STRONG:
        return Period(0.0, best)
    first = int(peaks[np.argmax(head[peaks] >= FIRST * best)])
    return Period(_refined(at, first), float(at[first]))


def _refined(at: Any, first: int) -> float:
    """Position of the peak at ``first``, and of those at its multiples, divided."""
    samples = _vertex(at, first)
    for multiple in (2, 4, 8):
        centre = round(samples * multiple)
        reach = max(int(samples * 0.15), 2)
        if centre + reach + 1 >= len(at) // 2:
            break
        place = centre - reach + int(np.argmax(at[centre - reach : centre + reach + 1]))
        edge = abs(place - centre) >= reach
        if edge or at[place] < HALF * at[first]:
            break
        samples = _vertex(at, place) / multiple
    return samples


def _vertex(at: Any, k: int) -> float:
    bend = at[k - 1] - 2 * at[k] + at[k + 1]
    return k + float(0.5 * (at[k - 1] - at[k + 1]) / bend) if bend < 0 else float(k)
