"""A trace through the same decode checks, align, engine and archive, in this process."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.clock import SystemClock
from pipeline.commits import replay_writer
from pipeline.detect import DetectSettings
from pipeline.device import Device
from pipeline.keeper import step
from pipeline.lane import Lane, LaneConfig
from pipeline.settings import Archive
from replay.feed import stopwatch
from replay.source import Trace
from schemas.events import SiteEvent
from schemas.telemetry import Slice
from schemas.units import NS_PER_S

__all__ = ["Result", "Runner", "replay"]

BULK_CUT_ROWS = 50_000
BULK_CUT_NS = 60 * NS_PER_S
FEED_NS = NS_PER_S


@dataclasses.dataclass
class Result:
    """What a run did; ``events`` in their final state, by id."""

    wall_s: float
    device: str
    windows: int
    archived: int
    deadletters: int
    archive: str
    events: list[SiteEvent]

    def run_fields(self) -> dict[str, Any]:
        """The run's own fields of the ``--json`` object (design section 7)."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "events"
        }


class Runner:
    """
    Replays one trace into one archive, one lane a site.

    Parameters
    ----------
    trace : Trace
        From `replay.source.open_trace`.
    archive : Path
        The archive's folder; made when it is not there.
    device : Device
        From `pipeline.device.choose`.
    detect : DetectSettings
        As the live pipeline has them.
    """

    def __init__(self, trace: Trace, archive: Path, device: Device, detect: DetectSettings) -> None:
        self._trace, self._archive, self._device = trace, archive, device
        self._events: dict[str, SiteEvent] = {}
        self.on_event: Callable[[SiteEvent], None] = lambda _event: None
        self.on_progress: Callable[[float], None] = lambda _past_s: None
        self._lanes = {
            site_id: Lane.open(
                LaneConfig(
                    archive=archive,
                    writer=replay_writer(site_id),
                    topologies={site_id: topology},
                    detect=detect,
                    device=device,
                    origin={"trace": trace.name},
                    resume=False,
                )
            )
            for site_id, topology in trace.topologies.items()
        }
        for lane in self._lanes.values():
            lane.on_event(self._see)

    def _see(self, event: SiteEvent) -> None:
        self._events[event.event_id] = event
        self.on_event(event)

    def run(self, *, speed: float | None = None, piece_s: float = 1.0) -> Result:
        """Replay the trace, ``speed`` times as fast as it was recorded; None: as fast as can be."""
        elapsed_s = stopwatch()
        waiting: dict[str, list[Slice]] = {}
        cut_ns = fed_ns = self._trace.t0_ns
        for piece in self._trace.slices(piece_s):
            if piece.t0_ns - fed_ns >= FEED_NS * piece_s:
                self._feed(waiting)
                fed_ns = piece.t0_ns
                past_s = (fed_ns - self._trace.t0_ns) / NS_PER_S
                if speed is not None:
                    time.sleep(max(0.0, past_s / speed - elapsed_s()))
                if speed is not None or self._full() or fed_ns - cut_ns >= BULK_CUT_NS:
                    self._cut(final=False)
                    cut_ns = fed_ns
                self.on_progress(past_s)
            waiting.setdefault(piece.site_id, []).append(piece)
        self._feed(waiting)
        self._cut(final=True)
        wall_s = elapsed_s()
        step(Archive(path=self._archive), SystemClock())  # a long trace leaves many commits
        return self._result(wall_s)

    def _feed(self, waiting: dict[str, list[Slice]]) -> None:
        for site_id, pieces in waiting.items():
            self._lanes[site_id].feed_slices(pieces)
        waiting.clear()

    def _full(self) -> bool:
        return any(lane.waiting_rows >= BULK_CUT_ROWS for lane in self._lanes.values())

    def _cut(self, *, final: bool) -> None:
        for lane in self._lanes.values():
            batch = lane.take(final=final)
            if batch is not None:
                lane.commit(batch)

    def _result(self, wall_s: float) -> Result:
        values = [lane.counters.values for lane in self._lanes.values()]

        def total(name: str) -> int:
            return sum(counts[name] for counts in values)

        return Result(
            wall_s=wall_s,
            device=self._device.line,
            windows=total("windows"),
            archived=total("archived_windows"),
            deadletters=total("deadletters"),
            archive=str(self._archive),
            events=sorted(self._events.values(), key=lambda e: (e.opened_ns, e.event_id)),
        )


def replay(trace: Trace, archive: Path, device: Device, speed: float | None = None) -> Result:
    """Replay in this process, with progress on a terminal's standard error."""
    runner = Runner(trace, archive, device, DetectSettings())
    if sys.stderr.isatty():
        runner.on_progress = lambda past_s: print(
            f"\r{past_s:7.0f} of {trace.duration_s:.0f} s", end="", file=sys.stderr, flush=True
        )
    result = runner.run(speed=speed, piece_s=1.0)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return result
