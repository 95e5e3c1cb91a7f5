"""From ramp triggers to events: one event per direction and physical movement, host side."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import magnitude
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.ramp_state import OpenOscillation, OpenRamp, RampTrack, RampView
from schemas.events import Quality, SiteEvent, event_id
from schemas.units import NS_PER_S

__all__ = ["RampEvents", "peak_share"]

RING_S = 40
PATH_S = 600
GROWTH = 1.25
REST_SHARE = 0.1
DONE_SHARE = 0.9
SETTLE_S = 3
MAX_CHANNELS = 10_000
FIRST_SWINGS_S = 30
"""So long before an oscillation opens its first swings may have begun."""
SWING = 3.0
"""A ramp no deeper than this many amplitudes was a swing of the oscillation."""


class RampEvents:
    """Turns triggers into `SiteEvent` records for one site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings, lags: tuple[int, ...]) -> None:
        self._layout = layout
        self._detect = detect
        self._lags = lags
        self._ring = RING_S * layout.ticks_per_s

    def start(self) -> RampTrack:
        """The memory before the first tick."""
        return RampTrack(np.zeros((len(self._layout.watched), self._ring)))

    def step(
        self, track: RampTrack, view: RampView, oscillations: list[OpenOscillation]
    ) -> list[SiteEvent]:
        """Work off one block's ticks in order; ``track`` is the caller's own copy and moves on."""
        events: list[SiteEvent] = []
        steps_w = view.diff_w[0, list(self._layout.watched), :]
        busy = bool(track.open) or bool(view.active.any())
        ring = np.concatenate([track.path_w, np.empty_like(steps_w)], axis=1)
        for k in range(steps_w.shape[1]):
            ring[:, self._ring + k] = ring[:, self._ring + k - 1] + steps_w[:, k]
            if busy:
                way = ring[:, k + 1 : self._ring + k + 1]
                events += self._tick(track, view, k, way, oscillations)
        track.path_w = ring[:, steps_w.shape[1] :]
        return events

    def absorb(
        self, track: RampTrack, into: str, amplitude_w: float, time_ns: int
    ) -> list[SiteEvent]:
        """Close the ramps that were the first swings of an oscillation which has now opened."""
        events = []
        for ramp in list(track.open):
            recent = time_ns - ramp.onset_ns <= FIRST_SWINGS_S * NS_PER_S
            if recent and ramp.depth_w <= SWING * amplitude_w:
                track.open.remove(ramp)
                ramp.merged_into = into
                events.append(self._record(ramp, "closed", time_ns))
        return events

    def finish(self, track: RampTrack, time_ns: int, quality: Quality) -> list[SiteEvent]:
        """Close what is open."""
        events = []
        for ramp in track.open:
            ramp.quality = quality
            events.append(self._record(ramp, "closed", time_ns))
        track.open = []
        return events

    def _tick(
        self,
        track: RampTrack,
        view: RampView,
        k: int,
        way: Any,
        oscillations: list[OpenOscillation],
    ) -> list[SiteEvent]:
        events: list[SiteEvent] = []
        time_ns = int(view.tick_end_ns[k])
        for direction in (0, 1):
            ramp = next((r for r in track.open if r.direction == direction), None)
            alive = view.active[direction, :, k]
            if ramp is None and alive.any():
                ramp = self._begin(
                    view, k, way, direction, sum(r.opened_ns == time_ns for r in track.open)
                )
                if oscillations and not self._shifts(ramp, way, oscillations):
                    continue
                self._grow(ramp, view, k)
                track.open.append(ramp)
                events.append(self._tell(ramp, "open", time_ns))
            elif ramp is not None:
                before = (ramp.kind, ramp.node)
                step_w = float(way[ramp.watched, -1] - way[ramp.watched, -2])
                self._walk(ramp, step_w)
                self._place(ramp, view, k)
                self._grow(ramp, view, k)
                ramp.calm_ticks = 0 if alive.any() else ramp.calm_ticks + 1
                if ramp.calm_ticks >= self._detect.ramp_close_s * self._layout.ticks_per_s:
                    track.open.remove(ramp)
                    events.append(self._record(ramp, "closed", time_ns))
                elif before != (ramp.kind, ramp.node) or self._grew(ramp, time_ns):
                    events.append(self._tell(ramp, "update", time_ns))
        return events

    def _begin(self, view: RampView, k: int, way: Any, direction: int, rank: int) -> OpenRamp:
        layout, sign, time_ns = self._layout, _sign(direction), int(view.tick_end_ns[k])
        ratio = np.where(view.active[direction, :, k], view.ratio[direction, :, k], -1.0)
        watched = int(np.argmax(self._height * 1e9 + ratio - 2e9 * (ratio < 0)))
        node = layout.watched[watched]
        depths_w = sign * view.diff_w[:, node, k]
        lag = int(np.argmax(depths_w))
        path_w = sign * way[watched, -self._lags[lag] - 1 :]
        base_w = float(path_w[0])
        risen = path_w - base_w > REST_SHARE * (path_w[-1] - base_w)
        rest = int(np.flatnonzero(~risen)[-1])
        onset_tick = min(rest + 1, len(path_w) - 1)
        ticks_back = len(path_w) - onset_tick
        depth_w = float(path_w[-1] - base_w)
        return OpenRamp(
            event_id=event_id(layout.site_id, "ramp", time_ns, rank),
            direction=direction,
            watched=watched,
            node=self._holder(view, k, lag, node, sign),
            onset_ns=time_ns - ticks_back * layout.tick_ns,
            opened_ns=time_ns,
            onset_tick=onset_tick,
            base_w=base_w,
            depth_w=depth_w,
            path_w=[float(p - base_w) for p in path_w],
            kind="ramp",
            quality="good" if view.share[node, k] >= 1.0 else "gap",
            threshold_w=float(view.threshold_w[view.lag[direction, watched, k], watched]),
        )

    @property
    def _height(self) -> Any:
        """Watched nodes by height: the top of the site first."""
        order = {"rack": 0, "pdu": 1, "substation": 2}
        return np.array([order[self._layout.nodes[row].level] for row in self._layout.watched])

    def _holder(self, view: RampView, k: int, lag: int, node: int, sign: float) -> int:
        """The lowest node that holds at least 90 % of the power that moved."""
        nodes, moved_w = self._layout.nodes, view.diff_w[lag, :, k]
        need_w = self._detect.hold_share * sign * moved_w[node]
        while True:
            below = [c for c in nodes[node].children if sign * moved_w[c] >= need_w]
            if not below:
                return node
            node = max(below, key=lambda c: sign * moved_w[c])

    def _place(self, ramp: OpenRamp, view: RampView, k: int) -> None:
        """Refine the node while the ramp deepens: levels do not see a step in the same tick."""
        top, sign = self._layout.watched[ramp.watched], _sign(ramp.direction)
        lag = min(int(np.searchsorted(self._lags, len(ramp.path_w) - 1)), len(self._lags) - 1)
        all_w = sign * float(view.diff_w[lag, top, k])
        if ramp.path_w[-1] < ramp.depth_w or all_w < self._detect.hold_share * ramp.depth_w:
            return
        node = self._holder(view, k, lag, top, sign)
        if node != ramp.node:
            ramp.node, ramp.moved_w = node, 0.0

    def _shifts(self, ramp: OpenRamp, way: Any, oscillations: list[OpenOscillation]) -> bool:
        """Beside an open oscillation, only a lasting shift of the mean over a period is a ramp."""
        path_w = _sign(ramp.direction) * way[ramp.watched]
        for oscillation in oscillations:
            period = max(round(self._layout.ticks_per_s / oscillation.freq_hz), 1)
            period = min(period, len(path_w) // 3)
            first, second, third = (
                _mean(path_w[len(path_w) - (3 - i) * period : len(path_w) - (2 - i) * period])
                for i in range(3)
            )
            need_w = max(0.5 * oscillation.amplitude_w, ramp.threshold_w)
            if min(second, third) - first < need_w:
                return False
        return True

    def _walk(self, ramp: OpenRamp, step_w: float) -> None:
        here_w = ramp.path_w[-1] + _sign(ramp.direction) * step_w
        if len(ramp.path_w) < PATH_S * self._layout.ticks_per_s:
            ramp.path_w.append(here_w)
        else:
            ramp.path_w[-1] = here_w
        ramp.depth_w = max(ramp.depth_w, here_w)

    def _grow(self, ramp: OpenRamp, view: RampView, k: int) -> None:
        """Keep the tick at which most power moved within a second, and who took part in it."""
        moved_w = float(view.moved_w[ramp.direction, ramp.node, k])
        if moved_w > ramp.moved_w:
            ramp.moved_w = moved_w
            ramp.against_w = float(view.moved_w[1 - ramp.direction, ramp.node, k])
            below = self._layout.leaves_under(ramp.node)
            who = below[view.leaf_w[ramp.direction, below - self._layout.leaves.start, k] > 0]
            ramp.channels = tuple(self._layout.channel_ids[i] for i in who[:MAX_CHANNELS])
            ramp.spread_s = self._spread_s(view, k, who, _sign(ramp.direction))
        if ramp.moved_w <= 0.0:
            return
        ramp.synchrony = ramp.moved_w / max(ramp.moved_w + ramp.against_w, ramp.depth_w)
        together = ramp.synchrony >= self._detect.synchrony_min
        enough = len(ramp.channels) >= self._detect.synchrony_channels
        ramp.kind = "synchronized_ramp" if together and enough else "ramp"

    def _spread_s(self, view: RampView, k: int, who: Any, sign: float) -> float:
        """Time between the 10th and the 90th percentile of the channels' half-way points."""
        end = view.history_w.shape[1] - len(view.tick_end_ns) + k + 1
        start = max(end - 2 * self._layout.ticks_per_s, 0)
        way = sign * (view.history_w[who, start:end] - view.history_w[who, start : start + 1])
        half = 0.5 * way.max(axis=1, keepdims=True)
        crossing = np.sort(np.argmax(way >= half, axis=1))
        low, high = (crossing[min(int(q * len(crossing)), len(crossing) - 1)] for q in (0.1, 0.9))
        return float(high - low) / self._layout.ticks_per_s

    def _grew(self, ramp: OpenRamp, time_ns: int) -> bool:
        return ramp.depth_w >= GROWTH * ramp.told_depth_w and time_ns - ramp.told_ns >= NS_PER_S

    def _tell(self, ramp: OpenRamp, state: str, time_ns: int) -> SiteEvent:
        ramp.told_depth_w, ramp.told_ns = ramp.depth_w, time_ns
        return self._record(ramp, state, time_ns)

    def _depth_w(self, ramp: OpenRamp) -> float:
        """Depth between medians: what came before the onset, and the 3 s after the rise."""
        path_w = np.array(ramp.path_w)
        top = int(np.flatnonzero(path_w >= DONE_SHARE * ramp.depth_w)[0])
        after = path_w[top : top + SETTLE_S * self._layout.ticks_per_s]
        before = path_w[: ramp.onset_tick] if ramp.onset_tick > 0 else path_w[:1]
        return float(np.median(after) - np.median(before))

    def _record(self, ramp: OpenRamp, state: Any, time_ns: int) -> SiteEvent:
        layout, sign = self._layout, _sign(ramp.direction)
        node, depth_w = layout.nodes[ramp.node], self._depth_w(ramp)
        reached = [i for i, p in enumerate(ramp.path_w) if p >= DONE_SHARE * ramp.depth_w]
        done = reached[0] if reached else len(ramp.path_w) - 1
        ticks = max(done - ramp.onset_tick + 1, 1)
        duration_s = ticks / layout.ticks_per_s
        synchronized = ramp.kind == "synchronized_ramp"
        return SiteEvent(
            event_id=ramp.event_id,
            kind=ramp.kind,  # type: ignore[arg-type]
            site_id=layout.site_id,
            node_id=node.id,
            level=node.level,
            state=state,
            onset_ns=ramp.onset_ns,
            opened_ns=ramp.opened_ns,
            updated_ns=time_ns,
            closed_ns=time_ns if state == "closed" else None,
            quality=ramp.quality,  # type: ignore[arg-type]
            depth_w=sign * depth_w,
            duration_s=duration_s,
            ramp_w_per_s=sign * depth_w / duration_s,
            synchrony=ramp.synchrony if synchronized else None,
            onset_spread_s=ramp.spread_s if synchronized else None,
            channels=ramp.channels if synchronized else None,
            peak_share=peak_share(layout, depth_w),
            merged_into=ramp.merged_into,
        )


def peak_share(layout: SiteLayout, depth_w: float) -> float | None:
    """Share of the balancing authority's peak; None where the topology does not say it."""
    peak_w = layout.topology.site.authority_peak_w
    if peak_w is None:
        return None
    return float(magnitude.peak_share(np.array([depth_w]), peak_w)[0])


def _sign(direction: int) -> float:
    return 1.0 if direction == 0 else -1.0


def _mean(x_w: Any) -> float:
    return float(np.add.reduce(np.ascontiguousarray(x_w)) / len(x_w))
