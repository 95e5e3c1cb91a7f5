"""The pump of one lane, alone: order, pace and room, without any Kafka."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.clock import ManualClock
from pipeline.lane import Counters, Message, Outgoing
from pipeline.settings import Run
from pipeline.worker import Door, LaneWorker
from schemas.topics import TELEMETRY

RACK = TELEMETRY["rack"]


class Script:
    """A lane and its door in one, writing down who was called when."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.start_offsets = {RACK: 10}
        self.counters = Counters({}, {"s": 1})
        self.fed: list[int] = []
        self.taken = 0
        self.failures: list[BaseException] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.quiet: frozenset[str] = frozenset()
        self.end: tuple[int, int] | None = None
        self.looks = 0
        self.ahead: frozenset[str] = frozenset()

    def feed(self, messages: Sequence[Message]) -> None:
        """Remember offsets."""
        self.fed += [message.offset for message in messages]

    def set_quiet(self, topics: frozenset[str], _now_s: float) -> None:
        """Remember topics."""
        self.quiet = topics

    def take(self, *, snapshot: bool = False, final: bool = False) -> Any:
        """All offsets fed since the last take."""
        fresh = self.fed[self.taken :]
        if not fresh and not final:
            return None
        self.taken = len(self.fed)
        return _Batch(fresh, snapshot)

    def commit(self, batch: Any) -> dict[str, int]:
        """Say what was committed."""
        self.said.append(f"commit {len(batch.fresh)}{' snapshot' * batch.snapshot}")
        return {RACK: max(batch.fresh, default=9) + 1}

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Wait at the gate."""
        await self.gate.wait()
        self.said.append(f"publish {len(outgoing)}")

    def end_of(self, *_: Any) -> tuple[int, int] | None:
        """Count the looks."""
        self.looks += 1
        return self.end

    def door(self, **run: Any) -> Door:
        """What the worker sees of the world."""
        return Door(
            publish=self.publish,
            end_of=self.end_of,
            failed=self.failures.append,
            io=ThreadPoolExecutor(1),
            clock=ManualClock(),
            run=Run(**run),
        )


class _Batch:
    def __init__(self, fresh: list[int], snapshot: bool) -> None:
        self.fresh, self.snapshot = fresh, snapshot
        self.outgoing = [Outgoing("grid.state.v1", b"s", b"{}", "") for _ in fresh]


async def settled(holds: Any) -> None:
    """Let tasks and threads run until it holds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  threads set what is waited for
            await asyncio.sleep(0.005)


def put(worker: LaneWorker, offset: int, value: bytes = b"v") -> Any:
    """Hand one message in."""
    return worker.put(Message(RACK, 0, offset, value, ""))


def acknowledged(worker: LaneWorker) -> int:
    """Below which offset all is archived; 0 where no commit says so yet."""
    return worker.acknowledged().get(RACK, 0)


def test_publish_then_commit_then_acknowledge() -> None:
    """And at the end a commit with a snapshot."""

    async def run() -> None:
        script = Script()
        worker = LaneWorker(script, 0, script.door())  # type: ignore[arg-type]
        await put(worker, 10)
        await settled(lambda: acknowledged(worker) == 11)
        assert script.said == ["publish 1", "commit 1"]
        await worker.finish()
        assert worker.finished
        assert script.said == ["publish 1", "commit 1", "publish 0", "commit 0 snapshot"]

    asyncio.run(run())


def test_while_a_batch_is_under_way_feeding_goes_on_and_the_next_covers_all_of_it() -> None:
    """A slow broker makes batches larger, never more of them."""

    async def run() -> None:
        script = Script()
        script.gate.clear()
        worker = LaneWorker(script, 0, script.door())  # type: ignore[arg-type]
        await put(worker, 10)
        await settled(lambda: script.taken == 1)
        for offset in range(11, 30):
            await put(worker, offset)
        await settled(lambda: len(script.fed) == 20)
        script.gate.set()
        assert acknowledged(worker) == 0
        await settled(lambda: acknowledged(worker) == 30)
        commits = [line for line in script.said if line.startswith("commit")]
        assert commits == ["commit 1", "commit 19"]
        assert worker.counts["acknowledged"] == 20
        await worker.finish()

    asyncio.run(run())


def test_a_message_read_twice_is_used_once() -> None:
    """Below the lane's next offset nothing passes."""

    async def run() -> None:
        script = Script()
        worker = LaneWorker(script, 0, script.door())  # type: ignore[arg-type]
        for offset in (9, 10, 11, 10, 11, 12):
            await put(worker, offset)
        await settled(lambda: acknowledged(worker) == 13)
        assert script.fed == [10, 11, 12]
        assert worker.counts["skipped_offsets"] == 3
        assert worker.counts["acknowledged"] == 3
        await worker.finish()

    asyncio.run(run())


