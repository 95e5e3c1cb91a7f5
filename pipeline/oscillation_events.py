"""From spectral peaks to events: one event per fundamental and site, host side."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from operators import magnitude
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.ramp_events import OpenOscillation
from schemas.events import Contributor, Quality, SiteEvent, event_id
from schemas.units import NS_PER_S

__all__ = ["Feed", "Look", "OscillationEvents", "OscillationTrack", "OpenTone"]

HARMONICS = 5
BINS_APART = 1.5
MAX_CONTRIBUTORS = 256


class Feed(NamedTuple):
    """Rows of one sample rate whose spectrum is watched: channels of a level, or summed nodes."""

    name: str
    rate_hz: float
    nodes: tuple[int, ...]
    """Node row behind each row."""
    channel_ids: tuple[str | None, ...]
    """Channel behind each row; None for a summed node."""
    freq_hz: Any
    """Frequencies looked at, (bin,)."""


class Look(NamedTuple):
    """One feed's strongest bins in one grid second, on the host; ``refine`` reads the window."""

    ratio: Any
    bin: Any
    amplitude_w: Any
    refine: Callable[[Any], tuple[Any, Any, Any]]
    """freq_hz (row,) -> freq_hz, amplitude_w, phase_rad (row,)"""


@dataclasses.dataclass
class OpenTone:
    """An oscillation that has not closed; frequency and parts from its strongest stretch."""

    event_id: str
    node: int
    onset_ns: int
    opened_ns: int
    freq_hz: float
    amplitude_w: float
    now_hz: float
    now_w: float
    missed_s: int
    contributors: tuple[Contributor, ...]
    told_w: float
    quality: str = "good"


@dataclasses.dataclass
class OscillationTrack:
    """Oscillation memory of a site: runs of hops by feed, and open events."""

    run: dict[str, Any]
    run_hz: dict[str, Any]
    open: list[OpenTone] = dataclasses.field(default_factory=list)


