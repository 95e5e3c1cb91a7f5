"""What is remembered to say why power moved: hints, and who moved when."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline.align_state import Said
from schemas.events import SiteEvent

__all__ = ["CONFIDENCE", "CauseTrack", "Motion"]

CONFIDENCE = {
    "dip": 0.97,
    "hint of its racks": 0.95,
    "hint": 0.9,
    "pause like the last": 0.97,
    "short pause": 0.9,
    "pause": 0.65,
    "long pause": 0.8,
    "racks that paused before": 0.97,
    "deeper than its pauses": 0.65,
    "cohort up and swinging": 0.85,
    "PDU off": 0.9,
    "PDU back": 0.9,
}
"""How often a cause said on each ground is right: measured, docs/operators.md."""


@dataclasses.dataclass
class Motion:
    """One ramp or load loss as far as its cause is concerned."""

    event_id: str
    onset_ns: int
    opened_ns: int
    up: bool
    leaf_w: Any = None
    """(leaf,): how far each went that took part, W; None: not looked at yet."""
    cohort: str = ""
    """The cohort that these racks are."""
    pdu_off: bool = False
    """They are one PDU, and most of its power went."""
    cause: str = "unknown"
    confidence: float = 0.0
    fresh: bool = False
    """A rise of a cohort that had not fallen: a job's start, if it swings."""
    pair_s: float = -1.0
    """Since the fall that a rise takes back."""


@dataclasses.dataclass
class CauseTrack:
    """Newest last; ``open`` are the last records of what is open, by id."""

    hints: list[Said] = dataclasses.field(default_factory=list)
    motions: list[Motion] = dataclasses.field(default_factory=list)
    open: dict[str, SiteEvent] = dataclasses.field(default_factory=dict)
    lines_ns: list[int] = dataclasses.field(default_factory=list)
    """Onsets of oscillations."""

    def copied(self) -> CauseTrack:
        """A track that moves on without this one; arrays are shared, none is written in place."""
        motions = [dataclasses.replace(motion) for motion in self.motions]
        return CauseTrack(self.hints, motions, dict(self.open), list(self.lines_ns))
