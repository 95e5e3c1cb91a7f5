"""What a lane has computed and not yet handed out; what the archive holds already stays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from pipeline.engine_state import Outcome
from pipeline.publish import Outgoing, messages, tables, window_batch
from schemas.events import DeadLetter, SiteEvent
from schemas.tables import TABLES

__all__ = ["Drained", "Outbox"]


class Drained(NamedTuple):
    """Messages to publish, rows to archive, and the event records among them."""

    outgoing: list[Outgoing]
    tables: dict[str, Any]
    events: list[SiteEvent]


class Outbox:
    """
    Collects outcomes of a lane's sites between two takes.

    Parameters
    ----------
    archived_ns : mapping of site_id to int, ns
        High-water marks: rows made at or before them are dropped.
    lost : list of SiteEvent
        Events a predecessor left open and whose state is gone: closed with the next frame.
    values : dict of str to int
        The lane's counts.
    """

    def __init__(
        self, archived_ns: Mapping[str, int], lost: list[SiteEvent], values: dict[str, int]
    ) -> None:
        self._archived_ns, self.lost, self._values = dict(archived_ns), lost, values
        self._records: list[tuple[Any, int, str]] = []
        self._batches: dict[str, list[Any]] = {}
        self.on_event: Callable[[SiteEvent], None] | None = None

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return len(self._records) + sum(
            batch.num_rows for batches in self._batches.values() for batch in batches
        )

    @property
    def letters(self) -> bool:
        """A dead letter waits: it has no frame to wait for."""
        return any(isinstance(record, DeadLetter) for record, _, _ in self._records)

    def letter(self, letter: DeadLetter) -> None:
        """Take a dead letter."""
        self._values["deadletters"] += 1
        self._records.append((letter, -1, ""))

    def collect(self, site_id: str, poi_id: str, outcome: Outcome, end_ns: int) -> None:
        """Take an outcome; ``end_ns`` is the end of its last frame."""
        archived_ns = self._archived_ns.get(site_id, -1)
        if self.lost and end_ns > archived_ns:
            self._close_lost(site_id, poi_id, end_ns)
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
                self._batches.setdefault("windows", []).append(window_batch(columns))

    def keep(self, site_id: str, tables: Mapping[str, Any], end_ns: int) -> None:
        """Take rows that go into the archive alone, made by the frame that ends at ``end_ns``."""
        if end_ns <= self._archived_ns.get(site_id, -1):
            return
        for name, rows in tables.items():
            if rows is not None:
                batch = (
                    rows
                    if isinstance(rows, pa.RecordBatch)
                    else pa.RecordBatch.from_pylist(rows, schema=TABLES[name])
                )
                self._batches.setdefault(name, []).append(batch)

    def _close_lost(self, site_id: str, poi_id: str, end_ns: int) -> None:
        ours = [event for event in self.lost if event.site_id == site_id]
        self.lost = [event for event in self.lost if event.site_id != site_id]
        for event in ours:
            closed = msgspec.structs.replace(
                event, state="closed", quality="state_lost", updated_ns=end_ns, closed_ns=end_ns
            )
            self._records.append((closed, end_ns, poi_id))

    def drain(self) -> Drained:
        """Hand everything out."""
        records, self._records = self._records, []
        batches, self._batches = self._batches, {}
        made = tables((record, made_ns) for record, made_ns, _ in records)
        rows: dict[str, Any] = {**made, **batches}
        return Drained(
            [message for record, _, poi_id in records for message in messages(record, poi_id)],
            rows,
            [record for record, _, _ in records if isinstance(record, SiteEvent)],
        )


def _made_ns(record: Any) -> int:
    for name in ("updated_ns", "t_ns", "issued_ns"):
        if hasattr(record, name):
            return int(getattr(record, name))
    msg = f"a {type(record).__name__} does not say which frame made it"
    raise TypeError(msg)
