"""From ramp triggers to events: one event per direction and physical movement, host side."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators import steps
from pipeline import ramp_swings
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.ramp_census import Census
from pipeline.ramp_record import mean, record, sign_of
from pipeline.ramp_state import OpenOscillation, OpenRamp, RampTrack, RampView
from pipeline.step_stage import CLIP, RING_S
from pipeline.step_state import StepTrack
from schemas.events import Quality, SiteEvent, StepTest, event_id
from schemas.units import NS_PER_S

__all__ = ["RampEvents"]

PATH_S = 600
GROWTH = 1.25
STILL = 1.02
"""A ramp goes on while its depth grows by more than this, or its trigger is on."""
CENSUS_S = 9
"""Who took part is asked once a second for so long after the onset."""
BEFORE_S = 1.0
"""What was before an onset is the mean of so much."""
BEFORE_MOST = 5
"""How often as much, before long windows: half of their length, in which swings even out."""
LIKELY = 0.9
"""Share of the greatest likelihood at which an onset is as likely: movements have slow edges."""
WINDOWS = np.array(steps.WINDOWS)
GROUP = np.repeat(np.arange(len(steps.GROUPS)), np.diff(steps.GROUPS).ravel())
"""Of windows, by their place."""


class RampEvents:
    """Turns triggers into `SiteEvent` records for one site."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._layout, self._detect = layout, detect
        self._census = Census(layout, detect)
        self._per_s = layout.ticks_per_s
        self._ring = RING_S * layout.pace * layout.ticks_per_s
        self._hold = max(round(detect.ramp_hold_s * layout.ticks_per_s), 1)
        self._recent_ns = CENSUS_S * layout.pace * NS_PER_S
        self._before = max(round(BEFORE_S * layout.ticks_per_s), 1)
        order = {"rack": 0, "pdu": 1, "substation": 2}
        self._height = np.array([order[layout.nodes[row].level] for row in layout.watched])
        racks = self._height == 0
        few = detect.rack_floor_share * len(layout.leaves) ** -0.75
        floor = max(detect.ramp_floor_share, few)
        self._floor_share = np.where(racks, detect.rack_floor_share, floor)

    def start(self) -> RampTrack:
        """The memory before the first tick."""
        return RampTrack()

    def step(
        self, track: RampTrack, view: RampView, oscillations: list[OpenOscillation]
    ) -> list[SiteEvent]:
        """Work off one block's ticks in order; ``track`` is the caller's own copy and moves on."""
        if not track.open and not oscillations and not view.triggers.active.any():
            return []
        return [
            event
            for k in range(len(view.tick_end_ns))
            for event in self._tick(track, view, k, oscillations)
        ]

    def absorb(self, track: RampTrack, into: SiteEvent, time_ns: int) -> list[SiteEvent]:
        """Close the ramps that were the first swings of an oscillation which has now opened."""
        events = []
        for ramp in ramp_swings.were_first(track.open, into, time_ns, self._per_s):
            track.open.remove(ramp)
            ramp.merged_into = into.event_id
            events.append(record(self._layout, ramp, "closed", time_ns))
        return events

    def finish(self, track: RampTrack, time_ns: int, quality: Quality) -> list[SiteEvent]:
        """Close what is open."""
        events = []
        for ramp in track.open:
            ramp.quality = quality
            events.append(record(self._layout, ramp, "closed", time_ns))
        track.open = []
        return events

    def _tick(
        self, track: RampTrack, view: RampView, k: int, oscillations: list[OpenOscillation]
    ) -> list[SiteEvent]:
        events: list[SiteEvent] = []
        time_ns = int(view.tick_end_ns[k])
        for direction in (0, 1):
            ramp = next((r for r in track.open if r.direction == direction), None)
            if ramp is None:
                able = self._able(view, k, direction, beside=bool(oscillations))
                if not able.any():
                    continue
                at = (direction, able, sum(r.opened_ns == time_ns for r in track.open))
                if oscillations:
                    begun = self._shifted(view, k, at, oscillations)
                else:
                    begun = self._begin(view, k, at)
                if begun is None:
                    continue
                self._census.take(begun, view, k)
                track.open.append(begun)
                events.append(self._tell(begun, "open", time_ns))
            else:
                events += self._go_on(track, ramp, view, k, oscillations)
        return events

    def _go_on(
        self,
        track: RampTrack,
        ramp: OpenRamp,
        view: RampView,
        k: int,
        oscillations: list[OpenOscillation],
    ) -> list[SiteEvent]:
        before, time_ns = (ramp.kind, ramp.node), int(view.tick_end_ns[k])
        path_w = view.triggers.path_w[ramp.watched]
        self._walk(ramp, float(path_w[self._ring + k] - path_w[self._ring + k - 1]))
        ramp.ticks += 1
        recent = time_ns - ramp.onset_ns <= self._recent_ns
        if recent:
            self._lift(ramp, view, k)
        if recent and ramp.ticks % self._per_s == 0:
            self._census.take(ramp, view, k)
        grows = ramp.depth_w >= STILL * ramp.grown_w
        ramp.grown_w = ramp.depth_w if grows else ramp.grown_w
        alive = view.triggers.active[ramp.direction, :, k].any() and not oscillations
        ramp.calm_ticks = 0 if alive or grows else ramp.calm_ticks + 1
        if ramp.calm_ticks >= self._rest(oscillations):
            track.open.remove(ramp)
            ramp.merged_into = ramp_swings.of_one(self._layout, ramp, oscillations)
            return [record(self._layout, ramp, "closed", time_ns)]
        if before != (ramp.kind, ramp.node) or self._grew(ramp, time_ns):
            return [self._tell(ramp, "update", time_ns)]
        return []

    def _rest(self, oscillations: list[OpenOscillation]) -> float:
        """Ticks without growth that end a ramp: at least those its shift of the mean would take."""
        return max(self._detect.ramp_close_s, 3 * ramp_swings.slowest_s(oscillations)) * self._per_s

    def _able(self, view: RampView, k: int, direction: int, *, beside: bool) -> Any:
        """Where a ramp may begin; beside an oscillation also ways back, and at least the top."""
        active = view.triggers.active[:, :, k]
        able = active[direction] & (view.triggers.ratio[direction, :, k] >= 1)
        able = able | active[1 - direction] if beside else able
        return self._height == self._height.max() if beside and not able.any() else able

    def _begin(self, view: RampView, k: int, at: tuple[int, Any, int]) -> OpenRamp | None:
        (direction, able, rank), found = at, view.triggers
        ratio, places = found.ratio[direction, :, k], found.window[direction, :, k]
        here, pre = self._ring + k, self._before
        ways_w = sign_of(direction) * found.path_w
        moved_w, lasting_w = self._moves(ways_w, here, WINDOWS[places])
        floor_w = self._floor_share * view.reference_w
        lasts = ~found.track.heavy | (lasting_w >= np.maximum(floor_w, 0.5 * moved_w))
        able = able & (moved_w >= floor_w) & lasts
        if not able.any():
            return None
        watched = self._strongest(able, ratio)
        window = int(WINDOWS[places[watched]])
        onset = here - self._since(ways_w[watched, : here + 1], window) + 1
        way_w = ways_w[watched, onset - pre : here + 1]
        path_w = way_w - mean(way_w[:pre])
        limit = float(found.track.limits[watched, GROUP[places[watched]]])
        return self._opened(
            view, k, (direction, watched, rank), path_w, path_w.max(),
            onset_ns=int(view.tick_end_ns[k]) - (here - onset + 1) * self._layout.tick_ns,
            onset_tick=pre,
            statistic=float(ratio[watched]) * limit,
            threshold=limit,
            test=self._test(view, watched, window, k),
        )  # fmt: skip

    def _shifted(
        self, view: RampView, k: int, at: tuple[int, Any, int], oscillations: list[OpenOscillation]
    ) -> OpenRamp | None:
        """Beside oscillations."""
        (direction, able, rank), found = at, view.triggers
        watched = self._strongest(able, found.ratio[direction, :, k])
        way_w = sign_of(direction) * found.path_w[watched, : self._ring + k + 1]
        floor_w = self._floor_share[watched] * view.reference_w
        floors_w = (floor_w, self._noise_w(found.track, watched))
        shift = ramp_swings.shift(way_w, oscillations, self._per_s, floors_w)
        if shift is None:
            return None
        return self._opened(
            view, k, (direction, watched, rank), shift.path_w, shift.depth_w,
            onset_ns=int(view.tick_end_ns[k]) - 2 * shift.period * self._layout.tick_ns,
            onset_tick=shift.period,
            statistic=shift.amplitudes,
            threshold=ramp_swings.SHIFT,
            test=None,
            smooth=shift.period,
        )  # fmt: skip

    def _strongest(self, able: Any, ratio: Any) -> int:
        """The highest of the nodes that may, and of these the one that moved most."""
        return int(np.argmax(np.where(able, self._height * 1e9 + ratio, -1.0)))

    def _opened(
        self,
        view: RampView,
        k: int,
        at: tuple[int, int, int],
        path_w: Any,
        depth_w: float,
        **more: Any,
    ) -> OpenRamp:
        (direction, watched, rank), layout = at, self._layout
        time_ns, node = int(view.tick_end_ns[k]), layout.watched[watched]
        return OpenRamp(
            event_id=event_id(layout.site_id, "ramp", time_ns, rank),
            direction=direction,
            watched=watched,
            node=node,
            opened_ns=time_ns,
            path_w=path_w.tolist(),
            quality="good" if view.share[node, k] >= 1.0 else "gap",
            depth_w=float(depth_w),
            grown_w=float(depth_w),
            **more,
        )

    def _since(self, way_w: Any, window: int) -> int:
        """Samples since the first of the likely onsets: windows come in steps of up to a half."""
        moved_w = way_w[-window:] - mean(way_w[-window - self._before : -window])
        counts = np.arange(1, window + 1)
        likely = np.maximum(np.cumsum(moved_w[::-1]), 0.0) ** 2 / counts
        likely[: (window - 1) // 2] = -1.0
        return int(np.flatnonzero(likely >= LIKELY * likely.max())[-1]) + 1

    def _moves(self, ways_w: Any, here: int, windows: Any) -> tuple[Any, Any]:
        """How far each way moved within its window, and what of it has lasted; (watched,)."""
        first = here - windows + 1
        before = np.clip(windows // 2, self._before, BEFORE_MOST * self._before)
        rows = list(zip(ways_w, first, before, strict=True))
        base_w = np.array([mean(way_w[at - pre : at]) for way_w, at, pre in rows])
        moved_w = np.array([mean(way_w[at : here + 1]) for way_w, at, _pre in rows])
        lasting_w = ways_w[:, here - self._hold + 1 : here + 1].min(axis=1)
        return moved_w - base_w, lasting_w - base_w

    def _test(self, view: RampView, watched: int, window: int, k: int) -> StepTest:
        """What is needed to compute the statistic again from the node's power alone."""
        track = view.triggers.track
        offset_w = view.node_w[self._layout.watched[watched], k]
        offset_w -= view.triggers.path_w[watched, self._ring + k]
        return StepTest(
            tick_s=1 / self._per_s,
            window_s=window / self._per_s,
            coefficients=tuple(track.coefficients[watched].tolist()),
            sigma_w=float(track.sigma_w[watched]),
            baseline_w=float(track.base_w[watched] + offset_w),
            baseline_s=float(track.base_samples[watched]) / self._per_s,
            clip=CLIP if track.heavy[watched] else None,
        )

    def _lift(self, ramp: OpenRamp, view: RampView, k: int) -> None:
        """A node higher up that moves as well, and further, holds the event from now on."""
        found, sign = view.triggers, sign_of(ramp.direction)
        higher = found.active[ramp.direction, :, k] & (self._height > self._height[ramp.watched])
        back = round((int(view.tick_end_ns[k]) - ramp.onset_ns) / self._layout.tick_ns)
        for watched in np.flatnonzero(higher)[::-1]:
            here = self._ring + k + 1
            way_w = sign * found.path_w[watched, here - back - ramp.onset_tick : here]
            path_w = way_w - mean(way_w[: ramp.onset_tick])
            if path_w.max() > ramp.depth_w / self._detect.hold_share:
                ramp.watched, ramp.path_w = int(watched), path_w.tolist()
                ramp.depth_w, ramp.moved_w = float(path_w.max()), 0.0
                self._census.take(ramp, view, k)
                return

    def _noise_w(self, track: StepTrack, watched: int) -> float:
        """A node's noise in the mean of a tick about one of another, times its threshold, W."""
        gain = 1 - float(np.add.reduce(track.coefficients[watched]))
        limit = float(track.limits[watched, -1])
        return 2**0.5 * limit * float(track.sigma_w[watched]) / max(gain, 1e-9)

    def _walk(self, ramp: OpenRamp, step_w: float) -> None:
        here_w = ramp.path_w[-1] + sign_of(ramp.direction) * step_w
        if len(ramp.path_w) < PATH_S * self._per_s:
            ramp.path_w.append(here_w)
        else:
            ramp.path_w[-1] = here_w
        ramp.depth_w = max(ramp.depth_w, mean(ramp.path_w[-ramp.smooth :]))

    def _grew(self, ramp: OpenRamp, time_ns: int) -> bool:
        return ramp.depth_w >= GROWTH * ramp.told_depth_w and time_ns - ramp.told_ns >= NS_PER_S

    def _tell(self, ramp: OpenRamp, state: str, time_ns: int) -> SiteEvent:
        ramp.told_depth_w, ramp.told_ns = ramp.depth_w, time_ns
        return record(self._layout, ramp, state, time_ns)
