"""What `replay.feed` and `replay.record` promise: through Kafka and back a trace is the same."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from replay import feed as feed_module
from replay import record as record_module
from replay.broker import Broker
from replay.errors import FeedError
from replay.feed import feed
from replay.plan import Plan, Site
from replay.record import record
from replay.simulate import simulate
from replay.source import Trace, open_trace
from schemas.telemetry import ARROW, Slice, encode_arrow, parse

PARTITIONS = 4


@pytest.fixture
def topics(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Telemetry topics of this test alone, co-partitioned."""
    run = uuid.uuid4().hex[:8]
    names = {level: f"test-{run}.{level}" for level in ("rack", "pdu", "substation")}
    broker.create_topics(dict.fromkeys(names.values(), PARTITIONS))
    for module in (feed_module, record_module):
        monkeypatch.setattr(module, "TELEMETRY", names)
    return names


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    """Three small sites with racks, PDUs and a substation, 4 s."""
    site = Site(count=3, pdus=2, racks_per_pdu=3, pdu_hz=20, substation_hz=50, rack_gateways=2)
    simulate(tmp_path / "trace", Plan(site=(site,), duration_s=4), 1)
    return open_trace(tmp_path / "trace")


def _read(broker: Broker, topics: dict[str, str]) -> Iterator[Any]:
    consumer = KafkaConsumer(
        **broker.client_settings, auto_offset_reset="earliest", consumer_timeout_ms=3000
    )
    parts = [TopicPartition(t, p) for t in topics.values() for p in range(PARTITIONS)]
    consumer.assign(parts)
    ends = consumer.end_offsets(parts)
    left = sum(ends.values())
    try:
        while left:
            left -= 1
            yield next(consumer)
    finally:
        consumer.close()


def _facts(piece: Slice) -> tuple[Any, ...]:
    head = (piece.site_id, piece.level, piece.gateway_id, piece.seq, piece.t0_ns, piece.end)
    return (*head, piece.channel_ids, piece.power_w.tobytes())


def test_every_slice_arrives_on_its_level_keyed_by_site(
    broker: Broker, topics: dict[str, str], trace: Trace
) -> None:
    """Bytes as encoded, content type said, a site on one partition, each gateway in order."""
    told: list[tuple[float, int]] = []
    sent = feed(
        trace,
        broker.bootstrap,
        progress=lambda at_s, messages: told.append((at_s, messages)),
        client=broker.client_settings,
    )
    expected = list(trace.slices())
    got = list(_read(broker, topics))
    assert sent == len(expected) == len(got) == 3 * 4 * (4 + 1)
    level_of = {topic: level for level, topic in topics.items()}
    pieces = [parse(m.value, dict(m.headers)["content-type"].decode()) for m in got]
    assert {dict(m.headers)["content-type"] for m in got} == {ARROW.encode()}
    assert {m.key.decode() == p.site_id for m, p in zip(got, pieces, strict=True)} == {True}
    assert {level_of[m.topic] == p.level for m, p in zip(got, pieces, strict=True)} == {True}
    assert sorted(map(_facts, pieces)) == sorted(map(_facts, expected))
    assert sorted(m.value for m in got) == sorted(map(encode_arrow, expected))
    places = {(p.site_id, m.partition) for m, p in zip(got, pieces, strict=True)}
    assert len(places) == 3
    for site in trace.sites:
        for gateway in trace.topologies[site].gateway_by_id:
            mine = [p.seq for p in pieces if (p.site_id, p.gateway_id) == (site, gateway)]
            assert mine == sorted(mine)
    assert [at_s for at_s, _ in told] == [1.0, 2.0, 3.0, 4.0]
    assert [messages for _, messages in told] == sorted(messages for _, messages in told)


