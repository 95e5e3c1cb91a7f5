"""
The Faust application: Kafka in, Kafka out; the only file that imports faust.

Faust gives group membership, fetching, and offset commits. It decides nothing about data: agents
append to inboxes, consumption starts where the lanes' snapshots end (not at the committed offset,
which is a hint), and what is acknowledged is what commits to the archive cover.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import faust
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.errors import KafkaError as AioKafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.supervisors import CrashingSupervisor

from pipeline.clock import Clock
from pipeline.crew import Crew
from pipeline.decode import content_type
from pipeline.errors import JoinError, KafkaError
from pipeline.lane import Message, Outgoing
from pipeline.settings import Kafka
from pipeline.tuning import faust_settings
from schemas.topics import INPUTS

__all__ = ["LaneApp", "build"]

log = logging.getLogger("lockstep")

FETCH_WAIT_MS = 500
FRESH_NS = 3_000_000_000
"""Empty fetches come back within 0.5 s; an older answer says nothing about a partition's end."""
RETRY_S, RETRY_MAX_S = 0.2, 5.0
REFUSALS = 3
HOPELESS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)


class LaneThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, made to keep the telemetry topics co-partitioned."""

    refusals = 0
    """Refusals by the group since the last assignment."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust's round robin spreads partition k of the three topics over workers.
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # Faust has 1500, and no setting
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit to Kafka; what fails is a hint lost, never a reason to crash."""
        assigned = self.assignment()
        wanted = {
            driver.ensure_aiokafka_TP(tp): driver.OffsetAndMetadata(offset, "")
            for tp, offset in offsets.items()
            if tp in assigned
        }
        try:
            await self._ensure_consumer().commit(wanted)
        except AioKafkaError as error:
            log.warning("offsets not committed to Kafka (%s); the archive has them", error)
            return False
        return True

    def join_error(self) -> BaseException | None:
        """Return what keeps the group from taking us in, once it has said so three times."""
        coordinator = getattr(self._consumer, "_coordinator", None)
        task = getattr(coordinator, "_coordination_task", None)
        if task is not None and task.done() and not task.cancelled() and task.exception():
            return task.exception()
        pending = getattr(coordinator, "_pending_exception", None)
        if pending is None:
            return None
        if not getattr(pending, "retriable", False):
            self.refusals += 1
        if self.refusals >= REFUSALS:
            return pending
        # aiokafka joins again once somebody has looked at the error; Faust never does.
        self.thread_loop.call_soon_threadsafe(_look_at, coordinator)
        return None


def _look_at(coordinator: Any) -> None:
    try:
        coordinator.check_errors()
    except AioKafkaError as error:
        log.warning("group: %s", error)


class LaneConsumer(driver.Consumer):
    """Faust's consumer, made to start where the lanes want to go on."""

    app: LaneApp
    _thread: LaneThread

    def _new_consumer_thread(self) -> LaneThread:
        return LaneThread(self, loop=self.loop, beacon=self.beacon)

    def _filter_committable_offsets(self, _tps: object) -> dict[TP, int]:
        """What the lanes say: Faust's own acknowledgements, one a message, are not used."""
        found = {TP(*pair): at for pair, at in self.app.crew.acknowledged().items()}
        return {tp: at for tp, at in found.items() if self._should_commit(tp, at)}

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Remember nothing: offsets that are no messages need no acknowledgement."""

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """
        Begin to open lanes before Faust's recovery task can ask where to seek; rest until then.

        Where nothing was ours Faust leaves the flow running, and would read from Kafka's offset.
        """
        self.stop_flow()
        self._thread.refusals = 0
        self.app.crew.assign({(tp.topic, tp.partition) for tp in assigned}, generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish the lanes while we still own their partitions, and before Faust forgets acks."""
        if revoked:
            await self.app.crew.revoke()
            await self.commit()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """
        Seek to the lanes' next offsets, the first that they have not received.

        Faust calls this after each assignment, before the flow resumes, and whenever it had to
        throw fetched messages away.
        """
        generation = self.app.consumer_generation_id
        wanted = await self.app.crew.positions()
        assigned = self.assignment()
        places = {TP(*pair): at for pair, at in wanted.items() if TP(*pair) in assigned}
        if not places:
            return
        unknown = [tp for tp, at in places.items() if at is None]
        if unknown:
            places.update(await self.earliest_offsets(*unknown))
        at_start = {tp: at or None for tp, at in places.items()}
        self._read_offset.update(at_start)
        self._committed_offset.update(at_start)
        await self.seek_wait({tp: at or 0 for tp, at in places.items()})
        self.app.crew.placed(generation)


