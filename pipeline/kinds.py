"""Kinds of rows, each with an age of its own at which it may go: tables, windows by level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from schemas.tables import TABLES
from schemas.topology import LEVELS

__all__ = ["KINDS", "newest_by_kind", "young"]

WINDOW_KINDS = {level: f"{level}_windows" for level in LEVELS}
KINDS = (*WINDOW_KINDS.values(), *(table for table in TABLES if table != "windows"))


def newest_by_kind(table: str, rows: Any) -> dict[str, int]:
    """Newest ``produced_ns`` of each kind among rows of a table; ``commits`` have no kind."""
    if table not in TABLES:
        return {}
    if table != "windows":
        return {table: pc.max(rows["produced_ns"]).as_py()}
    found = (
        rows.select(["level", "produced_ns"]).group_by("level").aggregate([("produced_ns", "max")])
    )
    pairs = zip(found["level"].to_pylist(), found["produced_ns_max"].to_pylist(), strict=True)
    return {WINDOW_KINDS[level]: newest_ns for level, newest_ns in pairs}


def young(table: str, rows: Any, oldest_ns: Mapping[str, int]) -> Any | None:
    """Rows of a table that were made after their kind's ``oldest_ns``; None where none were."""
    if table not in TABLES:
        return rows
    by_level = {level: oldest_ns.get(kind) for level, kind in WINDOW_KINDS.items()}
    limits = by_level if table == "windows" else {None: oldest_ns.get(table)}
    for level, limit_ns in limits.items():
        if limit_ns is not None:
            keep = pc.greater(rows["produced_ns"], limit_ns)
            if level is not None:
                keep = pc.or_(keep, pc.not_equal(rows["level"], level))
            rows = rows.filter(keep)
    return rows if rows.num_rows else None
