"""What is remembered of a site's ramps, and what one block says about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.step_state import Triggers
from schemas.events import StepTest

__all__ = ["Moved", "OpenOscillation", "OpenRamp", "RampTrack", "RampView"]


class OpenOscillation(NamedTuple):
    """What a ramp must know of an open oscillation."""

    freq_hz: float
    amplitude_w: float
    event_id: str


class Moved(NamedTuple):
    """How far everything moved between two stretches of ticks, on the host."""

    node_w: Any
    """(node,): masked changes of the channels, added up the tree."""
    leaf_w: Any
    """(leaf,)"""
    leaf_before_w: Any
    """(leaf,)"""
    leaf_way_w: Any
    """(leaf, time): tick means from the first stretch to the end of the last."""
    before: int
    """Ticks of the first stretch."""


class RampView(NamedTuple):
    """One block's ramp statistics on the host. Direction 0 is up, 1 is down."""

    tick_end_ns: Any
    triggers: Triggers
    node_w: Any
    """(node, time): power"""
    share: Any
    """(node, time): share of the channels behind a node that were measured"""
    moved: Callable[[int, int, int], Moved]
    """(first, onset, tick) ticks of this block, negative ones before it: the change from
    [first, onset) to the last half second up to the tick."""
    leaf_scale_w: Any
    """(leaf,): what a leaf's power usually moves within a second"""
    reference_w: float
    """What shares of the site are taken of, W"""


@dataclasses.dataclass
class OpenRamp:
    """An event that has not closed. ``path_w`` is the trigger node's way since before its onset."""

    event_id: str
    direction: int
    watched: int
    node: int
    onset_ns: int
    opened_ns: int
    onset_tick: int
    path_w: list[float]
    statistic: float
    threshold: float
    test: StepTest | None
    quality: str
    depth_w: float = 0.0
    grown_w: float = 0.0
    """Depth when the ramp last went on."""
    kind: str = "ramp"
    smooth: int = 1
    """Ticks over which depth is a mean: the period of an oscillation beside it."""
    ticks: int = 0
    """Ticks since it opened."""
    moved_w: float = 0.0
    synchrony: float = 0.0
    spread_s: float = -1.0
    channels: tuple[str, ...] = ()
    usual: tuple[int, ...] = ()
    """Leaves under its node that moved one way within a second, at instants before its onset."""
    told_depth_w: float = 0.0
    told_ns: int = 0
    calm_ticks: int = 0
    merged_into: str | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> OpenRamp:
        """Copy what is written to."""
        return dataclasses.replace(self, path_w=list(self.path_w))


@dataclasses.dataclass
class RampTrack:
    """The ramps of a site that are open."""

    open: list[OpenRamp] = dataclasses.field(default_factory=list)
