"""Columns of the archive's tables: types, units, and those that every table has."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

__all__ = [
    "LEVEL", "NODE", "PRODUCED", "REAL", "SITE", "TEXT", "UTC_NS", "WHOLE",
    "column", "instant", "later",
]  # fmt: skip

UTC_NS = "ns since 1970, UTC"

TEXT, WHOLE, REAL = pa.string(), pa.int64(), pa.float64()


def column(name: str, kind: Any, unit: str, doc: str, *, known: bool = False) -> Any:
    """Column with its unit and meaning; ``known`` columns are never null."""
    return pa.field(name, kind, nullable=not known, metadata={"unit": unit, "doc": doc})


def later(since: int, column: Any) -> Any:
    """Column that archives before this format do not have; never a known one."""
    return column.with_metadata({**column.metadata, "since": str(since)})


def instant(name: str, doc: str, *, known: bool = True) -> Any:
    """Column of instants."""
    return column(name, WHOLE, UTC_NS, doc, known=known)


SITE = column("site_id", TEXT, "", "everything behind one grid connection", known=True)
NODE = column("node_id", TEXT, "", "rack, PDU or substation of the site", known=True)
LEVEL = column("level", TEXT, "", "rack, pdu or substation", known=True)
PRODUCED = instant("produced_ns", "end of the frame that made the row")
