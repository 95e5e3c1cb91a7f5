"""Topics, seen and made through kafka-python's admin client: describe, create, check."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from kafka import errors as kafka_errors
from kafka.admin import KafkaAdminClient

from pipeline.errors import KafkaError, TopicsError, Unreachable
from pipeline.settings import Kafka
from schemas.topics import INPUTS, TOPICS

__all__ = [
    "CARRIES",
    "OUTPUTS",
    "Cluster",
    "TopicFacts",
    "client_settings",
    "create",
    "describe",
    "lanes",
]

OUTPUTS = tuple(topic.name for topic in TOPICS if topic.owner == "lockstep")
"""Topics the pipeline writes; the inputs and these must exist before a worker starts."""

CARRIES = {topic.name: topic.carries for topic in TOPICS}
"""Topic name to what it carries, in the order of the contract."""

SLACK_BYTES = 64 << 10
"""What a record batch adds to the largest message."""


class TopicFacts(NamedTuple):
    """One topic as the broker knows it."""

    name: str
    partitions: int
    topic_id: str | None


class Cluster(NamedTuple):
    """The broker's id and those of our topics that exist."""

    cluster_id: str
    topics: dict[str, TopicFacts]

    def origin(self) -> dict[str, str]:
        """Return what offsets belong to: the ids of the cluster and of each input topic."""
        facts = {name: self.topics[name].topic_id for name in INPUTS}
        ids = {name: topic_id for name, topic_id in facts.items() if topic_id}
        return {"cluster": self.cluster_id, **ids}


def client_settings(kafka: Kafka) -> dict[str, Any]:
    """Keyword arguments that every kafka-python client takes: address, login, TLS."""
    given: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap.split(","),
        "security_protocol": kafka.security_protocol,
    }
    if kafka.api_version:
        given["api_version"] = tuple(int(part) for part in kafka.api_version.split("."))
    if kafka.security_protocol.endswith("SSL"):
        given["ssl_context"] = kafka.tls
    if kafka.security_protocol.startswith("SASL"):
        given["sasl_mechanism"] = kafka.mechanism
        given["sasl_plain_username"] = kafka.username
        given["sasl_plain_password"] = kafka.secret.reveal() if kafka.secret else None
    return given


@contextlib.contextmanager
def _client(kafka: Kafka, timeout_s: float) -> Iterator[KafkaAdminClient]:
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # we say it in one sentence
    try:
        client = KafkaAdminClient(
            **client_settings(kafka), bootstrap_timeout_ms=round(timeout_s * 1000)
        )
    except (kafka_errors.KafkaError, OSError, ValueError) as error:
        msg = (
            f"no Kafka broker answers at {kafka.bootstrap} within {timeout_s:g} s "
            f"({type(error).__name__}); start it or set kafka.bootstrap"
        )
        raise Unreachable(msg) from error
    try:
        yield client
    except kafka_errors.KafkaError as error:
        first = str(error).partition(" failed with response")[0][:200]
        msg = f"the broker at {kafka.bootstrap} refuses: {first}; see its log"
        raise KafkaError(msg) from error
    finally:
        client.close()


def describe(kafka: Kafka, timeout_s: float | None = None) -> Cluster:
    """
    Ask the broker which of our topics it has.

    Raises
    ------
    Unreachable
        No answer within ``timeout_s`` (default: ``kafka.start_timeout_s``).
    """
    names = [topic.name for topic in TOPICS]
    with _client(kafka, timeout_s or kafka.start_timeout_s) as client:
        cluster_id = _cluster_id(client)
        found = client.describe_topics(names)
    topics = {
        topic["name"]: TopicFacts(
            topic["name"], len(topic["partitions"]), str(topic.get("topic_id") or "") or None
        )
        for topic in found
        if not topic["error_code"] and topic["partitions"]
    }
    return Cluster(cluster_id, topics)


def _cluster_id(client: KafkaAdminClient) -> str:
    return str(client.describe_cluster().get("cluster_id") or "unknown")


def create(kafka: Kafka, partitions: int) -> list[str]:
    """
    Make the topics that are missing, each with its retention and size limit; return their names.

    The telemetry topics always end up with one partition count: where one exists already with
    another count, nothing is made.

    Raises
    ------
    TopicsError
        A telemetry topic exists with another number of partitions.
    """
    there = describe(kafka).topics
    for name in INPUTS:
        if name in there and there[name].partitions != partitions:
            msg = (
                f"topic {name} exists with {there[name].partitions} partitions, not {partitions}; "
                f"use --partitions {there[name].partitions} or another cluster"
            )
            raise TopicsError(msg)
    wanted = {
        topic.name: {
            "num_partitions": partitions,
            "replication_factor": kafka.replication,
            "configs": {
                "retention.ms": str(topic.retention_s * 1000),
                "max.message.bytes": str(topic.max_message_bytes + SLACK_BYTES),
            },
        }
        for topic in TOPICS
        if topic.name not in there
    }
    if wanted:
        with _client(kafka, kafka.start_timeout_s) as client:
            client.create_topics(wanted, raise_errors=True, wait_for_metadata=True)
    return sorted(wanted)


def lanes(cluster: Cluster, needed: Iterable[str] = (*INPUTS, *OUTPUTS)) -> int:
    """
    Check that a worker can start; return the number of lanes (partitions of each telemetry topic).

    Raises
    ------
    TopicsError
        A topic is missing, or the telemetry topics differ in partitions.
    """
    missing = [name for name in needed if name not in cluster.topics]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        msg = f"topic {missing[0]}{more} does not exist; run `python -m pipeline topics create`"
        raise TopicsError(msg)
    counts = {name: cluster.topics[name].partitions for name in INPUTS}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        msg = f"input topics must have the same number of partitions, found {said}; re-create"
        raise TopicsError(msg)
    return next(iter(counts.values()))
