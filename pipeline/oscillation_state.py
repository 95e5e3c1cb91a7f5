"""What is remembered of a site's oscillations, and what one second's spectra say about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.events import Contributor

__all__ = ["Feed", "Look", "OpenTone", "OscillationTrack"]


class Feed(NamedTuple):
    """Rows of one sample rate whose spectrum is watched: channels of a level, or summed nodes."""

    name: str
    rate_hz: float
    nodes: tuple[int, ...]
    """Node row behind each row."""
    channel_ids: tuple[str | None, ...]
    """Channel behind each row; None for a summed node."""
    votes: bool
    """Rows are leaves: many small lines at one frequency count together."""
    first_bin: int
    freq_hz: Any
    """Frequencies looked at, (bin,)."""


class Look(NamedTuple):
    """One feed's spectrum in one grid second, on the host; ``refine`` reads the window."""

    ratio: Any
    """(row, bin)"""
    amplitude_w: Any
    """(row, bin)"""
    refine: Callable[[Any], tuple[Any, Any, Any]]
    """freq_hz (row,) -> freq_hz, amplitude_w, phase_rad (row,)"""
    seen: Any
    """(row,) bool: enough of the window was measured to say how large a line is."""


@dataclasses.dataclass
class OpenTone:
    """An oscillation that has not closed; frequency and parts from its strongest stretch."""

    event_id: str
    node: int
    onset_ns: int
    opened_ns: int
    freq_hz: float
    amplitude_w: float
    now_hz: float
    now_w: float
    missed_s: int
    contributors: tuple[Contributor, ...]
    told_w: float
    quality: str = "good"


@dataclasses.dataclass
class OscillationTrack:
    """Oscillation memory of a site: seconds in a row that each bin was suspect, and open events."""

    run: Any
    open: list[OpenTone] = dataclasses.field(default_factory=list)
