"""What is kept of raw samples around events: settings, and what a site remembers of them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import msgspec

__all__ = ["EvidenceSettings", "EvidenceState", "Kept", "Span"]


class EvidenceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[evidence]``: which raw samples around an event go into the archive."""

    pre_s: float = 10.0
    """Seconds before an event's onset."""
    post_s: float = 10.0
    """Seconds after its close."""
    most_s: float = 120.0
    """Longest stretch from the onset on; of a longer event the end is kept as well."""
    channels: int = 64
    """Most channels of one event, where a site has more than 64; 0 keeps no samples."""
    ring_max_bytes: int = 32 << 20
    """Memory of a site's newest samples; levels that do not fit have none from before."""


class Kept(NamedTuple):
    """
    One grid second of raw samples.

    ``samples_w[level]`` is (channel, time) float32 with NaN where nothing was measured; ``taken``
    and ``done`` are (channel,) bool over all levels: wanted as evidence, and handed out.
    """

    start_ns: int
    samples_w: dict[str, Any]
    taken: Any
    done: Any


@dataclasses.dataclass
class Span:
    """What one event wants: channel rows, from when on, and when it closed (-1: open)."""

    onset_ns: int
    rows: list[int]
    closed_ns: int = -1


@dataclasses.dataclass
class EvidenceState:
    """One site's memory of raw samples, saved and restored bit for bit."""

    parts: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    """Pieces of the grid second that is not complete, by level."""
    ring: list[Kept] = dataclasses.field(default_factory=list)
    spans: dict[str, Span] = dataclasses.field(default_factory=dict)
    """By event id."""
