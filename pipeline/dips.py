"""Voltage dips at the POI: when they begin and end, how deep, what the site lost in each."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from pipeline.layout import SiteLayout
from pipeline.load_loss_state import DipSeen, LossTrack
from pipeline.ramp_record import mean
from pipeline.ride_through import Curve
from schemas.events import GridSignal
from schemas.units import NS_PER_S

__all__ = ["DIP_PU", "RING_S", "Dips", "Tick"]

DIP_PU = 0.9
"""A voltage below is a dip (IEC 61000-4-30, IEEE 1159)."""
BACK_SHARE = 0.9
"""Share of the power before that counts as back."""
BEFORE_S = 2.0
"""What was before a dip is the mean of so much."""
REST_S, SETTLE_S = 0.25, 1.25
"""What is left after a dip is the mean between these, counted from its end."""
LONGEST_S = 6.0
"""A dip that lasts longer is settled while it lasts."""
RING_S = 12
LEAST_SHARE, LEAST_SPREADS = 0.01, 3.0
"""Less than this share of the power, or so many standard deviations of its ticks, is no loss."""
HOLD_S = 0.5
"""Power is back when it stays so long."""
FRESH_NS = NS_PER_S
"""Measured voltages this old leave the word to signals."""


class Tick(NamedTuple):
    """One tick of the POI: its power, and samples of power and voltage where both are metered."""

    end_ns: int
    power_w: float
    samples_w: Any
    """(time,) W, or None"""
    volts: Any
    """(time,) pu, NaN where not measured; or None"""


class Dips:
    """Follows one site's voltage; ``track`` is the caller's own copy."""

    def __init__(self, layout: SiteLayout, curve: Curve, group_ns: int) -> None:
        self._group_ns = group_ns
        self._curve, self._tick_ns, self._per_s = curve, layout.tick_ns, layout.ticks_per_s
        levels = {grid.level: grid.rate for grid in layout.grids}
        self._rate = levels.get("substation", layout.ticks_per_s)
        named = (c.nominal_v for c in layout.topology.level_channels.get("substation", ()))
        self._nominal_v = next((v for v in named if v), None)
        self._hold = max(round(HOLD_S * self._per_s), 1)
        self._before = max(round(BEFORE_S * self._per_s), 1)

    def hear(self, track: LossTrack, tick: Tick) -> None:
        """Take the voltages that the grid told and that act by now."""
        for one in [s for s in track.said if s.from_ns < tick.end_ns]:
            track.said.remove(one)
            value = None if one.signal is None else self._told_pu(one.signal)
            if one.signal is not None and value is not None:
                self._say(track, one.signal, value, tick)
        if 0 <= track.signal_until_ns <= tick.end_ns:
            self._end(track, track.signal_until_ns)
            track.signal_pu, track.signal_until_ns = 1.0, -1

    def _told_pu(self, signal: GridSignal) -> float | None:
        if signal.signal != "voltage" or signal.value < 0:
            return None
        if signal.unit == "pu":
            return signal.value
        known = signal.unit == "V" and self._nominal_v
        return signal.value / self._nominal_v if known and self._nominal_v else None

    def _say(self, track: LossTrack, signal: GridSignal, value: float, tick: Tick) -> None:
        """A signal's voltage holds from its instant until the next one, or its end."""
        if track.measured_ns >= 0 and tick.end_ns - track.measured_ns <= FRESH_NS:
            return
        track.signal_pu = value
        track.signal_until_ns = -1 if signal.until_ns is None else signal.until_ns
        at_ns = min(signal.t_ns, tick.end_ns)
        if value >= DIP_PU:
            self._end(track, at_ns)
        elif not self._lasting(track):
            self._begin(track, at_ns, "signal", value)

    def step(self, track: LossTrack, tick: Tick) -> None:
        """Take one tick's voltage and power."""
        lasting = self._lasting(track)
        silent = tick.end_ns - track.measured_ns > FRESH_NS
        if tick.volts is not None and not np.isnan(tick.volts).all():
            track.measured_ns = tick.end_ns
            self._measured(track, tick)
        elif silent and lasting is not None and lasting.source == "measured":
            self._end(track, track.measured_ns)  # the meter is lost: so is the dip's end
        for dip in track.dips:
            if dip.settled or dip.source == "measured":
                continue
            dip.power_w = np.append(dip.power_w, tick.power_w)
            volts = track.signal_pu if dip.end_ns < 0 else 1.0
            dip.volts = np.append(dip.volts, volts)
            dip.residual_pu = min(dip.residual_pu, volts)

    def _measured(self, track: LossTrack, tick: Tick) -> None:
        """Cut the tick's samples at where the voltage crosses the limit."""
        newest = np.maximum.accumulate(
            np.where(np.isnan(tick.volts), -1, np.arange(len(tick.volts)))
        )
        before = self._lasting(track) is not None
        low = np.where(newest >= 0, tick.volts[newest] < DIP_PU, before)
        samples_w = np.full(len(low), tick.power_w) if tick.samples_w is None else tick.samples_w
        start_ns = tick.end_ns - self._tick_ns
        edges = (np.flatnonzero(np.diff(low.astype(np.int8))) + 1).tolist()
        for a, b in zip([0, *edges], [*edges, len(low)], strict=True):
            at_ns = start_ns + a * self._tick_ns // len(low)
            lasting = self._lasting(track)
            if low[a] and lasting is None:
                self._begin(track, at_ns, "measured", 1.0)
            elif not low[a] and lasting is not None:
                self._end(track, at_ns)
            self._collect(track, samples_w[a:b], tick.volts[a:b])

    def _collect(self, track: LossTrack, samples_w: Any, volts: Any) -> None:
        for dip in track.dips:
            if dip.settled or dip.source != "measured":
                continue
            dip.power_w = np.concatenate([dip.power_w, samples_w])
            dip.volts = np.concatenate([dip.volts, volts])
            if dip.end_ns < 0:
                dip.residual_pu = float(np.nanmin(np.append(volts, dip.residual_pu)))

    def _lasting(self, track: LossTrack) -> DipSeen | None:
        return track.dips[-1] if track.dips and track.dips[-1].end_ns < 0 else None

    def _begin(self, track: LossTrack, onset_ns: int, source: str, value: float) -> None:
        """Begin a dip; one that is not settled yet is, with what there is."""
        for dip in track.dips:
            self._settle(dip)
        since = max(-(-(track.end_ns - onset_ns) // self._tick_ns), 0)
        ring_w = track.ring_w[: len(track.ring_w) - since] if since < len(track.ring_w) else []
        before = np.array(ring_w[-self._before :], float)
        before = before[~np.isnan(before)]
        mean_w = mean(before) if len(before) else 0.0
        spread_w = mean((before - mean_w) ** 2) ** 0.5 if len(before) else 0.0
        late_w = track.ring_w[len(track.ring_w) - since :] if since else np.zeros(0)
        measured = source == "measured"
        last = track.dips[-1] if track.dips else None
        repeat = last is not None and self.joined(last, onset_ns)
        track.dips.append(
            DipSeen(
                onset_ns=onset_ns,
                source=source,
                residual_pu=value,
                before_w=mean_w,
                asked_w=last.asked_w if repeat and last is not None else mean_w,
                least_w=max(LEAST_SHARE * abs(mean_w), LEAST_SPREADS * spread_w),
                per_s=float(self._rate if measured else self._per_s),
                power_w=np.zeros(0) if measured else np.array(late_w, float),
                volts=np.zeros(0) if measured else np.full(len(late_w), value),
            )
        )

    def joined(self, one: DipSeen, onset_ns: int) -> bool:
        """Whether a dip that begins then belongs to the same event."""
        return one.end_ns >= 0 and onset_ns - one.end_ns <= self._group_ns

    def _end(self, track: LossTrack, end_ns: int) -> None:
        dip = self._lasting(track)
        if dip is not None:
            dip.end_ns = max(end_ns, dip.onset_ns)

    def settled(self, track: LossTrack, tick: Tick) -> list[DipSeen]:
        """Dips of which it is known from this tick on what was lost."""
        found = []
        for dip in track.dips:
            last_ns = dip.onset_ns + round(LONGEST_S * NS_PER_S)
            over_ns = last_ns if dip.end_ns < 0 else min(dip.end_ns, last_ns)
            due = tick.end_ns >= over_ns + round(SETTLE_S * NS_PER_S)
            if not dip.settled and due:
                self._settle(dip)
                found.append(dip)
        return found

    def _settle(self, dip: DipSeen) -> None:
        """What was lost: power before less a mean of the second after; when, and by which rule."""
        if dip.settled:
            return
        dip.settled = True
        lasted_s = (dip.end_ns - dip.onset_ns) / NS_PER_S if dip.end_ns >= 0 else 0.0
        after_w = dip.power_w[round(lasted_s * dip.per_s) :]
        after_w = after_w if len(after_w) else dip.power_w[-1:]
        rest = max(round((SETTLE_S - REST_S) * dip.per_s), 1)
        lost_w = dip.before_w - (mean(after_w[-rest:]) if len(after_w) else dip.before_w)
        dip.lost_w = lost_w if lost_w >= dip.least_w else 0.0
        if dip.lost_w > 0:
            above = np.flatnonzero(dip.power_w > dip.before_w - dip.lost_w / 2)
            fell = int(above[-1]) + 1 if len(above) else 0
            dip.fell_ns = dip.onset_ns + round(fell / dip.per_s * NS_PER_S)
            stay = self._curve.stay(_known(dip.volts)[:fell], dip.per_s)
            dip.rule, dip.left_s = stay.rule, stay.left_s
        else:
            dip.rule, dip.verdict = self._curve.name, "rode_through"
        dip.power_w = dip.volts = np.zeros(0)

    def judge(self, dip: DipSeen, recent_w: Any, now_ns: int) -> bool:
        """Follow a settled dip's recovery; whether anything is new. ``recent_w`` ends now."""
        before = (dip.recovered_ns, dip.verdict)
        ended = dip.end_ns >= 0 and dip.settled and dip.lost_w > 0
        if ended and dip.recovered_ns < 0:
            dip.recovered_ns = self.back_ns(dip.asked_w, dip.end_ns, recent_w, now_ns)
        if dip.settled and not dip.verdict:
            self._decide(dip, now_ns)
        return before != (dip.recovered_ns, dip.verdict)

    def back_ns(self, before_w: float, from_ns: int, recent_w: Any, now_ns: int) -> int:
        """When 0.9 of ``before_w`` was back for good, not before ``from_ns``; -1: not yet."""
        good = recent_w >= BACK_SHARE * before_w
        if not good[-self._hold :].all():
            return -1
        bad = np.flatnonzero(~good)
        since = len(good) - 1 - int(bad[-1]) if len(bad) else len(good)
        return max(now_ns - since * self._tick_ns, from_ns)

    def _decide(self, dip: DipSeen, now_ns: int) -> None:
        if dip.left_s < 0:
            dip.verdict, dip.margin_s = "permitted", -dip.left_s
            return
        back_s = self._curve.back_s
        if back_s is not None and dip.end_ns >= 0:
            until_ns = dip.end_ns + round(back_s * NS_PER_S)
            if 0 <= dip.recovered_ns <= until_ns:
                dip.verdict = "recovered"
                dip.margin_s = (until_ns - dip.recovered_ns) / NS_PER_S
                return
            if now_ns < until_ns + round(HOLD_S * NS_PER_S):
                return
        elif dip.end_ns < 0 and back_s is not None:
            return
        dip.verdict, dip.margin_s = "violation", -dip.left_s


def _known(volts: Any) -> Any:
    """Voltages with the last known one where none was measured."""
    newest = np.maximum.accumulate(np.where(np.isnan(volts), 0, np.arange(len(volts))))
    return volts[newest]
