"""Layout of the periodograms of one sample rate: host values, made once."""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from . import _check, budget

__all__ = ["Look", "OscillationDesign", "design", "hann"]

LEAST_CYCLES = 6
"""Fewest cycles in a window. With fewer a single dip with slow edges (a checkpoint) is a line."""
HIGHEST_HZ = 55.0
FAST = ((2.5, HIGHEST_HZ), (6.0, HIGHEST_HZ), (8.0, HIGHEST_HZ), (10.0, HIGHEST_HZ))
PAD = 2
"""Spectra are sampled twice as densely as they are long: a line loses 0.35 dB at most."""
NARROW, WIDE = 4, 32
"""Bins to either side over which the past, and the present, are smoothed."""
RISE, FALL = 0.25, 0.1
"""Shares of a window over which its taper rises, at the oldest, and falls, at the newest sample."""
FLAT_MASS = 1 - (RISE + FALL) / 2
"""Mean of the taper; a line in the newest u of a window shows (u - FALL / 2) / FLAT_MASS."""
BLOCK = 8
"""Bins that share one wide neighbourhood."""
GUARD = 2 * NARROW
"""Bins below the first that are computed for their neighbours' sake and not tested; half above."""
EULER = 0.5772156649015329
WARM = 32.0
"""Independent values the noise must rest on before the sums start."""
LINE_SIZE = 5.0
"""
Line over noise for which the cumulative sum is the likelihood ratio. Weaker lines are stronger in
a window four times as long, stronger ones are found by a single window.
"""
SINGLE, SUMS = 0.75, 0.25
"""
Shares of the budget of the single window and of the sum over time. The sum gets less: its noise is
not exactly known, and what is wrong with it adds up (simulated: 3 times too many at 2.5 s).
"""


class Look(NamedTuple):
    """One window length; host values."""

    samples: int
    taper: Any
    """Of sum 2; (samples,)."""
    first: int
    last: int
    """Bins of the padded spectrum, from ``first`` up to ``last``, exclusive."""
    place: slice
    """Where they stand among all bins of the design."""


class Neighbours(NamedTuple):
    """Bins around each block of bins, without their own main lobe; host values, (block,) each."""

    low: Any
    inner_low: Any
    inner_high: Any
    high: Any
    weight: Any
    """1 / their number."""
    offset: Any
    """From their mean logarithm to that of the least power they make likely."""
    block_of: Any
    """Block of each bin; (bin,) int64."""


class OscillationDesign(NamedTuple):
    """Everything about the periodograms of one hop that does not change; host values."""

    rate_hz: float
    window: int
    """Samples of the longest window."""
    hop: int
    """Samples between looks."""
    looks: tuple[Look, ...]
    freq_hz: Any
    """Frequencies of all windows' bins, one window after another; (bin,)."""
    tested: Any
    """False for guard bins; (bin,) bool. Their excess is 0."""
    look_of: Any
    """Which window a bin is of; (bin,) int64."""
    gain: Any
    """From a differenced amplitude back to power, ``1 / (2 sin(pi f / rate))``; (bin,)."""
    narrow: tuple[Any, Any, Any]
    """First and last-plus-one bin of the near neighbourhood, and 1 / its size; (bin,) each."""
    wide: Neighbours
    pfa: float
    """Chance of a false alarm per bin and look, both statistics together."""
    memory: Any
    """Looks over which each window's past is averaged; (window,) float."""
    bars: Any
    """
    By looks learned: 1 / threshold over smooth noise, over a line's own past, and of a vote; 1
    where the cumulative sums may rest on it; (window, 1 + most looks, 4).
    """
    drift: tuple[Any, Any]
    """What a look adds to the cumulative sum: factor of the ratio, and offset; (bin,) each."""
    height: float
    """Threshold of the cumulative sum."""

    @property
    def width_hz(self) -> Any:
        """1 / length of each bin's window; (bin,)."""
        return np.array([self.rate_hz / look.samples for look in self.looks])[self.look_of]

    @property
    def rises(self) -> float:
        """Share of a window's threshold from which it adds to its sum: one that falls is old."""
        return (1 + LINE_SIZE) / LINE_SIZE * math.log1p(LINE_SIZE) / -math.log(self.pfa)


def hann(length: int) -> Any:
    """Periodic Hann of sum 2 around the middle; (length,)."""
    taper = 0.5 - 0.5 * np.cos(2 * math.pi * (np.arange(length) + 0.5) / length)
    return taper * (2 / taper.sum())


