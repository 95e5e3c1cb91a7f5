"""Kills, pauses and broker deaths on the real broker: nothing lost, nothing twice, bit for bit."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest

from replay.broker import Broker
from replay.live import Worker, wait_archived
from replay.source import Trace
from tests.replay.live_trace import WAIT_S, archive_is_whole, environment, feeding

pytestmark = pytest.mark.long

KILLS = 20


def _let_run(worker: Worker, seconds: float) -> None:
    """Leave it alone for a while; it must not end meanwhile."""
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(seconds)


def test_killed_twenty_times(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """SIGKILL at 20 random instants: every row once and bit-equal; on topics at least once."""
    env = environment(tmp_path, fresh_topics, trace)
    rng = random.Random(5)
    ready = 0
    with feeding(trace, fresh_topics, speed=0.8):
        for _ in range(KILLS):
            with Worker(env, tmp_path / "w.log") as worker:
                if rng.random() < 0.8:
                    worker.wait_ready()
                    ready += 1
                _let_run(worker, rng.uniform(0.2, 3.0))
                assert worker.end(signal.SIGKILL) == -signal.SIGKILL
        with Worker(env, tmp_path / "w.log") as worker:
            wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
            assert worker.end() == 0
    assert ready >= KILLS // 2
    archive_is_whole(tmp_path / "archive", here, fresh_topics)


def test_paused_past_its_session_is_fenced(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """A worker stopped past its session and resumed ends with one sentence; its heir has it all."""
    env = environment(tmp_path, fresh_topics, trace)
    with Worker(env, tmp_path / "old.log") as old:
        old.wait_ready()
        with feeding(trace, fresh_topics, speed=6.0):
            _let_run(old, 4.0)
            old.process.send_signal(signal.SIGSTOP)
            with Worker(env, tmp_path / "new.log") as new:
                new.wait_ready()
                old.process.send_signal(signal.SIGCONT)
                assert old.process.wait(30.0) not in (0, -signal.SIGKILL)
                wait_archived(tmp_path / "archive", trace, workers=[new], timeout_s=WAIT_S)
                assert new.end() == 0
        assert sum("error:" in line for line in old.text.splitlines()) == 1
    archive_is_whole(tmp_path / "archive", here, fresh_topics)


def test_broker_killed_under_a_live_worker(
    own_broker: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """The broker killed and restarted once: the worker goes on, and nothing is lost or doubled."""
    if own_broker.kind != "kafka":
        pytest.skip(f"needs Apache Kafka: {own_broker.reason}")
    env = environment(tmp_path, own_broker, trace)
    with Worker(env, tmp_path / "w.log") as worker:
        worker.wait_ready()
        with feeding(trace, own_broker, speed=6.0):
            _let_run(worker, 5.0)
            own_broker.kill()
            _let_run(worker, 3.0)
            own_broker.restart()
            wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
            assert worker.end() == 0
    archive_is_whole(tmp_path / "archive", here, own_broker)


def test_sigterm_in_the_middle(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """SIGTERM ends the worker within 10 s with status 0; the next one goes on without a seam."""
    env = environment(tmp_path, fresh_topics, trace)
    with feeding(trace, fresh_topics, speed=6.0):
        for _ in range(3):
            with Worker(env, tmp_path / "w.log") as worker:
                worker.wait_ready()
                _let_run(worker, 1.5)
                assert worker.end(signal.SIGTERM, timeout_s=10.0) == 0
        with Worker(env, tmp_path / "w.log") as worker:
            wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
            assert worker.end() == 0
    archive_is_whole(tmp_path / "archive", here, fresh_topics)
