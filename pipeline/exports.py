"""
``archive export``: a table, a view or a query of the archive as one Parquet or CSV file.

Rows stream from the query into the file; the file appears under its name when it is whole.

Errors
------
UsageError    what was asked cannot be: unknown name, wrong time, a file that is there already
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline import archive, catalog
from pipeline.errors import UsageError
from pipeline.views import TABLE_VIEWS, VIEWS, text
from schemas.tables import TABLES

__all__ = ["Scope", "instant", "refuse_existing", "select", "write"]

BATCH_ROWS = 65_536
TIMES = {
    "windows": "t0_ns", "events": "onset_ns", "event_log": "onset_ns", "states": "t_ns",
    "forecasts": "issued_ns", "waveforms": "t0_ns",
    "topologies": "valid_from_ns", "rules": "valid_from_ns",
}  # fmt: skip
"""What ``--from`` and ``--until`` cut a table by."""
Progress = Callable[[int], None]


class Scope(NamedTuple):
    """From when (inclusive) to when, UTC text, and one site; None: all."""

    from_utc: str | None = None
    until_utc: str | None = None
    site: str | None = None


def instant(name: str, value: str | None) -> str | None:
    """
    Check a time from the command line.

    Raises
    ------
    UsageError
        One sentence.
    """
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        msg = f"{name} is {value!r}; use UTC as in 2026-03-03T14:00:00Z or 2026-03-03"
        raise UsageError(msg) from error
    return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC).isoformat()


def select(name: str, scope: Scope) -> str:
    """
    SQL of a view or a table within a scope.

    Raises
    ------
    UsageError
        One sentence: no such view, or one that has no time or no site.
    """
    question = catalog.questions().get(name)
    if question is not None and question.is_view:
        known = {p.name for p in question.parameters}
        given = {key: value for key, value in scope._asdict().items() if value is not None}
        _refuse_scope(name, given.keys() - known)
        return f"FROM {name}({', '.join(f'{key} := {text(v)}' for key, v in given.items())})"
    if name not in TABLE_VIEWS:
        msg = f"the archive has no table or view {name!r}; use one of {', '.join(VIEWS)}"
        raise UsageError(msg)
    where = [f"site_id = {text(scope.site)}"] if scope.site is not None else []
    for edge, sign in ((scope.from_utc, ">="), (scope.until_utc, "<")):
        if edge is not None and name in TIMES:
            where.append(f"{TIMES[name]} {sign} epoch_ns(CAST({text(edge)} AS TIMESTAMP_NS))")
    if name not in TIMES:
        _refuse_scope(name, {k for k, v in scope._asdict().items() if v is not None})
    return f"FROM {name}" + (f" WHERE {' AND '.join(where)}" if where else "")


def _refuse_scope(name: str, given: set[str]) -> None:
    if given:
        options = {"from_utc": "--from", "until_utc": "--until", "site": "--site"}
        said = ", ".join(option for key, option in options.items() if key in given)
        msg = f"{name} cannot be cut by {said}; leave that out, or use --query"
        raise UsageError(msg)


def refuse_existing(path: Path, *, force: bool) -> None:
    """
    Refuse to write over a file or into a folder that does not exist.

    Raises
    ------
    UsageError
        One sentence.
    """
    if path.exists() and not force:
        msg = f"{path} is there already; name another file, or write over it with --force"
        raise UsageError(msg)
    if not path.absolute().parent.is_dir():
        msg = f"folder {path.absolute().parent} does not exist; make it first"
        raise UsageError(msg)


def write(
    root: Path, sql: str, path: Path, form: str, told: Progress = lambda _: None
) -> dict[str, Any]:
    """
    Write the answer to one SELECT; the file is there whole or not at all.

    Parameters
    ----------
    root, sql
        Archive and query.
    path : Path
        The file; replaced in one rename.
    form : str
        parquet or csv.
    told : callable
        Called with the rows written so far.

    Returns
    -------
    dict
        ``file, format, rows, bytes``.
    """
    limits = archive.Limits(rows=BATCH_ROWS, run_s=3600.0)
    with contextlib.closing(archive.batches(root, sql, limits=limits)) as found:
        rows = save(documented(next(found), sql), found, path, form, told)
    return {"file": str(path), "format": form, "rows": rows, "bytes": path.stat().st_size}


def save(schema: pa.Schema, found: Iterator[Any], path: Path, form: str, told: Progress) -> int:
    """Write batches to a file that appears when it is whole; return the rows."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    rows = 0
    try:
        with _writer(draft, schema, form) as add:
            for batch in found:
                add(batch)
                rows += batch.num_rows
                told(rows)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return rows


@contextlib.contextmanager
def _writer(draft: Path, schema: pa.Schema, form: str) -> Iterator[Callable[[Any], None]]:
    if form == "parquet":
        with pq.ParquetWriter(str(draft), schema, compression="zstd") as writer:
            yield lambda batch: writer.write_batch(batch.cast(schema))
        return
    flat = pa.schema([pa.field(f.name, _flat_type(f.type)) for f in schema])
    with pa_csv.CSVWriter(str(draft), flat) as writer:
        yield lambda batch: writer.write_batch(_flat(batch, flat))


def _flat_type(kind: pa.DataType) -> pa.DataType:
    """CSV has no lists: they become JSON text."""
    return pa.string() if pa.types.is_nested(kind) else kind


def _flat(batch: Any, schema: pa.Schema) -> Any:
    arrays = [
        column
        if column.type == field.type
        else pa.array(
            [None if v is None else json.dumps(v) for v in column.to_pylist()], pa.string()
        )
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.record_batch(arrays, schema=schema)


def documented(schema: pa.Schema, sql: str) -> pa.Schema:
    """The schema with unit and meaning of each column that a table or view of the query has."""
    notes: dict[str, dict[str, str]] = {}
    for name in sorted(catalog.needed(sql, TABLE_VIEWS), key=lambda n: n not in TABLES):
        for field in TABLES.get({"event_log": "events"}.get(name, name), ()):
            notes[field.name] = {k: field.metadata[k.encode()].decode() for k in ("unit", "doc")}
    for name, question in catalog.questions().items():
        if sql.startswith(f"FROM {name}("):
            notes = {c.name: {"unit": c.unit, "doc": c.doc} for c in question.columns}
    return pa.schema([f.with_metadata(notes.get(f.name)) for f in schema])
