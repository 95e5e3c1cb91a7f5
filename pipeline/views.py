"""
The archive's views, as SQL: the tables of `schemas.tables` over the visible commits.

Each table is a view with every row (of events: ``event_log``); ``events`` is the latest state of
each event, ``commits`` who committed what; over them stand the questions of `catalog`. Every
instant ``*_ns`` has a TIMESTAMP_NS twin ``*_utc``; ``writer`` and ``commit`` say where a row came
from. Paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline import catalog, sealed
from pipeline import commit_files as files
from pipeline.formats import format_of
from schemas.tables import TABLES, UTC_NS, file_stem, file_stems

__all__ = ["TABLE_VIEWS", "VIEWS", "definitions", "log_of", "pinned", "template", "text"]

TABLE_VIEWS = {
    "windows": "Power of every node: racks each 10 s, PDUs and substations each second",
    "events": "Ramps, oscillations and load losses, the newest state of each",
    "event_log": "Every state of every event",
    "states": "State of each grid connection, once a second",
    "forecasts": "Quantile forecasts, as they were made",
    "outcomes": "What came of each forecast, and its loss beside the references'",
    "waveforms": "Raw samples around events, in blocks of a channel",
    "topologies": "The sites as they were computed with: nodes, channels, gateways",
    "rules": "The settings that made the events, and since when",
    "commits": "Who committed what",
}
"""View to what it holds."""
VIEWS = (*TABLE_VIEWS, *(q.name for q in catalog.questions().values() if q.is_view))
LIVE = "hive_partitioning = true, hive_types = {'writer': VARCHAR, 'commit': BIGINT}"
SEALED = "hive_partitioning = true, hive_types = {'writer': VARCHAR}"
SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.float64(): "DOUBLE",
    pa.float32(): "FLOAT",
    pa.bool_(): "BOOLEAN",
}
RECORD = {
    "claim": "BOOLEAN",
    "snapshot": "BOOLEAN",
    "rows": "MAP(VARCHAR, BIGINT)",
    "offsets": "MAP(VARCHAR, BIGINT)",
    "archived_until_ns": "MAP(VARCHAR, BIGINT)",
}


def template() -> Iterator[str]:
    """SQL of the questions, over tables without a row, and comments: the same in every archive."""
    yield from _stubs()
    for table, schema in TABLES.items():
        yield from _comments(log_of(table), schema)
    yield from _comments("events", TABLES["events"])
    yield from catalog.definitions()


def definitions(root: Path) -> Iterator[str]:
    """SQL of the tables' views, in order: the commits above the bound, then the runs."""
    manifest = sealed.read(root)  # once: all views switch at one instant
    yield from _definitions(root, manifest, _live(manifest))


def pinned(root: Path, sql: str) -> Iterator[str]:
    """What a query needs of `definitions`, cut at each writer's newest commit at this instant."""
    manifest = sealed.read(root)  # before the cut: no run goes beyond it
    cut = ", ".join(f"{text(name)}: {n}" for name, n in files.newest_numbers(root).items())
    until = f"commit <= (MAP {{{cut}}})[writer]" if cut else "false"
    used = catalog.needed(sql, TABLE_VIEWS) or set(VIEWS)
    used |= {"event_log"} if "events" in used else set()
    asked = used & catalog.questions().keys()
    if asked:
        yield from _only(used, _stubs())
        yield from _only(used, catalog.definitions(asked))
    yield from _only(used, _definitions(root, manifest, f"{_live(manifest)} AND {until}"))


def _only(used: set[str], statements: Iterator[str]) -> Iterator[str]:
    """Without comments, and without tables that nobody asks: each costs a look at every commit."""
    for statement in statements:
        if statement.startswith("CREATE OR REPLACE VIEW"):
            if statement.split()[4] in used:
                yield statement
        elif not statement.startswith("COMMENT"):
            yield statement


def _live(manifest: sealed.Manifest) -> str:
    """Which commits count; DuckDB decides by path and opens no other."""
    of = [f"NOT (writer = {text(w)} AND commit <= {s.bound})" for w, s in manifest.writers.items()]
    return " AND ".join([f"writer <> '{files.SCHEMA_WRITER}'", *of])


EVENTS = (
    "CREATE OR REPLACE VIEW events AS SELECT * FROM event_log QUALIFY row_number() OVER "
    "(PARTITION BY event_id ORDER BY updated_ns DESC, produced_ns DESC, commit DESC) = 1"
)


def _stubs() -> Iterator[str]:
    """The tables' views with their columns and without a row, which cost no look at a commit."""
    for table, schema in TABLES.items():
        columns = {f.name: sql_type(f.type) for f in schema}
        columns |= {"writer": "VARCHAR", "commit": "BIGINT"}
        columns |= dict.fromkeys(_twins(schema).values(), "TIMESTAMP_NS")
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in columns.items())
        yield f"CREATE OR REPLACE VIEW {log_of(table)} AS SELECT {nulls} WHERE false"
    yield EVENTS


