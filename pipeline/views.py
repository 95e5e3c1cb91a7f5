"""
The archive's views, as SQL: the tables of `schemas.tables` over the visible commits.

Each table is a view with every row (of events: ``event_log``); ``events`` is the latest state of
each event, ``evidence`` the raw waveforms around it, ``samples`` waveforms sample by sample,
``commits`` who committed what. Every instant ``*_ns`` has a TIMESTAMP_NS twin
``*_utc``; ``writer`` and ``commit`` say where a row came from. Paths are absolute.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline import commit_files as files
from pipeline import sealed
from pipeline.formats import format_of
from schemas.tables import TABLES, UTC_NS, file_stem, file_stems

__all__ = ["NEEDS", "VIEWS", "definitions", "log_of", "pinned", "text"]

VIEWS = (
    *("windows", "events", "event_log", "states", "forecasts", "waveforms", "topologies", "rules"),
    *("evidence", "samples", "commits"),
)
NEEDS = {
    "events": ("event_log",),
    "evidence": ("events", "event_log", "waveforms", "rules"),
    "samples": ("waveforms",),
}
"""View to the views it is made of."""
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
    form = format_of(root)
    oldest = form.oldest if form else 1
    for table, schema in TABLES.items():
        times = "".join(
            f", make_timestamp_ns({f.name}) AS {f.name.removesuffix('_ns')}_utc"
            for f in schema
            if f.metadata[b"unit"].decode() == UTC_NS
        )
        rows = " UNION ALL ".join(_parts(root, manifest, live, table, oldest))
        yield f"CREATE VIEW {log_of(table)} AS SELECT *{times} FROM ({rows})"  # noqa: S608
        yield from _comments(log_of(table), schema)
    yield (
        "CREATE VIEW events AS SELECT * FROM event_log QUALIFY row_number() OVER "
        "(PARTITION BY event_id ORDER BY updated_ns DESC, produced_ns DESC, commit DESC) = 1"
    )
    yield from _comments("events", TABLES["events"])
    yield EVIDENCE
    yield SAMPLES
    found = _paths(root, manifest, "commit.json")
    kinds = ", ".join(f"{name}: '{kind}'" for name, kind in RECORD.items())
    columns = f"writer, commit, {', '.join(RECORD)}"
    rows = (
        f"SELECT {columns} FROM read_json({found}, {LIVE}, "  # noqa: S608
        f"format = 'unstructured', columns = {{{kinds}}}) WHERE {live}"
    )
    sealed_rows = _runs(root, manifest, "commits", "commits", columns)
    yield f"CREATE VIEW commits AS {' UNION ALL '.join([rows, *sealed_rows])}"


EVIDENCE = """CREATE VIEW evidence AS
SELECT e.event_id, e.kind, e.onset_ns, e.closed_ns, w.* FROM events e
JOIN waveforms w ON w.site_id = e.site_id
LEFT JOIN (SELECT site_id, max(pre_s) AS pre_s, max(post_s) AS post_s FROM rules GROUP BY ALL) r
ON r.site_id = e.site_id
WHERE w.end_ns > e.onset_ns - (coalesce(r.pre_s, 0) * 1e9)::BIGINT
AND w.t0_ns < coalesce(e.closed_ns + (coalesce(r.post_s, 0) * 1e9)::BIGINT, w.end_ns)"""
"""An event's evidence: blocks of its site that overlap [onset - pre, closed + post]."""

SAMPLES = """CREATE VIEW samples AS
SELECT site_id, channel_id, node_id, level, quantity, t_ns, make_timestamp_ns(t_ns) AS t_utc,
coalesce(sample_w, (offset_w + scale_w * code)::FLOAT) AS power_w FROM (
SELECT site_id, channel_id, node_id, level, quantity, scale_w, offset_w,
unnest(samples_w) AS sample_w, unnest(codes) AS code,
t0_ns + (2000000000 * unnest(range(n)) + rate_hz::BIGINT) // (2 * rate_hz::BIGINT) AS t_ns
FROM waveforms)"""
"""Every sample; power_w is null where nothing was measured."""


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
    kinds = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE"}
    columns = ", ".join(f"{f.name} {kinds.get(str(f.type), 'VARCHAR')}" for f in schema)
    yield "CREATE SCHEMA IF NOT EXISTS meaning"
    yield f"CREATE TABLE meaning.{view} ({columns})"
    for field in schema:
        unit, doc = (field.metadata[key].decode() for key in (b"unit", b"doc"))
        said = text(f"{unit}: {doc}".lstrip(": "))
        yield f"COMMENT ON COLUMN meaning.{view}.{field.name} IS {said}"


def text(value: object) -> str:
    """SQL text."""
    return "'" + str(value).replace("'", "''") + "'"
