"""
A Kafka broker for the demo and the tests: real where there is a JDK, else librdkafka's mock.

``python -m replay.broker`` (``make kafka``) runs one in the foreground and prints its address.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from replay.errors import BrokerError
from replay.kafka_server import KafkaServer, create_topics
from replay.mock_cluster import MockCluster

__all__ = ["Broker", "BrokerError", "Kind", "main", "open_broker"]

Kind = Literal["kafka", "mock", "external"]
Wish = Literal["auto", "kafka", "mock"]


class _Engine(Protocol):
    """What runs behind a `Broker`."""

    bootstrap: str

    def create_topics(self, topics: dict[str, int]) -> None: ...
    def down(self) -> None: ...
    def up(self) -> None: ...
    def stop(self) -> None: ...


class Broker:
    """
    A running broker; a context manager that stops what it started.

    The broker cannot outlive this process. Start it from a thread that lives as long as it should.
    """

    def __init__(self, kind: Kind, engine: _Engine, reason: str = "") -> None:
        """Wrap a running engine; use `open_broker`."""
        self.kind: Kind = kind
        """``kafka``: Apache Kafka, ours; ``mock``: librdkafka's; ``external``: somebody else's."""
        self.reason = reason
        """Why it is the mock, in one line; empty otherwise."""
        self._engine = engine

    @property
    def bootstrap(self) -> str:
        """``host:port`` (several with commas when external); the same after a restart."""
        return self._engine.bootstrap

    @property
    def client_settings(self) -> dict[str, Any]:
        """Keyword arguments for every kafka-python client of this broker."""
        servers = {"bootstrap_servers": self.bootstrap.split(",")}
        # kafka-python cannot read the mock's answer to its version question.
        return {**servers, "api_version": (2, 3)} if self.kind == "mock" else servers

    def __str__(self) -> str:
        """Say in one line what it is."""
        names = {"kafka": "Apache Kafka", "external": "Kafka", "mock": "librdkafka's mock cluster"}
        why = f" ({self.reason})" if self.reason else ""
        return f"{names[self.kind]} at {self.bootstrap}{why}"

    def create_topics(self, topics: dict[str, int]) -> None:
        """Make topics (name → partitions); one that exists stays as it is."""
        self._engine.create_topics(topics)

    def kill(self) -> None:
        """End it with SIGKILL (mock: drop all connections); its data stay."""
        self._engine.down()

    def restart(self) -> None:
        """Bring it back on the same port with the same data; returns when a client can connect."""
        self._engine.down()
        self._engine.up()

    def stop(self) -> None:
        """End it; data it put in a temporary folder go. A second call does nothing."""
        self._engine.stop()

    def __enter__(self) -> Self:
        """Return itself, running."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop."""
        self.stop()


class _External:
    """A broker that somebody else runs."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topics(self, topics: dict[str, int]) -> None:
        create_topics(self.bootstrap, topics)

    def down(self) -> None:
        msg = f"the broker at {self.bootstrap} is not ours to kill; unset KAFKA_BOOTSTRAP_SERVERS"
        raise BrokerError(msg)

    up = down

    def stop(self) -> None:
        """Leave it running."""


def open_broker(prefer: Wish = "auto", data_dir: Path | None = None, *, port: int = 0) -> Broker:
    """
    Start a broker, or connect to the one that KAFKA_BOOTSTRAP_SERVERS names.

    Parameters
    ----------
    prefer : {"auto", "kafka", "mock"}
        ``auto`` takes the named one, else Apache Kafka where Java and Maven (or cached jars) are,
        else the mock cluster, with the reason. Under ``CI=true`` the mock is never a stand-in.
    data_dir : Path, optional
        Where Kafka keeps its data; kept at the end. Default: a temporary folder, removed.
    port : int
        TCP port on loopback; 0 takes a free one.

    Raises
    ------
    BrokerError
        What was asked for cannot be had.
    """
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "").strip()
    if named and prefer == "auto":
        return Broker("external", _External(named))
    if prefer == "mock":
        return Broker("mock", MockCluster(), "asked for")
    try:
        return Broker("kafka", KafkaServer(data_dir, port=port))
    except BrokerError as error:
        ci = os.environ.get("CI", "").lower() in {"1", "true"}
        if prefer == "kafka" or ci:
            raise
        return Broker("mock", MockCluster(), str(error))


def main(argv: list[str] | None = None) -> int:
    """Run a broker in the foreground until SIGINT or SIGTERM; exit status 0, or 1 without one."""
    parser = argparse.ArgumentParser(prog="python -m replay.broker", description=__doc__)
    parser.add_argument("--prefer", choices=["auto", "kafka", "mock"], default="auto")
    parser.add_argument("--data", type=Path, help="keep the data here (default: temporary)")
    parser.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    options = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        with open_broker(options.prefer, options.data, port=options.port) as broker:
            print(f"{broker}\nbootstrap: {broker.bootstrap}", flush=True)
            while not ended.wait(3600):
                pass
    except BrokerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
