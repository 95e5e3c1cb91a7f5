"""What an archive holds, where its bytes are, and how far its writers have come."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline import archive, formats, sealed
from pipeline import commit_files as files
from pipeline.views import log_of
from schemas.tables import TABLES

__all__ = ["info"]


def info(root: Path) -> dict[str, Any]:
    """
    What the archive holds, for ``pipeline archive info``.

    Returns
    -------
    dict
        ``root, format, bytes, sizes: {table: bytes}, unsealed, runs, writers: {name: {n,
        archived_until_ns, offsets, snapshots, unsealed}}, rows: {table: n}, events, from_ns,
        until_ns``: commits not sealed, and the windows' span.

    Raises
    ------
    pipeline.archive.QueryError, pipeline.commits.CommitError
        One sentence.
    """
    root = archive.existing(root)
    newest = [files.newest_commit(root, name) for name in files.newest_numbers(root)]
    unsealed = {name: len(files.numbers(root, name)) for name in files.writers(root)}
    counts = ", ".join(f"(SELECT count(*) FROM {log_of(t)}) AS {t}" for t in TABLES)  # noqa: S608
    span = "min(t0_ns) AS from_ns, max(t0_ns + duration_ns) AS until_ns"
    columns, rows = archive.query(
        root,
        f"SELECT {counts}, (SELECT count(*) FROM events) AS n, {span} FROM windows",  # noqa: S608
    )
    found = dict(zip(columns, rows[0], strict=True))
    known = {name: found[name] for name in ("from_ns", "until_ns") if found[name] is not None}
    sizes = _sizes(root)
    form = formats.format_of(root)
    return {
        "root": str(root),
        "format": form.format if form else None,
        "bytes": sizes.total(),
        "sizes": dict(sizes.most_common()),
        "unsealed": sum(unsealed.values()),
        "runs": sum(len(found.runs) for found in sealed.read(root).writers.values()),
        "writers": {
            record.writer: {
                "n": record.n,
                "archived_until_ns": record.archived_until_ns,
                "offsets": record.offsets,
                "snapshots": list(record.snapshots),
                "unsealed": unsealed.get(record.writer, 0),
            }
            for record in newest
            if record
        },
        "rows": {table: found[table] for table in TABLES},
        "events": found["n"],
        **known,
    }


def _sizes(root: Path) -> Counter[str]:
    """Bytes by kind of file, those that wait for their deletion included."""
    sizes: Counter[str] = Counter()
    for part in ("live", "sealed"):
        for path in (root / part).rglob("*.*"):
            with contextlib.suppress(FileNotFoundError):  # sealed and deleted meanwhile
                kind = path.name.partition(".")[0].partition("-")[0]
                sizes[kind] += path.stat().st_size if path.is_file() else 0
    return sizes
