"""Which lines of a spectrum are one oscillation: the same line, its harmonics, its skirts."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Tone", "belongs", "fundamental_of", "order_of", "same"]

HARMONICS = 10
SERIES = (
    *((1, k) for k in range(2, HARMONICS + 1)),
    *((k, k + 1) for k in range(2, 6)),
    *((k + 1, k) for k in range(2, 6)),
    (3, 5), (5, 3), (5, 7), (7, 5),
)  # fmt: skip
"""``p f = q f0``: harmonics of f0, neighbours in a series, neighbours in a series of odd ones."""
DRIFT = 0.02
"""Share of the frequency within which two lines are one: what iterations of 5 % jitter leave."""
OVERTONE = 1.5
"""A harmonic of order n has at most this over n times the fundamental's amplitude."""
BETWEEN = 0.35
"""Above a line anything below this over its order, whole or not, is what jitter makes of it."""
BELOW = 0.3
"""Below a line anything smaller than this share of it is what jitter makes of it."""
SKIRT_HZ, SKIRT = 0.4, 0.25
"""So near a line, anything below this share of it is its leakage."""


class Tone(NamedTuple):
    """A line: its frequency, how well that is known, and its amplitude, zero to peak."""

    freq_hz: float
    width_hz: float
    amplitude_w: float


def same(one: Tone, other: Tone) -> bool:
    """Both are one line."""
    near = one.width_hz + other.width_hz + DRIFT * other.freq_hz
    return abs(one.freq_hz - other.freq_hz) <= near


def order_of(one: Tone, base: Tone) -> int:
    """Order, 2 and up, of a harmonic of ``base``; 0 where it is none."""
    order = round(one.freq_hz / base.freq_hz)
    reach_hz = one.width_hz + order * (base.width_hz + DRIFT * base.freq_hz)
    reach_hz = min(reach_hz, 0.3 * base.freq_hz)
    if order < 2 or abs(one.freq_hz - order * base.freq_hz) > reach_hz:
        return 0
    return order


def belongs(one: Tone, base: Tone) -> bool:
    """Part of the oscillation ``base``: itself, of its series, or too small beside it to tell."""
    if same(one, base):
        return True
    order = order_of(one, base)
    if order and (order <= HARMONICS or one.amplitude_w * order <= OVERTONE * base.amplitude_w):
        return True
    ratio, share = one.freq_hz / base.freq_hz, one.amplitude_w / max(base.amplitude_w, 1e-300)
    if (ratio > 1 and share * ratio <= BETWEEN) or (ratio < 1 and share <= BELOW):
        return True
    if abs(one.freq_hz - base.freq_hz) <= SKIRT_HZ and share <= SKIRT:
        return True
    if order_of(base, one) and share <= OVERTONE:
        return True  # a subharmonic no larger than the line: alternate iterations differ
    return any(
        abs(p * one.freq_hz - q * base.freq_hz)
        <= p * one.width_hz + q * base.width_hz + DRIFT * p * one.freq_hz
        and min(ratio, 1 / ratio) > 0.3
        for p, q in SERIES
        if p > 1
    )


def fundamental_of(lines: list[Any], found: Any) -> Any:
    """Of the suspect lines the lowest, as strong or stronger, that ``found`` is a harmonic of."""
    best = found
    for line in lines:
        if 2 <= order_of(found.tone, line.tone) <= 5 and line.amplitude_w >= found.amplitude_w:
            best = line if line.freq_hz < best.freq_hz else best
    return best
