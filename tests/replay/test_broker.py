"""The embedded broker: found, shared, killed, restarted, never left behind."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from replay import broker as broker_module
from replay import kafka_jars
from replay.broker import Broker, BrokerError, open_broker

TIMEOUT_MS = 20_000


def _produce(broker: Broker, topic: str, values: list[bytes]) -> list[int]:
    producer = KafkaProducer(**broker.client_settings, acks="all")
    try:
        sent = [producer.send(topic, value, partition=0) for value in values]
        return [future.get(TIMEOUT_MS / 1000).offset for future in sent]
    finally:
        producer.close()


def _consume(broker: Broker, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        **broker.client_settings, auto_offset_reset="earliest", consumer_timeout_ms=TIMEOUT_MS
    )
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [next(consumer).value for _ in range(count)]
    finally:
        consumer.close()


def _topic() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


def _alive(pid: int) -> bool:
    """A zombie waiting for init counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_produced_is_consumed(broker: Broker) -> None:
    """A topic made with 3 partitions takes messages and gives them back in order."""
    topic = _topic()
    broker.create_topics({topic: 3})
    broker.create_topics({topic: 3})  # a second time changes nothing

    assert _produce(broker, topic, [b"a", b"b", b"c"]) == [0, 1, 2]
    assert _consume(broker, topic, 3) == [b"a", b"b", b"c"]
    consumer = KafkaConsumer(**broker.client_settings)
    assert consumer.partitions_for_topic(topic) == {0, 1, 2}
    consumer.close()


def test_kill_and_restart_keep_data_and_address(own_broker: Broker) -> None:
    """After SIGKILL and restart the same address holds the same messages and takes new ones."""
    topic, address = _topic(), own_broker.bootstrap
    own_broker.create_topics({topic: 1})
    _produce(own_broker, topic, [b"before"])

    own_broker.kill()
    own_broker.restart()

    assert own_broker.bootstrap == address
    assert _produce(own_broker, topic, [b"after"]) == [1]
    assert _consume(own_broker, topic, 2) == [b"before", b"after"]


def test_unknown_topics_are_not_made(requires_real_kafka: Broker) -> None:
    """A mistyped topic is an error of whoever mistyped it, not a new topic."""
    topic = _topic()
    consumer = KafkaConsumer(**requires_real_kafka.client_settings)
    assert topic not in consumer.topics()
    assert not consumer.partitions_for_topic(topic)
    assert topic not in consumer.topics()
    consumer.close()


def test_data_dir_survives_its_broker(requires_real_kafka: Broker, tmp_path: Path) -> None:
    """A broker stopped and another opened on its folder: same messages, on a new port."""
    topic = _topic()
    with open_broker("kafka", tmp_path) as first:
        first.create_topics({topic: 1})
        _produce(first, topic, [b"kept"])
    with open_broker("kafka", tmp_path) as second:
        assert _consume(second, topic, 1) == [b"kept"]


@pytest.mark.skipif(sys.platform != "linux", reason="the leash is Linux's")
def test_broker_dies_with_its_parent(requires_real_kafka: Broker, tmp_path: Path) -> None:
    """SIGKILL of whoever opened a broker ends the broker too."""
    code = (
        "from replay.broker import open_broker; import time\n"
        "b = open_broker('kafka'); print(b._engine._process.pid, flush=True); time.sleep(60)"
    )
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # nobody is left to remove the data
    command = [sys.executable, "-c", code]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _alive(child)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 5
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _alive(child)


def test_command_prints_its_address_and_ends_on_sigterm() -> None:
    """`python -m replay.broker` says where it is, and ends with 0 when told to."""
    command = [sys.executable, "-m", "replay.broker", "--prefer", "mock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline(), process.stdout.readline()]
        process.terminate()
        assert process.wait(10) == 0
    assert lines[1].startswith("bootstrap: 127.0.0.1:")


def test_no_java_means_the_mock_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without Java `auto` gives the mock with its reason; under CI that is an error."""
    for name in ("CI", "JAVA_HOME", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with open_broker() as broker:
        assert broker.kind == "mock"
        assert broker.reason == "no java on PATH; install a JDK 17 or newer"

    monkeypatch.setenv("CI", "true")
    with pytest.raises(BrokerError, match="no java on PATH; install a JDK 17 or newer"):
        open_broker()


def test_old_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Java that Kafka cannot run on is named with its version."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BrokerError, match="is version 8; Kafka needs 17 or newer"):
        kafka_jars.find_java()


def test_named_broker_is_used_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """KAFKA_BOOTSTRAP_SERVERS names the broker; we do not kill what we did not start."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka-a:9092,kafka-b:9092")
    with open_broker() as broker:
        assert broker.kind == "external"
        assert broker.client_settings["bootstrap_servers"] == ["kafka-a:9092", "kafka-b:9092"]
        with pytest.raises(BrokerError, match="is not ours to kill; unset KAFKA_BOOTSTRAP_SERVERS"):
            broker.kill()


def test_no_broker_is_one_sentence_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what is missing, without a traceback."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert broker_module.main(["--prefer", "kafka"]) == 1
    assert capsys.readouterr().err == "error: no java on PATH; install a JDK 17 or newer\n"
