"""Is a line an oscillation: steady, not over, no echo of another, no step of a slower swing."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from operators import oscillations
from pipeline.engine_state import ArrayDevice
from pipeline.lines import OVERTONE, Tone, belongs
from pipeline.oscillation_parts import Parts
from pipeline.oscillation_state import NEWEST, Feed, Line, Look, Looks, OscillationTrack
from schemas.units import NS_PER_S

__all__ = ["ECHO_S", "NOTHING", "LineJudge"]

STEADY = 0.3
"""Every part of the window must show at least this share of the whole window's amplitude."""
DOUBT, PART_ERROR = 0.5, 2.4
"""
Less in noise: so many standard errors of a part's amplitude, each `PART_ERROR` times that of the
whole window's (a part has 0.27 of its samples, under a Hann taper).
"""
STILL = 0.5
"""And when it opens its newest part at least this share."""
SWEEP = 3
"""
Periods within which a movement is no slow one: as a step of that size it may be what makes a line,
and with steps of its own at any frequency.
"""
CLEAR, NOTHING = 6.0, 2.0
"""
Standard errors of the usual amplitude from which the newest periods tell whether it goes on (more
of them are taken until they do, up to its window), and below which nothing is seen in them.
"""
SLOWER, SWELL = 1.4, 8.0
"""
From this ratio of frequencies on, a slower swing can be what makes a faster line, with what it is
more than noise like that under the line: the largest of many bins has `SWELL` times its power.
"""
ECHO_S, ECHO = 60, 0.4
"""So long after an event has closed its line is its echo, below this share of its amplitude."""


class Newest(NamedTuple):
    """What the newest samples show of a line: amplitude, its error, over how long."""

    amplitude_w: float
    error_w: float
    span_s: float


