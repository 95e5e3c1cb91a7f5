"""Ten thousand malformed messages: the good ones unharmed, each bad one treated as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from pipeline.lane import Message
from replay.broker import Broker
from replay.live import Worker, client_settings, prepare, wait_archived
from schemas.events import DeadLetter
from schemas.telemetry import Slice
from tests.pipeline import site as sites
from tests.pipeline.flood import KINDS, REPEAT, Sent, expected, flood
from tests.pipeline.lanes import contents, cut, eventful, undisturbed
from tests.pipeline.site import T0_NS

BAD = 10_000
DEAD = "telemetry.deadletter.v1"


@pytest.fixture(scope="module")
def good() -> list[Slice]:
    """The usual site's eventful minute."""
    return sites.site_slices(sites.topology(), eventful())


@pytest.fixture(scope="module")
def sent(good: list[Slice]) -> list[Sent]:
    """It, with ten thousand bad messages in it."""
    return flood(good, BAD, seed=7)


@pytest.fixture(scope="module")
def truth(good: list[Slice], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the good ones alone archive."""
    root = tmp_path_factory.mktemp("good")
    return undisturbed(root, sites.topology(), sites.as_messages(good))


def with_offsets(sent: list[Sent]) -> Iterator[Message]:
    """As Kafka would hand them over."""
    offsets: Counter[str] = Counter()
    for one in sent:
        yield Message(one.topic, 0, offsets[one.topic], one.value, one.content_type)
        offsets[one.topic] += 1


def check_letters(letters: list[DeadLetter], sent: list[Sent]) -> None:
    """One dead letter for each message that deserves one, with its reason, size and head."""
    at = [(letter.topic, letter.offset) for letter in letters]
    assert len(at) == len(set(at))
    assert {where: letter.reason for where, letter in zip(at, letters, strict=True)} == expected(
        sent
    )
    values = {(m.topic, m.offset): m.value or b"" for m in with_offsets(sent)}
    for where, letter in zip(at, letters, strict=True):
        assert letter.size == len(values[where])
        assert letter.head == values[where][:1024]
        assert letter.detail


def test_the_flood_is_what_it_says(sent: list[Sent]) -> None:
    """At least twelve kinds, every one some hundred times, on every topic."""
    kinds = Counter(one.kind for one in sent)
    assert len(kinds) - 1 == len(KINDS) + 2 >= 12
    assert min(kinds.values()) > 300
    assert sum(kinds.values()) - kinds["good"] == BAD
    assert {one.topic for one in sent if one.kind == "clock ahead"} == {o.topic for o in sent}


def test_ten_thousand_bad_messages_harm_nobody(
    sent: list[Sent], truth: dict[str, list[str]], tmp_path: Path
) -> None:
    """The archive is that of the good ones, each bad one has its reason, counts add up."""
    lane = sites.open_lane(tmp_path, sites.topology())
    messages, letters = list(with_offsets(sent)), []
    for start in range(0, len(messages), 200):
        lane.feed(messages[start : start + 200])
        batch = lane.take(final=start + 200 >= len(messages))
        if batch is not None:
            lane.commit(batch)
            out = [m for m in batch.outgoing if m.topic == DEAD]
            letters += [msgspec.json.decode(m.value, type=DeadLetter) for m in out]
            assert [m.key for m in out] == [
                f"{letter.topic}-0-{letter.offset}".encode()
                for letter in letters[len(letters) - len(out) :]
            ]
    assert contents(tmp_path) == truth
    check_letters(letters, sent)
    reasons, values = Counter(one.reason for one in sent), lane.counters.values
    assert values["messages"] == len(sent)
    assert values["repeats"] == reasons[REPEAT]
    assert values["deadletters"] == len(letters)
    assert values["messages"] == reasons[None] + values["deadletters"] + values["repeats"]
    assert cut(lane, final=True) == {
        topic: sum(one.topic == topic for one in sent) for topic in {one.topic for one in sent}
    }


def test_a_kill_in_the_flood_writes_no_letter_twice_for_what_is_committed(
    sent: list[Sent], truth: dict[str, list[str]], tmp_path: Path
) -> None:
    """Killed thrice: no letter of a committed offset is written again; the same archive."""
    messages, letters = list(with_offsets(sent))[:], []
    for life in range(4):
        lane = sites.open_lane(tmp_path, sites.topology())
        left = [m for m in messages if m.offset >= lane.start_offsets.get(m.topic, 0)]
        stop = len(left) if life == 3 else len(left) // 3
        for start in range(0, stop, 100):
            lane.feed(left[start : min(start + 100, stop)])
            batch = lane.take(snapshot=start % 1000 == 0, final=start + 100 >= len(left))
            if batch is not None:
                lane.commit(batch)
                out = [m for m in batch.outgoing if m.topic == DEAD]
                letters += [msgspec.json.decode(m.value, type=DeadLetter) for m in out]
    assert contents(tmp_path) == truth
    check_letters(letters, sent)


def through_kafka(sent: list[Sent], broker: Broker) -> None:
    """Send everything, in order, to partition 0 of its topic."""
    producer = KafkaProducer(
        **client_settings(broker),
        bootstrap_servers=broker.bootstrap,
        max_request_size=4 << 20,
        max_in_flight_requests_per_connection=1,
        linger_ms=20,
        batch_size=1 << 18,
    )
    for one in sent:
        headers = [("content-type", one.content_type.encode())]
        producer.send(one.topic, key=b"t1", value=one.value, headers=headers, partition=0)
    producer.flush(60)
    producer.close()


def dead_letters(broker: Broker) -> list[DeadLetter]:
    """Everything on the dead-letter topic; a repeat has the key of what it repeats."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, **client_settings(broker))
    home = TopicPartition(DEAD, 0)
    consumer.assign([home])
    consumer.seek_to_beginning(home)
    end, found = consumer.end_offsets([home])[home], {}
    while consumer.position(home) < end:
        for record in consumer.poll(timeout_ms=500).get(home, []):
            found[record.key] = msgspec.json.decode(record.value, type=DeadLetter)
    consumer.close()
    return list(found.values())


@pytest.mark.long
def test_ten_thousand_bad_messages_through_kafka(
    own_broker: Broker, sent: list[Sent], truth: dict[str, list[str]], tmp_path: Path
) -> None:
    """The worker lives on; its archive is that of the good ones; each bad one has its letter."""
    trace: Any = SimpleNamespace(
        topologies={"t1": sites.topology()}, sites=("t1",), t0_ns=T0_NS, duration_s=50.0
    )
    env = prepare(tmp_path, own_broker, trace, partitions=1)
    with Worker(env, tmp_path / "w.log") as worker:
        worker.wait_ready()
        through_kafka(sent, own_broker)
        wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=180)
        assert worker.process.poll() is None
        assert worker.end() == 0
    assert contents(tmp_path / "archive") == truth
    check_letters(dead_letters(own_broker), sent)
