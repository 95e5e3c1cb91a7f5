"""The Faust part, proven with real processes on a real broker and lanes that only count."""

import json
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition
from kafka.structs import OffsetAndMetadata

from replay.broker import Broker, open_broker
from tests.pipeline.workers import PARTITIONS, RACK, Bench, all_topics, until

HUNDRED = [f"m{i}" for i in range(100)]


@pytest.fixture(scope="module")
def module_broker(broker: Broker) -> Iterator[Broker]:
    """A broker whose topics are this file's alone."""
    with open_broker(broker.kind if broker.kind != "external" else "auto") as own:
        own.create_topics(all_topics())
        yield own


@pytest.fixture
def bench(module_broker: Broker, tmp_path: Path) -> Iterator[Bench]:
    """A bench with a group and an archive folder of its own."""
    bench = Bench(module_broker, tmp_path, f"g-{uuid.uuid4().hex[:8]}")
    with bench.stack:
        yield bench.connect().at_the_end()


@pytest.mark.kafka
def test_reading_starts_where_the_lane_asks_whatever_kafka_has_committed(bench: Bench) -> None:
    """The snapshot's offset wins over Kafka's committed one, earlier or later."""
    start = bench.begin[0][RACK]
    bench.feed(HUNDRED)
    bench.seed(0, {**bench.begin[0], RACK: start + 7}, n=2)
    hint = OffsetAndMetadata(start + 60, "", -1)
    bench.consumer.commit({TopicPartition(RACK, 0): hint})
    worker = bench.worker().ready()
    until(lambda: len(bench.rows()) >= 93)
    assert bench.rows()[0] == (RACK, start + 7, "m7")
    assert bench.texts() == HUNDRED[7:]
    assert worker.stop() == 0


@pytest.mark.kafka
def test_a_topic_the_lane_does_not_name_is_read_from_its_beginning(bench: Bench) -> None:
    """No start offset means the first offset the broker still has."""
    bench.feed(["x"])
    offsets = {topic: at for topic, at in bench.begin[0].items() if topic != RACK}
    bench.seed(0, offsets, n=2)
    worker = bench.worker().ready()
    until(lambda: bench.end(RACK, 0) <= len(bench.rows()))
    assert [offset for _, offset, _ in bench.rows()] == list(range(bench.end(RACK, 0)))
    assert worker.stop() == 0


@pytest.mark.kafka
def test_nothing_is_acknowledged_before_its_commit_and_everything_after(bench: Bench) -> None:
    """While a commit hangs Kafka's offset stands still; then it follows to the end."""
    start = bench.begin[0][RACK]
    hold = bench.folder / "hold"
    hold.touch()
    worker = bench.worker().ready()
    bench.feed(HUNDRED)
    beats = worker.log.read_text().count("lag ")
    until(lambda: worker.log.read_text().count("lag ") > beats + 2, what="three heartbeats")
    assert bench.committed() <= start
    hold.unlink()
    until(lambda: bench.committed() == start + 100, what="acknowledged")
    assert bench.texts() == HUNDRED
    assert worker.stop() == 0


@pytest.mark.kafka
def test_everything_is_published_before_it_is_committed(bench: Bench) -> None:
    """Every archived row is on the topic; the topic may repeat."""
    worker = bench.worker().ready()
    marked = [f"{bench.group}-{i}" for i in range(50)]
    bench.feed(marked)
    until(lambda: len(bench.rows()) == 50)
    values = " ".join(bench.published())
    assert all(f'"{text}"' in values for text in marked)
    assert worker.stop() == 0


@pytest.mark.kafka
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_ten_seconds_with_a_last_snapshot(
    bench: Bench, number: int
) -> None:
    """Exit 0, the last commit carries a snapshot, Kafka's offset is the archive's."""
    worker = bench.worker().ready()
    bench.feed(HUNDRED)
    assert worker.stop(number) == 0
    paths = sorted(bench.folder.glob(f"live-p0of{PARTITIONS}.*.json"))
    last = json.loads(paths[-1].read_text())
    assert last["snapshot"]
    assert worker.sentence() == ""
    if bench.rows():
        assert bench.committed() == last["offsets"][RACK]
    second = bench.worker("second").ready()
    until(lambda: len(bench.rows()) >= 100)
    assert bench.texts() == HUNDRED
    assert second.stop() == 0


@pytest.mark.kafka
def test_a_fenced_worker_ends_with_one_sentence(bench: Bench) -> None:
    """Whoever finds its writer taken exits 1 and acknowledges nothing."""
    start = bench.begin[0][RACK]
    worker = bench.worker().ready()
    bench.seed(0, bench.begin[0], n=3)  # the claim was 2
    bench.feed(["a"])
    assert worker.sentence().startswith("error: Fenced: another process writes as live-p0of2")
    assert worker.process.returncode == 1
    assert bench.committed() <= start


