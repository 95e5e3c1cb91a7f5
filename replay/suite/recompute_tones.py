"""
The statistic that opened an oscillation, once more: from the waveform, by other code.

What a single window showed by code of the suite's own; what a sum over time showed, with all the
noise that it learned before, by the plain operators, which share none with the engine's kernels.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from operators import oscillations
from pipeline.spectra import Spectra
from replay.suite.drive import Run
from replay.suite.rows import Row, share_row
from replay.suite.scene import T0_NS
from schemas.events import SiteEvent, ToneTest
from schemas.units import NS_PER_S

__all__ = ["amplitude_w", "sum_ratios", "tone_ratios", "tone_rows"]

_RISE, _FALL = 0.25, 0.1
_SAME = 0.04
"""Share of its frequency within which a bin's sum is of a line, beside two widths of a bin."""
_EXACT = 0.98
"""Windows of 80 s and more are of a series made slower, by a filter that is flat to 1 %."""


def amplitude_w(samples_w: Any, rate_hz: float, freq_hz: float) -> float:
    """
    Amplitude at one frequency of a stretch of samples, zero to peak, W.

    As ``docs/operators.md`` says it: differences, a taper that rises over the oldest quarter and
    falls over the newest tenth, of sum 2; over what differencing leaves of an amplitude.
    """
    moved_w = np.diff(samples_w)
    place = (np.arange(len(moved_w)) + 0.5) / len(moved_w)
    flanks = np.minimum(np.minimum(place / _RISE, (1 - place) / _FALL), 1.0)
    taper = np.sin(0.5 * math.pi * flanks) ** 2
    turn = np.exp(-2j * math.pi * freq_hz / rate_hz * np.arange(len(moved_w)))
    size_w = abs(np.dot(moved_w * taper, turn)) * 2 / taper.sum()
    return float(size_w / (2 * math.sin(math.pi * freq_hz / rate_hz)))


def tone_ratios(run: Run, nodes: tuple[str, ...]) -> list[float]:
    """
    Of each oscillation that a single window opened: its amplitude then, over the threshold.

    Oscillations that only the sum over time has shown are left out (`sum_ratios`).
    """
    found = []
    for event in run.opened:
        test, limit_w = event.tone_test, event.threshold
        if test is None or limit_w is None or test.summed or test.node_id not in nodes:
            continue
        power_w, rate_hz = run.power_w(nodes.index(test.node_id), test.rate_hz)
        end, count = _sample(event.opened_ns, rate_hz), round(test.window_s * rate_hz)
        stretch_w = power_w[max(end - count - 1, 0) : end]
        found.append(amplitude_w(stretch_w, rate_hz, test.freq_hz) / limit_w)
    return found


def sum_ratios(run: Run, nodes: tuple[str, ...], spectra: Spectra) -> list[float]:
    """
    Of each oscillation that only a sum over time showed: the sum then, over its threshold.

    The operators learn their noise from the node's power alone; with the end of an oscillation the
    sums about its lines begin anew.
    """
    told: dict[tuple[str, float], list[SiteEvent]] = {}
    for event in run.opened:
        test = event.tone_test
        if test is not None and test.summed and test.node_id in nodes:
            told.setdefault((test.node_id, test.rate_hz), []).append(event)
    over = _over(run)
    found = []
    for (name, rate_hz), events in sorted(told.items()):
        power_w, _ = run.power_w(nodes.index(name), rate_hz)
        banks = [bank for feed in spectra.feeds for bank in feed.banks if bank.rate_hz == rate_hz]
        for design in (bank.plan.design for bank in banks):
            lengths = [look.samples for look in design.looks]
            asked = [e for e in events if round(_test(e).window_s * rate_hz) in lengths]
            found += _sums(power_w, asked, design, over)
    return found


def _over(run: Run) -> dict[int, list[float]]:
    """Lines of the oscillations that closed, Hz, by when they did, ns."""
    over: dict[int, list[float]] = {}
    for event in run.states:
        if event.kind == "oscillation" and event.closed_ns:
            orders = (1, *(line.order for line in event.harmonics or ()))
            lines_hz = [order * (event.freq_hz or 0.0) for order in orders]
            over.setdefault(event.closed_ns, []).extend(lines_hz)
    return over


def _test(event: SiteEvent) -> ToneTest:
    if event.tone_test is None:
        msg = f"event {event.event_id} is no oscillation"
        raise ValueError(msg)
    return event.tone_test


def _sample(time_ns: int, rate_hz: float) -> int:
    """Samples of a scene before a time."""
    return round((time_ns - T0_NS) * rate_hz / NS_PER_S)


def _sums(
    power_w: Any,
    asked: list[SiteEvent],
    design: oscillations.OscillationDesign,
    over: dict[int, list[float]],
) -> list[float]:
    """Once through a node's power by the plain operators: the sums at the events' openings."""
    plan, rate_hz = oscillations.to_namespace(design, power_w), design.rate_hz
    state = oscillations.start(power_w[None, :1], design=design, until_hop=design.hop)
    ends = {_sample(event.opened_ns, rate_hz) for event in asked}
    done = {_sample(closed_ns, rate_hz): lines_hz for closed_ns, lines_hz in over.items()}
    cuts = sorted({0, *ends, *(cut for cut in done if cut < max(ends, default=0))})
    lasting, found = np.zeros((1, len(design.freq_hz), 1)), []
    for first, last in itertools.pairwise(cuts):
        for line_hz in done.get(first, ()):
            far = np.abs(design.freq_hz - line_hz) > 2 * design.width_hz + _SAME * line_hz
            state = state._replace(sums=state.sums * far)
        stretch_w = power_w[None, first:last]
        _, new, _, _, state = oscillations.periodogram(
            stretch_w, np.ones(stretch_w.shape, bool), state, plan=plan
        )
        lasting = new if new.shape[-1] else lasting
        here = (_test(event) for event in asked if _sample(event.opened_ns, rate_hz) == last)
        found += [float(lasting[0, _bin(design, test), -1]) for test in here]
    return found


def _bin(design: oscillations.OscillationDesign, test: ToneTest) -> int:
    """The bin of a window's frequency."""
    samples = round(test.window_s * test.rate_hz)
    place = next(look.place for look in design.looks if look.samples == samples)
    return place.start + int(np.argmin(np.abs(design.freq_hz[place] - test.freq_hz)))


def tone_rows(case: str, found: list[float], sums: list[float]) -> list[Row]:
    """Share of the oscillations whose statistic, computed again, exceeds the threshold."""
    rows = []
    for what, again in (("statistic", found), ("sum over time", sums)):
        if again:
            sure = sum(x > _EXACT for x in again)
            name = f"oscillations whose {what}, recomputed, exceeds its threshold"
            note = f"least {min(again):.4f} of it"
            rows.append(share_row(case, name, (sure, len(again)), 1.0, note=note))
    return rows
