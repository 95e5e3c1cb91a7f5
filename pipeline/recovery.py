"""What a new owner finds of its predecessor: a usable snapshot, or events left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow.parquet as pq

from pipeline import snapshot
from pipeline.commit_files import commit_path, numbers
from pipeline.commits import snapshots
from schemas.events import SiteEvent

__all__ = ["newest_state", "open_events"]

T = TypeVar("T")


def newest_state(root: Path, writer: str, type_: type[T], *, layout: str) -> T | None:
    """The newest snapshot that is whole and has this layout, or None."""
    for data, _record in snapshots(root, writer):
        try:
            return snapshot.decode(data, type_, layout=layout)
        except snapshot.SnapshotError:
            continue
    return None


def open_events(root: Path, writer: str) -> list[SiteEvent]:
    """Events whose newest row in the writer's commits is not ``closed``."""
    newest: dict[str, dict[str, Any]] = {}
    for n in numbers(root, writer):
        path = commit_path(root, writer, n) / "events.parquet"
        if path.exists():
            newest.update((row["event_id"], row) for row in pq.read_table(path).to_pylist())
    known = {field.name for field in msgspec.structs.fields(SiteEvent)}
    return [
        msgspec.convert({k: v for k, v in row.items() if k in known and v is not None}, SiteEvent)
        for row in newest.values()
        if row["state"] != "closed"
    ]
