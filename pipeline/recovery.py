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

__all__ = ["as_event", "lost", "newest_state", "open_events"]

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
    newest: dict[str, tuple[int, str, Path]] = {}
    for path in _event_files(root, writer):
        if path.exists():
            table = pq.ParquetFile(str(path)).read(columns=["event_id", "updated_ns", "state"])
            for event_id, ns, state in zip(*table.to_pydict().values(), strict=True):
                if event_id not in newest or newest[event_id][0] <= ns:
                    newest[event_id] = ns, state, path
    left = {id_: (ns, path) for id_, (ns, state, path) in newest.items() if state != "closed"}
    found: dict[str, SiteEvent] = {}
    for path in dict.fromkeys(path for _, path in left.values()):
        for row in pq.ParquetFile(str(path)).read().to_pylist():
            if left.get(row["event_id"]) == (row["updated_ns"], path):
                found[row["event_id"]] = as_event(row)
    return list(found.values())


def lost(event: SiteEvent, end_ns: int) -> SiteEvent:
    """The last record of an event of which nobody knows any more, made by the frame before."""
    return msgspec.structs.replace(
        event, state="closed", quality="state_lost", updated_ns=end_ns, closed_ns=end_ns
    )


def as_event(row: dict[str, Any]) -> SiteEvent:
    """The record behind a row of the event log."""
    known = {field.name for field in msgspec.structs.fields(SiteEvent)}
    return msgspec.convert(_told({k: v for k, v in row.items() if k in known}), SiteEvent)


def _told(value: Any) -> Any:
    """The same without what a column has and the record leaves out, at any depth."""
    if isinstance(value, dict):
        return {k: _told(v) for k, v in value.items() if v is not None}
    return [_told(one) for one in value] if isinstance(value, list) else value


def _event_files(root: Path, writer: str) -> Iterator[Path]:
    """Where the writer's events may lie, oldest first: sealed runs, then the commits above."""
    found = sealed.read(root).writers.get(writer, sealed.Sealing())
    folders = [sealed.run_path(root, writer, run.folder) for run in found.runs]
    folders += [commit_path(root, writer, n) for n in present(root, writer) if n > found.bound]
    for folder in folders:  # a run's rows are sorted by event and instant
        for stem in file_stems("events"):
            yield folder / f"{stem}.parquet"
