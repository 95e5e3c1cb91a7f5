"""The lanes this process owns just now: opened on assignment, finished on revocation, counted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from pipeline.errors import JoinError, TopicsError
from pipeline.lane import Lane, Message
from pipeline.metrics import Beat, Tally
from pipeline.worker import Door, LaneWorker
from schemas.topics import INPUTS

__all__ = ["Crew", "OpenLane"]

log = logging.getLogger("lockstep")

OpenLane = Callable[[int, int], Lane]
"""(partition, of how many) to the lane, its writer claimed; called in an I/O thread."""

REVOKE_S = 5.0


class Crew:
    """
    Partition to `LaneWorker`, following Kafka's assignment.

    Parameters
    ----------
    open_lane : callable
        See `OpenLane`.
    lanes : int
        Partitions of each telemetry topic.
    door : Door
        Given to every lane.
    """

    def __init__(self, open_lane: OpenLane, lanes: int, door: Door) -> None:
        self.workers: dict[int, LaneWorker] = {}
        self.assigned = False
        self._open_lane = open_lane
        self._lanes = lanes
        self._door = door
        self._generation: int | None = None
        self._placed: int | None = None
        self._left: dict[tuple[str, int], int] = {}
        self._opening: asyncio.Task[None] | None = None
        self._said: frozenset[int] | None = None
        self._tally = Tally()
        self._reported: dict[int, Counter[str]] = {}
        self._compute_s = 0.0
        self._heard_s = door.clock.monotonic_s()

    def assign(self, pairs: Iterable[tuple[str, int]], generation: int) -> None:
        """Begin to open the lanes of an assignment of (topic, partition) pairs."""
        self._generation = generation
        self._left = {}
        self._said = None
        self._opening = asyncio.create_task(self._open(frozenset(pairs), generation))
        self._opening.add_done_callback(self._opened)

    async def positions(self) -> dict[tuple[str, int], int | None]:
        """Where reading must go on, once the lanes are open; None: from the beginning."""
        if self._opening is not None:
            await asyncio.shield(self._opening)
        return {
            (topic, k): offset
            for k, worker in self.workers.items()
            for topic, offset in worker.positions().items()
        }

    def seated(self) -> None:
        """Say once per assignment that lanes are open and reading stands where they want it."""
        lanes = frozenset(self.workers)
        if self._generation is None or lanes == self._said:
            return
        self._said, self.assigned = lanes, True
        which = ", ".join(map(str, sorted(lanes))) or "none"
        log.info("ready: partitions %s of %d", which, self._lanes)

    def placed(self, generation: int) -> None:
        """Take messages in from now on: reading stands where this assignment's lanes want it."""
        self._placed = generation

    def acknowledged(self) -> dict[tuple[str, int], int]:
        """
        Of (topic, partition) the offset below which everything is archived.

        Of lanes given back too, until the next assignment: Kafka is told after they are gone.
        """
        return self._left | {
            (topic, k): offset
            for k, worker in self.workers.items()
            for topic, offset in worker.acknowledged().items()
        }

    async def receive(self, message: Message, generation: int | None) -> None:
        """
        Pass a message to its lane.

        What an earlier assignment left behind is dropped, and what was read before the seek: a
        lane that took it would go on from there, and what lies before would be lost.
        """
        worker = self.workers.get(message.partition)
        if worker is not None and generation == self._generation == self._placed:
            await worker.put(message)

    async def revoke(self, limit_s: float = REVOKE_S) -> bool:
        """
        Finish every lane and let it go; return whether all made it within ``limit_s``.

        A lane that does not make it is abandoned: whoever opens it next goes on from its last
        commit, and it can commit no more.
        """
        self._generation = None
        if self._opening is not None:
            await asyncio.wait({self._opening}, timeout=limit_s)
        self._opening = None
        workers, self.workers = self.workers, {}
        tasks = {asyncio.create_task(worker.finish()): worker for worker in workers.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)
        for task, worker in tasks.items():
            done = worker.acknowledged().items()
            self._left |= {(topic, worker.partition): offset for topic, offset in done}
            self._collect(worker)
            self._tally.forget(worker.partition)
            self._reported.pop(worker.partition, None)
            if not task.done():
                task.cancel()
                worker.abandon()
            elif not task.cancelled() and (error := task.exception()) is not None:
                self._door.failed(error)
        return all(worker.finished for worker in workers.values())

    def retried(self) -> None:
        """Count a batch that had to be published again."""
        self._tally.add({"publish_retries": 1})

    async def heartbeat(self, interval_s: float) -> None:
        """Log one line per interval, for ever."""
        while True:
            await asyncio.sleep(interval_s)
            beat = self.beat()
            log.info("%s", beat.line())
            if (status := self._door.run.status) is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._door.io, _write, status, self._status(beat))

    def beat(self) -> Beat:
        """Close the interval since the last beat."""
        for worker in self.workers.values():
            self._collect(worker)
        now_s = self._door.clock.monotonic_s()
        compute_s, self._compute_s = self._compute_s, 0.0
        return self._tally.beat(
            [worker.lane.counters for worker in self.workers.values()],
            now_ns=self._door.clock.now_ns(),
            compute_s=compute_s,
            silent_s=now_s - self._heard_s if self.workers else 0.0,
        )

    def _collect(self, worker: LaneWorker) -> None:
        self._tally.collect(worker.partition, worker.lane.counters)
        seen = self._reported.setdefault(worker.partition, Counter())
        own = Counter(worker.counts)
        own["compute_us"] = round(worker.compute_s * 1e6)
        fresh = own - seen
        self._reported[worker.partition] = own
        self._compute_s += fresh.pop("compute_us", 0) / 1e6
        self._tally.add(fresh)
        self._heard_s = max(self._heard_s, worker.heard_s)

    def _status(self, beat: Beat) -> bytes:
        lanes = {
            str(k): {
                "watermark_ns": worker.lane.counters.marks_ns,
                "newest_ns": worker.lane.counters.newest_ns,
                "warming": worker.lane.counters.warming,
                "next_offset": worker.positions(),
            }
            for k, worker in sorted(self.workers.items())
        }
        fields = {"time_ns": self._door.clock.now_ns(), **beat._asdict(), "lanes": lanes}
        return msgspec.json.encode(fields)

    async def _open(self, pairs: frozenset[tuple[str, int]], generation: int) -> None:
        numbers = sorted({partition for _, partition in pairs})
        for k in numbers:
            if k >= self._lanes:
                msg = f"the topics now have more than {self._lanes} partitions; start again"
                raise TopicsError(msg)
            missing = [topic for topic in INPUTS if (topic, k) not in pairs]
            if missing:
                msg = (
                    f"partition {k} of {missing[0]} was given to another worker than the rest; "
                    "let no other program use this kafka.group"
                )
                raise JoinError(msg)
        loop = asyncio.get_running_loop()
        opened = await asyncio.gather(
            *(loop.run_in_executor(self._door.io, self._open_lane, k, self._lanes) for k in numbers)
        )
        if generation != self._generation:
            return  # given back while they were opened: another worker has them
        for k, lane in zip(numbers, opened, strict=True):
            self.workers[k] = LaneWorker(lane, k, self._door)

    def _opened(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._door.failed(error)


def _write(path: Path, text: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(text)
    draft.replace(path)
