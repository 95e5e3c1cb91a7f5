"""Starts real worker processes with counting lanes (`fake_worker.py`) and reads what they left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from replay.broker import Broker
from schemas.topics import TELEMETRY, TOPICS

HERE = Path(__file__).parent
RACK = TELEMETRY["rack"]
PARTITIONS = 2


def until(holds: Callable[[], Any], *, limit_s: float = 30.0, what: str = "it") -> Any:
    """Ask again and again until the answer is true; fail after ``limit_s``."""
    end_s = time.monotonic() + limit_s
    while not (answer := holds()):
        assert time.monotonic() < end_s, f"{what} did not happen within {limit_s} s"
        time.sleep(0.05)
    return answer


class Worker:
    """One worker process."""

    def __init__(self, log: Path, env: dict[str, str]) -> None:
        self.log, self.stderr = log, log.with_suffix(".err")
        with log.open("wb") as out, self.stderr.open("wb") as err:
            command = [sys.executable, str(HERE / "fake_worker.py"), str(log.parent)]
            self.process = subprocess.Popen(
                command, stdout=out, stderr=err, env={**os.environ, **env}
            )

    def said(self, text: str) -> bool:
        """Whether the log holds the text; fails where the worker is gone without it."""
        found = text in self.log.read_text()
        gone = self.process.poll() is not None
        assert found or not gone, f"worker ended: {self.log.read_text()}{self.stderr.read_text()}"
        return found

    def ready(self) -> "Worker":
        """Wait until partitions are assigned and lanes open."""
        until(lambda: self.said("ready: "), what="ready")
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit code, which must come within 10 s."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def sentence(self) -> str:
        """Wait for the end; return standard error, which must be one line."""
        self.process.wait(40)
        text = self.stderr.read_text().strip()
        assert text.count("\n") == 0, text
        return text


class Bench:
    """A broker with our topics, a folder that plays the archive, and the workers between them."""

    def __init__(self, broker: Broker, folder: Path, group: str) -> None:
        self.broker, self.folder, self.group = broker, folder, group
        self.stack = ExitStack()
        self.clients = self.stack.enter_context(ExitStack())
        self.begin: dict[int, dict[str, int]] = {}

    def connect(self) -> "Bench":
        """Open producer and consumer; once more after the broker has been away."""
        self.clients.close()  # kafka-python leaves sockets open while it cannot connect
        given = self.broker.client_settings
        self.producer = self.clients.enter_context(KafkaProducer(**given, acks="all", linger_ms=5))
        self.consumer = self.clients.enter_context(KafkaConsumer(**given, group_id=self.group))
        return self

    def at_the_end(self) -> "Bench":
        """Leave commits as an earlier worker would have, so that lanes start at today's end."""
        topics = TELEMETRY.values()
        for k in range(PARTITIONS):
            self.begin[k] = {topic: self.end(topic, k) for topic in topics}
            self.seed(k, self.begin[k])
        return self

    def end(self, topic: str, k: int) -> int:
        """Next offset of a partition."""
        pair = TopicPartition(topic, k)
        return self.consumer.end_offsets([pair])[pair]

    def seed(self, k: int, offsets: dict[str, int], n: int = 1) -> None:
        """Leave a commit as an earlier worker would have."""
        record = {"rows": [], "offsets": offsets}
        path = self.folder / f"live-p{k}of{PARTITIONS}.{n:06d}.json"
        path.write_text(json.dumps(record))

    def worker(self, name: str = "w", **kafka: Any) -> Worker:
        """Start a worker."""
        kafka = {
            "bootstrap": self.broker.bootstrap,
            "group": self.group,
            "session_timeout_s": 2.0,
            "start_timeout_s": 10.0,
            **({"api_version": "2.3"} if self.broker.kind == "mock" else {}),
            **kafka,
        }
        run = {"heartbeat_s": 1.0, "idle_s": 1.0, "status": self.folder / "status.json"}
        sections = {"KAFKA": kafka, "RUN": run}
        env = {
            f"LOCKSTEP__{section}__{key.upper()}": str(value)
            for section, fields in sections.items()
            for key, value in fields.items()
        }
        worker = Worker(self.folder / f"{name}.log", {**env, "PYTHONPATH": str(HERE.parents[1])})
        self.stack.callback(worker.process.wait)
        self.stack.callback(worker.process.kill)
        return worker

    def feed(self, texts: list[str], *, topic: str = RACK, k: int = 0) -> None:
        """Send messages to one partition; returns when the broker has them."""
        for text in texts:
            self.producer.send(topic, value=text.encode(), key=b"s", partition=k)
        self.producer.flush(30)

    def rows(self, k: int = 0) -> list[tuple[str, int, str]]:
        """All that is archived of a partition, in the order of the commits."""
        paths = sorted(self.folder.glob(f"live-p{k}of*.json"))
        return [tuple(row) for path in paths for row in json.loads(path.read_text())["rows"]]

    def texts(self, k: int = 0) -> list[str]:
        """Archived texts of a partition."""
        return [text for _, _, text in self.rows(k)]

    def committed(self, topic: str = RACK, k: int = 0) -> int:
        """The group's committed offset, -1 without one."""
        offset = self.consumer.committed(TopicPartition(topic, k))
        return -1 if offset is None else offset

    def published(self) -> Iterator[str]:
        """Values on the event topic, from its beginning."""
        pairs = [TopicPartition("site.event.v1", k) for k in range(PARTITIONS)]
        with KafkaConsumer(
            **self.broker.client_settings, auto_offset_reset="earliest", consumer_timeout_ms=3000
        ) as reader:
            reader.assign(pairs)
            for record in reader:
                yield record.value.decode()


def all_topics(partitions: int = PARTITIONS) -> dict[str, int]:
    """Every topic of the contract, for `Broker.create_topics`."""
    return {topic.name: partitions for topic in TOPICS}