def sql_type(kind: pa.DataType) -> str:
    """What DuckDB reads a column of the archive's files as."""
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        fields = (f'"{f.name}" {sql_type(f.type)}' for f in kind)
        return f"STRUCT({', '.join(fields)})"
    return SQL_TYPES[kind]


def _twins(schema: pa.Schema) -> dict[str, str]:
    """Instant to its readable twin."""
    instants = (f.name for f in schema if f.metadata[b"unit"].decode() == UTC_NS)
    return {name: f"{name.removesuffix('_ns')}_utc" for name in instants}


def _definitions(root: Path, manifest: sealed.Manifest, live: str) -> Iterator[str]:
    form = format_of(root)
    oldest = form.oldest if form else 1
    for table, schema in TABLES.items():
        twins = _twins(schema).items()
        times = "".join(f", make_timestamp_ns({name}) AS {twin}" for name, twin in twins)
        rows = " UNION ALL ".join(_parts(root, manifest, live, table, oldest))
        yield f"CREATE OR REPLACE VIEW {log_of(table)} AS SELECT *{times} FROM ({rows})"  # noqa: S608
    yield EVENTS
    found = _paths(root, manifest, "commit.json")
    kinds = ", ".join(f"{name}: '{kind}'" for name, kind in RECORD.items())
    columns = f"writer, commit, {', '.join(RECORD)}"
    rows = (
        f"SELECT {columns} FROM read_json({found}, {LIVE}, "  # noqa: S608
        f"format = 'unstructured', columns = {{{kinds}}}) WHERE {live}"
    )
    sealed_rows = _runs(root, manifest, "commits", "commits", columns)
    yield f"CREATE OR REPLACE VIEW commits AS {' UNION ALL '.join([rows, *sealed_rows])}"


def _parts(
    root: Path, manifest: sealed.Manifest, live: str, table: str, oldest: int
) -> Iterator[str]:
    """SELECTs of a table's rows, newest columns first: commits and runs by name of file."""
    stems = file_stems(table)
    forms = [form for form, _ in stems.values()]
    for k, (stem, (_, have)) in reversed(list(enumerate(stems.items()))):
        if k + 1 < len(forms) and forms[k + 1] <= oldest:
            continue  # no archive of that format was brought up to this one
        known = ", ".join(
            name if name in have else f"NULL AS {name}" for name in TABLES[table].names
        )
        columns = f"{known}, writer, commit"
        found = _paths(root, manifest, f"{stem}.parquet")
        yield f"SELECT {columns} FROM read_parquet({found}, {LIVE}) WHERE {live}"  # noqa: S608
        yield from _runs(root, manifest, table, stem, columns)


def _paths(root: Path, manifest: sealed.Manifest, name: str) -> str:
    """Zero rows first: its schema is the view's, and an expired session finds it gone."""
    first = sealed.sentinel(root, manifest.generation) / name
    return f"[{text(first)}, {text(root / 'live' / 'writer=*' / 'commit=*' / name)}]"


def _runs(
    root: Path, manifest: sealed.Manifest, table: str, stem: str, columns: str
) -> Iterator[str]:
    """SELECT over the sealed files of this name that have rows of the table."""
    paths = ", ".join(
        text(sealed.run_path(root, writer, run.folder) / f"{stem}.parquet")
        for writer, found in manifest.writers.items()
        for run in found.runs
        if run.rows.get(table) and stem == _stem(table, run.format)
    )
    if paths:
        yield f"SELECT {columns} FROM read_parquet([{paths}], {SEALED})"  # noqa: S608


def _stem(table: str, form: int) -> str:
    return file_stem(table, form) if table in TABLES else table


def log_of(table: str) -> str:
    """View with every row of a table: one row per state change where the table is of events."""
    return "event_log" if table == "events" else table


def _comments(view: str, schema: pa.Schema) -> Iterator[str]:
    """
    Unit and meaning of a view's columns, as comments on a table of its name without a row.

    A comment on the view itself would make DuckDB look at every commit once a column.
    """
    columns = ", ".join(f"{f.name} {sql_type(f.type)}" for f in schema)
    yield "CREATE SCHEMA IF NOT EXISTS meaning"
    yield f"CREATE TABLE meaning.{view} ({columns})"
    for field in schema:
        unit, doc = (field.metadata[key].decode() for key in (b"unit", b"doc"))
        said = text(f"{unit}: {doc}".lstrip(": "))
        yield f"COMMENT ON COLUMN meaning.{view}.{field.name} IS {said}"


def text(value: object) -> str:
    """SQL text."""
    return "'" + str(value).replace("'", "''") + "'"
