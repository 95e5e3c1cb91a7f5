"""Ramps beside oscillations: what was one of its swings, and what moved the mean over a period."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pipeline.layout import SiteLayout
from pipeline.ramp_record import DONE_SHARE, mean, settled_w
from pipeline.ramp_state import OpenOscillation, OpenRamp
from schemas.events import SiteEvent
from schemas.units import NS_PER_S

__all__ = ["SHIFT", "Shift", "of_one", "shift", "slowest_s", "were_first"]

SHIFT = 0.5
"""Beside an oscillation the mean over a period must move by so many amplitudes, and stay."""
FIRST_SWINGS, FIRST_SWINGS_S = 16.0, 30.0
"""So many periods, or seconds, before an oscillation opens its first swings may have begun."""
SWING = 3.0
"""A ramp no deeper than this many amplitudes was a swing of the oscillation."""
LEVEL = 1.25
"""But not where the mean over any period since moved by more than so many amplitudes."""
BACK = 0.5
"""What has come back to this share of its depth swings; what has not may be a rise that goes on."""
SWUNG = 0.25
"""And one of which no more than this share is left when it closes beside an oscillation."""


def were_first(ramps: list[OpenRamp], into: SiteEvent, time_ns: int, per_s: int) -> list[OpenRamp]:
    """Those of the open ramps that were the first swings of an oscillation which has now opened."""
    freq_hz = into.freq_hz or math.inf
    recent_ns = max(FIRST_SWINGS_S, FIRST_SWINGS / freq_hz) * NS_PER_S
    period = max(round(per_s / freq_hz), 1)
    recent = (ramp for ramp in ramps if time_ns - ramp.onset_ns <= recent_ns)
    return [ramp for ramp in recent if _was_first(ramp, into.amplitude_w or 0.0, period)]


def _was_first(ramp: OpenRamp, amplitude_w: float, period: int) -> bool:
    """It swings on as far as it went, about a level near by: never away for a whole period."""
    after_w = np.array(ramp.path_w[ramp.onset_tick :])
    if len(after_w) < period:
        return ramp.depth_w <= SWING * amplitude_w
    there = int(np.argmax(after_w >= DONE_SHARE * ramp.depth_w))
    if after_w[there:].min() <= BACK * ramp.depth_w:
        swing_w = float(np.ptp(after_w[-period:]))  # a spectrum's window may hold what was before
        amplitude_w = max(amplitude_w, min(swing_w, ramp.depth_w) / 2)
    sums_w = np.add.accumulate(np.concatenate([[0.0], after_w]))
    level_w = float((sums_w[period:] - sums_w[:-period]).max()) / period
    return ramp.depth_w <= SWING * amplitude_w and level_w <= LEVEL * amplitude_w


def of_one(layout: SiteLayout, ramp: OpenRamp, oscillations: list[OpenOscillation]) -> str | None:
    """The oscillation a ramp was a swing of: of its depth little is left."""
    if not oscillations or settled_w(layout, ramp)[0] > SWUNG * ramp.depth_w:
        return None
    return max(oscillations, key=lambda o: o.amplitude_w).event_id


def slowest_s(oscillations: list[OpenOscillation]) -> float:
    """The longest of their periods; 0 where there are none."""
    return max((1 / o.freq_hz for o in oscillations), default=0.0)


class Shift(NamedTuple):
    """A lasting shift of the mean over a period."""

    period: int
    """Ticks"""
    path_w: Any
    """The node's way over three periods, from the mean of the first; (time,) W."""
    depth_w: float
    amplitudes: float
    """What has stayed of it, over the amplitude beside it."""


def shift(
    way_w: Any, oscillations: list[OpenOscillation], per_s: int, floors_w: tuple[float, float]
) -> Shift | None:
    """
    Beside open oscillations, only a lasting shift of the mean over a period is a ramp.

    The period is the slowest one's, at most a third of ``way_w``, the node's way in the ramp's
    direction; (time,) W up to now. The ramp is counted from the mean of the period before. It is a
    ramp from the first of ``floors_w`` on, and from the second over the root of its ticks.
    """
    period = max(round(slowest_s(oscillations) * per_s), 1)
    period = min(period, len(way_w) // 3)
    way_w = way_w[-3 * period :]
    first, second, third = (mean(way_w[k * period : (k + 1) * period]) for k in range(3))
    shift_w = min(second, third) - first
    swing_w = float(np.ptp(way_w[:period])) / 2  # it may have more than one line
    swing_w = max(swing_w, *(o.amplitude_w for o in oscillations))
    if not shift_w >= max(SHIFT * swing_w, floors_w[0], floors_w[1] / period**0.5):
        return None
    return Shift(period, way_w - first, third - first, shift_w / swing_w)
