"""Between an assignment and its seek nothing reaches a lane; without any Kafka."""

import asyncio
import threading
from collections import defaultdict
from functools import partial
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from pipeline.app import LaneConsumer
from pipeline.crew import Crew
from pipeline.lane import Message
from schemas.topics import INPUTS, TELEMETRY
from tests.pipeline.test_worker import Script, settled

RACK = TELEMETRY["rack"]
PAIRS = {(topic, 0) for topic in INPUTS}


@pytest.mark.parametrize(("placed", "next_offset"), [(6, 10), (7, 141)])
def test_a_lane_takes_nothing_in_before_reading_stands_where_it_asked(
    placed: int, next_offset: int
) -> None:
    """What Kafka's own offset brings would move the lane past what lies between."""

    async def run() -> None:
        script = Script()
        crew = Crew(lambda *_: script, 1, script.door())  # type: ignore[arg-type]
        crew.assign(PAIRS, 7)
        await crew.positions()
        crew.placed(placed)
        await crew.receive(Message(RACK, 0, 140, b"", ""), 7)
        assert (await crew.positions())[RACK, 0] == next_offset
        await crew.revoke()

    asyncio.run(run())


def test_a_lane_given_back_while_it_opened_is_not_kept() -> None:
    """Its next owner has claimed it: at the next rebalance its commit would end this process."""

    async def run() -> None:
        script, gate = Script(), threading.Event()

        def slowly(*_: Any) -> Any:
            gate.wait(10)
            return script

        crew = Crew(slowly, 1, script.door())
        crew.assign(PAIRS, 7)
        opening = crew._opening
        assert opening
        assert await crew.revoke(limit_s=0.05)
        gate.set()
        await opening
        assert crew.workers == {}

    asyncio.run(run())


def test_kafka_is_told_how_far_the_archive_reaches_of_lanes_given_back_too() -> None:
    """Until the next assignment: what is committed last is committed after the lane is gone."""

    async def run() -> None:
        script, at = Script(), TP(RACK, 0)
        crew = Crew(lambda *_: script, 1, script.door())  # type: ignore[arg-type]
        committable = partial(_Consumer(crew)._filter_committable_offsets, ())
        crew.assign(PAIRS, 7)
        await crew.positions()
        crew.placed(7)
        assert committable() == {}  # read up to here, but not all of it archived
        await crew.receive(Message(RACK, 0, 10, b"v", ""), 7)
        await settled(lambda: committable() == {at: 11})
        await crew.receive(Message(RACK, 0, 11, b"v", ""), 7)
        await settled(lambda: script.fed == [10, 11])
        await crew.revoke()
        assert committable() == {at: 12}
        crew.assign((), 8)
        assert committable() == {}
        await crew.positions()

    asyncio.run(run())


class _Consumer(LaneConsumer):
    """Only what an assignment touches; the flow runs, as Faust leaves it where nothing was ours."""

    def __init__(self, crew: Crew) -> None:
        self.app = self._thread = self
        self.crew, self.flow_active = crew, True
        self._committed_offset = defaultdict(lambda: None)
        self.can_resume_flow, self.suspend_flow = asyncio.Event(), asyncio.Event()


def test_the_flow_rests_from_an_assignment_to_its_seek(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust stops it only when it takes something away, and then reads where Kafka says."""
    flowed: list[bool] = []

    async def assigned(consumer: Any, *_: Any) -> None:
        flowed.append(consumer.flow_active)

    async def run() -> None:
        script = Script()
        crew = Crew(lambda *_: script, 1, script.door())  # type: ignore[arg-type]
        consumer = _Consumer(crew)
        await consumer.on_partitions_assigned({TP(*pair) for pair in PAIRS}, 7)
        await crew.revoke()

    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", assigned)
    asyncio.run(run())
    assert flowed == [False]
