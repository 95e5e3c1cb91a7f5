"""What is known of an open oscillation: frequency, parts, phases, damping, unison; its record."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from operators import budget, damping, tones, unison
from pipeline.detect import DetectSettings
from pipeline.engine_state import ArrayDevice
from pipeline.layout import SiteLayout
from pipeline.oscillation_record import FORCED_HARMONIC
from pipeline.oscillation_state import Feed, Looks, OpenTone
from schemas.events import Contributor, Harmonic

__all__ = ["PLAIN", "Parts"]

CYCLES, FEW_CYCLES, PLAIN = 8.0, 3.0, 80.0
"""
Periods over which an oscillation is measured; for amplitudes fewer, where they stand out by so
many standard errors (a peak may be short); `NOISY_S` where 8 do not by a quarter of that.
"""
SHORTEST_S, SETTLED_S, LONGEST_S, NOISY_S = 2.5, 10.0, 160.0, 20.0
MAX_CONTRIBUTORS = 256
CLEAR = 4.0
"""Thresholds from which a line is so clear that some periods of it tell its frequency."""
SEEN = 4.0
"""Standard errors from which a channel takes part."""
OWN = 0.5
"""Share of what the spectrum shows that its measurement must show, to be one."""
FILLED = 0.8
"""Measured anew, it must show this share of its amplitude: it may be over."""
HARMONICS = 10
SURE = 3.0
"""Standard errors from which growth or decay is told."""
SNAPSHOTS = 8
COMMON = 0.25
"""Of the greatest part in the common motion: what takes part in it at least."""
GAP_RAD = 0.8
"""A gap this wide between phases parts two groups."""


class Parts:
    """Measures open oscillations of one site."""

    def __init__(
        self, layout: SiteLayout, detect: DetectSettings, feeds: tuple[Feed, ...],
        device: ArrayDevice,
    ) -> None:  # fmt: skip
        self._layout, self._detect, self._feeds = layout, detect, feeds
        self._device, self._kernels = device, device.kernels()

    def amplitude(
        self, looks: Looks, feed: int, row: int, freq_hz: float, span_s: float
    ) -> tuple[float, float]:
        """Amplitude of one row over its newest ``span_s``, and its standard error, W."""
        x, _, rate_hz = looks.window(feed, [row], span_s)
        at = self._device.upload(np.array([freq_hz]))
        found_w, _, error_w = tones.amplitude(x[:, 1:], at, rate_hz=rate_hz)
        gain = float(self._feeds[feed].sensors[row].correction(freq_hz))
        home = self._device.download
        return float(home(found_w)[0]) * gain, float(home(error_w)[0]) * gain

    def measure(self, tone: OpenTone, looks: Looks, *, anew: bool = False) -> None:
        """Frequency where it is largest, then everybody's part; kept if larger, or ``anew``."""
        long_s = min(max(CYCLES / tone.now_hz, SETTLED_S if anew else SHORTEST_S), LONGEST_S)
        freq_hz = self._frequency(tone, looks, long_s)
        span_s, error_w = self._span_s(tone, looks, freq_hz, long_s)
        parts, by_node, best = self._everybody(looks, freq_hz, span_s)
        doubt_w = error_w if best[0] < PLAIN / 4 * error_w else 0.0
        least_w = FILLED * tone.amplitude_w if anew else tone.amplitude_w + doubt_w
        if tone.amplitude_w > 0 and best[0] <= least_w:
            if anew and best[0] >= OWN * tone.amplitude_w:
                tone.freq_hz = freq_hz
            return  # the largest of many noisy measurements is too large
        plain = best[0] >= OWN * tone.now_w  # else the row itself is too restless to be measured
        tone.freq_hz, tone.amplitude_w = freq_hz, best[0] if plain else tone.now_w
        if plain:
            tone.feed, tone.row, tone.node = best[1], best[2], self._holder(by_node)
        self.growth(tone, looks)
        self._together(tone, looks, long_s, parts)
        parts.sort(key=lambda part: (-part.amplitude_w, part.channel_id))
        tone.contributors = tuple(parts[:MAX_CONTRIBUTORS])
        tone.harmonics = self._harmonics(tone, looks, span_s) or tone.harmonics

    def _frequency(self, tone: OpenTone, looks: Looks, span_s: float) -> float:
        """Over some periods, or in noise over the window that shows it; Hz."""
        near_hz = np.zeros(1)
        if tone.clear < CLEAR:
            shown_s = self._feeds[tone.feed].longest_s(tone.now_hz)
            span_s = max(span_s, min(tone.reach_s, LONGEST_S, shown_s))
            reach = round(2 * span_s / tone.window_s)  # half bins within one of the window's
            near_hz = np.arange(-reach, reach + 1) / (2 * span_s)
        x, _, rate_hz = looks.window(tone.feed, [tone.row], span_s)
        guess = self._device.upload(np.array([tone.now_hz]))
        if len(near_hz) > 1:
            guesses = self._device.upload(tone.now_hz + near_hz)
            each = self._device.upload(np.zeros(len(near_hz), np.int64))
            found_w, *_rest = tones.amplitude(x[each, 1:], guesses, rate_hz=rate_hz)
            best = int(np.argmax(self._device.download(found_w)))
            guess = guesses[best : best + 1]
        found, *_rest = tones.tone(x[:, 1:], guess, rate_hz=rate_hz)
        return float(self._device.download(found)[0])

    def overtones(self, tone: OpenTone, looks: Looks) -> None:
        """Its harmonics, looked for once more."""
        tone.harmonics = self._harmonics(tone, looks, FEW_CYCLES / tone.freq_hz)

    def _span_s(
        self, tone: OpenTone, looks: Looks, freq_hz: float, long_s: float
    ) -> tuple[float, float]:
        """The shortest span that tells the amplitude well, and its error there, W."""
        noisy_s = max(long_s, NOISY_S)
        for span_s, plain in ((FEW_CYCLES / freq_hz, PLAIN), (long_s, PLAIN / 4), (noisy_s, 0.0)):
            here_w, error_w = self.amplitude(looks, tone.feed, tone.row, freq_hz, span_s)
            if here_w >= plain * error_w:
                break
        return span_s, error_w

    def _everybody(
        self, looks: Looks, freq_hz: float, span_s: float
    ) -> tuple[list[Contributor], dict[int, float], tuple[float, int, int]]:
        """Parts of the channels, amplitude by node, and the largest: amplitude, feed, row."""
        parts: list[Contributor] = []
        by_node: dict[int, float] = {}
        best = (0.0, 0, 0)
        for number, feed in enumerate(self._feeds):
            rows = list(range(len(feed.nodes)))
            amplitude_w, phase_rad, seen = self._rows(looks, number, rows, freq_hz, span_s)
            for row in np.flatnonzero(seen):
                here_w, node, name = float(amplitude_w[row]), feed.nodes[row], feed.channel_ids[row]
                by_node[node] = max(by_node.get(node, 0.0), here_w)
                best = max(best, (here_w, number, int(row)))
                if name is not None:
                    parts.append(Contributor(name, here_w, float(phase_rad[row])))
        return parts, by_node, best

    def growth(self, tone: OpenTone, looks: Looks) -> None:
        """Growth or decay over the newest periods, where it is more than its error."""
        span_s = min(max(CYCLES / 2 / tone.freq_hz, SHORTEST_S), LONGEST_S)
        x, _, rate_hz = looks.window(tone.feed, [tone.row], span_s)
        guess = self._device.upload(np.array([tone.freq_hz]))
        found = damping.damped(x[:, 1:], guess, rate_hz=rate_hz)
        _, growth, _, error = (float(self._device.download(a)[0]) for a in found)
        if abs(growth) <= SURE * error:
            return
        tone.growth_per_s = growth
        tone.damping_ratio = -growth / math.hypot(growth, 2 * math.pi * tone.freq_hz)

    def _rows(
        self, looks: Looks, number: int, rows: list[int], freq_hz: float, span_s: float
    ) -> tuple[Any, Any, Any]:
        """Amplitude, phase and whether it takes part, of some rows of a feed, at one frequency."""
        x, _, rate_hz = looks.window(number, rows, span_s)
        at = self._device.upload(np.full(len(rows), freq_hz))
        found = tones.amplitude(x[:, 1:], at, rate_hz=rate_hz)
        amplitude_w, phase_rad, error_w = (self._device.download(a) for a in found)
        sensors = self._feeds[number].sensors
        gain = np.array([float(sensors[row].correction(freq_hz)) for row in rows])
        return amplitude_w * gain, phase_rad, amplitude_w >= SEEN * error_w

    def _harmonics(self, tone: OpenTone, looks: Looks, span_s: float) -> tuple[Harmonic, ...]:
        """Multiples of the frequency that stand clear of the residuals where it is strongest."""
        x, _, rate_hz = looks.window(tone.feed, [tone.row], span_s)
        orders = [n for n in range(2, HARMONICS + 1) if n * tone.freq_hz <= 0.45 * rate_hz]
        if not orders:
            return ()
        freq_hz = np.array(orders) * tone.freq_hz
        same = self._device.upload(np.zeros(len(orders), np.int64))
        x = x[same, 1:] if len(orders) > 1 else x[:, 1:]
        found = tones.amplitude(x, self._device.upload(freq_hz), rate_hz=rate_hz)
        amplitude_w, _, _ = (self._device.download(a) for a in found)
        quarter = tones.amplitude(
            x, self._device.upload(freq_hz + 0.5 * tone.freq_hz), rate_hz=rate_hz
        )
        between_w = self._device.download(quarter[0])
        gain = self._feeds[tone.feed].sensors[tone.row].correction(freq_hz)
        clear = (amplitude_w >= SEEN * between_w) & (
            amplitude_w >= FORCED_HARMONIC / 2 * tone.amplitude_w
        )
        return tuple(
            Harmonic(order, float(size))
            for order, size, ok in zip(orders, amplitude_w * gain, clear, strict=True)
            if ok
        )

    def _together(
        self, tone: OpenTone, looks: Looks, span_s: float, parts: list[Contributor]
    ) -> None:
        """Unison of the leaves: order parameter, who takes part, groups of phases."""
        leaves = self._leaf_window(looks, span_s)
        if leaves is None:
            return
        x, rate_hz, told = leaves
        if x.shape[0] < self._detect.votes_least or x.shape[1] < 2 * SNAPSHOTS:
            return
        home = self._device.download
        at = self._device.upload(np.full(x.shape[0], tone.freq_hz))
        found = tones.amplitude(x, at, rate_hz=rate_hz)
        amplitude_w, phase_rad, error_w = (home(a) for a in found)
        seen = np.flatnonzero(amplitude_w >= SEEN * error_w)
        count = min(SNAPSHOTS, max(int(x.shape[1] / rate_hz * tone.freq_hz / 1.5), 1))
        if count >= 4:
            z = self._kernels.snapshots(x, tone.freq_hz, rate_hz=rate_hz, count=count)
            value, weight, _ = (home(a) for a in self._kernels.leading(z))
            pfa = budget.share(self._detect.false_alarms_per_day, "synchrony") / budget.DAY_S
            if float(value) >= budget.tracy_widom_threshold(pfa, x.shape[0], count):
                seen = np.flatnonzero(weight >= COMMON * weight.max())
        tone.unison, tone.groups = None, ()
        if len(seen) < self._detect.votes_least:
            return
        tone.unison = float(
            home(
                unison.order(
                    self._device.upload(amplitude_w[seen]), self._device.upload(phase_rad[seen])
                )
            )
        )
        ids = [self._layout.channel_ids[self._layout.leaves[row]] for row in seen]
        self._grouped(tone, ids, phase_rad[seen])
        if not told:
            parts += [
                Contributor(name, float(amplitude_w[row]), float(phase_rad[row]))
                for name, row in zip(ids, seen, strict=True)
            ]

    def _leaf_window(self, looks: Looks, span_s: float) -> tuple[Any, float, bool] | None:
        """Newest samples of all leaves, and whether their parts are told by a feed already."""
        for number, feed in enumerate(self._feeds):
            if len(feed.leaves):
                x, _, rate_hz = looks.window(number, list(feed.leaves), span_s)
                return x[:, 1:], rate_hz, True
        found = looks.leaves(span_s)
        return None if found is None else (found[0], found[1], False)

    def _grouped(self, tone: OpenTone, ids: list[str], phase_rad: Any) -> None:
        number = self._device.download(
            unison.clusters(self._device.upload(phase_rad), least_gap_rad=GAP_RAD)
        )
        groups = [
            tuple(name for name, n in zip(ids, number, strict=True) if n == k)
            for k in range(int(number.max()) + 1)
        ]
        groups = sorted((g for g in groups if len(g) >= 2), key=lambda g: (-len(g), g))
        tone.groups = tuple(groups) if 2 <= len(groups) <= 8 else ()

    def _holder(self, by_node: dict[int, float]) -> int:
        """The lowest node that holds at least 90 % of what swings."""
        layout = self._layout
        node = layout.ancestor(sorted(by_node))
        if node not in by_node:
            return node
        while True:
            need_w = self._detect.hold_share * by_node[node]
            below = [c for c in layout.nodes[node].children if by_node.get(c, 0.0) >= need_w]
            if not below:
                return node
            node = max(below, key=lambda c: by_node[c])
