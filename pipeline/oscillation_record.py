"""An open oscillation as the record that is told and archived."""

from __future__ import annotations

import math
from typing import Any

from pipeline.layout import SiteLayout
from pipeline.oscillation_state import Feed, Line, OpenTone
from pipeline.ramp_record import peak_share
from schemas.events import SiteEvent, ToneTest

__all__ = ["FORCED_HARMONIC", "judged_by", "record"]

FORCED_HARMONIC = 0.05
"""Share of an oscillation from which a harmonic says that it is forced."""
MODE_HZ, MODE_SHARE = 0.02, 0.02
"""How near a configured mode a line is in resonance with it."""


def judged_by(layout: SiteLayout, feed: Feed, line: Line) -> tuple[float, float, ToneTest]:
    """Statistic, threshold (as metered) and what they are of, of the line that opens an event."""
    bank, summed = feed.banks[line.bank], line.now < 1
    test = ToneTest(
        window_s=line.window_s,
        freq_hz=line.freq_hz,
        rate_hz=bank.rate_hz,
        node_id=layout.nodes[feed.nodes[line.row]].id,
        channel_id=feed.channel_ids[line.row],
        summed=summed,
    )
    if summed:
        height = bank.plan.design.height
        return line.excess * height, height, test
    metered_w = line.amplitude_w / float(feed.sensors[line.row].correction(line.freq_hz))
    return metered_w, metered_w / math.sqrt(line.now), test


def record(
    layout: SiteLayout, feeds: tuple[Feed, ...], tone: OpenTone, state: Any, time_ns: int
) -> SiteEvent:
    """The event as it stands."""
    node = layout.nodes[tone.node]
    return SiteEvent(
        event_id=tone.event_id,
        kind="oscillation",
        site_id=layout.site_id,
        node_id=node.id,
        level=node.level,
        state=state,
        onset_ns=tone.onset_ns,
        opened_ns=tone.opened_ns,
        updated_ns=time_ns,
        closed_ns=time_ns if state == "closed" else None,
        quality=tone.quality,  # type: ignore[arg-type]
        statistic=tone.statistic,
        threshold=tone.threshold,
        tone_test=tone.test,
        freq_hz=tone.freq_hz,
        amplitude_w=tone.amplitude_w,
        growth_per_s=tone.growth_per_s,
        damping_ratio=tone.damping_ratio,
        harmonics=tone.harmonics or None,
        origin=_origin(tone),
        resonance_hz=_resonance_hz(layout, tone),
        unison=tone.unison,
        averaged=_averaged(feeds, tone),
        peak_share=peak_share(layout, tone.amplitude_w),
        contributors=tone.contributors or None,
        groups=tone.groups or None,
        merged_into=tone.merged_into,
    )


def _origin(tone: OpenTone) -> Any:
    """Forced where it has harmonics, natural where it rings down; else unknown."""
    if any(h.amplitude_w >= FORCED_HARMONIC * tone.amplitude_w for h in tone.harmonics):
        return "forced"
    return "natural" if (tone.damping_ratio or 0.0) > 0.01 else None


def _resonance_hz(layout: SiteLayout, tone: OpenTone) -> float | None:
    """The configured mode nearest to the line, or to one of its harmonics, if near."""
    lines = [tone.freq_hz, *(h.order * tone.freq_hz for h in tone.harmonics)]
    near = [
        (abs(hz - mode), mode)
        for mode in layout.topology.site.modes_hz
        for hz in lines
        if abs(hz - mode) <= MODE_HZ + MODE_SHARE * mode
    ]
    return min(near)[1] if near else None


def _averaged(feeds: tuple[Feed, ...], tone: OpenTone) -> bool | None:
    """True where the sensor behind it does not show this frequency in full."""
    sensor = feeds[tone.feed].sensors[tone.row]
    return None if bool(sensor.observable(tone.freq_hz)) else True
