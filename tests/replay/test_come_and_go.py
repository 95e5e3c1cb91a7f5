"""Workers that come, leave, die and sleep while a trace streams in: nothing lost, nothing twice."""

from __future__ import annotations

import math
import random
import signal
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.commit_files import Idle, Told
from pipeline.commits import newest_commit
from pipeline.detect import DetectSettings
from pipeline.device import choose
from pipeline.lane import Lane, LaneConfig
from replay.broker import Broker
from replay.live import Worker, contents, wait_archived
from replay.source import Trace, open_trace
from schemas.events import WorkloadHint
from schemas.units import NS_PER_S
from tests.replay.live_trace import (
    WAIT_S,
    archive_is_whole,
    assert_same,
    environment,
    feeding,
    silenced,
)

pytestmark = pytest.mark.long

ACTS, MOST, PARTITIONS = 15, 3, 3
FENCED = "is fenced at commit"
NEVER = ("s4", "rack-gw-2")
SILENT = (
    ("s0", "poi-gw", 20.0, 50.0),
    ("s3", "rack-gw-1", 35.0, math.inf),
    (*NEVER, 0.0, math.inf),
)
"""The first two are idle where a worker read as they came; the third has no end of stream."""


class _Shift:
    """Up to three workers of one group, who do what chance says."""

    def __init__(self, env: dict[str, str], folder: Path, seed: int) -> None:
        self.env, self.folder, self.rng = env, folder, random.Random(seed)
        self.all: list[Worker] = []
        self.did: list[str] = []

    def at_work(self) -> list[Worker]:
        """Those whose process runs."""
        return [worker for worker in self.all if worker.process.poll() is None]

    def comes(self, *, ready: bool) -> Worker:
        """One more."""
        worker = Worker(self.env, self.folder / f"w{len(self.all)}.log")
        self.all.append(worker)
        self.did.append(f"{worker.log.stem} comes")
        if ready:
            worker.wait_ready()
        return worker

    def acts(self) -> None:
        """One comes, leaves, is killed or sleeps past its session; then some time goes by."""
        act, there = self.rng.choice(("comes", "comes", "leaves", "dies", "sleeps")), self.at_work()
        if act == "comes" or not there:
            if len(there) < MOST:
                self.comes(ready=self.rng.random() < 0.7)
        else:
            worker = self.rng.choice(there)
            self.did.append(f"{worker.log.stem} {act}")
            if act == "sleeps":
                worker.process.send_signal(signal.SIGSTOP)
                time.sleep(self.rng.uniform(1.0, 4.0))
                worker.process.send_signal(signal.SIGCONT)
            else:
                worker.end(signal.SIGTERM if act == "leaves" else signal.SIGKILL)
        time.sleep(self.rng.uniform(0.0, 3.0))

    def ends(self) -> None:
        """All of them go."""
        for worker in self.at_work():
            worker.end(signal.SIGTERM)

    def odd(self) -> list[str]:
        """Ends that nobody asked for: all but status 0, kills, and sleepers that were fenced."""
        ends = [(worker, worker.process.returncode) for worker in self.all]
        wanted = (0, -signal.SIGKILL, -signal.SIGTERM)  # the last: before it could listen
        return [
            f"{worker.log.stem} ended with {code}: {worker.text[-500:]}"
            for worker, code in ends
            if code not in wanted and not (code == 1 and FENCED in worker.text)
        ]


@pytest.mark.parametrize("seed", [5])
def test_workers_come_and_go(
    fresh_topics: Broker, trace: Trace, here: dict[str, list[str]], tmp_path: Path, seed: int
) -> None:
    """Fifteen comings and goings, three partitions: every row once and bit-equal."""
    env = environment(tmp_path, fresh_topics, trace, partitions=PARTITIONS)
    _come_and_go(env, tmp_path, trace, fresh_topics, seed)
    archive_is_whole(tmp_path / "archive", here, fresh_topics)


def _come_and_go(
    env: dict[str, str], folder: Path, trace: Trace, broker: Broker, seed: int
) -> None:
    """Feed the trace while workers do what chance says; the last one finishes it."""
    shift = _Shift(env, folder, seed)
    with feeding(trace, broker, speed=2.0):
        for _ in range(ACTS):
            shift.acts()
        shift.ends()
        with shift.comes(ready=True) as last:
            wait_archived(folder / "archive", trace, workers=[last], timeout_s=WAIT_S)
            assert last.end() == 0
    assert shift.odd() == [], shift.did


@pytest.mark.parametrize("seed", [1])
def test_what_was_silent_and_said_is_on_record(
    fresh_topics: Broker, tmp_path: Path, seed: int
) -> None:
    """Silent meters, hints: who comes and goes recomputes what the record says."""
    trace = _hinted(silenced(tmp_path / "trace", *SILENT))
    env = environment(tmp_path, fresh_topics, trace, partitions=PARTITIONS)
    env |= {"LOCKSTEP__RUN__IDLE_S": "2", "LOCKSTEP__RUN__SNAPSHOT_S": "15"}
    _come_and_go(env, tmp_path, trace, fresh_topics, seed)
    names = (f"live-p{k}of{PARTITIONS}" for k in range(PARTITIONS))
    records = [one for name in names if (one := newest_commit(tmp_path / "archive", name))]
    idle = [one for record in records for one in record.idle]
    told = [one for record in records for one in record.told]
    assert told
    assert NEVER in {(one.site_id, one.gateway_id) for one in idle}
    assert_same(tmp_path / "archive", _by_the_record(tmp_path / "again", trace, idle, told))


def _hinted(trace: Trace) -> Trace:
    """Jobs of every site that end, announced half a minute ahead."""
    hints = [
        WorkloadHint(
            site_id=site_id,
            t_ns=trace.t0_ns + (10 + 12 * n) * NS_PER_S,
            hint="job_stop",
            start_ns=trace.t0_ns + (40 + 12 * n) * NS_PER_S,
            power_change_w=-3e5,
        )
        for n, site_id in enumerate(trace.sites)
    ]
    lines = b"\n".join(msgspec.json.encode(hint) for hint in hints)
    (trace.path / "hints.jsonl").write_bytes(lines + b"\n")
    return open_trace(trace.path)


def _by_the_record(
    root: Path, trace: Trace, idle: list[Idle], told: list[Told]
) -> dict[str, list[str]]:
    """What the trace gives where gateways were idle, and hints acted, as is on record."""
    for site_id, topology in trace.topologies.items():
        work: dict[str, Any] = {"detect": DetectSettings(), "device": choose("cpu")}
        config = LaneConfig(root, f"replay-{site_id}", {site_id: topology}, **work, resume=False)
        lane = Lane.open(config)
        site = lane._site(site_id)
        site.aligner.obey(idle, 1 << 62)
        site.recall(told)
        lane.feed_slices(piece for piece in trace.slices(1.0) if piece.site_id == site_id)
        batch = lane.take(final=True)
        assert batch is not None
        lane.commit(batch)
    return contents(root)
