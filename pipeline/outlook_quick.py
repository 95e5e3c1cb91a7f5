"""Forecasts from tick means, 0.1 s to two minutes ahead: seven methods, side by side."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from operators import futures, harmonics, periods
from operators.futures import BLOCK, Targets
from operators.periods import Period
from pipeline.outlook_state import METHODS

__all__ = [
    "SECONDS_S",
    "TICKS_S",
    "Past",
    "Quick",
    "fast_targets",
    "scada_targets",
    "some_s",
    "tracked_period",
]

TICKS_S, SECONDS_S = 800, 7200
"""What is kept of tick means and of 1-s means."""
CLIMATE_S, LEVELS_S = 60, 600
LONGEST_PERIOD_S = 33
PERIOD_S = 102
HARMONIC_S = 60
CYCLES = 10
ANALOGS, LEVEL_ANALOGS = 40, 60
ORIGINS, STRIDE_S = 128, 5.3
"""Past instants that errors are taken from; their spacing fits no common period."""
SEEN_S = (0.0, 1.0, 10.0, 60.0)
"""Features of the regression: newest tick, and means over these spans."""
LEVEL_S = (15, 60)
LEVEL_WEIGHT = (1.0, 1.0, 0.5)
SCADA_S = (*range(11, 31), 35, 40, 45, 50, 60, 75, 90, 105, 120)


def fast_targets(ticks_per_s: int) -> Targets:
    """Single ticks up to 10 s ahead: each of the first 2 s, then coarser."""
    fine = range(1, 2 * ticks_per_s + 1)
    middle = range(
        fine[-1] + max(ticks_per_s // 5, 1), 5 * ticks_per_s + 1, max(ticks_per_s // 5, 1)
    )
    coarse = range(
        middle[-1] + max(ticks_per_s // 2, 1), 10 * ticks_per_s + 1, max(ticks_per_s // 2, 1)
    )
    until = np.array([*fine, *middle, *coarse], np.int64)
    return Targets(until, np.ones_like(until))


def scada_targets(ticks_per_s: int) -> Targets:
    """Means over 1 s, 11 s to 120 s ahead."""
    until = np.array(SCADA_S, np.int64) * ticks_per_s
    return Targets(until, np.full_like(until, ticks_per_s))


class Past(NamedTuple):
    """The POI's past: tick means and 1-s means, oldest first, (time,) W, and what was measured."""

    ticks_w: Any
    known: Any
    seconds_w: Any
    since_s: int
    """Seconds since the level last changed for good."""