def test_a_full_inbox_makes_its_topic_wait_and_closing_lets_it_go() -> None:
    """Bytes are bounded per topic; nobody hangs on a lane that is given away."""

    async def run() -> None:
        script = Script()
        worker = LaneWorker(script, 0, script.door(inbox_max_bytes=4))  # type: ignore[arg-type]
        waiting = asyncio.create_task(put(worker, 10, b"12345678"))
        await settled(waiting.done)
        worker.abandon()
        async with asyncio.timeout(1):
            await put(worker, 11, b"12345678")
        assert 11 not in script.fed

    asyncio.run(run())


def test_what_the_lane_raises_ends_the_process() -> None:
    """An exception in compute goes to the door, not into a log."""

    async def run() -> None:
        script = Script()
        script.feed = lambda messages: 1 / 0  # type: ignore[method-assign,assignment]
        worker = LaneWorker(script, 0, script.door())  # type: ignore[arg-type]
        await put(worker, 10)
        await settled(lambda: script.failures)
        assert isinstance(script.failures[0], ZeroDivisionError)
        assert acknowledged(worker) == 0
        worker.abandon()

    asyncio.run(run())


def test_a_snapshot_goes_with_the_commit_once_a_site_has_come_far_enough() -> None:
    """A minute of grid time by default."""

    async def run() -> None:
        script = Script()
        worker = LaneWorker(script, 0, script.door())  # type: ignore[arg-type]
        for offset, unsaved_s in ((10, 59), (11, 60)):
            script.counters.unsaved_ns = unsaved_s * 10**9
            await put(worker, offset)
            await settled(lambda offset=offset: acknowledged(worker) == offset + 1)
        assert [said for said in script.said if "commit" in said] == [
            "commit 1", "commit 1 snapshot",
        ]  # fmt: skip
        worker.abandon()

    asyncio.run(run())


def test_a_topic_is_held_back_only_while_there_is_more_to_read_of_another() -> None:
    """What has not come is not waited for: one site's dead meter would hold up all the others."""

    async def run() -> None:
        script = Script()
        script.ahead = frozenset({RACK})
        worker = LaneWorker(script, 0, script.door(idle_s=5.0))  # type: ignore[arg-type]
        await put(worker, 10)
        await looked(script, worker)
        assert script.fed == []
        script.end = (0, 0)
        await looked(script, worker, after_s=1.0)
        await settled(lambda: script.fed == [10])
        worker.abandon()

    asyncio.run(run())


def looked(script: Script, worker: LaneWorker, *, after_s: float = 0.0) -> Any:
    """Let time go by, and the pump look twice at every topic."""
    worker._door.clock.advance(after_s)  # type: ignore[attr-defined]
    looks = script.looks
    return settled(lambda: script.looks >= looks + 7)


def test_a_topic_is_quiet_after_it_was_read_as_it_came_for_a_while() -> None:
    """Five seconds of looks, none of which was far behind; however long ago the one before was."""

    async def run() -> None:
        script = Script()
        worker = LaneWorker(script, 0, script.door(idle_s=5.0))  # type: ignore[arg-type]
        await put(worker, 10)
        await settled(lambda: acknowledged(worker) == 11)
        await looked(script, worker, after_s=60.0)
        script.end = (11, 11)
        await looked(script, worker)
        assert script.quiet == frozenset()
        for _ in range(3):
            await looked(script, worker, after_s=2.0)
        await settled(lambda: RACK in script.quiet)
        await looked(script, worker, after_s=60.0)  # nobody looked for a minute
        assert script.quiet == frozenset()
        script.end = None  # the broker does not answer
        for _ in range(4):
            await looked(script, worker, after_s=2.0)
        assert script.quiet == frozenset()
        worker.abandon()

    asyncio.run(run())


def test_a_topic_in_which_others_send_is_quiet_all_the_same() -> None:
    """Something always waits: what was there two seconds ago is read. A backlog is not."""

    async def run() -> None:
        for behind in (2, 100):
            script = Script()
            worker = LaneWorker(script, 0, script.door(idle_s=5.0))  # type: ignore[arg-type]
            for k in range(10, 40):
                script.end = (k + behind, k + behind)
                await put(worker, k)
                await looked(script, worker, after_s=0.5)
            assert (RACK in script.quiet) == (behind == 2)
            worker.abandon()

    asyncio.run(run())