def _taper(length: int) -> Any:
    """
    Flat with cosine flanks, of sum 2; (length,).

    Costs 0.6 dB of a line where Hann costs 1.8 dB, and hears the newest sample: with Hann a
    line needs the better part of a window before it is seen at all.
    """
    place = (np.arange(length) + 0.5) / length
    rise = np.clip(place / RISE, 0, 1)
    fall = np.clip((1 - place) / FALL, 0, 1)
    taper = (0.5 - 0.5 * np.cos(math.pi * rise)) * (0.5 - 0.5 * np.cos(math.pi * fall))
    return taper * (2 / taper.sum())


def _overlap(taper: Any, lag: int) -> float:
    """Correlation of the power of two windows ``lag`` samples apart, in white noise."""
    both = float(np.dot(taper[lag:], taper[: len(taper) - lag])) if lag < len(taper) else 0.0
    return (both / float(np.dot(taper, taper))) ** 2


def _independent(correlation: Any, most: int) -> Any:
    """Independent values in the mean of n = 0 … ``most`` equally spaced ones; (1 + most,)."""
    rho = np.zeros(most + 1)
    rho[: min(len(correlation), most + 1)] = correlation[: most + 1]
    counts = np.arange(1, most + 1)
    # n + 2 sum over lags of (n - lag) rho
    lags = np.arange(1, most + 1)
    tail = np.cumsum(rho[1:])
    weighted = np.cumsum(lags * rho[1:])
    inner = np.concatenate([[0.0], counts[1:] * tail[: most - 1] - weighted[: most - 1]])
    return np.concatenate([[0.0], counts**2 / (counts + 2 * inner)])


def _across(taper: Any) -> float:
    """Independent values in the mean of ``2 NARROW + 1`` neighbouring padded bins."""
    n = len(taper)
    turn = np.exp(-2j * math.pi / (PAD * n) * np.arange(2 * NARROW + 1)[:, None] * np.arange(n))
    rho = np.abs(turn @ (taper**2)) ** 2 / float(np.dot(taper, taper)) ** 2
    return float(_independent(rho, 2 * NARROW + 1)[-1])


def _near(places: list[slice]) -> tuple[Any, Any, Any]:
    """`NARROW` bins to either side, fewer where the window's bins end, the same number on both."""
    first, last = [], []
    for place in places:
        bins = np.arange(place.start, place.stop)
        reach = np.minimum(np.minimum(bins - place.start, place.stop - 1 - bins), NARROW)
        first.append(bins - reach)
        last.append(bins + reach + 1)
    low, high = np.concatenate(first), np.concatenate(last)
    return low, high, 1.0 / (high - low)


