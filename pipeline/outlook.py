"""
The running forecast of a POI, from 0.1 s to a week ahead, with its own record.

One chain for four horizon classes: seven methods side by side (`outlook_quick`, `outlook_slow`),
weighed by their rolling CRPS and held to their quantiles (`outlook_book`), moved by what was
announced (`planned`), told as one record (`outlook_message`).
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from operators import futures
from operators.periods import Period
from pipeline import outlook_book, planned
from pipeline.detect import DetectSettings
from pipeline.layout import SiteLayout
from pipeline.outlook_horizons import FIVE_NS, HOUR_NS, Horizons
from pipeline.outlook_message import Facts, Issue, Writer, ramp_bounds
from pipeline.outlook_past import Settling
from pipeline.outlook_quick import Past, some_s, tracked_period
from pipeline.outlook_state import METHODS, REGIMES, OutlookState, start
from schemas.forecasts import Forecast, ForecastOutcome, HorizonClass
from schemas.units import NS_PER_S

__all__ = ["Outlook", "OutlookState", "Poi"]

KNOWN = 0.5
"""Share of a tick's sources that makes it measured."""
SILENT_NS = 60 * NS_PER_S
"""After this long without a measurement nothing is issued: the recourse holds."""
FEWEST_S = 10
NEW_LEVEL = 0.02
"""What an hour's mean is taken to change by (1 sigma) before a site has shown what it does."""
UNSETTLED, RANGES = 3.0, 720
"""A minute's range of levels over its usual one that means a change; how many are remembered."""


class Poi(NamedTuple):
    """One second of the POI: tick means (tick,) W, their measured share, and the site's size."""

    ticks_w: Any
    share: Any
    reference_w: float
    end_ns: int


