"""
One lane at work: inbox and pump; no Kafka client in sight.

A pump feeds what has arrived to the lane in the lane's own thread. Whatever the lane has to say is
delivered beside it (publish, commit, acknowledge, in this order and one batch at a time), so a slow
commit makes the next batch larger and never the feed slower.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, NamedTuple

import msgspec

from pipeline.clock import Clock
from pipeline.lane import Batch, Lane, Message, Outgoing
from pipeline.metrics import event_line
from pipeline.settings import Run
from schemas.topics import INPUTS, SAID

__all__ = ["Door", "LaneWorker"]

log = logging.getLogger("lockstep")

TICK_S = 0.25
FEED_MAX_BYTES, FEED_MAX_MESSAGES = 8 << 20, 300
UNTAKEN_MAX_BYTES = 256 << 20
LOOKS = 32
"""Ends of a partition that are remembered, and into how many parts its lag is looked at."""
EVENTS = "site.event.v1"


class Door(NamedTuple):
    """What a lane asks of the world outside."""

    publish: Callable[[Sequence[Outgoing]], Awaitable[None]]
    """Returns once the broker has taken every message; tries until then."""
    end_of: Callable[[str, int], tuple[int, int] | None]
    """Of (topic, partition) the next offset to be fetched and the first that is not there yet, as
    a fresh answer of the broker has them."""
    failed: Callable[[BaseException], None]
    """Ends the process with one sentence."""
    io: Executor
    clock: Clock
    run: Run


class _Intake:
    """One topic's side of a lane: unread messages, and how far it is acknowledged."""

    def __init__(self, next_offset: int | None) -> None:
        self.next_offset = self.begun = next_offset
        self.acknowledged: int | None = None
        """Below it everything is archived; unknown until a commit reaches past where we began."""
        self.inbox: deque[Message] = deque()
        self.inbox_bytes = 0
        self.room = asyncio.Event()
        self.room.set()
        self.put_s = self.read_s = self.looked_s = -math.inf
        """When the newest message came; up to when all that came is drawn; the newest look."""
        self.current_s: float | None = None
        """Since when every look found that to be short of the present by little."""
        self._ends: deque[tuple[float, int]] = deque(maxlen=LOOKS)

    def look(self, now_s: float, end: tuple[int, int] | None, lag_s: float) -> None:
        """
        Find out up to when the partition is read; no more than ``lag_s`` ago: it is current.

        At its end may be offsets that are no messages: a producer's transactions leave them.
        """
        drawn = self.inbox[0].offset if self.inbox else self.next_offset
        if end is not None and (not self._ends or now_s - self._ends[-1][0] >= lag_s / LOOKS):
            self._ends.append((now_s, end[1]))
        while self._ends and drawn is not None and self._ends[0][1] <= drawn:
            self.read_s = self._ends.popleft()[0]
        rests = not self.inbox and (drawn is None or now_s - self.put_s > lag_s)
        if end is not None and rests and end[0] >= end[1]:
            self.read_s = now_s
        if now_s - self.looked_s > lag_s or self.current_s is None:
            self.current_s = now_s
        self.current_s = self.current_s if now_s - self.read_s <= lag_s else None
        self.looked_s = now_s

    def draw(self, max_bytes: int) -> list[Message]:
        """Take messages out, in order; at least one, where there is one."""
        drawn: list[Message] = []
        size = 0
        while self.inbox and size < max_bytes and len(drawn) < FEED_MAX_MESSAGES // 3:
            message = self.inbox.popleft()
            size += len(message.value or b"")
            drawn.append(message)
        self.inbox_bytes -= size
        if drawn:
            self.room.set()
        return drawn

    def acknowledge(self, before: int) -> int:
        """All below ``before`` is archived; return how many offsets more than until now."""
        done = self.begun if self.acknowledged is None else self.acknowledged
        if done is None or before <= done:
            return 0
        self.acknowledged = before
        return before - done


