"""A small trace of several sites for tests on a real broker, and what must come of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from kafka import KafkaConsumer

from pipeline import archive
from pipeline.commits import newest_commit
from replay.broker import Broker
from replay.live import contents, prepare
from replay.plan import Oscillation, Plan, Ramp, Site
from replay.simulate import simulate
from replay.source import Trace, open_trace
from schemas.units import NS_PER_S

DURATION_S = 90
WAIT_S = 180.0


def several_sites(folder: Path, sites: int = 5) -> Trace:
    """Sites with 12 racks each and a metered substation; a fall, its recovery, an oscillation."""
    plan = Plan(
        t0="2026-03-03T14:00:00Z",
        duration_s=DURATION_S,
        site=tuple(
            Site(
                id=f"s{n}",
                pdus=2,
                racks_per_pdu=6,
                rack_gateways=2,
                substation_hz=30,
                ramp=(Ramp(onset_s=30.0 + n, depth=-0.12, recovers_s=50.0 + n),),
                oscillation=(
                    Oscillation(
                        onset_s=60.0, duration_s=28.0, freq_hz=1.1 + 0.2 * n, amplitude=0.02
                    ),
                ),
            )
            for n in range(sites)
        ),
    )
    simulate(folder, plan, seed=11)
    return open_trace(folder)


def silenced(folder: Path, *spans: tuple[str, str, float, float]) -> Trace:
    """The same, but gateways of sites say nothing from one second to another, then go on."""
    trace = several_sites(folder)
    rows = pq.read_table(folder / "trace.parquet")
    site, gateway, t0_ns = (
        np.array(rows[name].to_pylist()) for name in ("site_id", "gateway_id", "t0_ns")
    )
    at_s, gone = (t0_ns - trace.t0_ns) / NS_PER_S, np.zeros(len(rows), bool)
    for site_id, gateway_id, from_s, to_s in spans:
        mine = (site == site_id) & (gateway == gateway_id)
        assert mine.any(), f"{site_id} has no gateway {gateway_id}"
        gone |= mine & (at_s >= from_s) & (at_s < to_s)
    pq.write_table(rows.filter(~gone).replace_schema_metadata(None), folder / "trace.parquet")
    return open_trace(folder)


def assert_same(root: Path, here: dict[str, list[str]]) -> None:
    """An archive holds these rows bit for bit, and no others; says in few lines what differs."""
    found = contents(root)
    for table, rows in here.items():
        lost, more = sorted(set(rows) - set(found[table])), sorted(set(found[table]) - set(rows))
        first = "\n".join(side[0][:2000] for side in (lost, more) if side)
        writers = [path.name.partition("=")[2] for path in (root / "live").glob("writer=*")]
        idle = [commit.idle for name in writers if (commit := newest_commit(root, name))]
        differ = lost or more
        assert not differ, (
            f"{table}: {len(lost)} rows are lost, {len(more)} are others; idle: {idle}\n{first}"
        )
    same = found == here
    assert same, "the same rows, but in another order or twice"


def environment(folder: Path, broker: Broker, trace: Trace, partitions: int = 1) -> dict[str, str]:
    """What a worker needs that is to be killed and fenced: short sessions, no gateway idle."""
    env = prepare(folder, broker, trace, partitions=partitions)
    env |= {"LOCKSTEP__KAFKA__GROUP": folder.name, "LOCKSTEP__KAFKA__SESSION_TIMEOUT_S": "2"}
    # No gateway is silent here: what a stalled machine holds back must be waited for.
    return env | {"LOCKSTEP__RUN__IDLE_S": str(WAIT_S)}


@contextlib.contextmanager
def feeding(trace: Trace, broker: Broker, speed: float) -> Iterator[subprocess.Popen[bytes]]:
    """Feed the trace from a process of its own, as a site would."""
    argv = [sys.executable, "-m", "replay", "run", str(trace.path), "--to-kafka"]
    with subprocess.Popen(
        [*argv, "--bootstrap", broker.bootstrap, "--speed", str(speed)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
    ) as feeder:
        try:
            yield feeder
            assert feeder.wait(WAIT_S) == 0
        finally:
            feeder.kill()


def archive_is_whole(root: Path, here: dict[str, list[str]], broker: Broker) -> None:
    """The archive is what the trace gives, and each of its events is published, always alike."""
    assert_same(root, here)
    published = _published(broker)
    _, rows = archive.query(root, "select event_id, updated_ns from event_log")
    wanted = {f"{event_id}:{updated_ns}" for event_id, updated_ns in rows}
    assert wanted <= set(published)
    assert [id_ for id_, values in published.items() if len(values) > 1] == []


def _published(broker: Broker) -> dict[str, set[bytes]]:
    """Every value on the event topic by its CloudEvents id."""
    found: dict[str, set[bytes]] = defaultdict(set)
    consumer: Any = KafkaConsumer(
        "site.event.v1",
        auto_offset_reset="earliest",
        consumer_timeout_ms=3000,
        **broker.client_settings,
    )
    for message in consumer:
        found[json.loads(message.value)["id"]].add(message.value)
    consumer.close()
    return found
