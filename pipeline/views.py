"""
The archive's views, as SQL: the tables of `schemas.tables` over the visible commits.

``windows, states, forecasts, outcomes`` and ``event_log`` hold every row; ``events`` the latest
state of each event; ``commits`` who committed what. Every instant ``*_ns`` has a TIMESTAMP_NS twin
``*_utc``; ``writer`` and ``commit`` say where a row came from. Paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline import commit_files as files
from pipeline import sealed
from schemas.tables import TABLES, UTC_NS

__all__ = ["VIEWS", "definitions", "log_of", "pinned", "text"]

VIEWS = ("windows", "events", "event_log", "states", "forecasts", "outcomes", "commits")
LIVE = "hive_partitioning = true, hive_types = {'writer': VARCHAR, 'commit': BIGINT}"
SEALED = "hive_partitioning = true, hive_types = {'writer': VARCHAR}"
RECORD = {
    "claim": "BOOLEAN",
    "snapshot": "BOOLEAN",
    "rows": "MAP(VARCHAR, BIGINT)",
    "offsets": "MAP(VARCHAR, BIGINT)",
    "archived_until_ns": "MAP(VARCHAR, BIGINT)",
}


def definitions(root: Path) -> Iterator[str]:
    """SQL of every view and its comments, in order: the commits above the bound, then the runs."""
    manifest = sealed.read(root)  # once: all views switch at one instant
    yield from _definitions(root, manifest, _live(manifest))


def pinned(root: Path) -> Iterator[str]:
    """Like `definitions`, cut at the newest commit of each writer at this instant."""
    manifest = sealed.read(root)  # before the cut: no run goes beyond it
    cut = ", ".join(f"{text(name)}: {n}" for name, n in files.newest_numbers(root).items())
    until = f"commit <= (MAP {{{cut}}})[writer]" if cut else "false"
    yield from _definitions(root, manifest, f"{_live(manifest)} AND {until}")


def _live(manifest: sealed.Manifest) -> str:
    """Which commits count; DuckDB decides by path and opens no other."""
    of = [f"NOT (writer = {text(w)} AND commit <= {s.bound})" for w, s in manifest.writers.items()]
    return " AND ".join([f"writer <> '{files.SCHEMA_WRITER}'", *of])


def _definitions(root: Path, manifest: sealed.Manifest, live: str) -> Iterator[str]:
    for table, schema in TABLES.items():
        times = "".join(
            f", make_timestamp_ns({f.name}) AS {f.name.removesuffix('_ns')}_utc"
            for f in schema
            if f.metadata[b"unit"].decode() == UTC_NS
        )
        columns = f"{', '.join(schema.names)}, writer, commit"
        found = _paths(root, manifest, f"{table}.parquet")
        rows = f"SELECT {columns} FROM read_parquet({found}, {LIVE}) WHERE {live}"  # noqa: S608
        rows += _runs(root, manifest, table, columns)
        yield f"CREATE VIEW {log_of(table)} AS SELECT *{times} FROM ({rows})"  # noqa: S608
        yield from _comments(log_of(table), schema)
    yield (
        "CREATE VIEW events AS SELECT * FROM event_log QUALIFY row_number() OVER "
        "(PARTITION BY event_id ORDER BY updated_ns DESC, produced_ns DESC, commit DESC) = 1"
    )
    yield from _comments("events", TABLES["events"])
    found = _paths(root, manifest, "commit.json")
    kinds = ", ".join(f"{name}: '{kind}'" for name, kind in RECORD.items())
    columns = f"writer, commit, {', '.join(RECORD)}"
    rows = (
        f"SELECT {columns} FROM read_json({found}, {LIVE}, "  # noqa: S608
        f"format = 'unstructured', columns = {{{kinds}}}) WHERE {live}"
    )
    rows += _runs(root, manifest, "commits", columns)
    yield f"CREATE VIEW commits AS {rows}"


def _paths(root: Path, manifest: sealed.Manifest, name: str) -> str:
    """Zero rows first: its schema is the view's, and an expired session finds it gone."""
    first = sealed.sentinel(root, manifest.generation) / name
    return f"[{text(first)}, {text(root / 'live' / 'writer=*' / 'commit=*' / name)}]"


def _runs(root: Path, manifest: sealed.Manifest, table: str, columns: str) -> str:
    """UNION ALL with the sealed files that have rows of the table."""
    paths = ", ".join(
        text(sealed.run_path(root, writer, run.folder) / f"{table}.parquet")
        for writer, found in manifest.writers.items()
        for run in found.runs
        if run.rows.get(table)
    )
    if not paths:
        return ""
    return f" UNION ALL SELECT {columns} FROM read_parquet([{paths}], {SEALED})"  # noqa: S608


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