def test_what_is_fed_and_recorded_replays_the_same(
    broker: Broker, topics: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    """Equal slices in equal order, topologies beside; it ends when every gateway has ended."""
    del topics
    feed(trace, broker.bootstrap, client=broker.client_settings)
    result = record(
        broker.bootstrap,
        tmp_path / "tape",
        duration_s=60,
        topologies=trace.topologies,
        start="earliest",
        client=broker.client_settings,
    )
    again = open_trace(tmp_path / "tape")
    assert list(map(_facts, again.slices())) == list(map(_facts, trace.slices()))
    assert (again.sites, again.channels, again.samples) == (
        trace.sites,
        trace.channels,
        trace.samples,
    )
    assert result == {
        "folder": str(tmp_path / "tape"),
        "sites": 3,
        "channels": trace.channels,
        "samples": trace.samples,
        "messages": 48,
        "refused": 0,
        "repeated": 0,
        "foreign": 0,
    }


def test_a_recording_from_now_on_leaves_out_what_was_before(
    broker: Broker, topics: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    """Also foreign sites and messages that cannot be read: counted, and left out."""
    feed(trace, broker.bootstrap, client=broker.client_settings)
    known = {"campus-2": trace.topologies["campus-2"]}
    listening = threading.Event()
    result: dict[str, Any] = {}

    def listen(*args: Any) -> Any:
        consumer = consumer_of(*args)
        listening.set()
        return consumer

    consumer_of = record_module._consumer
    record_module._consumer = listen
    try:
        worker = threading.Thread(
            target=lambda: result.update(
                record(
                    broker.bootstrap,
                    tmp_path / "tape",
                    duration_s=60,
                    topologies=known,
                    client=broker.client_settings,
                )
            )
        )
        worker.start()
        assert listening.wait(30)
        with_noise = feed_module.KafkaProducer(**broker.client_settings)
        with_noise.send(topics["rack"], b"no telemetry", key=b"campus-2")
        with_noise.flush()
        with_noise.close()
        feed(trace, broker.bootstrap, client=broker.client_settings)
        worker.join(60)
    finally:
        record_module._consumer = consumer_of
    assert (result["messages"], result["refused"], result["sites"]) == (16, 1, 1)
    assert result["foreign"] > 0
    assert open_trace(tmp_path / "tape").sites == ("campus-2",)
    assert not list((tmp_path / "tape").glob("topology-*.toml"))


class _Paced:
    """Stands in for the clock: sleeping passes its time, nothing else does."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class _Producer:
    """Takes everything, or nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.sent = error, 0
        self.topics: list[tuple[str, bytes]] = []

    def send(self, topic: str, value: bytes, **_: Any) -> Any:
        self.sent += 1
        self.topics.append((topic, value))
        return self

    def add_errback(self, told: Any) -> None:
        if self.error:
            told(self.error)

    def flush(self, timeout: float) -> None:
        pass

    close = flush


@pytest.mark.parametrize(("speed", "total_s"), [(1.0, 4.0), (8.0, 0.5), (None, 0.0)])
def test_the_pace_is_that_of_the_recording_times_the_speed(
    trace: Trace, monkeypatch: pytest.MonkeyPatch, speed: float | None, total_s: float
) -> None:
    """A slice goes out when its last sample is due; without a speed nobody sleeps."""
    clock, producer = _Paced(), _Producer()
    monkeypatch.setattr(feed_module, "time", clock)
    monkeypatch.setattr(feed_module, "stopwatch", lambda: lambda: clock.now_s - 100.0)
    monkeypatch.setattr(feed_module, "KafkaProducer", lambda **_: producer)
    assert feed(trace, "nowhere:1", speed=speed) == producer.sent == 60
    assert sum(clock.slept) == pytest.approx(total_s)
    assert bool(clock.slept) == (speed is not None)


def test_hints_and_signals_go_out_before_the_slices_they_precede(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time, on their own topics, as JSON; the count is that of telemetry."""
    at_ns = trace.t0_ns + 1_500_000_000
    (trace.path / "hints.jsonl").write_text(
        f'{{"site_id":"campus-1","t_ns":{at_ns + 1},"hint":"checkpoint"}}'
    )
    (trace.path / "signals.jsonl").write_text(
        f'{{"site_id":"campus-1","t_ns":{at_ns},"signal":"price","value":9,"unit":"per_MWh"}}'
    )
    producer = _Producer()
    monkeypatch.setattr(feed_module, "KafkaProducer", lambda **_: producer)
    assert feed(open_trace(trace.path), "nowhere:1") == 60
    at = [i for i, (topic, _) in enumerate(producer.topics) if not topic.startswith("telemetry")]
    assert [producer.topics[i][0] for i in at] == ["grid.signal.v1", "workload.hint.v1"]
    assert parse(producer.topics[at[0] - 1][1]).t0_ns == trace.t0_ns
    assert parse(producer.topics[at[1] + 1][1]).t0_ns == trace.t0_ns + 1_000_000_000


def test_a_broker_that_takes_nothing_is_said_in_one_sentence(
    trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused messages, no broker, a speed that is none."""
    error = feed_module.KafkaError("disk full")
    producer = _Producer(error)
    monkeypatch.setattr(feed_module, "KafkaProducer", lambda **_: producer)
    with pytest.raises(FeedError, match=r"nowhere:1 did not take a message .*disk full"):
        feed(trace, "nowhere:1")
    assert producer.sent == 1, "the first refusal ends it"
    with pytest.raises(FeedError, match="speed is -1"):
        feed(trace, "nowhere:1", speed=-1)


_NOWHERE = """
import sys
from replay.errors import FeedError
from replay.feed import feed
from replay.record import record
from replay.source import open_trace
trace, at, quick = open_trace(sys.argv[1]), "127.0.0.1:1", {"bootstrap_timeout_ms": 500}
for call in (
    lambda: feed(trace, at, client=quick),
    lambda: record(at, sys.argv[2], duration_s=1, topologies=trace.topologies, client=quick),
):
    try:
        call()
    except FeedError as error:
        print(error)
"""


def test_a_broker_that_is_not_there_is_said_in_one_sentence(trace: Trace, tmp_path: Path) -> None:
    """Port 1 has no broker; both say so. A child, since kafka-python leaves its sockets open."""
    call = [sys.executable, "-c", _NOWHERE, str(trace.path), str(tmp_path / "tape")]
    said = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout
    fed, recorded = said.splitlines()
    assert fed.startswith("no broker at 127.0.0.1:1 (")
    assert recorded.startswith("recording from 127.0.0.1:1 failed (")


def test_a_recording_of_nothing_is_said_and_leaves_no_trace(
    broker: Broker, topics: dict[str, str], trace: Trace, tmp_path: Path
) -> None:
    """Half a second of silence: one sentence, no file that would pass for a trace."""
    del topics
    with pytest.raises(FeedError, match=r"nothing of campus-1, .* came in 0\.5 s"):
        record(
            broker.bootstrap,
            tmp_path / "tape",
            duration_s=0.5,
            topologies=trace.topologies,
            client=broker.client_settings,
        )
    assert not list((tmp_path / "tape").iterdir())
