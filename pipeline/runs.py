"""Write a run: commits, or shorter runs, as one sorted Parquet file per table."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import rows, sealed
from pipeline.commit_files import CommitError, CommitRecord, commit_path
from pipeline.durable import fsync_folder
from pipeline.kinds import newest_by_kind
from pipeline.sealed import Run
from schemas.tables import FORMAT, KEYS, TABLES, file_stem, file_stems

__all__ = ["Keeps", "file_of", "filtered_run", "merge_runs", "write_run"]

Keeps = Callable[[str, Any], Any]
"""(table, its rows) to the rows that stay."""

_COUNTS = pa.map_(pa.string(), pa.int64())
COMMITS = pa.schema(
    [
        ("commit", pa.int64()),
        ("claim", pa.bool_()),
        ("snapshot", pa.bool_()),
        ("rows", _COUNTS),
        ("offsets", _COUNTS),
        ("archived_until_ns", _COUNTS),
    ]
)
"""`pipeline.views.RECORD`, and the number."""


def write_run(root: Path, name: str, records: Sequence[CommitRecord], generation: int) -> Run:
    """
    Write commits as a run and make it durable; nothing counts until the manifest names it.

    Parameters
    ----------
    root : Path
        The archive.
    name : str
        The writer.
    records : sequence of CommitRecord
        Its commits, ascending.
    generation : int
        From which on views read it.

    Raises
    ------
    CommitError
        One sentence, when a commit does not hold what it says.
    """
    span = (records[0].n, records[-1].n)
    tables = {table: _of_commits(root, name, table, records) for table in TABLES}
    run = _run(root, name, span, {"commits": _records(records), **tables})
    return msgspec.structs.replace(run, generation=generation)


def merge_runs(root: Path, name: str, runs: Sequence[Run], generation: int) -> Run:
    """
    Write runs that follow each other as one; like `write_run`.

    Raises
    ------
    CommitError
        One sentence, when a run does not hold what the manifest says.
    """
    parts = {table: _of_runs(root, name, table, runs) for table in ("commits", *TABLES)}
    run = _run(root, name, (runs[0].first, runs[-1].last), parts)
    moved = max(run.generation if run.moved is None else run.moved for run in runs)
    return msgspec.structs.replace(run, generation=generation, moved=moved)


def filtered_run(root: Path, name: str, run: Run, keeps: Keeps, generation: int) -> Run:
    """Write a run anew with the rows that ``keeps`` leaves of a table's; like `write_run`."""
    parts = {}
    for table in ("commits", *TABLES):
        rows_of = _of_runs(root, name, table, [run])
        parts[table] = rows_of and keeps(table, rows_of)
    done = _run(root, name, (run.first, run.last), parts)
    moved = run.generation if run.moved is None else run.moved
    return msgspec.structs.replace(done, generation=generation, moved=moved)


def _run(root: Path, name: str, span: tuple[int, int], tables: Mapping[str, Any]) -> Run:
    """Write the tables that have rows into a folder of their own."""
    token = secrets.token_hex(4)
    folder = f"{span[0]:08d}-{span[1]:08d}-{token}"
    draft = root / "tmp" / f"run-{token}"
    draft.mkdir()
    done: dict[str, int] = {}
    newest_ns: dict[str, int] = {}
    size = 0
    for table, found in tables.items():
        if not found:
            continue
        done[table] = found.num_rows
        path = draft / f"{_stem(table)}.parquet"
        _write(found, path)
        size += path.stat().st_size
        newest_ns |= newest_by_kind(table, found)
    fsync_folder(draft)
    target = sealed.run_path(root, name, folder)
    target.parent.mkdir(exist_ok=True)
    fsync_folder(root / "sealed")
    draft.rename(target)
    fsync_folder(target.parent)
    return Run(
        first=span[0], last=span[1], folder=folder, generation=0, rows=done, format=FORMAT,
        bytes=size, newest_ns=newest_ns,
    )  # fmt: skip


def _write(table: Any, path: Path) -> None:
    rows.write(table, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _records(records: Sequence[CommitRecord]) -> Any:
    """What the view ``commits`` shows of them."""
    fields = [f for f in COMMITS.names if f != "commit"]
    listed = [{"commit": r.n, **{f: _plain(getattr(r, f)) for f in fields}} for r in records]
    return pa.Table.from_pylist(listed, schema=COMMITS)


def _plain(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


def _of_commits(root: Path, name: str, table: str, records: Sequence[CommitRecord]) -> Any:
    """All rows of a table, sorted by key, each with its commit; None where there are none."""
    parts = []
    for record in records:
        if not (expected := record.rows.get(table, 0)):
            continue
        path = file_of(commit_path(root, name, record.n), table)
        part = rows.conformed(table, _read(path, expected, "commit.json"))
        number = pa.repeat(pa.scalar(record.n, pa.int64()), expected)
        parts.append(part.append_column("commit", number))
    return _sorted(table, parts)


def _of_runs(root: Path, name: str, table: str, runs: Sequence[Run]) -> Any:
    """The same of runs."""
    parts = []
    for run in runs:
        if not (expected := run.rows.get(table, 0)):
            continue
        folder = sealed.run_path(root, name, run.folder)
        path = folder / "commits.parquet" if table == "commits" else file_of(folder, table)
        part = _read(path, expected, "the manifest")
        if table != "commits":
            part = rows.conformed(table, part.drop_columns("commit")).append_column(
                "commit", part["commit"]
            )
        parts.append(part)
    return _sorted(table, parts)


def _read(path: Path, expected: int, who: str) -> Any:
    """
    Read a file of so many rows.

    Raises
    ------
    CommitError
        One sentence.
    """
    try:
        part = pq.ParquetFile(str(path)).read(use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path} cannot be read ({error}); it is not sealed, restore it from a backup"
        raise CommitError(msg) from error
    if part.num_rows != expected:
        msg = f"{path} has {part.num_rows} rows, {who} says {expected}; it is not sealed"
        raise CommitError(msg)
    return part


def _sorted(table: str, parts: list[Any]) -> Any:
    if not parts:
        return None
    order = [(key, "ascending") for key in (*KEYS.get(table, ()), "commit")]
    return pa.concat_tables(parts).combine_chunks().sort_by(order)


def _stem(table: str) -> str:
    return file_stem(table) if table in TABLES else table


def file_of(folder: Path, table: str) -> Path:
    """A commit's or a run's file of a table, whichever format wrote it."""
    newest = folder / f"{file_stem(table)}.parquet"
    old = (folder / f"{stem}.parquet" for stem in file_stems(table))
    return newest if newest.exists() else next((p for p in old if p.exists()), newest)
