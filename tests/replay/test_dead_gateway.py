"""One meter of one site dies while five sites share a partition: nobody waits for it."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from pipeline import archive
from pipeline.commits import newest_commit
from replay.broker import Broker
from replay.live import Worker, prepare, wait_archived
from replay.source import Trace
from schemas.units import NS_PER_S
from tests.replay.live_trace import WAIT_S, feeding, silenced

pytestmark = pytest.mark.long

SITE, DEAD, DIES_S = "s0", "poi-gw", 20.0


def passed_s(root: Path, trace: Trace) -> dict[str, float]:
    """How far each site's states go, s after the trace's begin."""
    _, rows = archive.query(root, "select site_id, max(t_ns) from states group by site_id")
    return {site: (t_ns - trace.t0_ns) / NS_PER_S for site, t_ns in rows}


def test_nobody_waits_for_a_dead_gateway(fresh_topics: Broker, tmp_path: Path) -> None:
    """Its partition is never at rest, since others send in it; it is idle all the same."""
    trace = silenced(tmp_path / "trace", (SITE, DEAD, DIES_S, math.inf))
    env = prepare(tmp_path, fresh_topics, trace, partitions=1)
    with Worker(env, tmp_path / "w.log") as worker:
        worker.wait_ready()
        with feeding(trace, fresh_topics, speed=2.0) as feeder:
            time.sleep(5.0)
            while min(found := passed_s(tmp_path / "archive", trace).values()) < 2 * DIES_S:
                assert feeder.poll() is None, f"the feed has ended, and only {found} s are done"
                time.sleep(0.5)
            wait_archived(tmp_path / "archive", trace, workers=[worker], timeout_s=WAIT_S)
        assert worker.end() == 0
    record = newest_commit(tmp_path / "archive", "live-p0of1")
    assert record is not None
    (idle,) = record.idle
    assert (idle.site_id, idle.gateway_id) == (SITE, DEAD)
    assert idle.from_ns == trace.t0_ns + DIES_S * NS_PER_S
