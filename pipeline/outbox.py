"""What a lane has computed and not yet handed out; what the archive holds already stays out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipeline.engine_state import Outcome
from pipeline.publish import Outgoing, messages, tables, window_batch
from pipeline.recovery import lost
from schemas.events import DeadLetter, SiteEvent
from schemas.tables import TABLES

__all__ = ["Drained", "Outbox"]


@dataclasses.dataclass
class Drained:
    """What was handed out: as messages and as rows only once asked for, by whoever needs them."""

    _records: list[tuple[Any, int, str]]
    _windows: list[dict[str, Any]]
    _beside: dict[str, list[Any]]

    @cached_property
    def outgoing(self) -> list[Outgoing]:
        """Messages to publish."""
        return [out for record, _, poi_id in self._records for out in messages(record, poi_id)]

    @cached_property
    def tables(self) -> dict[str, Any]:
        """Rows to archive by table."""
        rows: dict[str, Any] = dict(
            tables((record, made_ns) for record, made_ns, _ in self._records)
        )
        if self._windows:
            rows["windows"] = [window_batch(columns) for columns in self._windows]
        for name, found in self._beside.items():
            rows[name] = [_as_batch(name, one) for one in found]
        return rows


def _as_batch(name: str, rows: Any) -> pa.RecordBatch:
    rows = rows() if callable(rows) else rows
    if isinstance(rows, pa.RecordBatch):
        return rows
    return pa.RecordBatch.from_pylist(rows, schema=TABLES[name])


class Outbox:
    """
    Collects outcomes of a lane's sites between two takes.

    Parameters
    ----------
    archived_ns : mapping of site_id to int, ns
        High-water marks: rows made at or before them are dropped.
    left : iterable of SiteEvent
        Events a predecessor left open: closed with the next frame, unless they go on.
    values : dict of str to int
        The lane's counts.
    """

    def __init__(
        self, archived_ns: Mapping[str, int], left: Iterable[SiteEvent], values: dict[str, int]
    ) -> None:
        self._archived_ns, self._values = dict(archived_ns), values
        self._left: dict[str, list[SiteEvent]] = {}
        for event in left:
            self._left.setdefault(event.site_id, []).append(event)
        self._records: list[tuple[Any, int, str]] = []
        self._windows: list[dict[str, Any]] = []
        self._beside: dict[str, list[Any]] = {}
        self.on_event: Callable[[SiteEvent], None] | None = None

    @property
    def rows(self) -> int:
        """Rows that wait."""
        beside = sum(getattr(one, "num_rows", 1) for of in self._beside.values() for one in of)
        return len(self._records) + sum(len(w["node_id"]) for w in self._windows) + beside

    @property
    def letters(self) -> bool:
        """A dead letter waits: it has no frame to wait for."""
        return any(isinstance(record, DeadLetter) for record, _, _ in self._records)

    def letter(self, letter: DeadLetter) -> None:
        """Take a dead letter."""
        self._values["deadletters"] += 1
        self._records.append((letter, -1, ""))

    def waits(self, site_id: str) -> bool:
        """Events that a predecessor left open wait for the first frame that is not archived."""
        return site_id in self._left

    def collect(
        self,
        site_id: str,
        poi_id: str,
        outcome: Outcome,
        end_ns: int,
        open_now: Callable[[], set[str]],
    ) -> None:
        """Take an outcome; ``end_ns`` is the end of its last frame, ``open_now`` what is open."""
        archived_ns = self._archived_ns.get(site_id, -1)
        if self.waits(site_id) and end_ns > archived_ns:
            known = open_now() | {event.event_id for event in outcome.events}
            self._close_lost(site_id, poi_id, end_ns, known)
        if self.on_event is not None:
            for event in outcome.events:
                self.on_event(event)
        for record in (*outcome.events, *outcome.states, *outcome.forecasts):
            made_ns = _made_ns(record)
            if made_ns > archived_ns:
                self._records.append((record, made_ns, poi_id))
                opened = isinstance(record, SiteEvent) and record.state == "open"
                self._values["events"] += int(opened)
        for columns in outcome.windows:
            self._values["windows"] += len(columns["node_id"])
            if columns["produced_ns"] > archived_ns:
                self._windows.append(columns)

    def keep(self, site_id: str, tables: Mapping[str, Any], end_ns: int) -> None:
        """
        Take rows that go into the archive alone, made by the frame that ends at ``end_ns``.

        Rows are a record batch, a list of dicts, or a function that gives such a list.
        """
        if end_ns <= self._archived_ns.get(site_id, -1):
            return
        for name, rows in tables.items():
            if rows is not None:
                self._beside.setdefault(name, []).append(rows)

    def _close_lost(self, site_id: str, poi_id: str, end_ns: int, known: set[str]) -> None:
        """Close what was left open and nobody knows of any more."""
        for event in self._left.pop(site_id):
            if event.event_id not in known:
                self._records.append((lost(event, end_ns), end_ns, poi_id))

    def drain(self, *, live: bool = True) -> Drained:
        """Hand everything out; ``live`` as messages too, made in this thread."""
        drained = Drained(self._records, self._windows, self._beside)
        self._records, self._windows, self._beside = [], [], {}
        if live:
            _ = drained.outgoing
        return drained


def _made_ns(record: Any) -> int:
    for name in ("updated_ns", "t_ns", "issued_ns"):
        if hasattr(record, name):
            return int(getattr(record, name))
    msg = f"a {type(record).__name__} does not say which frame made it"
    raise TypeError(msg)
