"""
The archive's views, as SQL: the tables of `schemas.tables` over the visible commits.

``windows, states, forecasts`` and ``event_log`` hold every row; ``events`` the latest state of
each event; ``commits`` who committed what. Every instant ``*_ns`` has a TIMESTAMP_NS twin
``*_utc``; ``writer`` and ``commit`` say where a row came from. Paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline import commit_files as files
from schemas.tables import TABLES, UTC_NS

__all__ = ["VIEWS", "definitions", "log_of", "text"]

VIEWS = ("windows", "events", "event_log", "states", "forecasts", "commits")


def definitions(root: Path, pinned: str = "") -> Iterator[str]:
    """SQL of every view and its comments, in order; ``pinned`` is a WHERE on writer and commit."""
    for table, schema in TABLES.items():
        times = "".join(
            f", make_timestamp_ns({f.name}) AS {f.name.removesuffix('_ns')}_utc"
            for f in schema
            if f.metadata[b"unit"].decode() == UTC_NS
        )
        # the zero-row commit comes first: its schema is the view's, and the glob is never empty
        first = files.commit_path(root, files.SCHEMA_WRITER, files.SCHEMA_N) / f"{table}.parquet"
        every = root / "live" / "writer=*" / "commit=*" / f"{table}.parquet"
        yield (
            f"CREATE VIEW {log_of(table)} AS SELECT *{times} "  # noqa: S608
            f"FROM read_parquet([{text(first)}, {text(every)}], hive_partitioning = true, "
            "hive_types = {'writer': VARCHAR, 'commit': BIGINT})" + pinned
        )
        yield from _comments(log_of(table), schema)
    yield (
        "CREATE VIEW events AS SELECT * FROM event_log QUALIFY row_number() OVER "
        "(PARTITION BY event_id ORDER BY updated_ns DESC, produced_ns DESC, commit DESC) = 1"
    )
    yield from _comments("events", TABLES["events"])
    records = root / "live" / "writer=*" / "commit=*" / "commit.json"
    yield (
        "CREATE VIEW commits AS SELECT writer, n AS commit, * EXCLUDE (writer, n) "  # noqa: S608
        f"FROM read_json({text(records)}, format = 'unstructured', "
        "hive_partitioning = false, columns = {writer: 'VARCHAR', n: 'BIGINT', claim: 'BOOLEAN', "
        "snapshot: 'BOOLEAN', rows: 'MAP(VARCHAR, BIGINT)', offsets: 'MAP(VARCHAR, BIGINT)', "
        "archived_until_ns: 'MAP(VARCHAR, BIGINT)'})"
        + (pinned or f" WHERE writer <> '{files.SCHEMA_WRITER}'")
    )


def log_of(table: str) -> str:
    """View with every row of a table: one row per state change where the table is of events."""
    return "event_log" if table == "events" else table


def _comments(view: str, schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        unit, doc = (field.metadata[key].decode() for key in (b"unit", b"doc"))
        yield f"COMMENT ON COLUMN {view}.{field.name} IS {text(f'{unit}: {doc}'.lstrip(': '))}"


def text(value: object) -> str:
    """SQL text."""
    return "'" + str(value).replace("'", "''") + "'"