class LaneTransport(driver.Transport):
    """The aiokafka transport with `LaneConsumer`."""

    Consumer = LaneConsumer


class LaneApp(faust.App):
    """The Faust app of one worker; `crew` is set before it starts."""

    crew: Crew

    def _create_directories(self) -> None:
        """Make none: there are no tables."""

    @property
    def thread(self) -> LaneThread:
        """The consumer's thread."""
        return self.consumer._thread

    def join_error(self) -> JoinError | None:
        """Return a sentence, where the group refuses us for good."""
        error = None if self._consumer is None else self.thread.join_error()
        if error is None:
            return None
        msg = (
            f"group {self.conf.id} does not take this worker in ({type(error).__name__}: "
            f"{error}); check kafka.session_timeout_s ({self.conf.broker_session_timeout:g}) "
            "and the broker's group settings"
        )
        return JoinError(msg)

    def end_of(self, topic: str, partition: int, clock: Clock) -> tuple[int, int] | None:
        """How far a partition is fetched, and how far it goes; None: no fresh answer says so."""
        try:
            state = self.thread._consumer._subscription.subscription.assignment.state_value(
                driver.TopicPartition(topic, partition)
            )
        except (AttributeError, AssertionError):  # between two assignments
            return None
        if state is None or not state.has_valid_position or state.highwater is None:
            return None
        fresh = clock.now_ns() - state.timestamp * 1_000_000 < FRESH_NS
        return (state.position, state.highwater) if fresh else None

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """
        Send messages and wait until the broker has every one; try again until it has.

        After a failure everything from the first one not taken is sent again, so that messages of
        one key never change order; consumers drop repeats by their CloudEvents ``id``.

        Raises
        ------
        KafkaError
            The broker will never take one of them.
        """
        wait_s = RETRY_S
        while outgoing:
            done, error = await self._send(outgoing)
            outgoing = outgoing[done:]
            if error is None:
                return
            if isinstance(error, HOPELESS):
                msg = f"topic {outgoing[0].topic} refuses a message for good: {error}; see its log"
                raise KafkaError(msg) from error
            self.crew.retried()
            log.warning("publish: %s; trying again", type(error).__name__)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    async def _send(self, outgoing: Sequence[Outgoing]) -> tuple[int, BaseException | None]:
        """Send until something fails; return how many at the head were taken, and the failure."""
        sent: list[asyncio.Future[Any]] = []
        failure: BaseException | None = None
        for item in outgoing:
            headers = [("content-type", item.content_type.encode())]
            try:
                sent.append(
                    await self.producer.send(item.topic, item.key, item.value, None, None, headers)
                )
            except (AioKafkaError, faust.exceptions.FaustError) as error:
                failure = error.__cause__ or error
                break
        answers = await asyncio.gather(*sent, return_exceptions=True)
        for number, answer in enumerate(answers):
            if isinstance(answer, BaseException):
                return number, answer
        return len(answers), failure


def build(kafka: Kafka) -> LaneApp:
    """Make the app with an agent for each input; the caller sets `LaneApp.crew` and starts it."""
    app = LaneApp(
        kafka.group,
        broker=[f"kafka://{server}" for server in kafka.bootstrap.split(",")],
        agent_supervisor=CrashingSupervisor,
        broker_credentials=_credentials(kafka),
        **faust_settings(kafka),
    )
    app.transport = LaneTransport(app.conf.broker_consumer, app)
    app.on_rebalance_complete.connect(_on_complete, weak=False)
    for name in INPUTS:
        topic = app.topic(name, key_type=bytes, value_type=bytes, value_serializer="raw")
        app.agent(topic, name=name.partition(".v")[0], concurrency=1)(_agent(app))
    return app


def _credentials(kafka: Kafka) -> Any:
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.secret.reveal() if kafka.secret else "",
            mechanism=kafka.mechanism,
            ssl_context=kafka.tls,
        )
    return faust.SSLCredentials(kafka.tls) if kafka.security_protocol == "SSL" else None


def _agent(app: LaneApp) -> Any:
    async def receive(stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            place = (message.topic, message.partition, message.offset)
            arrived = Message(*place, message.value, content_type(message.headers))
            await app.crew.receive(arrived, message.generation_id)

    return receive


async def _on_complete(app: LaneApp, **_: Any) -> None:
    await app.crew.positions()
    app.crew.seated()