class OscillationEvents:
    """Turns spectral peaks into `SiteEvent` records for one site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, feeds: tuple[Feed, ...]) -> None:
        self._layout = layout
        self._detect = detect
        self._feeds = feeds
        self._bin_hz = 1 / detect.oscillation_window_s

    def start(self) -> OscillationTrack:
        """The memory before the first second."""
        return OscillationTrack(
            {feed.name: np.zeros(len(feed.nodes), np.int64) for feed in self._feeds},
            {feed.name: np.zeros(len(feed.nodes)) for feed in self._feeds},
        )

    def open_now(self, track: OscillationTrack) -> list[OpenOscillation]:
        """What the ramp detector must know."""
        return [OpenOscillation(tone.now_hz, tone.now_w) for tone in track.open]

    def step(
        self, track: OscillationTrack, looks: dict[str, Look], time_ns: int
    ) -> list[SiteEvent]:
        """Work off one grid second; ``track`` is the caller's own copy and moves on."""
        for feed in self._feeds:
            self._count(track, feed, looks[feed.name])
        events = [event for tone in track.open for event in self._follow(tone, looks, time_ns)]
        for tone in [t for t in track.open if t.missed_s >= self._detect.oscillation_close_s]:
            track.open.remove(tone)
            events.append(self._record(tone, "closed", time_ns))
        opened: list[OpenTone] = []
        while (fresh := self._fresh(track, looks, opened)) is not None:
            tone = self._begin(track, looks, fresh, time_ns, len(opened))
            opened.append(tone)
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

    def _count(self, track: OscillationTrack, feed: Feed, look: Look) -> None:
        """How many seconds in a row each row's strongest bin stayed where it is."""
        freq_hz = feed.freq_hz[look.bin]
        strong = look.ratio >= self._detect.oscillation_on
        same = np.abs(freq_hz - track.run_hz[feed.name]) <= BINS_APART * self._bin_hz
        run = np.where(strong, np.where(same, track.run[feed.name], 0) + 1, 0)
        track.run[feed.name], track.run_hz[feed.name] = run, np.where(strong, freq_hz, 0.0)

    def _related(self, freq_hz: Any, tone_hz: float) -> Any:
        """The same line, one of its harmonics, or the line it is a harmonic of."""
        near = np.zeros(np.shape(freq_hz), bool)
        for order in range(1, HARMONICS + 1):
            reach = BINS_APART * self._bin_hz
            near |= np.abs(freq_hz - order * tone_hz) <= reach
            near |= np.abs(order * freq_hz - tone_hz) <= reach
        return near

    def _matches(self, looks: dict[str, Look], tone_hz: float) -> dict[str, Any]:
        reach = BINS_APART * self._bin_hz
        return {
            feed.name: (np.abs(feed.freq_hz[looks[feed.name].bin] - tone_hz) <= reach)
            & (looks[feed.name].ratio >= self._detect.oscillation_off)
            for feed in self._feeds
        }

    def _follow(
        self, tone: OpenTone, looks: dict[str, Look], time_ns: int
    ) -> list[SiteEvent]:
        alive = self._matches(looks, tone.now_hz)
        best = self._strongest(looks, alive)
        if best is None:
            tone.missed_s += 1
            return []
        tone.missed_s = 0
        tone.now_hz, tone.now_w = best
        if tone.now_w <= tone.amplitude_w:
            return []
        self._measure(tone, looks, alive)
        if tone.amplitude_w < 1.5 * tone.told_w:
            return []
        tone.told_w = tone.amplitude_w
        return [self._record(tone, "update", time_ns)]

    def _strongest(self, looks: dict[str, Look], alive: dict[str, Any]) -> tuple[float, float] | None:
        found = [
            (float(looks[f.name].amplitude_w[row]), float(f.freq_hz[looks[f.name].bin[row]]))
            for f in self._feeds
            for row in np.flatnonzero(alive[f.name])
        ]
        if not found:
            return None
        amplitude_w, freq_hz = max(found)
        return freq_hz, amplitude_w

    def _fresh(
        self, track: OscillationTrack, looks: dict[str, Look], opened: list[OpenTone]
    ) -> tuple[float, float] | None:
        """Frequency and amplitude of the strongest line that belongs to no open event."""
        best: tuple[float, float] | None = None
        for feed in self._feeds:
            look = looks[feed.name]
            freq_hz = feed.freq_hz[look.bin]
            ready = track.run[feed.name] >= self._detect.oscillation_hops
            for tone in track.open:
                ready = ready & ~self._related(freq_hz, tone.now_hz)
                ready = ready & ~self._related(freq_hz, tone.freq_hz)
            for row in np.flatnonzero(ready):
                candidate = (float(look.amplitude_w[row]), float(freq_hz[row]))
                best = candidate if best is None or candidate > best else best
        return None if best is None else (best[1], best[0])

    def _begin(
        self,
        track: OscillationTrack,
        looks: dict[str, Look],
        fresh: tuple[float, float],
        time_ns: int,
        rank: int,
    ) -> OpenTone:
        freq_hz, amplitude_w = fresh
        window_ns = round(self._detect.oscillation_window_s / 2) * NS_PER_S
        run_s = max(int(run.max(initial=0)) for run in track.run.values())
        tone = OpenTone(
            event_id=event_id(self._layout.site_id, "oscillation", time_ns, rank),
            node=self._layout.top,
            onset_ns=time_ns - window_ns - min(run_s, self._detect.oscillation_hops) * NS_PER_S,
            opened_ns=time_ns,
            freq_hz=freq_hz,
            amplitude_w=amplitude_w,
            now_hz=freq_hz,
            now_w=amplitude_w,
            missed_s=0,
            contributors=(),
            told_w=amplitude_w,
        )
        self._measure(tone, looks, self._matches(looks, freq_hz))
        tone.told_w = tone.amplitude_w
        return tone

    def _measure(self, tone: OpenTone, looks: dict[str, Look], alive: dict[str, Any]) -> None:
        """Refine frequency, amplitude and parts where the line is strongest now."""
        parts: list[Contributor] = []
        by_node: dict[int, float] = {}
        top_w, top_hz = -1.0, tone.now_hz
        for feed in self._feeds:
            rows = np.flatnonzero(alive[feed.name])
            if not len(rows):
                continue
            guess = np.where(
                alive[feed.name], feed.freq_hz[looks[feed.name].bin], tone.now_hz
            )
            freq_hz, amplitude_w, phase_rad = looks[feed.name].refine(guess)
            for row in rows:
                here_w, node, name = float(amplitude_w[row]), feed.nodes[row], feed.channel_ids[row]
                by_node[node] = by_node.get(node, 0.0) + here_w
                if name is not None:
                    parts.append(Contributor(name, here_w, float(phase_rad[row])))
                if here_w > top_w:
                    top_w, top_hz = here_w, float(freq_hz[row])
        parts.sort(key=lambda part: (-part.amplitude_w, part.channel_id))
        tone.freq_hz, tone.amplitude_w = top_hz, max(top_w, tone.now_w)
        tone.node = self._holder(by_node)
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
        node, peak_w = self._layout.nodes[tone.node], self._layout.topology.site.authority_peak_w
        share = (
            None
            if peak_w is None
            else float(magnitude.peak_share(np.array([tone.amplitude_w]), peak_w)[0])
        )
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
            peak_share=share,
            contributors=tone.contributors or None,
        )
