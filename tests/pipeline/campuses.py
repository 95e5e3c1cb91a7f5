"""Simulated campuses straight into an engine: no bytes, no lane, no archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.campus import Campus
from replay.campus_file import topology, truth
from replay.inference import load_library
from replay.plan import Plan, Site
from replay.suite.drive import standing, through
from schemas.events import SiteEvent
from schemas.units import NS_PER_S


class Simulated:
    """A simulated site from 0 s on: its layout, and its power as blocks of any length."""

    def __init__(self, site: Site, duration_s: int, *, seed: int = 0) -> None:
        self.plan = Plan(site=(site,), duration_s=duration_s, t0="1970-01-01T00:00:00Z")
        library = load_library()
        self.campus = Campus(self.plan, site, site.id, library=library, seed=[seed, 0])
        self.layout = SiteLayout(topology(self.campus))
        self.truth = truth(self.campus)

    def seconds(self) -> Iterator[Block]:
        """One block a second."""
        layout = self.layout
        for second in range(self.plan.duration_s):
            parts: dict[str, list[Any]] = {}
            volts = None
            for meter, power_w in self.campus.second(second):
                parts.setdefault(meter.level, []).append(power_w)
                read_v = self.campus.voltage_v(meter, second)
                if read_v is not None:
                    volts = (read_v[0] / np.float32(self.campus.site.nominal_v)).astype(float)
            x = {k: np.concatenate(v).astype(np.float32).astype(float) for k, v in parts.items()}
            ok = {k: np.ones(v.shape, bool) for k, v in x.items()}
            yield Block(
                second * NS_PER_S, layout.ticks_per_s, x, ok, {}, restart=False, voltage_pu=volts
            )


def run(
    layout: SiteLayout,
    blocks: Iterator[Block] | Sequence[Block],
    detect: DetectSettings | None = None,
) -> list[SiteEvent]:
    """Every record of the events of some blocks, in order."""
    engine = Engine(layout, detect or DetectSettings(), choose("cpu"), report=False)
    return through(engine, blocks)


def simulated(site: Site, duration_s: int, *, seed: int = 0) -> list[SiteEvent]:
    """Final states of the events of a simulated site, merged ones left out; times from 0 s."""
    one = Simulated(site, duration_s, seed=seed)
    return standing(run(one.layout, one.seconds()))
