"""
What lies on disk in an archive, and the one rename that makes a commit visible.

    live/writer=<name>/commit=<n>/     <table>.parquet …, commit.json, sometimes snapshot.bin
    live/writer=!/commit=<format>/     every table without a row: the tables' schema
    owners/site=<site_id>              name of the writer that first archived the site
    sealed/                            older commits in sorted files: `pipeline.sealed`
    format.json                        which tables and columns: `pipeline.formats`
    tmp/writer=<name>/                 commits in the making

A table's file is named by `schemas.tables.file_stem`.

Errors
------
CommitError     the archive could not take a commit
    Fenced      another process has claimed the writer's name
    SiteOwned   the site belongs to another writer
    OtherCount  the archive was written with another number of partitions
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipeline import rows, sealed
from pipeline.durable import fsync_folder, write_durably
from schemas.events import GridSignal, WorkloadHint
from schemas.tables import FORMAT, VERSION, file_stem

SCHEMA_WRITER = "!"
SCHEMA_N = FORMAT
ON_RECORD_S = 3600
"""How long what a recomputation must obey stays on record: longer than two snapshots reach back."""


class CommitError(Exception):
    """The archive could not take a commit; one sentence."""


class Fenced(CommitError):
    """Another process has claimed the writer's name."""


class SiteOwned(CommitError):
    """The site belongs to another writer, ``owner``."""

    def __init__(self, text: str, owner: str) -> None:
        super().__init__(text)
        self.owner = owner


class OtherCount(CommitError):
    """The archive was written with another number of partitions."""


class Idle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A gateway that held nobody up, from frame to frame, ns; ``to_ns`` is null while it lasts."""

    site_id: str
    gateway_id: str
    from_ns: int
    to_ns: int | None = None


class Told(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A hint or a signal, the message that brought it, and the frame from which it acts, ns."""

    site_id: str
    topic: str
    offset: int
    from_ns: int
    hint: WorkloadHint | None = None
    signal: GridSignal | None = None


class CommitRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``commit.json``: where the writer stands, cumulative over its sites."""

    version: int = VERSION
    writer: str
    n: int
    claim: bool = False
    """True where the commit only took the name over."""
    offsets: dict[str, int] = {}
    """Topic to next offset to acknowledge: every message before it is fully archived."""
    read_offsets: dict[str, int] = {}
    """Topic to next offset to be read into the state: where a snapshot goes on."""
    archived_until_ns: dict[str, int] = {}
    """Site to end of its newest archived frame, ns."""
    idle: tuple[Idle, ...] = ()
    """What a recomputation must obey, back to the older of the two snapshots."""
    told: tuple[Told, ...] = ()
    """What scheduler and grid said within the last hour: a recomputation obeys it."""
    origin: dict[str, str] = {}
    """Cluster and topic ids the offsets belong to."""
    snapshot: bool = False
    """True where the commit brought a snapshot; it is unlinked once two newer ones exist."""
    snapshots: tuple[int, ...] = ()
    """Commits whose snapshots are kept, oldest first."""
    rows: dict[str, int] = {}
    """Table to rows in this commit."""
    moved: bool = False
    """True where the writer's sites belong to others since: `pipeline.repartition`."""


_RECORD = msgspec.json.Decoder(CommitRecord)


def commit_path(root: Path, name: str, n: int) -> Path:
    """Directory of commit ``n`` of writer ``name``."""
    return root / "live" / f"writer={name}" / f"commit={n:08d}"


def publish(root: Path, record: CommitRecord, tables: Mapping[str, Any], more: Any) -> None:
    """
    Write a commit under ``tmp/``, make it durable, and show it with one rename.

    Parameters
    ----------
    root : Path
        The archive.
    record : CommitRecord
        Becomes ``commit.json``; names writer and number.
    tables : mapping of table name to pa.Table
        One Parquet file each.
    more : bytes or None
        Becomes ``snapshot.bin``.

    Raises
    ------
    Fenced
        One sentence, when the number is taken or sealed: whoever took it is the writer now.
    CommitError
        One sentence, when the disk refuses.
    """
    target = commit_path(root, record.writer, record.n)
    draft = root / "tmp" / target.parent.name / f"{record.n:08d}-{secrets.token_hex(8)}"
    try:
        refuse_taken(root, record)
        draft.mkdir(parents=True)
        _fill(draft, record, tables, more)
        draft.rename(target)  # onto an existing commit: ENOTEMPTY
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        refuse_taken(root, record)
        msg = (
            f"commit {record.n} of writer {record.writer} could not be written to {root}: "
            f"{error.strerror or error}; nothing of it is visible, make room and start again"
        )
        raise CommitError(msg) from error
    fsync_folder(target.parent)
    if sealed.bound(root, record.writer) >= record.n:
        raise _fenced(record)  # the number was sealed and freed meanwhile: void


