"""From spectra to events: one event per fundamental and site, host side."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Look, OpenTone, OscillationTrack
from pipeline.ramp_record import peak_share
from pipeline.ramp_state import OpenOscillation
from schemas.events import Contributor, Quality, SiteEvent, event_id
from schemas.units import NS_PER_S

__all__ = ["OscillationEvents"]

HARMONICS = 10
SERIES = (
    (1, 1),
    *((1, k) for k in range(2, HARMONICS + 1)),
    *((k, 1) for k in range(2, HARMONICS + 1)),
    *((k, k + 1) for k in range(2, 5)),
    *((k + 1, k) for k in range(2, 5)),
)
"""p f = q f0: the same line, harmonics of f0, f0 a harmonic, neighbours in a series."""
DRIFT_HZ = 0.02
REACH_HZ = 0.075
"""Lines closer than a bin and a half of a 20 s window are one."""
OVERTONE = 1.5
"""A harmonic of order n has at most this over n times the fundamental's amplitude."""
SKIRT_HZ, SKIRT = 0.4, 0.25
"""So near a line, anything below this share of it is its leakage."""
MAX_CONTRIBUTORS = 256


class OscillationEvents:
    """Turns spectra into `SiteEvent` records for one site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, feeds: tuple[Feed, ...]) -> None:
        self._layout, self._detect, self._feeds = layout, detect, feeds
        self._bins = max((f.first_bin + len(f.freq_hz) for f in feeds), default=1)
        self._bin_hz = 1 / detect.oscillation_window_s
        self._reach = max(round(REACH_HZ / self._bin_hz + 0.5), 1)
        leaves = len(layout.leaves)
        self._votes = max(detect.votes_least, round(detect.votes_share * leaves))

    def start(self) -> OscillationTrack:
        """The memory before the first second."""
        return OscillationTrack(np.zeros(self._bins, np.int64))

    def open_now(self, track: OscillationTrack) -> list[OpenOscillation]:
        """What the ramp detector must know."""
        return [OpenOscillation(tone.now_hz, tone.now_w) for tone in track.open]

    def step(
        self, track: OscillationTrack, looks: dict[str, Look], reference_w: float, time_ns: int
    ) -> list[SiteEvent]:
        """Work off one grid second; ``track`` is the caller's own copy and moves on."""
        detect, strongest_w = self._detect, self._strongest(looks)
        suspect = self._suspect(looks, reference_w, detect.oscillation_on, detect.votes_on, 1.0)
        track.run = np.where(suspect, _widened(track.run, 1) + 1, 0)
        on, votes = detect.oscillation_on / 2, detect.votes_on / 2
        alive = self._suspect(looks, reference_w, on, votes, 0.5)
        events = [
            event
            for tone in track.open
            for event in self._follow(tone, looks, alive, strongest_w, time_ns)
        ]
        for tone in [t for t in track.open if t.missed_s >= detect.oscillation_close_s]:
            track.open.remove(tone)
            events.append(self._record(tone, "closed", time_ns))
        opened = 0
        while (found := self._fresh(track, suspect, strongest_w)) is not None:
            tone = self._begin(looks, found, strongest_w, time_ns, opened)
            opened += 1
            track.open.append(tone)
            events.append(self._record(tone, "open", time_ns))
        return events

    def finish(self, track: OscillationTrack, time_ns: int, quality: Quality) -> list[SiteEvent]:
        """Close what is open."""
        events = []
        for tone in track.open:
            tone.quality = quality
            events.append(self._record(tone, "closed", time_ns))
        track.open = []
        return events

    def _suspect(
        self, looks: dict[str, Look], reference_w: float, on: float, votes_on: float, size: float
    ) -> Any:
        """Bins where one row stands out, or where enough leaves do together (one bin aside)."""
        strong, count = np.zeros(self._bins, bool), np.zeros(self._bins, np.int64)
        sum_w = np.zeros(self._bins)
        floor_w = size * self._detect.oscillation_floor_share * reference_w
        for feed in self._feeds:
            look = looks[feed.name]
            at = slice(feed.first_bin, feed.first_bin + len(feed.freq_hz))
            strong[at] |= ((look.ratio >= on) & (look.amplitude_w >= floor_w)).any(axis=0)
            if feed.votes:
                voting = _widened((look.ratio >= votes_on).T, 1).T
                count[at] += voting.sum(axis=0)
                sum_w[at] += _sum_rows(np.where(voting, look.amplitude_w, 0.0))
        enough_w = size * self._detect.votes_floor_share * reference_w
        return strong | ((count >= self._votes) & (sum_w >= enough_w))

    def _strongest(self, looks: dict[str, Look]) -> Any:
        """Largest amplitude of any row by bin, (bin,) W."""
        best_w = np.zeros(self._bins)
        for feed in self._feeds:
            at = slice(feed.first_bin, feed.first_bin + len(feed.freq_hz))
            best_w[at] = np.maximum(best_w[at], looks[feed.name].amplitude_w.max(axis=0))
        return best_w

    def _related(self, freq_hz: float, tone_hz: float) -> bool:
        """The same line, a harmonic or fundamental of it, or neighbours in one harmonic series."""
        return any(
            abs(p * freq_hz - q * tone_hz) <= REACH_HZ + DRIFT_HZ * max(p, q) for p, q in SERIES
        )

    def _overtone(self, freq_hz: float, amplitude_w: float, tone_hz: float, tone_w: float) -> bool:
        """A harmonic of any order, no larger than those of a wave with steps (1/order) can be."""
        order = round(freq_hz / tone_hz)
        near = order > 1 and abs(freq_hz - order * tone_hz) <= REACH_HZ + DRIFT_HZ * order
        return near and amplitude_w * order <= OVERTONE * tone_w

    def _follow(
        self, tone: OpenTone, looks: dict[str, Look], alive: Any, strongest_w: Any, time_ns: int
    ) -> list[SiteEvent]:
        here = round(tone.now_hz / self._bin_hz)
        near = np.arange(max(here - self._reach, 0), min(here + self._reach + 1, self._bins))
        near = near[alive[near]]
        if not len(near):
            tone.missed_s += 1
            return []
        tone.missed_s = 0
        top = int(near[np.argmax(strongest_w[near])])
        tone.now_hz, tone.now_w = top * self._bin_hz, float(strongest_w[top])
        if tone.now_w <= tone.amplitude_w:
            return []
        self._measure(tone, looks)
        if tone.amplitude_w < 1.5 * tone.told_w:
            return []
        tone.told_w = tone.amplitude_w
        return [self._record(tone, "update", time_ns)]

    def _fresh(self, track: OscillationTrack, suspect: Any, strongest_w: Any) -> int | None:
        """The strongest line that was suspect long enough and belongs to no open event."""
        free: list[tuple[float, int, int]] = []
        for found in np.flatnonzero(track.run >= self._detect.oscillation_hops).tolist():
            base = self._fundamental(found, suspect, strongest_w)
            if not any(self._belongs(b, strongest_w, t) for b in (found, base) for t in track.open):
                free.append((float(strongest_w[found]), -found, base))
        return max(free, default=(0.0, 0, None))[2]

    def _belongs(self, found: int, strongest_w: Any, tone: OpenTone) -> bool:
        freq_hz, amplitude_w = found * self._bin_hz, float(strongest_w[found])
        skirt = abs(freq_hz - tone.now_hz) <= SKIRT_HZ and amplitude_w <= SKIRT * tone.now_w
        return skirt or any(
            self._related(freq_hz, hz) or self._overtone(freq_hz, amplitude_w, hz, tone.now_w)
            for hz in (tone.now_hz, tone.freq_hz)
        )

    def _fundamental(self, found: int, suspect: Any, strongest_w: Any) -> int:
        """A line with a stronger one at a whole fraction of its frequency is its harmonic."""
        for order in range(5, 1, -1):
            low, high = (found - 1) // order, -(-(found + 1) // order) + 1
            if low >= min(f.first_bin for f in self._feeds):
                below = low + int(np.argmax(strongest_w[low:high]))
                if suspect[below] and strongest_w[below] >= strongest_w[found]:
                    return below
        return found

    def _begin(
        self, looks: dict[str, Look], found: int, strongest_w: Any, time_ns: int, rank: int
    ) -> OpenTone:
        freq_hz, amplitude_w = found * self._bin_hz, float(strongest_w[found])
        back_s = self._detect.oscillation_window_s / 2 + self._detect.oscillation_hops
        tone = OpenTone(
            event_id=event_id(self._layout.site_id, "oscillation", time_ns, rank),
            node=self._layout.top,
            onset_ns=time_ns - round(back_s) * NS_PER_S,
            opened_ns=time_ns,
            freq_hz=freq_hz,
            amplitude_w=amplitude_w,
            now_hz=freq_hz,
            now_w=amplitude_w,
            missed_s=0,
            contributors=(),
            told_w=amplitude_w,
        )
        self._measure(tone, looks)
        tone.told_w = tone.amplitude_w
        return tone

    def _measure(self, tone: OpenTone, looks: dict[str, Look]) -> None:
        """Refine frequency, amplitude and parts where the line is strongest now."""
        parts: list[Contributor] = []
        by_node: dict[int, float] = {}
        best = (-1.0, tone.now_hz)
        for feed in self._feeds:
            look = looks[feed.name]
            near = np.abs(feed.freq_hz - tone.now_hz) <= self._reach * self._bin_hz + 1e-9
            rows = np.flatnonzero((look.ratio[:, near] >= self._detect.votes_on / 2).any(axis=1))
            if not len(rows):
                continue
            freq_hz, amplitude_w, phase_rad = look.refine(np.full(len(feed.nodes), tone.now_hz))
            for row in rows:
                here_w, node, name = float(amplitude_w[row]), feed.nodes[row], feed.channel_ids[row]
                by_node[node] = by_node.get(node, 0.0) + here_w
                best = max(best, (here_w, float(freq_hz[row])))
                if name is not None:
                    parts.append(Contributor(name, here_w, float(phase_rad[row])))
        parts.sort(key=lambda part: (-part.amplitude_w, part.channel_id))
        tone.freq_hz, tone.amplitude_w = best[1], max(best[0], tone.now_w)
        tone.node = self._holder(by_node) if by_node else tone.node
        tone.contributors = tuple(parts[:MAX_CONTRIBUTORS])

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

    def _record(self, tone: OpenTone, state: Any, time_ns: int) -> SiteEvent:
        node = self._layout.nodes[tone.node]
        return SiteEvent(
            event_id=tone.event_id,
            kind="oscillation",
            site_id=self._layout.site_id,
            node_id=node.id,
            level=node.level,
            state=state,
            onset_ns=tone.onset_ns,
            opened_ns=tone.opened_ns,
            updated_ns=time_ns,
            closed_ns=time_ns if state == "closed" else None,
            quality=tone.quality,  # type: ignore[arg-type]
            freq_hz=tone.freq_hz,
            amplitude_w=tone.amplitude_w,
            peak_share=peak_share(self._layout, tone.amplitude_w),
            contributors=tone.contributors or None,
        )


def _widened(values: Any, reach: int) -> Any:
    """Largest of each bin and its neighbours, along the first axis."""
    out = values.copy()
    for step in range(1, reach + 1):
        out[step:] = np.maximum(out[step:], values[:-step])
        out[:-step] = np.maximum(out[:-step], values[step:])
    return out


def _sum_rows(values: Any) -> Any:
    total = np.zeros(values.shape[1])
    for row in values:
        total = total + row
    return total
