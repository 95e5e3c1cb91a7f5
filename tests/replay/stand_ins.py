"""Detectors whose score is known beforehand: they show that the suite can go green and red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.engine_state import Outcome
from pipeline.layout import SiteLayout
from replay.truth import Truth
from schemas.events import Contributor, SiteEvent, event_id
from schemas.units import NS_PER_S


def _event(truth: Truth, rank: int, late_ns: int = 0) -> SiteEvent:
    """The event that says exactly what is true, opened ``late_ns`` after its onset."""
    opened_ns = truth.onset_ns + late_ns
    names = truth.channels if isinstance(truth.channels, tuple) else ()
    swings = truth.kind == "oscillation"
    return SiteEvent(
        event_id=event_id(truth.site_id, truth.kind, opened_ns, rank),
        kind=truth.kind,
        site_id=truth.site_id,
        node_id=truth.node_id,
        level="substation",
        state="closed",
        quality="good",
        onset_ns=truth.onset_ns,
        opened_ns=opened_ns,
        updated_ns=truth.end_ns,
        closed_ns=truth.end_ns,
        depth_w=truth.depth_w,
        freq_hz=truth.freq_hz,
        amplitude_w=truth.amplitude_w,
        channels=None if swings else names,
        contributors=tuple(Contributor(n, 1.0, 0.0) for n in names) if swings else None,
    )


class Blind:
    """Sees nothing."""

    late_ns = 0

    def __init__(self, layout: SiteLayout, _detect: DetectSettings, truth: Sequence[Truth]) -> None:
        self.layout, self.truth = layout, list(truth)

    def start(self) -> Any:
        """No memory."""
        return None

    def events(self, _from_ns: int, _until_ns: int) -> list[SiteEvent]:
        """What it says of a stretch."""
        return []

    def step(self, _state: Any, block: Block) -> tuple[Any, Outcome]:
        """One block, as the engine takes it."""
        until_ns = int(self.layout.tick_ends_ns(block.t0_ns, block.ticks)[-1])
        return None, Outcome(self.events(block.t0_ns, until_ns), [], [], [])

    def finish(self, _state: Any, _quality: Any) -> tuple[Any, Outcome]:
        """Nothing is open."""
        return None, Outcome([], [], [], [])


class Oracle(Blind):
    """Says what is true, at its onset."""

    def events(self, from_ns: int, until_ns: int) -> list[SiteEvent]:
        """What it says of a stretch."""
        due = [t for t in self.truth if from_ns <= t.onset_ns < until_ns]
        return [_event(truth, rank, self.late_ns) for rank, truth in enumerate(due)]


class Late(Oracle):
    """Says what is true, a minute after its onset."""

    late_ns = 60 * NS_PER_S


class Careless(Oracle):
    """Says what is true, and names the first racks it can think of."""

    def events(self, from_ns: int, until_ns: int) -> list[SiteEvent]:
        """What it says of a stretch."""
        names = self.layout.channel_ids[:40]
        self.truth = [_with(truth, channels=names) for truth in self.truth]
        return super().events(from_ns, until_ns)


class Crying(Oracle):
    """Says what is true, and every quarter of an hour that something fell which did not."""

    def events(self, from_ns: int, until_ns: int) -> list[SiteEvent]:
        """What it says of a stretch."""
        found = super().events(from_ns, until_ns)
        if until_ns // (900 * NS_PER_S) == from_ns // (900 * NS_PER_S):
            return found
        wolf = Truth(
            kind="ramp",
            site_id=self.layout.site_id,
            node_id="poi",
            onset_ns=until_ns,
            end_ns=until_ns,
            depth_w=-1.0,
        )
        return [*found, _event(wolf, 9)]


def _with(truth: Truth, **changes: Any) -> Truth:
    return msgspec.structs.replace(truth, **changes)
