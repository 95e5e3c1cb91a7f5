"""Write the commits of a run as one sorted Parquet file per table."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import rows, sealed
from pipeline.commit_files import CommitError, CommitRecord, commit_path
from pipeline.durable import fsync_folder
from schemas.tables import KEYS, TABLES, file_stem, file_stems

__all__ = ["write_run"]

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


def write_run(root: Path, name: str, records: Sequence[CommitRecord]) -> tuple[str, dict[str, int]]:
    """
    Write and make durable; nothing counts until the manifest names it.

    Parameters
    ----------
    root : Path
        The archive.
    name : str
        The writer.
    records : sequence of CommitRecord
        Its commits, ascending.

    Returns
    -------
    folder : str
        The run's folder; no other ever has this name.
    rows : dict of str to int
        Table to rows.

    Raises
    ------
    CommitError
        One sentence, when a commit does not hold what it says.
    """
    token = secrets.token_hex(4)
    folder = f"{records[0].n:08d}-{records[-1].n:08d}-{token}"
    draft = root / "tmp" / f"run-{token}"
    draft.mkdir()
    done = {"commits": len(records)}
    _write(_records(records), draft / "commits.parquet")
    for table in TABLES:
        if merged := _merged(root, name, table, records):
            done[table] = merged.num_rows
            _write(merged, draft / f"{file_stem(table)}.parquet")
    fsync_folder(draft)
    target = sealed.run_path(root, name, folder)
    target.parent.mkdir(exist_ok=True)
    fsync_folder(root / "sealed")
    draft.rename(target)
    fsync_folder(target.parent)
    return folder, done


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


def _merged(root: Path, name: str, table: str, records: Sequence[CommitRecord]) -> Any:
    """All rows of a table, sorted by key, each with its commit; None where there are none."""
    parts = []
    for record in records:
        expected = record.rows.get(table, 0)
        path = _file(commit_path(root, name, record.n), table)
        if not expected and not path.exists():
            continue
        try:
            part = pq.ParquetFile(str(path)).read(use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            msg = f"{path} cannot be read ({error}); it is not sealed, restore it from a backup"
            raise CommitError(msg) from error
        if part.num_rows != expected:
            msg = f"{path} has {part.num_rows} rows, commit.json says {expected}; it is not sealed"
            raise CommitError(msg)
        number = pa.repeat(pa.scalar(record.n, pa.int64()), expected)
        parts.append(rows.conformed(table, part).append_column("commit", number))
    if not parts:
        return None
    order = [(key, "ascending") for key in (*KEYS[table], "commit")]
    return pa.concat_tables(parts).combine_chunks().sort_by(order)


def _file(folder: Path, table: str) -> Path:
    """A commit's file of a table, whichever format wrote it."""
    found = (folder / f"{stem}.parquet" for stem in reversed(file_stems(table)))
    return next((path for path in found if path.exists()), folder / f"{file_stem(table)}.parquet")
