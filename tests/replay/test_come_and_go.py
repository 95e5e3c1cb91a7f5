"""Workers that come, leave, die and sleep while a trace streams in: nothing lost, nothing twice."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from replay.broker import Broker
from replay.live import Worker, wait_archived
from replay.source import Trace
from tests.replay.live_trace import WAIT_S, archive_is_whole, environment, feeding

pytestmark = pytest.mark.long

ACTS, MOST, PARTITIONS = 15, 3, 3
FENCED = "is fenced at commit"


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
    shift = _Shift(env, tmp_path, seed)
    with feeding(trace, fresh_topics, speed=2.0):
        for _ in range(ACTS):
            shift.acts()
        shift.ends()
        with shift.comes(ready=True) as last:
            wait_archived(tmp_path / "archive", trace, workers=[last], timeout_s=WAIT_S)
            assert last.end() == 0
    assert shift.odd() == [], shift.did
    archive_is_whole(tmp_path / "archive", here, fresh_topics)
