"""The statistic that opened an event, once more: from the waveform, by other code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from replay.suite.drive import Run
from replay.suite.rows import Row, share_row
from replay.suite.scene import T0_NS
from replay.suite.sites import RACK_HZ
from schemas.events import SiteEvent, StepTest, family
from schemas.units import NS_PER_S

__all__ = [
    "EXACT",
    "Again",
    "again",
    "ratios",
    "recomputed_rows",
    "shift_ratios",
    "shift_rows",
]

_ORDER = 8
_STRETCH_S, _STRETCHES = 20, 30
_FIRST_NS = T0_NS + 60 * NS_PER_S
_BASE_S, _LAG_S, _LEAST_S, _BEFORE_S, _SAME = 90, 26, 10, 2, 0.2
EXACT = 1 - 1e-6
"""Sums in another order may differ in their last digits."""
_TICK_NS = NS_PER_S // RACK_HZ


class Again(NamedTuple):
    """One event's statistic over the threshold it names: as it was, and with our own whitener."""

    told: float
    own: float


def ratios(run: Run, nodes: tuple[str, ...]) -> list[Again]:
    """
    For each ramp that says what it was judged by: its statistic, from the waveform.

    Once with the coefficients, scale and baseline the event names (`schemas.events.StepTest`), and
    once with nothing but the waveform, as documented in ``docs/operators.md``: whitened by an
    autoregression of the last ten minutes in which no event was open, stretch by stretch of 20 s;
    about the mean of 90 s that ended 26 s before, or of what there was since the last event;
    the sum over the window over its own deviation. Node and instant are those of the
    event's first state, and what opened it is that node or one above it: of those at the named
    baseline the nearest, or the greater. Events beside an oscillation, which count from another
    level, are left out (`shift_ratios`), and so is the first minute.
    """
    busy = _busy(run)
    found = []
    for event in run.opened:
        if family(event.kind) != "ramp" or event.statistic is None or event.threshold is None:
            continue
        if event.opened_ns > _FIRST_NS and not _beside(event, run):
            rows = [run.node_w[row] for row in _rows(event, nodes)]
            own = max(_statistic(power_w, event, busy) for power_w in rows)
            told = again(rows, event, T0_NS)
            found.append(Again(told / event.threshold, own / event.threshold))
    return found