def _around(places: list[slice]) -> Neighbours:
    """`WIDE` bins to either side but for the line itself, as far as the window's bins go."""
    parts, anchor_of, anchors = [], [], 0
    for place in places:
        bins = np.arange(place.start, place.stop)
        middle = np.arange(place.start + BLOCK // 2, place.stop + BLOCK // 2, BLOCK)
        gap = NARROW + BLOCK // 2
        low, high = (np.clip(middle + k, place.start, place.stop) for k in (-WIDE, WIDE + 1))
        inner = [np.clip(middle + k, place.start, place.stop) for k in (-gap, gap + 1)]
        parts.append((low, inner[0], inner[1], high))
        anchor_of.append((bins - place.start) // BLOCK + anchors)
        anchors += len(middle)
    low, inner_low, inner_high, high = (np.concatenate(p) for p in zip(*parts, strict=True))
    count = (high - low) - (inner_high - inner_low)
    # the logarithm of an exponential has mean -0.577 and variance pi^2 / 6; half the bins count
    doubt = np.sqrt(math.pi**2 / 6 / np.maximum(count / PAD, 0.5))
    offset = np.where(count >= 8, EULER - doubt, -np.inf)
    weight = 1.0 / np.maximum(count, 1)
    edges = (low, inner_low, inner_high, high)
    return Neighbours(*edges, weight, offset, np.concatenate(anchor_of))


def _looks(rate: float, windows: Sequence[tuple[float, float]]) -> list[Look]:
    """Bins of each window: from `LEAST_CYCLES` cycles up."""
    looks, start = [], 0
    for window_s, highest_hz in windows:
        samples = round(window_s * rate)
        width_hz = rate / (PAD * samples)
        low_hz = LEAST_CYCLES * rate / samples
        first = math.ceil(low_hz / width_hz - 1e-6) - GUARD
        last = math.floor(min(HIGHEST_HZ, 0.45 * rate, highest_hz) / width_hz + 1e-6) + 1
        last = min(last + GUARD // 2, samples + 1)
        if last - first < GUARD + GUARD // 2 + 8:
            continue
        place = slice(start, start + last - first)
        looks.append(Look(samples, _taper(samples), first, last, place))
        start = place.stop
    return looks


@functools.lru_cache(maxsize=64)
def design(
    rate_hz: float | Fraction,
    *,
    windows: tuple[tuple[float, float], ...] = FAST,
    hop_s: float = 1.0,
    pfa: float = 1e-9,
    vote: float = 1e-4,
) -> OscillationDesign:
    """
    Lay out the periodograms for one sample rate and hop, on the host; once a process.

    Parameters
    ----------
    rate_hz : float or Fraction
        Sample rate; 2 Hz or more.
    windows : tuple of (float, float)
        Lengths looked at, in s, and up to which frequency, in Hz. A window's frequencies begin
        at 6 cycles and end at ``min(55, 0.45 rate)`` Hz; one with fewer than 8 is left out.
    hop_s : float
        Length moved, in s.
    pfa : float
        Chance of a false alarm per bin and look, from `budget.exceedance`.
    vote : float
        Chance of a vote per bin and look, from `budget.votes_exceedance`.
    """
    rate = float(rate_hz)
    hop = round(hop_s * rate)
    _check.positive(hop, name="hop_s * rate_hz")
    looks = _looks(rate, windows)
    if not looks:
        msg = f"rate_hz is {rate} and windows {windows}: fewer than 8 bins; use longer ones"
        raise ValueError(msg)
    freq_hz = np.concatenate(
        [np.arange(k.first, k.last) * (rate / (PAD * k.samples)) for k in looks]
    )
    look_of = np.concatenate([np.full(k.last - k.first, n) for n, k in enumerate(looks)])
    tested = np.concatenate([_tested(k.last - k.first) for k in looks])
    places = [k.place for k in looks]
    memory, bars = _thresholds(looks, hop, rate, (pfa, vote))
    # two looks half a window apart are all but independent; closer ones count for less
    weight = np.array([min(2 * hop / k.samples, 1.0) for k in looks])[look_of]
    drift = (weight * LINE_SIZE / (1 + LINE_SIZE), weight * math.log1p(LINE_SIZE))
    return OscillationDesign(
        rate, looks[-1].samples, hop, tuple(looks), freq_hz, tested, look_of,
        1 / (2 * np.sin(math.pi * np.maximum(freq_hz, 1e-6) / rate)),
        _near(places), _around(places),
        pfa, memory, bars, drift,
        budget.log_likelihood_threshold(SUMS * pfa),
    )  # fmt: skip


def _tested(bins: int) -> Any:
    place = np.arange(bins)
    return (place >= GUARD) & (place < bins - GUARD // 2)


def _thresholds(
    looks: list[Look], hop: int, rate: float, chances: tuple[float, float]
) -> tuple[Any, Any]:
    """Memory in looks (600 s or 12 windows), and thresholds by looks learned."""
    memory = np.array([max(600 * rate, 12 * k.samples) / hop for k in looks]).round()
    most = int(memory.max())
    bars = np.zeros((len(looks), most + 1, 4))
    pfa, vote = chances
    for n, look in enumerate(looks):
        lags = range(0, look.samples, hop)
        rho = np.array([_overlap(look.taper, lag) for lag in lags])
        alone = _independent(rho, most)
        smooth = alone * _across(look.taper)
        full = int(memory[n])
        each = (np.maximum(k[1 : full + 1], 1.0).tolist() for k in (smooth, alone))
        for m, (k_smooth, k_alone) in enumerate(zip(*each, strict=True), 1):
            bars[n, m] = (
                1 / budget.exponential_threshold(SINGLE * pfa, k_smooth),
                1 / budget.exponential_threshold(SINGLE * pfa, k_alone),
                1 / budget.exponential_threshold(vote, k_smooth),
                k_smooth >= WARM,
            )
        bars[n, full + 1 :] = bars[n, full]
    return memory, bars
