"""Scenes straight into the detectors: no files, no decode; what is measured is the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import CPU
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.suite.scene import Scene
from replay.suite.sites import RACK_HZ
from replay.truth import Truth
from schemas.events import SiteEvent

__all__ = ["Detector", "Maker", "Run", "drive", "lockstep", "standing", "through"]

BLOCK_S = 60
"""Grid seconds of a block: as many as the engine takes at once."""


class Detector(Protocol):
    """What the suite measures: the engine, or something that stands in for it."""

    def start(self) -> Any:
        """The state before the first block."""

    def step(self, state: Any, block: Block) -> tuple[Any, Any]:
        """Work off one block; the outcome has ``events``."""

    def finish(self, state: Any, quality: Any) -> tuple[Any, Any]:
        """End of the stream."""


Maker = Callable[[SiteLayout, DetectSettings, Sequence[Truth]], Detector]
"""Makes a detector for a site. The truth is for oracles alone; the engine never sees it."""


def lockstep(layout: SiteLayout, detect: DetectSettings, _truth: Sequence[Truth]) -> Detector:
    """The engine on the CPU."""
    return Engine(layout, detect, CPU, report=False)


@dataclasses.dataclass
class Run:
    """Every event's states in the order they were published; what the nodes drew (`Scene`)."""

    states: list[SiteEvent]
    node_w: Any
    meter_w: Any
    seconds: int

    def power_w(self, row: int, rate_hz: float) -> tuple[Any, float]:
        """Power of the node of a row of `node_w`, (time,) W, and its rate: ticks or as metered."""
        if rate_hz > RACK_HZ and row == 0:
            return self.meter_w, len(self.meter_w) / self.seconds
        return self.node_w[row], float(RACK_HZ)

    @property
    def opened(self) -> list[SiteEvent]:
        """Every event's first state, in the order they were published."""
        first: dict[str, SiteEvent] = {}
        for event in self.states:
            first.setdefault(event.event_id, event)
        return list(first.values())

    @property
    def events(self) -> list[SiteEvent]:
        """Final states of the events that stand, by opening."""
        return sorted(standing(self.states), key=lambda event: (event.opened_ns, event.event_id))


def drive(scene: Scene, seconds: int, detector: Detector, block_s: int = BLOCK_S) -> Run:
    """Run a scene through a detector from its first block to the end of its stream."""
    states = through(detector, scene.blocks(seconds, block_s))
    return Run(states, scene.node_w, scene.meter_w, seconds)


def through(detector: Detector, blocks: Iterable[Block]) -> list[SiteEvent]:
    """Every record of the events of some blocks and of the end of their stream, in order."""
    state, states = detector.start(), []
    for block in blocks:
        state, outcome = detector.step(state, block)
        states += outcome.events
    return [*states, *detector.finish(state, "end_of_stream")[1].events]


def standing(states: list[SiteEvent]) -> list[SiteEvent]:
    """The last record of each event that was not merged into another."""
    final = {event.event_id: event for event in states}
    return [event for event in final.values() if event.merged_into is None]
