"""
Writers: who may commit to the archive, and what a commit adds. `commit_files` has the files.

A writer is claimed, then commits; each commit holds rows, offsets and high-water marks, all of
them or none. Of two processes that go by one name only the later lives (`Fenced`).
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from pipeline import commit_files as files
from pipeline import rows, sealed
from pipeline.commit_files import (
    CommitError,
    CommitRecord,
    Fenced,
    Idle,
    OtherCount,
    SiteOwned,
    Told,
    load_snapshot,
    newest_commit,
    snapshots,
)
from pipeline.durable import fsync_folder
from pipeline.owners import check_partitions, live_writer, own_sites, replay_writer

__all__ = [
    "CommitError",
    "CommitRecord",
    "Committed",
    "Fenced",
    "Idle",
    "OtherCount",
    "SiteOwned",
    "Writer",
    "check_partitions",
    "live_writer",
    "load_snapshot",
    "newest_commit",
    "own_sites",
    "replay_writer",
    "snapshots",
]

SNAPSHOTS_KEPT = 2
CLAIM_TRIES = 100
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class Committed(NamedTuple):
    """What a commit did: its number, and by table the rows written and the rows dropped."""

    n: int
    rows: dict[str, int]
    dropped: dict[str, int]


class Writer:
    """
    One writer of the archive, from its claim until another process claims its name.

    Attributes
    ----------
    root : Path
        The archive's folder.
    name : str
        ``live-p<k>of<N>`` or ``replay-<site_id>``.
    newest : CommitRecord
        The newest commit: where to go on.
    told : tuple of Told
        What scheduler and grid said, and from when it acts: goes with the next commit.
    """

    def __init__(self, root: Path, newest: CommitRecord) -> None:
        self.root = root
        self.name = newest.writer
        self.newest = newest
        self.told = newest.told
        self._owned: set[str] = set()

    @classmethod
    def claim(
        cls,
        root: Path,
        name: str,
        *,
        carry: bool = True,
        origin: Mapping[str, str] | None = None,
        marks_ns: Mapping[str, int] | None = None,
    ) -> Writer:
        """
        Take the name over: an empty commit that fences whoever had it.

        Parameters
        ----------
        root : Path
            An archive made by `create_layout`.
        name : str
            The writer's name.
        carry : bool
            False voids offsets and the snapshots that speak of them (another cluster or topic
            id). What is archived stays archived either way, and idle gateways on record.
        origin : mapping of str to str, optional
            Cluster and topic ids of the offsets to come; None keeps what the newest commit says.
        marks_ns : mapping of site_id to int, ns, optional
            High-water marks that other writers leave behind; of two of a site the later counts.

        Raises
        ------
        CommitError
            One sentence: no archive there, a bad name, sites that moved on, or a disk that
            refuses.
        """
        _check_claim(root, name)
        files.commit_path(root, name, 0).parent.mkdir(exist_ok=True)
        fsync_folder(root / "live")
        for _ in range(CLAIM_TRIES):
            left = list((root / "tmp" / f"writer={name}").glob("*"))  # before: all are doomed
            record = _claim_record(root, name, carry=carry, origin=origin)
            if record.moved and marks_ns is None:
                raise OtherCount(f"the sites of writer {name} moved on; run archive repartition")
            until_ns = _later(record.archived_until_ns, marks_ns or {})
            record = replace(record, archived_until_ns=until_ns, moved=False)
            with contextlib.suppress(Fenced):  # the old owner committed meanwhile
                files.publish(root, record, {}, None)
                break
        else:
            msg = f"writer {name} committed {CLAIM_TRIES} times during the claim; stop it first"
            raise CommitError(msg)
        for draft in left:
            shutil.rmtree(draft, ignore_errors=True)
        gone = set(files.numbers(root, name)) - set(record.snapshots)
        files.unlink_snapshots(root, name, {n for n in gone if n < record.n})
        return cls(root, record)

    def commit(
        self,
        tables: Mapping[str, Any],
        *,
        offsets: Mapping[str, int],
        read_offsets: Mapping[str, int],
        archived_until_ns: Mapping[str, int],
        idle: Sequence[Idle] | None = None,
        snapshot: bytes | None = None,
    ) -> Committed:
        """
        Make rows and offsets durable and visible, all of them or none.

        Parameters
        ----------
        tables : mapping of table name to rows
            Rows as `rows.as_table` takes them. Those produced at or before their site's
            ``archived_until_ns`` of the newest commit are dropped and counted.
        offsets, read_offsets : mapping of topic to int
            See `CommitRecord`; a topic not named keeps what it had.
        archived_until_ns : mapping of site_id to int, ns
            End of each site's newest frame in this commit; never goes back.
        idle : sequence of Idle, optional
            All that is to stay on record; None keeps what was there.
        snapshot : bytes, optional
            The state at ``read_offsets``.

        Returns
        -------
        Committed
            Once this returns, everything before ``offsets`` may be acknowledged.

        Raises
        ------
        Fenced, SiteOwned, CommitError, pipeline.rows.RowError
            One sentence; nothing of the commit counts then.
        """
        before = self.newest
        until_ns = _later(before.archived_until_ns, archived_until_ns)
        files.refuse_taken(self.root, replace(before, n=before.n + 1))  # then it owns nothing new
        self._own(archived_until_ns)
        kept, dropped = _fresh(tables, before.archived_until_ns, until_ns)
        n = before.n + 1
        held = before.snapshots if snapshot is None else (*before.snapshots, n)[-SNAPSHOTS_KEPT:]
        record = CommitRecord(
            writer=self.name,
            n=n,
            offsets={**before.offsets, **offsets},
            read_offsets={**before.read_offsets, **read_offsets},
            archived_until_ns=until_ns,
            idle=before.idle if idle is None else tuple(idle),
            told=self.told,
            origin=before.origin,
            snapshot=snapshot is not None,
            snapshots=held,
            rows={name: table.num_rows for name, table in kept.items()},
        )
        files.publish(self.root, record, kept, snapshot)
        self.newest = record
        files.unlink_snapshots(self.root, self.name, set(before.snapshots) - set(held))
        return Committed(n, record.rows, dropped)

    def leave(self) -> None:
        """
        Commit that the writer's sites belong to others from now on.

        Raises
        ------
        Fenced, CommitError
            One sentence.
        """
        newest = self.newest
        record = replace(newest, n=newest.n + 1, claim=True, moved=True, snapshot=False, rows={})
        files.publish(self.root, record, {}, None)
        self.newest = record

    def _own(self, site_ids: Iterable[str]) -> None:
        new = set(site_ids) - self._owned
        if new:
            own_sites(self.root, self.name, sorted(new))
            self._owned |= new


def _check_claim(root: Path, name: str) -> None:
    if not NAME.fullmatch(name):
        msg = f"writer name {name!r} is not [A-Za-z0-9._-], 1-80 long, led by a letter or digit"
        raise CommitError(msg)
    if not files.commit_path(root, files.SCHEMA_WRITER, files.SCHEMA_N).exists():
        msg = f"there is no archive at {root}; create it first"
        raise CommitError(msg)


def _claim_record(
    root: Path, name: str, *, carry: bool, origin: Mapping[str, str] | None
) -> CommitRecord:
    newest = newest_commit(root, name)
    if newest is None:
        n = max(sealed.bound(root, name), 0) + 1
        return CommitRecord(writer=name, n=n, claim=True, origin=dict(origin or {}))
    return CommitRecord(
        writer=name,
        n=newest.n + 1,
        claim=True,
        offsets=newest.offsets if carry else {},
        read_offsets=newest.read_offsets if carry else {},
        archived_until_ns=newest.archived_until_ns,
        idle=newest.idle,
        told=newest.told if carry else tuple(_from_elsewhere(newest.told)),
        origin=newest.origin if origin is None else dict(origin),
        moved=newest.moved,
        snapshots=newest.snapshots if carry else (),
    )


def _from_elsewhere(told: tuple[Told, ...]) -> Iterator[Told]:
    """What was said on a topic of another cluster: no message here is the one that brought it."""
    for k, one in enumerate(told, 1):
        yield replace(one, offset=-k)


def _later(before_ns: Mapping[str, int], given_ns: Mapping[str, int]) -> dict[str, int]:
    """Merge high-water marks, ns; none goes back."""
    return {**before_ns, **{s: max(t, before_ns.get(s, t)) for s, t in given_ns.items()}}


def _fresh(
    tables: Mapping[str, Any], before_ns: Mapping[str, int], until_ns: Mapping[str, int]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Split rows into those to be written, by table, and the count of those that are archived."""
    kept, dropped = {}, {}
    for name, given in tables.items():
        table = rows.as_table(name, given)
        fresh = rows.not_yet_archived(name, table, before_ns, until_ns)
        dropped[name] = table.num_rows - fresh.num_rows
        if fresh.num_rows:
            kept[name] = fresh
    return kept, dropped
