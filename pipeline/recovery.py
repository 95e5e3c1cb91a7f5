"""What a new owner finds of its predecessor: a usable snapshot, or events left open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow.parquet as pq

from pipeline import sealed, snapshot
from pipeline.commit_files import commit_path, present
from pipeline.commits import snapshots
from schemas.events import SiteEvent
from schemas.tables import file_stems

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
    for path in _event_files(root, writer):
        if path.exists():
            table = pq.ParquetFile(str(path)).read()
            newest.update((row["event_id"], row) for row in table.to_pylist())
    known = {field.name for field in msgspec.structs.fields(SiteEvent)}
    return [
        msgspec.convert({k: v for k, v in row.items() if k in known and v is not None}, SiteEvent)
        for row in newest.values()
        if row["state"] != "closed"
    ]


def _event_files(root: Path, writer: str) -> Iterator[Path]:
    """Where the writer's events may lie, oldest first: sealed runs, then the commits above."""
    found = sealed.read(root).writers.get(writer, sealed.Sealing())
    folders = [sealed.run_path(root, writer, run.folder) for run in found.runs]
    folders += [commit_path(root, writer, n) for n in present(root, writer) if n > found.bound]
    for folder in folders:  # a run's rows are sorted by event and instant
        for stem in file_stems("events"):
            yield folder / f"{stem}.parquet"
