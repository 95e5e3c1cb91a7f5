"""Mending an archive: what can be made anew is, what is damaged is set aside and named."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec.structs import replace

from pipeline import archive, formats, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError, CommitRecord
from pipeline.durable import fsync_folder, locked, write_durably
from pipeline.kinds import newest_by_kind
from pipeline.owners import own_sites
from pipeline.runs import file_of
from pipeline.seal import Busy, clear, switch
from pipeline.sealed import Manifest, Run, Sealing
from schemas.tables import FORMAT, TABLES, file_stem

__all__ = ["Repaired", "repair"]


class Repaired(NamedTuple):
    """What was made anew, and what was lost: each a sentence."""

    mended: list[str]
    lost: list[str]


def repair(root: Path) -> Repaired:
    """
    Mend an archive that nobody writes to or seals meanwhile.

    The list of sealed files and the format are made anew where they are damaged, owners where
    they are missing, the catalog in any case. A commit's file that cannot be read goes to
    ``damaged/``; its commit stays, without those rows.

    Raises
    ------
    pipeline.seal.Busy, CommitError, pipeline.archive.ArchiveError
        One sentence.
    """
    root = Path(root).resolve()
    mended: list[str] = []
    lost: list[str] = []
    try:
        with locked(root / "sealed" / "lock", wait=False):
            _mend_format(root, mended)
            _mend_manifest(root, mended, lost)
            clear(root)
            for name in files.writers(root):
                for n in files.numbers(root, name):
                    _mend_commit(root, name, n, lost)
                _mend_owners(root, name, mended)
    except BlockingIOError as error:
        msg = f"somebody seals archive {root}; stop the workers and try again"
        raise Busy(msg) from error
    except FileNotFoundError as error:
        msg = f"there is no archive at {root}; name the folder of one"
        raise CommitError(msg) from error
    formats.create_layout(root)
    archive.publish(root)
    return Repaired([*mended, "the catalog was published"], lost)


def _mend_format(root: Path, mended: list[str]) -> None:
    path = root / formats.NAME
    with contextlib.suppress(msgspec.MsgspecError, FileNotFoundError):
        formats.DECODER.decode(path.read_bytes())
        return
    old = files.commit_path(root, files.SCHEMA_WRITER, 0).exists()
    if not files.commit_path(root, files.SCHEMA_WRITER, FORMAT).exists():
        return  # of an older format, whose name is that it has none
    path.unlink(missing_ok=True)
    write_durably(path, msgspec.json.encode(formats.Format(FORMAT, 1 if old else FORMAT)))
    fsync_folder(root)
    mended.append(f"{formats.NAME} was written anew")


def _mend_manifest(root: Path, mended: list[str], lost: list[str]) -> None:
    """Make the list of runs anew from their folders, where it cannot be read."""
    path = root / "sealed" / "bound.json"
    with contextlib.suppress(sealed.SealedError):
        if sealed.read(root).generation or path.exists():
            return
    path.unlink(missing_ok=True)
    writers = {}
    for folder in (root / "sealed").glob("writer=*"):
        name = folder.name.removeprefix("writer=")
        if runs := _found_runs(folder, lost):
            writers[name] = Sealing(runs[-1].last, tuple(runs))
    generation = max(sealed.generations(root), default=0) + 1
    runs_of = {
        name: replace(of, runs=tuple(replace(run, generation=generation) for run in of.runs))
        for name, of in writers.items()
    }
    if runs_of or sealed.generations(root):
        switch(root, Manifest(generation, runs_of))
        mended.append(f"sealed/bound.json was made anew from {len(runs_of)} writers' runs")


def _found_runs(folder: Path, lost: list[str]) -> list[Run]:
    """Runs that follow each other from the first on; of two that begin alike the longer one."""
    named = []
    for path in folder.iterdir():
        first, last, _ = path.name.split("-")
        named.append((int(first), -int(last), path))
    runs: list[Run] = []
    for begins, _, path in sorted(named, key=lambda one: one[:2]):
        if runs and begins <= runs[-1].last:
            continue  # a run that a longer one holds
        run = _run_of(path)
        if run is None:
            lost.append(f"{path}: a run that cannot be read")
            continue
        runs.append(run)
    return runs


def _run_of(path: Path) -> Run | None:
    first, last, _ = path.name.split("-")
    rows: dict[str, int] = {}
    newest_ns: dict[str, int] = {}
    form = 1
    for table in ("commits", *TABLES):
        file = path / "commits.parquet" if table == "commits" else file_of(path, table)
        if not file.exists():
            continue
        try:
            found = pq.ParquetFile(str(file)).read(use_threads=False)
        except (OSError, pa.ArrowInvalid):
            return None
        rows[table] = found.num_rows
        newest_ns |= newest_by_kind(table, found)
        if table in TABLES and file.stem == file_stem(table) != table:
            form = FORMAT
    size = sum(file.stat().st_size for file in path.iterdir())
    return Run(
        first=int(first), last=int(last), folder=path.name, generation=0, rows=rows, format=form,
        bytes=size, newest_ns=newest_ns,
    )  # fmt: skip


def _mend_commit(root: Path, name: str, n: int, lost: list[str]) -> None:
    """Set files aside that do not hold what their commit says."""
    path = files.commit_path(root, name, n)
    try:
        record = files.read_commit(path)
    except (CommitError, FileNotFoundError):
        lost.append(f"{path}: commit.json cannot be read; restore the commit from a backup")
        return
    rows = dict(record.rows)
    for table, expected in record.rows.items():
        file = file_of(path, table)
        count = None
        with contextlib.suppress(OSError, pa.ArrowInvalid):
            count = pq.ParquetFile(str(file)).read(use_threads=False).num_rows
        if count == expected:
            continue
        del rows[table]
        lost.append(f"{file}: {expected} rows of {table}")
        if file.exists():
            aside = root / "damaged" / f"writer={name}" / f"{n:08d}-{secrets.token_hex(4)}"
            aside.mkdir(parents=True)
            file.rename(aside / file.name)
    if rows != record.rows:
        _rewrite(root, path, replace(record, rows=rows))


def _rewrite(root: Path, path: Path, record: CommitRecord) -> None:
    draft = root / "tmp" / f"mended-{secrets.token_hex(8)}"
    write_durably(draft, msgspec.json.encode(record))
    draft.rename(path / "commit.json")
    fsync_folder(path)


def _mend_owners(root: Path, name: str, mended: list[str]) -> None:
    newest = {n: files.newest_commit(root, n) for n in files.writers(root)}
    if any(record.moved for record in newest.values() if record):
        return  # after a repartition a site belongs to the first that archives it
    mine = newest[name]
    for site_id in mine.archived_until_ns if mine else ():
        if not (root / "owners" / f"site={site_id}").exists():
            own_sites(root, name, [site_id])
            mended.append(f"site {site_id} belongs to {name} again")
