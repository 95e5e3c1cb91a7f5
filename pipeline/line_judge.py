"""Is a line an oscillation: steady, not over, no echo of another, no step of a slower swing."""

from __future__ import annotations

import numpy as np

from operators import oscillations
from pipeline.engine_state import ArrayDevice
from pipeline.lines import OVERTONE, Tone, belongs
from pipeline.oscillation_parts import Parts
from pipeline.oscillation_state import NEWEST, Feed, Line, Looks, OscillationTrack
from schemas.units import NS_PER_S

__all__ = ["ECHO_S", "NOTHING", "LineJudge"]

STEADY = 0.3
"""Every part of the window must show at least this share of the whole window's amplitude."""
STILL = 0.5
"""And when it opens its newest part at least this share."""
CLEAR, NOTHING = 4.0, 2.0
"""
Standard errors of the usual amplitude from which the newest periods tell whether it goes on (more
of them are taken until they do, up to its window), and below which nothing is seen in them.
"""
SLOWER = 1.4
"""From this ratio of frequencies on, a slower swing can be what makes a faster line."""
ECHO_S, ECHO = 60, 0.4
"""So long after an event has closed its line is its echo, below this share of its amplitude."""


class LineJudge:
    """Judges the lines of a site by their samples."""

    def __init__(self, feeds: tuple[Feed, ...], parts: Parts, device: ArrayDevice) -> None:
        self._feeds, self._parts, self._device = feeds, parts, device

    def shadowed(self, line: Line, looks: Looks) -> bool:
        """A slower movement of the same row, with steps in it, would explain this line."""
        most_w, rate_hz = 0.0, self._feeds[line.feed].banks[line.bank].rate_hz
        for look in looks.due:
            if look.feed != line.feed:
                continue
            design = self._feeds[look.feed].banks[look.bank].plan.design
            slower = design.freq_hz < line.freq_hz / SLOWER
            if slower.any():
                reach_w = look.amplitude_w[line.row, slower] * design.freq_hz[slower]
                most_w = max(most_w, float(reach_w.max()) / line.freq_hz)
        folded = np.sinc(line.freq_hz / rate_hz)  # a step between two samples is sharper than it is
        return bool(most_w * OVERTONE >= line.amplitude_w * folded)

    def echo(self, track: OscillationTrack, line: Line, looks: Looks, time_ns: int) -> bool:
        """What an event that has just closed leaves in long windows, or goes on with, faintly."""
        past = [p for p in track.past if belongs(line.tone, Tone(*p[:3]))]
        if not past:
            return False
        at = (looks, line.feed, line.row, line.freq_hz)
        level_w = ECHO * max(p.amplitude_w for p in past)
        since_s = (time_ns - max(p.closed_ns for p in past)) / NS_PER_S
        newest_w, error_w = self.newest(at, level_w, 2 / line.freq_hz, min(since_s, line.window_s))
        return newest_w < level_w + NOTHING * error_w

    def lasts(self, line: Line, looks: Looks) -> bool:
        """In every part of its window, and in the newest two periods: no step, no dip, not over."""
        rows = [line.row]
        x, v, rate_hz = looks.window(line.feed, rows, line.window_s)
        freq_hz = self._device.upload(np.array([line.freq_hz]))
        share = oscillations.steadiness(x, v, freq_hz, rate_hz=rate_hz)
        if float(self._device.download(share)[0]) < STEADY:
            return False
        at = (looks, line.feed, line.row, line.freq_hz)
        whole_w, _ = self._parts.amplitude(*at, line.window_s)
        newest_w, _ = self.newest(at, whole_w, line.newest_s, NEWEST * line.window_s)
        return newest_w >= STILL * whole_w

    def newest(
        self, at: tuple[Looks, int, int, float], level_w: float, span_s: float, most_s: float
    ) -> tuple[float, float]:
        """Amplitude and its error over the newest span that can tell ``level_w`` from noise."""
        found = self._parts.amplitude(*at, span_s)
        while level_w < CLEAR * found[1] and span_s < most_s:
            span_s = min(2 * span_s, most_s)
            found = self._parts.amplitude(*at, span_s)
        return found
