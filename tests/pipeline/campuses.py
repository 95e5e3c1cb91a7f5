"""Simulated campuses straight into an engine: no bytes, no lane, no archive."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.campus import Campus
from replay.campus_file import topology
from replay.inference import load_library
from replay.plan import Plan, Site
from schemas.events import SiteEvent
from schemas.units import NS_PER_S


def simulated(site: Site, duration_s: int, *, seed: int = 0) -> list[SiteEvent]:
    """Final states of the events of a simulated site, merged ones left out; times from 0 s."""
    plan = Plan(site=(site,), duration_s=duration_s, t0="1970-01-01T00:00:00Z")
    campus = Campus(plan, site, site.id, library=load_library(), seed=[seed, 0])
    layout = SiteLayout(topology(campus))
    engine = Engine(layout, DetectSettings(), choose("cpu"))
    state, found = engine.start(), {}
    for second in range(duration_s):
        parts: dict[str, list[Any]] = {}
        for meter, power_w in campus.second(second):
            parts.setdefault(meter.level, []).append(power_w)
        x = {k: np.concatenate(v).astype(np.float32).astype(float) for k, v in parts.items()}
        ok = {k: np.ones(v.shape, bool) for k, v in x.items()}
        block = Block(second * NS_PER_S, layout.ticks_per_s, x, ok, {}, restart=False)
        state, outcome = engine.step(state, block)
        found.update({event.event_id: event for event in outcome.events})
    _, outcome = engine.finish(state, "end_of_stream")
    found.update({event.event_id: event for event in outcome.events})
    return [event for event in found.values() if event.merged_into is None]
