"""Fixtures of the tests on a live pipeline: a trace of several sites, and topics of one's own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from kafka.admin import KafkaAdminClient

from pipeline.detect import DetectSettings
from pipeline.device import choose
from replay.broker import Broker
from replay.live import contents
from replay.runner import Runner
from replay.source import Trace
from schemas.topics import TOPICS
from tests.replay.live_trace import several_sites


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    """Five sites, a minute and a half."""
    return several_sites(tmp_path_factory.mktemp("trace"))


@pytest.fixture(scope="session")
def here(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the trace gives in this process."""
    archive = tmp_path_factory.mktemp("here") / "archive"
    Runner(trace, archive, choose("cpu"), DetectSettings()).run()
    return contents(archive)


@pytest.fixture
def fresh_topics(requires_real_kafka: Broker) -> Iterator[Broker]:
    """A broker on which none of our topics is; what the test makes of them is removed again."""
    broker = requires_real_kafka
    admin = KafkaAdminClient(**broker.client_settings)
    ours = {topic.name for topic in TOPICS}
    there = ours & set(admin.list_topics())
    if there and broker.kind == "external":
        admin.close()
        pytest.skip(f"needs topics of its own; {min(there)} is in use at {broker.bootstrap}")
    _remove(admin, there)
    yield broker
    _remove(admin, ours & set(admin.list_topics()))
    admin.close()


def _remove(admin: KafkaAdminClient, names: set[str]) -> None:
    """Delete topics and wait until they are gone: else the next test's are taken for these."""
    if names:
        admin.delete_topics(sorted(names))
    for _ in range(400):
        if not names & set(admin.list_topics()):
            return
        time.sleep(0.05)
    pytest.fail(f"topics {sorted(names)} are still there after 20 s")
