"""A trace through the same decode checks, align, engine and archive, in this process."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.clock import Spent, SystemClock, stopwatch
from pipeline.commits import replay_writer
from pipeline.detect import DetectSettings
from pipeline.device import Device
from pipeline.keeper import step
from pipeline.lane import Lane, LaneConfig
from pipeline.settings import Archive
from replay.beside import Commits, ahead
from replay.source import Trace
from schemas.events import GridSignal, SiteEvent, WorkloadHint
from schemas.telemetry import Slice
from schemas.units import NS_PER_S

__all__ = ["Result", "Runner", "replay"]

BULK_CUT_ROWS = 50_000
BULK_CUT_NS = 60 * NS_PER_S
FEED_NS, FEED_SAMPLES = 10 * NS_PER_S, 1 << 22
"""As much is fed at once where nothing sets the pace."""


@dataclasses.dataclass
class Result:
    """What a run did; ``events`` in their final state, by id."""

    wall_s: float
    device: str
    windows: int
    archived: int
    deadletters: int
    archive: str
    stages_s: dict[str, float]
    """Reading, alignment and engine, and archiving have a thread each: the sum may be longer."""
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
        self._spent = Spent()
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
                    spent=self._spent,
                )
            )
            for site_id, topology in trace.topologies.items()
        }
        for lane in self._lanes.values():
            lane.on_event(self._see)
            lane.prepare()

    def _see(self, event: SiteEvent) -> None:
        self._events[event.event_id] = event
        self.on_event(event)

    def run(self, *, speed: float | None = None, piece_s: float = 1.0) -> Result:
        """
        Replay the trace, ``speed`` times as fast as it was recorded; None: as fast as can be.

        One thread reads ahead, one computes, one archives.
        """
        elapsed_s, cut_ns = stopwatch(), self._trace.t0_ns
        commits = Commits(self._lanes.values(), self._spent)
        every_ns = FEED_NS if speed is None else round(NS_PER_S * piece_s)
        self._tell()
        with commits:
            for pieces in ahead(self._chunks(every_ns, piece_s)):
                now_ns = pieces[0].t0_ns
                past_s = (now_ns - self._trace.t0_ns) / NS_PER_S
                if speed is not None:
                    time.sleep(max(0.0, past_s / speed - elapsed_s()))
                self._feed(pieces)
                if speed is not None or self._full() or now_ns - cut_ns >= BULK_CUT_NS:
                    commits.cut()
                    cut_ns = now_ns
                self.on_progress(past_s)
            commits.cut(final=True)
        wall_s = elapsed_s()
        step(Archive(path=self._archive), SystemClock())  # a long trace leaves many commits
        return self._result(wall_s)

    def _chunks(self, every_ns: int, piece_s: float) -> Iterator[list[Slice]]:
        """The trace's slices, as many together as are fed at once; first of all a second."""
        slices = self._trace.slices(piece_s)
        waiting: list[Slice] = []
        samples, turn = FEED_SAMPLES, -1
        while True:
            with self._spent.on("read"):
                piece = next(slices, None)
            if piece is None:
                break
            later = turn >= 0 and piece.t0_ns // every_ns > turn
            full = waiting and piece.t0_ns - waiting[0].t0_ns >= NS_PER_S
            if later or (full and samples >= FEED_SAMPLES):
                yield waiting
                waiting, samples = [], 0
            turn = max(turn, piece.t0_ns // every_ns)
            waiting.append(piece)
            samples += piece.power_w.size
        if waiting:
            yield waiting

    def _tell(self) -> None:
        """What was said beside the trace; each acts from the first frame at or after its time."""
        said: list[WorkloadHint | GridSignal] = [*self._trace.hints, *self._trace.signals]
        for number, record in enumerate(sorted(said, key=lambda one: one.t_ns)):
            if record.site_id in self._lanes:
                self._lanes[record.site_id].tell(record, number)

    def _feed(self, pieces: list[Slice]) -> None:
        waiting: dict[str, list[Slice]] = {}
        for piece in pieces:
            waiting.setdefault(piece.site_id, []).append(piece)
        with self._spent.on("computed"):
            for site_id, mine in waiting.items():
                self._lanes[site_id].feed_slices(mine)

    def _full(self) -> bool:
        return any(lane.waiting_rows >= BULK_CUT_ROWS for lane in self._lanes.values())

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
            stages_s=self._stages(wall_s),
            events=sorted(self._events.values(), key=lambda e: (e.opened_ns, e.event_id)),
        )

    def _stages(self, wall_s: float) -> dict[str, float]:
        """Where the time went; alignment is what is left of the computing thread's work."""
        spent = dict.fromkeys(("read", "engine", "evidence", "archive"), 0.0) | self._spent.stage_s
        computed_s, archive_wait_s = spent.pop("computed", 0.0), spent.pop("waited_for_archive")
        return {
            "read": spent["read"],
            "decode_align": computed_s - spent["engine"] - spent["evidence"],
            "engine": spent["engine"],
            "evidence": spent["evidence"],
            "archive": spent["archive"],
            "wait_archive": archive_wait_s,
            "wait_read": wall_s - computed_s - archive_wait_s,
        }


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