def _fill(draft: Path, record: CommitRecord, tables: Mapping[str, Any], more: Any) -> None:
    schema = record.writer == SCHEMA_WRITER  # its files are named already: old names are among them
    for name, table in tables.items():
        path = draft / f"{name if schema else file_stem(name)}.parquet"
        rows.write(table, path, documented=schema)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    if more is not None:
        write_durably(draft / "snapshot.bin", more)
    write_durably(draft / "commit.json", msgspec.json.encode(record))
    fsync_folder(draft)


def refuse_taken(root: Path, record: CommitRecord) -> None:
    """
    Look whether the record's number is still free.

    Raises
    ------
    Fenced
        One sentence.
    """
    taken = commit_path(root, record.writer, record.n).exists()
    if taken or sealed.bound(root, record.writer) >= record.n:
        raise _fenced(record)


def _fenced(record: CommitRecord) -> Fenced:
    return Fenced(
        f"writer {record.writer} is fenced at commit {record.n}: another process has claimed the "
        "name and goes on from there; stop this one"
    )


def writers(root: Path) -> list[str]:
    """Names of all writers, sorted, the schema's own left out."""
    names = (p.name.removeprefix("writer=") for p in (root / "live").glob("writer=*"))
    return sorted(name for name in names if name != SCHEMA_WRITER)


def numbers(root: Path, name: str) -> list[int]:
    """Numbers of a writer's commits above the sealed bound, ascending; the others are void."""
    bound = sealed.bound(root, name)  # first: what is sealed from here on is still among them
    return [n for n in present(root, name) if n > bound]


def present(root: Path, name: str) -> list[int]:
    """Numbers of all commit directories of a writer, void ones too, ascending."""
    try:
        entries = os.listdir(commit_path(root, name, 0).parent)  # noqa: PTH208 (86,400 a day)
    except FileNotFoundError:
        return []
    return sorted(int(e[7:]) for e in entries if e.startswith("commit=") and e[7:].isdigit())


def newest_numbers(root: Path) -> dict[str, int]:
    """Writer to number of its newest commit: a consistent cut through the archive."""
    found = {name: numbers(root, name) for name in writers(root)}
    return {name: max(of) for name, of in found.items() if of}


def newest_commit(root: Path, name: str) -> CommitRecord | None:
    """Return the newest commit of a writer, or None before its first."""
    found = numbers(root, name)
    return read_commit(commit_path(root, name, max(found))) if found else None


def read_commit(path: Path) -> CommitRecord:
    """
    Read the record of one commit directory.

    Raises
    ------
    CommitError
        One sentence, when it is damaged or of another version.
    """
    try:
        return _RECORD.decode((path / "commit.json").read_bytes())
    except msgspec.MsgspecError as error:
        msg = f"{path / 'commit.json'} is damaged or of another version ({error}); see docs/adr"
        raise CommitError(msg) from error


def snapshots(root: Path, name: str) -> Iterator[tuple[bytes, CommitRecord]]:
    """Give the kept snapshots, newest first, each with its commit; one that vanished is skipped."""
    newest = newest_commit(root, name)
    for n in reversed(newest.snapshots if newest else ()):
        path = commit_path(root, name, n)
        with contextlib.suppress(FileNotFoundError):
            found = (path / "snapshot.bin").read_bytes(), read_commit(path)
            yield found


def load_snapshot(root: Path, name: str) -> tuple[bytes, CommitRecord] | None:
    """Return the newest snapshot and the commit that brought it, or None."""
    return next(snapshots(root, name), None)


def unlink_snapshots(root: Path, name: str, of: Iterable[int]) -> None:
    """Let the snapshots of these commits go."""
    for n in of:
        (commit_path(root, name, n) / "snapshot.bin").unlink(missing_ok=True)