class Quick:
    """
    The methods of the two classes that end within two minutes, in one go.

    ``targets`` are those of ``fast`` and then of ``scada``; ``slices`` says which are whose.
    """

    def __init__(self, ticks_per_s: int) -> None:
        self._per_s = ticks_per_s
        both = (fast_targets(ticks_per_s), scada_targets(ticks_per_s))
        self.targets = Targets(*(np.concatenate(column) for column in zip(*both, strict=True)))
        split = len(both[0].until)
        self.slices = {"fast": slice(0, split), "scada": slice(split, len(self.targets.until))}
        self._longest = [int(targets.until[-1]) for targets in both]
        self._counts = [len(targets.until) for targets in both]
        seconds = both[1].until // ticks_per_s
        self._seconds = Targets(seconds, np.ones_like(seconds))
        self._seen = np.array([max(round(s * ticks_per_s), 1) for s in SEEN_S], np.int64)

    def of(self, name: str) -> Targets:
        """One class's targets."""
        return Targets(*(column[self.slices[name]] for column in self.targets))

    def raw(self, past: Past, found: Period) -> Any:
        """Quantiles of every method, (method, horizon, 7), W."""
        base_w = float(past.ticks_w[-1])
        ticks_w = past.ticks_w - base_w
        total = futures.running(ticks_w)
        gaps = None if past.known.all() else np.concatenate([[0], np.cumsum(~past.known)])
        climate = self._climate(total, gaps, CLIMATE_S, 1)
        given = dict.fromkeys(METHODS, climate)
        given["levels"] = self._climate(total, gaps, LEVELS_S, 4)
        given |= self._seen_before(total, gaps)
        if found.samples:
            given |= self._periodic(ticks_w, total, found, past.since_s)
        self._analog(ticks_w, total, gaps, found, given)
        self._levels(past, found, base_w, given)
        return base_w + np.stack([given[name] for name in METHODS])

    def _climate(self, total: Any, gaps: Any, span_s: int, stride: int) -> Any:
        """Quantiles of the newest means of each target's width, whatever the horizon."""
        rows = []
        for width, count in zip((1, self._per_s), self._counts, strict=True):
            first = max(len(total) - span_s * self._per_s, width)
            end = np.arange(first, len(total), stride)
            if gaps is not None:
                end = end[gaps[end] == gaps[end - width]]
            if not len(end):
                rows.append(np.zeros((count, 7)))
                continue
            means_w = (total[end] - total[end - width]) / width
            rows.append(np.repeat(futures.quantiles(means_w[None]), count, axis=0))
        return np.concatenate(rows)

    def _origins(self, gaps: Any, end: int, longest: int) -> Any:
        """Instants with a minute before and all targets behind them, measured throughout."""
        before = int(self._seen[-1])
        stride = max(round(STRIDE_S * self._per_s), 1)
        origins = np.arange(end - longest, before - 1, -stride, dtype=np.int64)
        if gaps is not None:
            origins = origins[gaps[origins + longest] == gaps[origins - before]]
        return origins[:ORIGINS]

    def _seen_before(self, total: Any, gaps: Any) -> dict[str, Any]:
        """Persistence, and the regression on what was seen."""
        end = len(total) - 1
        origins = [self._origins(gaps, end, longest) for longest in self._longest]
        least = min(map(len, origins))
        if least < 8:
            return {}
        rows = [
            np.broadcast_to(o[:least], (n, least))
            for o, n in zip(origins, self._counts, strict=True)
        ]
        at, now = np.concatenate(rows), np.array([end])
        ahead_w = futures.means_ahead(total, at, self.targets)
        before_w = futures.means_before(total, at, self.targets.width)
        last_w = futures.means_before(total, now, self.targets.width)[:, 0]
        given = {"persistence": futures.persisted(ahead_w, before_w, last_w)}
        if least >= 64:
            now_w = futures.means_before(total, now, self._seen)[:, 0]
            parts = [
                futures.regressed(
                    ahead_w[rows], futures.means_before(total, of[:least], self._seen), now_w
                )
                for rows, of in zip(self.slices.values(), origins, strict=True)
            ]
            given["regression"] = np.concatenate(parts)
        return given

    def _periodic(self, ticks_w: Any, total: Any, found: Period, since_s: int) -> dict[str, Any]:
        seasonal = futures.seasonal(total, self.targets, period=found.samples, cycles=CYCLES)
        span = min(HARMONIC_S, max(since_s, 0)) * self._per_s
        if span < 3 * found.samples or len(ticks_w) < span:
            return {"seasonal": seasonal}
        waves = harmonics.carried_on(ticks_w[-span:], self.targets, period=found.samples)
        return {"seasonal": seasonal, "harmonic": waves}

    def _analog(self, ticks_w: Any, total: Any, gaps: Any, found: Period, given: Any) -> None:
        """What followed when the newest iteration looked like this one."""
        length = round(1.25 * found.samples) if found.samples else 3 * self._per_s
        length = int(np.clip(length, min(10, 3 * self._per_s), 9 * self._per_s))
        if len(ticks_w) - self._longest[-1] - length < 2 * BLOCK * ANALOGS:
            return
        distance, shift_w = futures.unlikeness(ticks_w, length=length)
        parts = []
        for longest, of in zip(self._longest, self.slices.values(), strict=True):
            usable = len(distance) - longest
            far = distance[:usable]
            if gaps is not None:
                whole = gaps[length + longest :][:usable] == gaps[:usable]
                far = np.where(whole, far, np.inf)
                if np.count_nonzero(whole) < 2 * BLOCK * ANALOGS:
                    return
            best = futures.nearest(far, count=ANALOGS)
            targets = Targets(self.targets.until[of], self.targets.width[of])
            ahead_w = futures.means_ahead(total, best + length, targets)
            parts.append(futures.quantiles(ahead_w + shift_w[best]))
        given["analog"] = np.concatenate(parts)

    def _levels(self, past: Past, found: Period, base_w: float, given: Any) -> None:
        """What followed when the means over some, 15 and 60 seconds were those of now."""
        longest, end = self._longest[-1] // self._per_s, len(past.seconds_w)
        if end < LEVEL_S[-1] + longest + 4 * LEVEL_ANALOGS:
            return
        total = futures.running(past.seconds_w - base_w)
        spans = np.array([some_s(found, self._per_s), *LEVEL_S], np.int64)
        origins = np.arange(LEVEL_S[-1], end - longest + 1, 3, dtype=np.int64)
        then_w = futures.means_before(total, origins, spans)
        now_w = futures.means_before(total, np.array([end]), spans)
        distance = ((then_w - now_w) ** 2 * np.array(LEVEL_WEIGHT)[:, None]).sum(axis=0)
        best = np.argsort(distance)[:LEVEL_ANALOGS]
        ahead_w = futures.means_ahead(total, origins[best], self._seconds)
        levels = futures.quantiles(ahead_w - then_w[0, best] + now_w[0, 0])
        given["levels"] = np.concatenate([given["levels"][self.slices["fast"]], levels])


def some_s(found: Period, ticks_per_s: int) -> int:
    """About two periods, so that the phase does not show; 4 to 14 s."""
    return int(np.clip(round(2 * found.samples / ticks_per_s), 4, 14))


def tracked_period(past: Past, ticks_per_s: int) -> Period:
    """The POI's period now, samples: of what was measured since its level last changed."""
    span = min(PERIOD_S, max(past.since_s, 20)) * ticks_per_s
    newest_w, known = past.ticks_w[-span:], past.known[-span:]
    if len(newest_w) < 16 * ticks_per_s or not known.all():
        return Period(0.0, 0.0)
    return periods.period(newest_w, longest=LONGEST_PERIOD_S * ticks_per_s)
