"""The statistic that opened an oscillation, once more: from the waveform, by other code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from replay.suite.drive import Run
from replay.suite.rows import Row, share_row
from replay.suite.scene import T0_NS
from replay.suite.sites import RACK_HZ
from schemas.events import SiteEvent, ToneTest
from schemas.units import NS_PER_S

__all__ = ["amplitude_w", "tone_ratios", "tone_rows"]

_RISE, _FALL = 0.25, 0.1
_EXACT = 0.98
"""Windows of 80 s and more are of a series made slower, by a filter that is flat to 1 %."""


def amplitude_w(samples_w: Any, rate_hz: float, freq_hz: float) -> float:
    """
    Amplitude at one frequency of a stretch of samples, zero to peak, W.

    As ``docs/operators.md`` says it: differences, a taper that rises over the oldest quarter and
    falls over the newest tenth, of sum 2; over what differencing leaves of an amplitude.
    """
    moved_w = np.diff(samples_w)
    place = (np.arange(len(moved_w)) + 0.5) / len(moved_w)
    flanks = np.minimum(np.minimum(place / _RISE, (1 - place) / _FALL), 1.0)
    taper = np.sin(0.5 * math.pi * flanks) ** 2
    turn = np.exp(-2j * math.pi * freq_hz / rate_hz * np.arange(len(moved_w)))
    size_w = abs(np.dot(moved_w * taper, turn)) * 2 / taper.sum()
    return float(size_w / (2 * math.sin(math.pi * freq_hz / rate_hz)))


def tone_ratios(run: Run, nodes: tuple[str, ...]) -> list[float]:
    """
    Of each oscillation that a single window opened: its amplitude then, over the threshold.

    Oscillations that only the sum over time has shown are left out, and so are lines that the
    ticks of `Run.node_w` do not show.
    """
    found = []
    for event in run.opened:
        test, limit_w = event.tone_test, event.threshold
        if test is None or limit_w is None or test.summed or test.node_id not in nodes:
            continue
        if test.freq_hz <= 0.45 * RACK_HZ:
            power_w = run.node_w[nodes.index(test.node_id)]
            found.append(_again_w(power_w, event, test) / limit_w)
    return found


def _again_w(power_w: Any, event: SiteEvent, test: ToneTest) -> float:
    end = (event.opened_ns - T0_NS) // (NS_PER_S // RACK_HZ)
    count = round(test.window_s * RACK_HZ)
    stretch_w = power_w[max(end - count - 1, 0) : end]
    return amplitude_w(stretch_w, RACK_HZ, test.freq_hz) / _tick_gain(test)


def _tick_gain(test: ToneTest) -> float:
    """What the mean over a tick leaves of an amplitude that faster metering saw in full."""
    per_tick = round(test.rate_hz / RACK_HZ)
    if per_tick <= 1:
        return 1.0
    half = math.pi * test.freq_hz / test.rate_hz
    return math.sin(per_tick * half) / (per_tick * math.sin(half))


def tone_rows(case: str, found: list[float]) -> list[Row]:
    """Share of the oscillations whose statistic, computed again, exceeds the threshold."""
    if not found:
        return []
    sure = sum(x > _EXACT for x in found)
    what = "oscillations whose statistic, recomputed, exceeds its threshold"
    return [share_row(case, what, (sure, len(found)), 1.0, note=f"least {min(found):.4f} of it")]