def shift_ratios(run: Run, nodes: tuple[str, ...]) -> list[float]:
    """
    For each ramp that began beside an oscillation: its shift over the least, from the waveform.

    The less of the two newest periods' means, less that of the period before, over half the swing
    within that one; its period is half of what lies between the event's onset and its opening.
    """
    found = []
    for event in run.opened:
        if family(event.kind) != "ramp" or event.step_test is not None or not event.threshold:
            continue
        end, onset = ((t - T0_NS) // _TICK_NS for t in (event.opened_ns, event.onset_ns))
        period, sign = (end - onset) // 2, math.copysign(1.0, event.depth_w or 0.0)
        shifts = []
        for row in _rows(event, nodes):
            first, *newest = np.split(sign * run.node_w[row, end - 3 * period : end], 3)
            shift_w = min(float(part.mean()) for part in newest) - float(first.mean())
            shifts.append(shift_w / (float(np.ptp(first)) / 2) / event.threshold)
        found.append(max(shifts))
    return found


def shift_rows(case: str, found: list[float]) -> list[Row]:
    """Share of the ramps beside oscillations whose shift, computed again, is one."""
    if not found:
        return []
    sure = sum(x > EXACT for x in found)
    what = "ramps beside oscillations whose shift, recomputed, exceeds its threshold"
    note = f"least {min(found):.3f} of it"
    return [share_row(case, what, (sure, len(found)), 1.0, note=note)]


def again(rows: Sequence[Any], event: SiteEvent, t0_ns: int) -> float:
    """
    The statistic with what the event says it was judged by; 0 where it does not say.

    Of several nodes' power that which comes nearest, of those that were within a fifth of the
    test's baseline before the onset: bounded innovations reach as far at any other level.
    """
    test, told = event.step_test, event.statistic or 0.0
    if test is None:
        return 0.0
    onset = (event.onset_ns - t0_ns) // _TICK_NS
    before = slice(onset - _BEFORE_S * RACK_HZ, onset)
    fit = [x for x in rows if abs(x[before].mean() / test.baseline_w - 1) <= _SAME]
    values = [_as_told(power_w, event, test, t0_ns) for power_w in fit]
    return min(values, key=lambda value: abs(value - told), default=0.0)


def _as_told(power_w: Any, event: SiteEvent, test: StepTest, t0_ns: int) -> float:
    end = (event.opened_ns - t0_ns) // _TICK_NS
    window, behind = (round(s / test.tick_s) for s in (test.window_s, test.baseline_s))
    taps = np.concatenate([[1.0], -np.array(test.coefficients)])
    stretch_w = power_w[end - window - len(test.coefficients) : end] - test.baseline_w
    z = np.convolve(stretch_w, taps, mode="valid") / test.sigma_w
    z = z if test.clip is None else z.clip(-test.clip, test.clip)
    return float(abs(z.sum())) / math.sqrt(window * (1 + window / behind))


def _rows(event: SiteEvent, nodes: tuple[str, ...]) -> set[int]:
    """Rows of the POI and of the PDU at or above the event's node (rack-3-17 is under pdu-3)."""
    pdu = event.node_id.replace("rack", "pdu").rsplit("-", max(event.node_id.count("-") - 1, 0))[0]
    return {0, nodes.index(pdu) if pdu in nodes else 0}


def _beside(event: SiteEvent, run: Run) -> bool:
    return any(
        one.kind == "oscillation"
        and one.opened_ns <= event.opened_ns <= (one.closed_ns or one.updated_ns)
        for one in run.events
    )


def _busy(run: Run) -> Any:
    """Ticks at which an event was open."""
    busy = np.zeros(run.node_w.shape[1], bool)
    for event in run.events:
        from_ns, until_ns = event.onset_ns, event.closed_ns or event.updated_ns
        busy[(from_ns - T0_NS) // _TICK_NS : (until_ns - T0_NS) // _TICK_NS + 1] = True
    return busy


def _statistic(power_w: Any, event: SiteEvent, busy: Any) -> float:
    """|sum of the window's innovations| / (sigma sqrt(w (1 + w / n))), n behind the level."""
    end = (event.opened_ns - T0_NS) // _TICK_NS
    window = (event.opened_ns - event.onset_ns) // _TICK_NS
    taps, sigma_w = _whitener(power_w[:end], busy[:end])
    before = np.flatnonzero(busy[: end - window])
    since = int(before[-1]) + 1 if len(before) else 0
    level = slice(max(end - (_LAG_S + _BASE_S) * RACK_HZ, since), end - _LAG_S * RACK_HZ)
    if level.stop - level.start < _LEAST_S * RACK_HZ:
        level = slice(since, max(end - window, since + 1))
    usual_w = power_w[level]
    level_w = usual_w.mean()
    z_w = np.convolve(power_w[end - window - _ORDER : end] - level_w, taps, mode="valid")
    spread_w = sigma_w * np.sqrt(window * (1 + window / len(usual_w)))
    return float(abs(z_w.sum()) / spread_w)


def _whitener(power_w: Any, busy: Any) -> tuple[Any, float]:
    """Autoregression from autocovariances of calm stretches (Yule-Walker, solved as it stands)."""
    size = _STRETCH_S * RACK_HZ
    last = len(power_w) // size * size
    calm = [at for at in range(0, last, size) if not busy[at : at + size].any()]
    used = calm[-_STRETCHES:] or list(range(0, last, size))
    sums = np.zeros(_ORDER + 1)
    for start in used:
        x = power_w[start : start + size] - power_w[start : start + size].mean()
        sums += [float(np.dot(x[lag:], x[: size - lag])) for lag in range(_ORDER + 1)]
    places = np.abs(np.arange(_ORDER)[:, None] - np.arange(_ORDER)[None, :])
    weights = np.linalg.solve(sums[places], sums[1:])
    sigma_w = np.sqrt((sums[0] - float(np.dot(weights, sums[1:]))) / (len(used) * size))
    return np.concatenate([[1.0], -weights]), float(sigma_w)


def recomputed_rows(case: str, found: list[Again]) -> list[Row]:
    """Share of the events whose statistic, computed again, exceeds the threshold they name."""
    if not found:
        return []
    what = "events whose statistic, recomputed, exceeds its threshold"
    told, own = ([one[k] for one in found] for k in (0, 1))
    sure = sum(x > EXACT for x in told)
    blind = sum(x > 1 for x in own)
    return [
        share_row(case, what, (sure, len(told)), 1.0, note=f"least {min(told):.4f} of it"),
        share_row(
            case, f"{what}, by another whitener", (blind, len(own)), None,
            note=f"least {min(own):.3f} of it",
        ),
    ]  # fmt: skip