class Outlook:
    """Forecasts one site's POI; host side, once every few grid seconds."""

    def __init__(self, layout: SiteLayout, detect: DetectSettings) -> None:
        self._every_s, self._per_s = detect.forecast_every_s, layout.ticks_per_s
        self._turn = zlib.crc32(layout.site_id.encode()) % self._every_s
        self._writer = Writer(layout, detect)
        self.of = Horizons(self._per_s)
        self._settling = Settling(self.of, (layout.site_id, layout.nodes[layout.top].id))

    def start(self) -> OutlookState:
        """Nothing known."""
        return start(self.of.followed())

    def step(
        self, state: OutlookState, poi: Poi
    ) -> tuple[OutlookState, list[Forecast | ForecastOutcome]]:
        """Take one second; what is issued with it, and what came of earlier forecasts."""
        new = dataclasses.replace(state, books=dict(state.books), end_ns=poi.end_ns)
        known = poi.share >= KNOWN
        new.fresh = [*state.fresh, (poi.ticks_w, known)]
        if known.any():
            new.measured_ns = poi.end_ns
        self._hear(new)
        due = list(self._due(poi.end_ns))
        told: list[Forecast | ForecastOutcome] = []
        if not due and len(new.fresh) < 2 * self._every_s:
            return new, told
        self._settling.join(new, told)
        silent = new.measured_ns < 0 or poi.end_ns - new.measured_ns > SILENT_NS
        if silent or np.count_nonzero(new.seconds_known) < FEWEST_S:
            return new, told
        told += self._issue(new, poi, due)
        return new, told

    def _due(self, end_ns: int) -> Iterator[HorizonClass]:
        if end_ns // NS_PER_S % self._every_s == self._turn:
            yield "fast"
            yield "scada"
        if end_ns % FIVE_NS == 0:
            yield "dispatch"
        if end_ns % HOUR_NS == 0:
            yield "cop"

    def _hear(self, state: OutlookState) -> None:
        for one in state.said:
            if one.hint is not None:
                state.planned = planned.heard(state, one.hint)
            if one.signal is not None:
                state.signals = {**state.signals, one.signal.signal: one.signal}
        state.said = []

    def _issue(self, state: OutlookState, poi: Poi, due: list[HorizonClass]) -> Iterator[Forecast]:
        since_s = max(int((state.end_ns - state.changed_ns) // NS_PER_S), 0)
        past = Past(state.ticks_w, state.ticks_known, state.seconds_w, since_s)
        found = tracked_period(past, self._per_s)
        unsettled = self._look_back(state, found) if "fast" in due else False
        facts = self._facts(state, poi, found)
        quick_w: Any = self.of.chain.raw(past, found) if "fast" in due else None
        for name in due:
            if name in self.of.quick:
                raw_w = quick_w[:, self.of.chain.slices[name]]
                regime = 2 if unsettled else int(found.samples > 0)
            else:
                raw_w, regime = self._slow_raw(state, name)
            times_ns = self.of.times(name, state.end_ns)
            if name in self.of.quick and planned.ahead(state, int(times_ns[1][-1])):
                regime = REGIMES.index("planned")
            book = state.books[name]
            sent_w, method = outlook_book.blend(book, name, raw_w, regime)
            sent_w = self._with_plans(state, sent_w, (name, times_ns))
            state.books[name] = outlook_book.opened(book, state.end_ns, raw_w, sent_w, regime)
            state.seq += 1
            valid_ns = state.end_ns + 2 * self.of.step_ns.get(name, self._every_s * NS_PER_S)
            told = np.flatnonzero(self.of.archived[name]).tolist()
            horizons_s = self.of.horizons_s(name).tolist()
            issue = Issue(name, sent_w, method, *times_ns, regime, valid_ns, horizons_s, told)
            yield self._writer.forecast(state, issue, facts)

    def _slow_raw(self, state: OutlookState, name: str) -> tuple[Any, int]:
        """Quantiles of every method, and the regime: planned where the level is to change soon."""
        job = self.of.slow[name]
        since_s = (state.end_ns - state.changed_ns) // NS_PER_S
        span_s = int(np.clip(since_s, FEWEST_S, 300))
        newest_w = state.seconds_w[-span_s:][state.seconds_known[-span_s:]]
        level_w = float(newest_w.mean()) if len(newest_w) else float(state.seconds_w[-1])
        if name == "cop":
            least_w = NEW_LEVEL * abs(level_w)
            past = (state.hours_w, state.hours_known)
        else:
            least_w = float(state.seconds_w.std()) / 4
            past = (state.fives_w, state.fives_known)
        times_ns = self.of.times(name, state.end_ns)
        steps = [p for p in planned.ahead(state, int(times_ns[1][-1])) if planned.lasting(p)]
        raw_w = job.raw(*past, level_w, least_w)
        if not steps:
            return raw_w, 0
        stepped_w = planned.moved(steps, state, job.planned(*past, level_w), times_ns)
        raw_w[METHODS.index("levels")] = stepped_w
        return raw_w, REGIMES.index("planned")

    def _with_plans(self, state: OutlookState, sent_w: Any, of: tuple[str, Any]) -> Any:
        """What was announced moves the quantiles, and what the grid asked for caps them."""
        name, (start_ns, end_ns) = of
        events = planned.ahead(state, int(end_ns[-1]))
        if name in self.of.slow:  # lasting changes are in the methods already
            events = [p for p in events if not planned.lasting(p)]
        began_ns = planned.resumed(state) if name in self.of.quick else None
        if began_ns is not None:
            sent_w = self._as_before(state, sent_w, began_ns, end_ns)
        sent_w = planned.moved(events, state, sent_w, (start_ns, end_ns))
        signal = state.signals.get("set_point")
        if signal is not None and signal.unit == "W":
            until_ns = end_ns[-1] if signal.until_ns is None else signal.until_ns
            inside = (start_ns >= signal.t_ns) & (end_ns <= until_ns)
            sent_w = np.where(inside[:, None], np.minimum(sent_w, signal.value), sent_w)
        return sent_w

    def _as_before(self, state: OutlookState, sent_w: Any, began_ns: int, end_ns: Any) -> Any:
        """Within and after a passing event: the minute before it, which the plan then moves."""
        back_s = (state.end_ns - began_ns) // NS_PER_S + 1
        before_w = state.ticks_w[-(back_s + 60) * self._per_s : -back_s * self._per_s]
        if len(before_w) < 30 * self._per_s:
            return sent_w
        width = max(int((end_ns[-1] - end_ns[-2]) // NS_PER_S), 0)
        means_w = before_w if width < 1 else before_w.reshape(-1, self._per_s).mean(axis=1)
        return np.repeat(futures.quantiles(means_w[None]), len(sent_w), axis=0)

    def _look_back(self, state: OutlookState, found: Period) -> bool:
        """Whether the level changed within the last minute; when, and how much it swings."""
        self._swing(state, found)
        if state.end_ns // NS_PER_S // 60 != (state.end_ns // NS_PER_S - self._every_s) // 60:
            state.envelope = ramp_bounds(state.seconds_w, state.seconds_known)
            if len(state.swings_w):
                ordered_w = np.sort(state.swings_w)
                half, most = len(ordered_w) // 2, int(0.95 * (len(ordered_w) - 1))
                state.swing_w = (float(ordered_w[half]), float(ordered_w[most]))
        span_s = some_s(found, self._per_s)
        planned.watched(state, span_s)
        newest_w = state.seconds_w[-60 - span_s :]
        if len(newest_w) <= 2 * span_s:
            return False
        total = futures.running(newest_w - newest_w[-1])
        levels_w = (total[span_s:] - total[:-span_s]) / span_s
        wide_w = float(levels_w.max() - levels_w.min())
        state.ranges_w = np.append(state.ranges_w, wide_w)[-RANGES:]
        if not wide_w > UNSETTLED * float(np.median(state.ranges_w)):
            return False
        jump_w = np.abs(levels_w[span_s:] - levels_w[:-span_s])
        after = len(levels_w) - 1 - int(np.argmax(jump_w)) - span_s
        state.changed_ns = max(state.changed_ns, state.end_ns - after * NS_PER_S)
        return True

    def _swing(self, state: OutlookState, found: Period) -> None:
        """Zero-to-peak amplitude of the period's fundamental over the newest whole periods."""
        if not found.samples:
            return
        count = int(min(8, 20 * self._per_s // found.samples + 1) * found.samples)
        newest_w = state.ticks_w[-count:]
        angle = 2 * np.pi * np.arange(len(newest_w)) / found.samples
        wave = ((newest_w - newest_w.mean()) * np.exp(1j * angle)).sum()
        state.swings_w = np.append(state.swings_w, 2 * abs(wave) / len(newest_w))[-RANGES:]

    def _facts(self, state: OutlookState, poi: Poi, found: Period) -> Facts:
        freq_hz = self._per_s / found.samples if found.samples else 0.0
        digest = (
            f"{zlib.crc32(np.ascontiguousarray(state.ticks_w[-10 * self._per_s :]).tobytes()):08x}"
        )
        share = float(poi.share.mean())
        return Facts(share, poi.reference_w, freq_hz, found.strength, digest)
