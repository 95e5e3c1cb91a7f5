"""The same trace in this process and through Kafka: identical events and windows."""

from __future__ import annotations

import signal
from pathlib import Path

from pipeline.detect import DetectSettings
from pipeline.device import choose
from replay.broker import Broker
from replay.feed import feed
from replay.live import Worker, client_settings, contents, prepare, wait_archived
from replay.runner import Runner
from replay.source import Trace, open_trace
from tests.replay.live_trace import assert_same

WAIT_S = 120.0
DEMO = Path(__file__).parents[2] / "replay" / "traces" / "demo"


def test_one_worker_gives_what_replay_gives(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """Through Kafka with one worker and one partition: the same rows, bit for bit."""
    env = prepare(tmp_path, fresh_topics, trace, partitions=1)
    with Worker({**env, "LOCKSTEP__KAFKA__GROUP": "one"}, tmp_path / "w.log") as worker:
        worker.wait_ready()
        feed(trace, fresh_topics.bootstrap, client=client_settings(fresh_topics))
        wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
        assert worker.end(signal.SIGTERM) == 0
    assert_same(tmp_path / "archive", here)


def test_two_workers_and_four_partitions_give_what_replay_gives(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """With 2 workers sharing 4 partitions of 5 sites: the same rows, bit for bit."""
    env = prepare(tmp_path, fresh_topics, trace, partitions=4)
    env["LOCKSTEP__KAFKA__GROUP"] = "two"
    with Worker(env, tmp_path / "a.log") as one, Worker(env, tmp_path / "b.log") as two:
        one.wait_ready()
        two.wait_ready()
        feed(trace, fresh_topics.bootstrap, client=client_settings(fresh_topics))
        wait_archived(tmp_path / "archive", trace, workers=[one, two], timeout_s=WAIT_S)
        assert (one.end(), two.end()) == (0, 0)
    assert_same(tmp_path / "archive", here)


def test_data_before_the_worker_gives_the_same(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path
) -> None:
    """A worker that finds the whole trace waiting reads topics in bursts: the same rows."""
    env = prepare(tmp_path, fresh_topics, trace, partitions=2)
    feed(trace, fresh_topics.bootstrap, client=client_settings(fresh_topics))
    with Worker({**env, "LOCKSTEP__KAFKA__GROUP": "late"}, tmp_path / "w.log") as worker:
        wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
        assert worker.end() == 0
    assert_same(tmp_path / "archive", here)


def test_cut_of_the_stream_changes_nothing(trace: Trace, tmp_path: Path) -> None:
    """The demo trace's wide twin cut into 0.1 s or 1 s pieces gives the same rows."""
    isone = open_trace(DEMO.parent / "isone_case3" / "isone_case3_P_MW_30Hz.csv.gz")
    found = []
    for piece_s in (0.1, 1.0):
        archive = tmp_path / f"{piece_s}"
        Runner(isone, archive, choose("cpu"), DetectSettings()).run(piece_s=piece_s)
        found.append(contents(archive))
    assert found[0] == found[1]
