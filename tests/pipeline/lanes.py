"""A lane driven by hand: feed, commit, kill, and read back every bit of the archive."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.lane import Lane, Message
from schemas.tables import file_stem
from schemas.telemetry import parse
from schemas.topology import Topology
from schemas.units import NS_PER_S
from tests.pipeline import site as sites

STEP_S, SWING_S, LONG_S = 13, 33, 50


def eventful() -> dict[str, Any]:
    """50 s of the usual site: racks recover at 13 s, swing at 1.3 Hz from 33 s to the end."""
    whole = sites.power(107)
    return {name: x[:, 57 * hz :] for name, x in whole.items() for hz in [x.shape[1] // 107]}


def topic_queues(messages: Sequence[Message]) -> dict[str, list[Message]]:
    """Messages by topic, each in the order of its offsets."""
    queues: dict[str, list[Message]] = {}
    for message in messages:
        queues.setdefault(message.topic, []).append(message)
    return queues


def merged(
    messages: Sequence[Message], seed: int, start: Mapping[str, int] | None = None
) -> Iterator[Message]:
    """Topics in another interleaving, from these offsets on; each topic keeps its order."""
    rng, start = random.Random(seed), start or {}
    queues = {
        topic: [m for m in queue if m.offset >= start.get(topic, 0)]
        for topic, queue in topic_queues(messages).items()
    }
    while queues := {topic: queue for topic, queue in queues.items() if queue}:
        queue = queues[rng.choice(sorted(queues))]
        for _ in range(min(rng.randint(1, 30), len(queue))):
            yield queue.pop(0)


def drive(lane: Lane, messages: Sequence[Message], batch: int = 50) -> None:
    """Feed everything in batches, commit whatever is due, and what is left at the end."""
    for start in range(0, len(messages), batch):
        lane.feed(messages[start : start + batch])
        cut(lane)
    cut(lane, final=True)


def cut(lane: Lane, **how: bool) -> dict[str, int] | None:
    """Take and commit; returns what may be acknowledged, or None where nothing was due."""
    batch = lane.take(**how)
    return None if batch is None else lane.commit(batch)


def contents(root: Path) -> dict[str, list[str]]:
    """Every row of every table in the archive's commits, sorted, as text that shows every bit."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "live").glob("writer=*/commit=*/*.parquet")):
        rows = pq.read_table(path, partitioning=None).to_pylist()
        table = path.stem.partition("-")[0]
        found.setdefault(table, []).extend(repr(sorted(row.items())) for row in rows)
    return {name: sorted(rows) for name, rows in found.items()}


def event_rows(root: Path) -> list[dict[str, Any]]:
    """Rows of the event log in the order of their time."""
    rows: list[dict[str, Any]] = []
    for path in sorted((root / "live").glob(f"writer=*/commit=*/{file_stem('events')}.parquet")):
        rows += pq.read_table(path, partitioning=None).to_pylist()
    return sorted(rows, key=lambda row: (row["updated_ns"], row["event_id"]))


def undisturbed(root: Path, site: Topology, messages: Sequence[Message]) -> dict[str, list[str]]:
    """What one run without any trouble archives."""
    drive(sites.open_lane(root, site), messages)
    return contents(root)


def span_end_ns(message: Message) -> int:
    """End of a message's samples."""
    piece = parse(message.value, message.content_type)
    return piece.t0_ns + round(piece.power_w.shape[1] * NS_PER_S / piece.rate.hz)
