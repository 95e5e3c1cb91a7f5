"""What is remembered of a site's ramps, and what one block says about them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

__all__ = ["OpenOscillation", "OpenRamp", "RampTrack", "RampView"]


class OpenOscillation(NamedTuple):
    """What a ramp must know of an open oscillation."""

    freq_hz: float
    amplitude_w: float


class RampView(NamedTuple):
    """One block's ramp statistics on the host. Direction 0 is up, 1 is down."""

    tick_end_ns: Any
    active: Any
    """(direction, watched, time) bool"""
    ratio: Any
    """(direction, watched, time)"""
    lag: Any
    """(direction, watched, time) index into the lags"""
    threshold_w: Any
    """(lag, watched)"""
    diff_w: Any
    """(lag, node, time)"""
    moved_w: Any
    """(direction, node, time): depth of the leaves that moved within 1 s"""
    leaf_w: Any
    """(direction, leaf, time)"""
    history_w: Any
    """(channel, tail + time): tick means reaching back over the longest lag"""
    share: Any
    """(node, time): share of the channels behind a node that were measured"""


@dataclasses.dataclass
class OpenRamp:
    """An event that has not closed. ``path_w`` is the trigger node's way since its base tick."""

    event_id: str
    direction: int
    watched: int
    node: int
    onset_ns: int
    opened_ns: int
    onset_tick: int
    base_w: float
    depth_w: float
    path_w: list[float]
    kind: str
    quality: str
    threshold_w: float
    moved_w: float = 0.0
    against_w: float = 0.0
    synchrony: float = 0.0
    spread_s: float = -1.0
    channels: tuple[str, ...] = ()
    told_depth_w: float = 0.0
    told_ns: int = 0
    calm_ticks: int = 0
    merged_into: str | None = None


@dataclasses.dataclass
class RampTrack:
    """Ramp memory of a site: the watched nodes' masked path (watched, ring) and open events."""

    path_w: Any
    open: list[OpenRamp] = dataclasses.field(default_factory=list)
