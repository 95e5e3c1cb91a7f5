"""Load lost in voltage dips: ramps that fall in a dip become one event until the power is back."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec
import numpy as np

from pipeline.align_state import Said
from pipeline.detect import DetectSettings
from pipeline.dips import DIP_PU, RING_S, Dips, Tick
from pipeline.layout import SiteLayout
from pipeline.load_loss_record import record, unseen
from pipeline.load_loss_state import DipSeen, LossTrack, Metered, OpenLoss, start
from pipeline.ramp_census import Census
from pipeline.ramp_state import Moved, RampView
from pipeline.ride_through import CURVES
from schemas.events import Quality, SiteEvent
from schemas.units import NS_PER_S

__all__ = ["LoadLoss"]

WINDOW_NS = 2 * NS_PER_S
"""A step down this long after a dip is a load loss."""
EARLY_NS = {"measured": NS_PER_S, "signal": 2 * NS_PER_S}
"""How far before a dip the onset of its step may be put."""
LONG_NS = 20 * NS_PER_S
"""A dip that lasts longer is the voltage there is: what falls later is not lost in it."""
WATCH_NS = 600 * NS_PER_S
"""After this long the power is not waited for."""
FEEDER_SHARE = 0.05
"""A PDU lost load where it lost this share of its own power."""
SAME_SHARE = 0.5
"""A rise of which this share is power that was lost is part of the recovery."""


class LoadLoss:
    """Turns dips, and the ramps that fall in them, into `SiteEvent` records of load loss."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._layout, self._tick_ns = layout, layout.tick_ns
        self._group_ns = round(detect.dip_group_s * NS_PER_S)
        self._dips = Dips(layout, CURVES[detect.ride_through], self._group_ns)
        self._census = Census(layout, detect)
        self._pdus = np.array([node.level == "pdu" for node in layout.nodes])
        grids = [grid.per_tick for grid in layout.grids if grid.level == "substation"]
        self._per_tick = grids[0] if grids else 1

    def start(self) -> LossTrack:
        """The memory before the first tick."""
        return start(RING_S * self._layout.ticks_per_s)

    def hear(self, track: LossTrack, said: tuple[Said, ...]) -> None:
        """Keep what the grid said until the tick from which it acts."""
        track.said = [*track.said, *(one for one in said if one.signal is not None)]

    def step(
        self, track: LossTrack, view: RampView, metered: Metered, events: list[SiteEvent]
    ) -> list[SiteEvent]:
        """
        Work off one block's ticks in order; ``track`` is the caller's own copy and moves on.

        ``events`` are what the block's ramps tell; what is no part of a load loss is passed on.
        """
        power_w = view.node_w[self._layout.top]
        if self._quiet(track, metered):
            for event in events:
                self._note(track, event)
            events = self.own(track, events)
            self._heard(track, view, metered.volts)
            track.ring_w = np.concatenate([track.ring_w, power_w])[-len(track.ring_w) :]
            track.end_ns = int(view.tick_end_ns[-1])
            return events
        told: dict[int, list[SiteEvent]] = defaultdict(list)
        for event in events:
            told[event.updated_ns].append(event)
        out: list[SiteEvent] = []
        for k, end_ns in enumerate(view.tick_end_ns.tolist()):
            part = slice(k * self._per_tick, (k + 1) * self._per_tick)
            samples = (None if x is None else x[part] for x in metered)
            out += self._tick(
                track, view, k, Tick(end_ns, float(power_w[k]), *samples), told[end_ns]
            )
        return out

    def own(self, track: LossTrack, events: list[SiteEvent]) -> list[SiteEvent]:
        """Events without the ramps that are part of a load loss, now or when it was open."""
        mine = [event for event in events if event.event_id in track.owned]
        over = {event.event_id for event in mine if event.state == "closed"}
        track.owned = [name for name in track.owned if name not in over]
        return [event for event in events if event not in mine]

    def finish(
        self, track: LossTrack, events: list[SiteEvent], time_ns: int, quality: Quality
    ) -> list[SiteEvent]:
        """The last records of what is open; ``events`` are the ramps'."""
        rest = self.own(track, events)
        if track.loss is not None:
            told = record(self._layout, track, track.loss, "closed", time_ns)
            rest.append(msgspec.structs.replace(told, quality=quality))
        track.loss = None
        return rest

    def _heard(self, track: LossTrack, view: RampView, volts: Any) -> None:
        """When voltage was measured last."""
        if volts is not None:
            known = (~np.isnan(volts)).reshape(-1, self._per_tick).any(axis=1)
            if known.any():
                track.measured_ns = int(view.tick_end_ns[np.flatnonzero(known)[-1]])

    def _quiet(self, track: LossTrack, metered: Metered) -> bool:
        calm = track.loss is None and not track.dips and not track.said
        if not calm or metered.volts is None:
            return calm
        return not (metered.volts < DIP_PU).any()

    # ---- ticks

    def _tick(
        self, track: LossTrack, view: RampView, k: int, tick: Tick, told: list[SiteEvent]
    ) -> list[SiteEvent]:
        self._dips.hear(track, tick)
        count = len(track.dips)
        self._dips.step(track, tick)
        news = len(track.dips) != count
        track.ring_w = np.append(track.ring_w[1:], tick.power_w)
        track.end_ns = tick.end_ns
        out = self._route(track, view, k, told)
        for dip in self._dips.settled(track, tick):
            news = True
            if track.loss is None and dip.lost_w > 0:
                self._open_alone(track, dip, view, k)
        for dip in track.dips:
            self._weigh(track, dip, view, k)
        for dip in track.dips:
            news |= self._dips.judge(dip, track.ring_w, tick.end_ns)
        out += self._go_on(track, tick.end_ns, news)
        self._forget(track, tick.end_ns)
        return out

    def _route(
        self, track: LossTrack, view: RampView, k: int, told: list[SiteEvent]
    ) -> list[SiteEvent]:
        """Each ramp's record: passed on, or taken for the load loss."""
        out = []
        for event in told:
            self._note(track, event)
            if event.event_id in track.owned:
                self._renew(track, event)
                self.own(track, [event])
            elif not self._rises(track, event, view, k):
                out.append(event)
            else:
                track.owned.append(event.event_id)
        now_ns = int(view.tick_end_ns[k])
        for event in list(track.ramps.values()):
            dip = self._dip_of(track, event, now_ns)
            if dip is None or event.event_id in track.owned:
                continue
            fresh = next((e for e in out if e.event_id == event.event_id), None)
            out = [e for e in out if e is not fresh]
            out += self._take(track, event, dip, known=fresh is None or fresh.state != "open")
        return out

    def _note(self, track: LossTrack, event: SiteEvent) -> None:
        """Remember the falls that are open."""
        if event.state == "closed":
            track.ramps.pop(event.event_id, None)
        elif (event.depth_w or 0.0) < 0:
            track.ramps[event.event_id] = event

    def _dip_of(self, track: LossTrack, event: SiteEvent, now_ns: int) -> DipSeen | None:
        """The newest dip in which a fall began."""
        for dip in reversed(track.dips):
            end_ns = min(now_ns if dip.end_ns < 0 else dip.end_ns, dip.onset_ns + LONG_NS)
            if dip.onset_ns - EARLY_NS[dip.source] <= event.onset_ns <= end_ns + WINDOW_NS:
                return dip
        return None

    def _take(
        self, track: LossTrack, event: SiteEvent, dip: DipSeen, *, known: bool
    ) -> list[SiteEvent]:
        """A fall in a dip: the load loss itself, or a part of the one that is open."""
        track.owned.append(event.event_id)
        if track.loss is not None:
            if not known:
                return []
            rest = {"state": "closed", "closed_ns": track.end_ns, "updated_ns": track.end_ns}
            merged = {**rest, "merged_into": track.loss.base.event_id}
            return [msgspec.structs.replace(event, **merged)]
        self._open(track, event, dip, known=known)
        return []

    def _open(self, track: LossTrack, event: SiteEvent, dip: DipSeen, *, known: bool) -> None:
        first = track.dips.index(dip)
        while first and self._dips.joined(track.dips[first - 1], track.dips[first].onset_ns):
            first -= 1
        before_w = track.dips[first].before_w
        track.loss = OpenLoss(
            base=event,
            first_ns=track.dips[first].onset_ns,
            before_w=before_w,
            lowest_w=before_w + (event.depth_w or 0.0),
            leaf_w=np.zeros(len(self._layout.leaves)),
            feeder_w=np.zeros(len(self._layout.nodes)),
            opened=known,
        )

    def _open_alone(self, track: LossTrack, dip: DipSeen, view: RampView, k: int) -> None:
        """A loss that no ramp shows: a dip makes one likely, so that a lower threshold will do."""
        moved = self._moved(view, k, dip.onset_ns)
        node = self._census.holder(-moved.node_w, self._layout.top)
        self._open(track, unseen(self._layout, dip, node, track.end_ns), dip, known=False)

    def _renew(self, track: LossTrack, event: SiteEvent) -> None:
        if track.loss is not None and track.loss.base.event_id == event.event_id:
            track.loss.base = event

    def _rises(self, track: LossTrack, event: SiteEvent, view: RampView, k: int) -> bool:
        """Whether a rise is the power that was lost, on its way back."""
        loss = track.loss
        if loss is None or (event.depth_w or 0.0) <= 0 or event.state != "open":
            return False
        moved = self._moved(view, k, event.onset_ns)
        rise_w = np.where(moved.leaf_w >= view.leaf_scale_w, moved.leaf_w, 0.0)
        same_w = np.minimum(rise_w, loss.leaf_w)
        total_w = float(np.add.reduce(rise_w))
        return total_w > 0 and float(np.add.reduce(same_w)) >= SAME_SHARE * total_w

    def _moved(self, view: RampView, k: int, onset_ns: int) -> Moved:
        """The change from the second before an onset to now, at most 11 s back."""
        per_s = self._layout.ticks_per_s
        back = (int(view.tick_end_ns[k]) - onset_ns) // self._tick_ns
        onset = k - min(int(back), (RING_S - 1) * per_s * self._layout.pace - 1)
        return view.moved(onset - per_s, onset, k)

    def _weigh(self, track: LossTrack, dip: DipSeen, view: RampView, k: int) -> None:
        """Who lost load in a dip."""
        loss = track.loss
        if loss is None or dip.weighed or dip.lost_w <= 0 or dip.onset_ns < loss.first_ns:
            return
        dip.weighed = True
        moved = self._moved(view, k, dip.onset_ns)
        loss.leaf_w = np.maximum(loss.leaf_w, -moved.leaf_w)
        lost_w = -moved.node_w
        was_w = np.abs(view.node_w[:, k] + lost_w)
        lost_w = np.where(self._pdus & (lost_w >= FEEDER_SHARE * was_w), lost_w, 0.0)
        loss.feeder_w = np.maximum(loss.feeder_w, lost_w)
        loss.lowest_w = min(loss.lowest_w, dip.before_w - dip.lost_w)

    # ---- records

    def _go_on(self, track: LossTrack, time_ns: int, news: bool) -> list[SiteEvent]:
        """Tell the load loss where there is news; close it once nothing more is to come."""
        loss = track.loss
        if loss is None:
            return []
        last = track.dips[-1]
        if news:
            loss.recovered_ns = -1 if last.end_ns < 0 or not last.settled else loss.recovered_ns
        if loss.recovered_ns < 0 and last.end_ns >= 0 and last.settled:
            loss.recovered_ns = self._dips.back_ns(
                loss.before_w, last.end_ns, track.ring_w, time_ns
            )
            news |= loss.recovered_ns >= 0
        over_ns = last.onset_ns + LONG_NS if last.end_ns < 0 else last.end_ns
        calm_ns = time_ns - over_ns if last.end_ns < 0 or last.verdict else 0
        back = loss.recovered_ns >= 0 or calm_ns >= WATCH_NS
        if calm_ns >= self._group_ns and back:
            closed = record(self._layout, track, loss, "closed", time_ns)
            track.loss = None
            return [closed]
        if loss.opened and not news:
            return []
        state = "update" if loss.opened else "open"
        loss.opened = True
        return [record(self._layout, track, loss, state, time_ns)]

    def _forget(self, track: LossTrack, time_ns: int) -> None:
        """Drop dips that nothing can join any more."""
        if track.loss is not None:
            return
        track.dips = [
            d
            for d in track.dips
            if d.end_ns < 0 or not d.verdict or time_ns - d.end_ns <= self._group_ns
        ]