class LaneWorker:
    """
    The pump of one lane, and everything between Kafka and it.

    Attributes
    ----------
    lane : Lane
        Fed and asked in its own thread; `Lane.commit` in the I/O threads.
    finished : bool
        True once the last commit, with a snapshot, is durable.
    compute_s : float
        Time spent in the lane's thread, s.
    counts : Counter
        What `metrics` lists and the lane cannot know.
    """

    def __init__(self, lane: Lane, partition: int, door: Door) -> None:
        self.lane = lane
        self.partition = partition
        self.finished = False
        self.compute_s = 0.0
        self.counts: Counter[str] = Counter()
        self.heard_s = door.clock.monotonic_s()
        self._door = door
        self._intakes = {topic: _Intake(lane.start_offsets.get(topic)) for topic in INPUTS}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"lane-{partition}")
        self._awake = asyncio.Event()
        self._quiet: frozenset[str] = frozenset()
        self._closing, self._untaken_bytes = False, 0
        self._flight: asyncio.Task[None] | None = None
        self._pump = asyncio.create_task(self._run(), name=f"pump-{partition}")

    def positions(self) -> dict[str, int | None]:
        """Topic to the next offset wanted; None: from the beginning."""
        return {topic: intake.next_offset for topic, intake in self._intakes.items()}

    def acknowledged(self) -> dict[str, int]:
        """Topic to the offset below which everything is archived, where commits of ours say so."""
        at = {topic: intake.acknowledged for topic, intake in self._intakes.items()}
        return {topic: offset for topic, offset in at.items() if offset is not None}

    async def put(self, message: Message) -> None:
        """Take a message in; returns when there is room for the next one of its topic."""
        intake = self._intakes[message.topic]
        if self._closing:
            return
        expected = intake.next_offset
        if expected is not None and message.offset < expected:
            self.counts["skipped_offsets"] += 1
            return
        size = len(message.value or b"")
        intake.begun = message.offset if intake.begun is None else intake.begun
        intake.next_offset = message.offset + 1
        intake.inbox.append(message)
        intake.inbox_bytes += size
        intake.put_s = self.heard_s = self._door.clock.monotonic_s()
        self._awake.set()
        if intake.inbox_bytes > self._door.run.inbox_max_bytes:
            intake.room.clear()
            await intake.room.wait()

    async def finish(self) -> None:
        """
        Stop taking in, commit all that is computed with a snapshot, and acknowledge it.

        What is still in the inbox is not lost: the next owner reads it again.
        """
        self._close()
        await self._pump
        if self._flight is not None:
            await asyncio.shield(self._flight)
        batch = await self._compute((), snapshot=True, final=True)
        if batch is not None:
            await self._deliver(batch)
        self.finished = True
        self._thread.shutdown(wait=False)

    def abandon(self) -> None:
        """Let go without a last commit; the next owner recomputes from the last one."""
        self._close()
        for task in (self._pump, self._flight):
            if task is not None:
                task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _close(self) -> None:
        self._closing = True
        self._awake.set()
        for intake in self._intakes.values():
            intake.room.set()

    async def _run(self) -> None:
        try:
            while not self._closing:
                await self._turn()
        except Exception as error:  # noqa: BLE001  a bug or a broken device: the process ends
            self._door.failed(error)

    async def _turn(self) -> None:
        self._awake.clear()
        self._look()
        messages = self._draw()
        free, unsaved_s = self._flight is None, self.lane.counters.unsaved_ns / 1e9
        due = free and unsaved_s >= self._door.run.snapshot_s
        batch = await self._compute(messages, take=free, snapshot=due)
        if batch is not None:
            self._flight = asyncio.create_task(self._deliver(batch))
            self._flight.add_done_callback(self._landed)
        if not messages and not self._closing:
            try:
                await asyncio.wait_for(self._awake.wait(), TICK_S)
            except TimeoutError:
                return

    def _draw(self) -> list[Message]:
        if self._flight is not None and self._untaken_bytes > UNTAKEN_MAX_BYTES:
            return []
        held: Collection[str] = getattr(self.lane, "ahead", ())
        others = (intake for topic, intake in self._intakes.items() if topic not in {*SAID, *held})
        if all(intake.current_s is not None for intake in others):
            held = ()  # there is nothing to wait for: what is missing has not come
        drawn: list[Message] = []
        for topic, intake in self._intakes.items():
            if topic not in held:
                drawn += intake.draw(FEED_MAX_BYTES // 3)
        self._untaken_bytes += sum(len(message.value or b"") for message in drawn)
        return drawn

    def _look(self) -> None:
        """Which topics have been read as they came for `Run.idle_s`."""
        now_s, idle_s = self._door.clock.monotonic_s(), self._door.run.idle_s
        quiet = set()
        for topic, intake in self._intakes.items():
            if topic in SAID:
                continue
            intake.look(now_s, self._door.end_of(topic, self.partition), idle_s / 2)
            if intake.current_s is not None and now_s - intake.current_s >= idle_s:
                quiet.add(topic)
        self._quiet = frozenset(quiet)

    async def _compute(
        self,
        messages: Sequence[Message],
        *,
        take: bool = True,
        snapshot: bool = False,
        final: bool = False,
    ) -> Batch | None:
        now_s = self._door.clock.monotonic_s()

        def work() -> Batch | None:
            begun_s = time.perf_counter()
            self.lane.set_quiet(self._quiet, now_s)
            if messages or self._quiet:
                self.lane.feed(messages)
            batch = self.lane.take(snapshot=snapshot, final=final) if take else None
            self.compute_s += time.perf_counter() - begun_s
            return batch

        batch = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        if batch is not None:
            self._untaken_bytes = 0
        return batch

    async def _deliver(self, batch: Batch) -> None:
        await self._door.publish(batch.outgoing)
        self.counts["published"] += len(batch.outgoing)
        loop = asyncio.get_running_loop()
        offsets: Mapping[str, int] = await loop.run_in_executor(
            self._door.io, self.lane.commit, batch
        )
        for topic, before in offsets.items():
            self.counts["acknowledged"] += self._intakes[topic].acknowledge(before)
        for line in filter(None, map(_said, batch.outgoing)):
            log.info("%s", line)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flight = None
        self._awake.set()
        if not flight.cancelled() and (error := flight.exception()) is not None:
            self._door.failed(error)


def _said(message: Outgoing) -> str | None:
    if message.topic != EVENTS:
        return None
    body: dict[str, Any] = msgspec.json.decode(message.value)
    return event_line(body.get("data", {}))
