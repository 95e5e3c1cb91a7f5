"""Whether an archive holds what it says: every file, every number, every key once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import archive, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError, CommitRecord
from pipeline.runs import file_of
from pipeline.views import log_of
from schemas.tables import KEYS, TABLES

__all__ = ["Finding", "Verified", "checksums", "verify"]

PATIENT = archive.Limits(rows=10, run_s=3600.0, memory_bytes=4 << 30)


class Finding(NamedTuple):
    """Something that is not as it should be: where, and what."""

    where: str
    what: str


class Verified(NamedTuple):
    """What was looked at, and what was found; no finding: all is well."""

    commits: int
    runs: int
    rows: dict[str, int]
    checksums: dict[str, str]
    """By table, over all rows in any order, whoever wrote them: equal where the rows are."""
    findings: list[Finding]


def verify(root: Path, *, deep: bool = True) -> Verified:
    """
    Check an archive, also while it is written.

    Parameters
    ----------
    root : Path
        The archive.
    deep : bool
        False leaves out what needs every row: that files decode, that no key is there twice.

    Raises
    ------
    pipeline.archive.ArchiveError, CommitError, pipeline.sealed.SealedError
        One sentence, where there is no archive or its list of sealed files cannot be read.
    """
    root = archive.existing(root)
    found: list[Finding] = []
    commits = runs = 0
    rows: dict[str, int] = dict.fromkeys(TABLES, 0)
    for name in files.writers(root):
        manifest = sealed.read(root)
        mine = manifest.writers.get(name, sealed.Sealing())
        parts = [
            (f"{name}/{run.folder}", run.rows, sealed.run_path(root, name, run.folder))
            for run in mine.runs
        ]
        found += _gaps(name, mine)
        records = list(_records(root, name, mine.bound, found))
        for record in records:
            path = files.commit_path(root, name, record.n)
            parts.append((f"{name}/{record.n}", record.rows, path))
        found += _marks(name, records)
        for where, said, path in parts:
            found += _files(where, said, path, deep=deep)
            for table in TABLES:
                rows[table] += said.get(table, 0)
        runs, commits = runs + len(mine.runs), commits + len(records)
    found += _owners(root)
    if deep and not found:
        found += _doubled(root)
    sums = checksums(root) if deep and not found else {}
    return Verified(commits, runs, rows, sums, found)


def checksums(root: Path) -> dict[str, str]:
    """
    One number a table over all its rows, in any order, whoever wrote them.

    Raises
    ------
    pipeline.archive.QueryError
        One sentence.
    """
    sums = {}
    for table, schema in TABLES.items():
        columns = ", ".join(schema.names)
        sql = f"SELECT coalesce(sum(hash({columns})), 0) FROM {log_of(table)}"  # noqa: S608
        [(total,)] = archive.query(root, sql, limits=PATIENT)[1]
        sums[table] = f"{int(total) % (1 << 64):016x}"
    return sums


def _records(root: Path, name: str, bound: int, found: list[Finding]) -> Iterator[CommitRecord]:
    """Commits above the bound, ascending; a number that is missing or damaged is a finding."""
    expected = bound + 1 if bound >= 0 else None
    for n in (n for n in files.present(root, name) if n > bound):
        if expected is not None and n != expected:
            found.append(
                Finding(f"{name}/{expected}", f"commits {expected} to {n - 1} are missing")
            )
        expected = n + 1
        try:
            record = files.read_commit(files.commit_path(root, name, n))
        except FileNotFoundError:
            if n > sealed.bound(root, name):  # else it was sealed and deleted meanwhile
                found.append(Finding(f"{name}/{n}", "commit.json is missing"))
            continue
        except CommitError as error:
            found.append(Finding(f"{name}/{n}", str(error)))
            continue
        if (record.writer, record.n) != (name, n):
            found.append(Finding(f"{name}/{n}", f"says it is {record.writer}/{record.n}"))
        yield record


def _gaps(name: str, mine: sealed.Sealing) -> Iterator[Finding]:
    """Runs follow each other without a gap up to the bound."""
    for before, run in pairwise(mine.runs):
        if run.first != before.last + 1:
            what = f"begins at {run.first}, the run before it ends at {before.last}"
            yield Finding(f"{name}/{run.folder}", what)
    if mine.runs and mine.runs[-1].last != mine.bound:
        yield Finding(
            f"{name}", f"bound is {mine.bound}, the newest run ends at {mine.runs[-1].last}"
        )
    for run in mine.runs:
        if run.rows.get("commits", 0) != run.last - run.first + 1:
            yield Finding(f"{name}/{run.folder}", f"has {run.rows.get('commits', 0)} commits")


def _marks(name: str, records: list[CommitRecord]) -> Iterator[Finding]:
    """High-water marks never go back."""
    for before, record in pairwise(records):
        for site_id, until_ns in before.archived_until_ns.items():
            if record.archived_until_ns.get(site_id, -1) < until_ns:
                what = f"site {site_id} was archived until {until_ns} ns before, and is not now"
                yield Finding(f"{name}/{record.n}", what)


def _owners(root: Path) -> Iterator[Finding]:
    """Whoever archives a site owns it; after a repartition only once he has archived more of it."""
    newest = [files.newest_commit(root, name) for name in files.writers(root)]
    if any(record.moved for record in newest if record):
        return
    for record in newest:
        for site_id in record.archived_until_ns if record else ():
            entry = root / "owners" / f"site={site_id}"
            owner = entry.read_text() if entry.exists() else "nobody"
            if record and owner != record.writer:
                yield Finding(
                    f"owners/site={site_id}", f"is of {owner}; {record.writer} archives it"
                )


def _files(where: str, said: dict[str, int], path: Path, *, deep: bool) -> Iterator[Finding]:
    for table, expected in said.items():
        file = path / "commits.parquet" if table == "commits" else file_of(path, table)
        try:
            parquet = pq.ParquetFile(str(file))
            count = parquet.metadata.num_rows
            if deep:
                parquet.read(use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            yield Finding(f"{where}/{file.name}", f"cannot be read: {_first_line(error)}")
            continue
        if count != expected:
            yield Finding(f"{where}/{file.name}", f"has {count} rows, {expected} were committed")


def _doubled(root: Path) -> Iterator[Finding]:
    """No archive holds two rows of one key."""
    for table, key in KEYS.items():
        columns = ", ".join(key)
        sql = f"SELECT {columns} FROM {log_of(table)} GROUP BY ALL HAVING count(*) > 1 LIMIT 3"  # noqa: S608
        for row in archive.query(root, sql, limits=PATIENT)[1]:
            yield Finding(table, f"has two rows of {dict(zip(key, row, strict=True))}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