@pytest.mark.kafka
def test_an_exception_in_compute_ends_it_with_one_sentence(bench: Bench) -> None:
    """A bug or a broken device is no message's fault: exit 1, nothing acknowledged."""
    start = bench.begin[0][RACK]
    worker = bench.worker().ready()
    bench.feed(["bug"])
    assert worker.sentence() == "error: RuntimeError: the device fell off the bus"
    assert worker.process.returncode == 1
    assert bench.committed() <= start


@pytest.mark.kafka
def test_a_refused_join_ends_it_with_one_sentence(
    bench: Bench, requires_real_kafka: Broker
) -> None:
    """InvalidSessionTimeoutError, which Faust logs and survives, names the setting and ends us."""
    worker = bench.worker(session_timeout_s=0.5)
    said = worker.sentence()
    assert worker.process.returncode == 1
    assert "InvalidSessionTimeoutError" in said
    assert "kafka.session_timeout_s (0.5)" in said


@pytest.mark.kafka
def test_quiet_is_a_partition_read_as_it_comes_for_a_while(bench: Bench) -> None:
    """All three topics of an empty partition become quiet."""
    worker = bench.worker().ready()
    quiet = bench.folder / "quiet.live-p1of2"
    until(lambda: quiet.exists() and len(json.loads(quiet.read_text() or "[]")) == 3)
    assert worker.stop() == 0


@pytest.mark.kafka
def test_two_workers_share_lanes_and_one_takes_over_when_the_other_is_killed(bench: Bench) -> None:
    """Partition k of all three topics goes to one worker; nothing is archived twice or lost."""
    bench.worker("a").ready()
    b = bench.worker("b").ready()
    texts = [f"t{i}" for i in range(300)]
    for k in range(PARTITIONS):
        bench.feed(texts[:150], k=k)
    b.process.kill()
    for k in range(PARTITIONS):
        bench.feed(texts[150:], k=k)
    for k in range(PARTITIONS):
        until(lambda k=k: len(bench.rows(k)) >= 300, what=f"partition {k}")
        assert bench.texts(k) == texts


@pytest.mark.kafka
def test_a_worker_paused_past_its_session_is_fenced_when_it_resumes(
    bench: Bench, requires_real_kafka: Broker
) -> None:
    """The one that took over has claimed the writer; the sleeper ends with one sentence."""
    sleeper = bench.worker("sleeper").ready()
    sleeper.process.send_signal(signal.SIGSTOP)
    other = bench.worker("other").ready()
    until(lambda: other.said("partitions 0, 1 of 2"), what="takeover")
    bench.feed(HUNDRED)
    until(lambda: len(bench.rows()) == 100)
    sleeper.process.send_signal(signal.SIGCONT)
    assert sleeper.sentence().startswith("error: Fenced: another process writes as live-p")
    assert sleeper.process.returncode == 1
    assert bench.texts() == HUNDRED
    assert other.stop() == 0


@pytest.mark.kafka
@pytest.mark.long
def test_a_broker_killed_under_a_live_worker_loses_nothing(
    own_broker: Broker, tmp_path: Path
) -> None:
    """The worker waits, goes on by itself, and every message is archived once."""
    own_broker.create_topics(all_topics())
    bench = Bench(own_broker, tmp_path, "g")
    with bench.stack:
        bench.connect().at_the_end()
        worker = bench.worker().ready()
        bench.feed([f"before{i}" for i in range(50)])
        bench.clients.close()
        own_broker.kill()
        own_broker.restart()
        bench.connect().feed([f"after{i}" for i in range(50)])
        until(lambda: len(bench.rows()) >= 100, limit_s=60)
        assert len(set(bench.texts())) == len(bench.texts()) == 100
        bench.clients.close()
        own_broker.kill()
        assert worker.stop() == 0  # without a broker, too, within 10 s


@pytest.mark.kafka
def test_missing_topics_and_a_missing_broker_are_named(own_broker: Broker, tmp_path: Path) -> None:
    """Exit 1 and what to do next, before anything starts."""
    bench = Bench(own_broker, tmp_path, "g")
    with bench.stack:
        if own_broker.kind != "mock":  # which makes any topic it is asked for
            said = bench.worker().sentence()
            assert said.endswith("does not exist; run `python -m pipeline topics create`")
        own_broker.kill()
        worker = bench.worker("late", start_timeout_s=1.0)
        assert "no Kafka broker answers at 127.0.0.1" in worker.sentence()
        assert worker.process.returncode == 1