class LineJudge:
    """Judges the lines of a site by their samples."""

    def __init__(self, feeds: tuple[Feed, ...], parts: Parts, device: ArrayDevice) -> None:
        self._feeds, self._parts, self._device = feeds, parts, device
        self._widths_hz = [[bank.plan.design.width_hz for bank in feed.banks] for feed in feeds]
        self._rising = [
            [np.argsort(bank.plan.design.freq_hz, kind="stable") for bank in feed.banks]
            for feed in feeds
        ]

    def unshadowed(self, lines: list[Line], looks: Looks) -> list[Line]:
        """Lines that no slower movement of the same row, with steps in it, would explain."""
        reaches: dict[tuple[int, int, int], tuple[Any, Any]] = {}
        rates_hz = [self._feeds[line.feed].banks[line.bank].rate_hz for line in lines]
        turns = np.array([line.freq_hz for line in lines]) / np.array(rates_hz)
        folded = np.sinc(turns)  # a step between two samples is sharper than it is
        return [
            line
            for line, least_w in zip(
                lines, folded * [line.amplitude_w for line in lines], strict=True
            )
            if not self._shadowed(line, float(least_w), looks, reaches)
        ]

    def _shadowed(
        self,
        line: Line,
        least_w: float,
        looks: Looks,
        reaches: dict[tuple[int, int, int], tuple[Any, Any]],
    ) -> bool:
        for look in looks.due:
            if look.feed != line.feed:
                continue
            rising = self._rising[look.feed][look.bank]
            at = (look.feed, look.bank, line.row)
            if at not in reaches:
                freq_hz = self._feeds[look.feed].banks[look.bank].plan.design.freq_hz[rising]
                reaches[at] = (freq_hz, look.amplitude_w[line.row, rising] * freq_hz)
            freq_hz, reach_w = reaches[at]
            slower = int(np.searchsorted(freq_hz, line.freq_hz / SLOWER))
            near = np.flatnonzero(reach_w[:slower] / line.freq_hz * OVERTONE >= least_w)
            if len(near):  # with the noise under it; without these no other bin reaches as far
                bins = rising[near]
                noise_w2 = SWELL * self._noise_w2(line, look, bins)
                plain_w2 = look.amplitude_w[line.row, bins] ** 2 - noise_w2
                reach_w = np.sqrt(np.maximum(plain_w2, 0.0)) * freq_hz[near]
                if (reach_w / line.freq_hz * OVERTONE >= least_w).any():
                    return True
        return False

    def echo(self, track: OscillationTrack, line: Line, looks: Looks, time_ns: int) -> bool:
        """What an event that has just closed leaves in long windows, or goes on with, faintly."""
        past = [p for p in track.past if belongs(line.tone, Tone(*p[:3]))]
        if not past:
            return False
        at = (looks, line.feed, line.row, line.freq_hz)
        level_w = ECHO * max(p.amplitude_w for p in past)
        since_s = (time_ns - max(p.closed_ns for p in past)) / NS_PER_S
        found = self.newest(at, level_w, 2 / line.freq_hz, min(since_s, line.window_s))
        return found.amplitude_w < level_w + NOTHING * found.error_w

    def lasts(self, line: Line, looks: Looks) -> bool:
        """In every part of its window, and in the newest two periods: no step, no dip, not over."""
        rows, summed = list(line.voters or (line.row,)), line.now < 1
        x, v, rate_hz = looks.window(line.feed, rows, line.window_s)
        freq_hz = self._device.upload(np.full(len(rows), line.freq_hz))
        shares = oscillations.steadiness(x, v, freq_hz, rate_hz=rate_hz)
        share = float(np.median(self._device.download(shares)))
        if share < STEADY - (self._doubt(line) if summed else 0.0):
            return False
        if self._swept(line, self._device.download(x)[0], rate_hz):
            return False
        at = (looks, line.feed, line.row, line.freq_hz)
        whole_w, _ = self._parts.amplitude(*at, line.window_s)
        if summed and whole_w < STILL * line.amplitude_w:
            return False  # what a step leaves in a spectrum, not a line
        found = self.newest(at, whole_w, line.newest_s, NEWEST * line.window_s)
        return found.amplitude_w >= STILL * whole_w

    def _swept(self, line: Line, way_w: Any, rate_hz: float) -> bool:
        """A step as large as the level moved within some periods would make such a line."""
        period = max(round(rate_hz / line.freq_hz), 1)
        sums_w = np.add.accumulate(way_w)
        level_w = (sums_w[period:] - sums_w[:-period]) / period
        step_w = np.abs(level_w[SWEEP * period :] - level_w[: -SWEEP * period]).max(initial=0.0)
        leaks = 1 / (math.pi * oscillations.FLAT_MASS * line.freq_hz * line.window_s)
        return bool(line.amplitude_w <= leaks * step_w)

    def _doubt(self, line: Line) -> float:
        """Part of a part's amplitude that is noise, where the line is hardly more than that."""
        return DOUBT * PART_ERROR / math.sqrt(2 * self._ratio(line))

    def _ratio(self, line: Line) -> float:
        """Power of the line over its noise."""
        design = self._feeds[line.feed].banks[line.bank].plan.design
        return max(-math.log(design.pfa) * line.now, 1e-9)

    def _noise_w2(self, line: Line, look: Look, bins: Any) -> Any:
        """
        Squared amplitude of noise like that under the line, in some bins; 0 where it is no larger
        than there and the line stands out by itself.
        """
        shorter = line.window_s * self._widths_hz[look.feed][look.bank][bins]
        matters = (shorter > 1.01) | (line.now < 1)
        return np.where(matters, shorter * (line.amplitude_w**2 / self._ratio(line)), 0.0)

    def newest(
        self, at: tuple[Looks, int, int, float], level_w: float, span_s: float, most_s: float
    ) -> Newest:
        """
        Amplitude over the newest span that can tell ``level_w`` from noise, at most ``most_s``.

        No longer than the series that show this frequency: in a slower one it is not there.
        """
        most_s = min(most_s, self._feeds[at[1]].longest_s(at[3]))
        found = self._parts.amplitude(*at, span_s)
        while level_w < CLEAR * found[1] and span_s < most_s:
            span_s = min(2 * span_s, most_s)
            found = self._parts.amplitude(*at, span_s)
        return Newest(*found, span_s)
