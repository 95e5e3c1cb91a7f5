"""
The sealer: older commits of each writer become one sorted file per table, and then go.

One call does, each step whole or not at all, and the next call goes on where one died:

1. what an earlier call left half done is cleared, a switch that no catalog shows is shown;
2. sessions whose grace is over are told: their zero-row files go;
3. commits are written as a run; the manifest's rename moves their rows over; a catalog shows it;
4. directories whose readers were told in an earlier call are deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline import archive, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError, CommitRecord
from pipeline.durable import fsync_folder, locked
from pipeline.errors import UsageError
from pipeline.runs import write_run
from pipeline.sealed import Run, Sealing
from schemas.tables import FORMAT
from schemas.units import NS_PER_S

__all__ = ["Busy", "Sealed", "seal"]

RUN_ROWS = 1_000_000
"""Rows and marks of all commits of one run, so that a run fits into memory."""


class Busy(CommitError):
    """Another sealer is at work."""


class Sealed(NamedTuple):
    """What a call did: commits and rows sealed by writer, commit directories deleted."""

    commits: dict[str, int]
    rows: dict[str, int]
    removed: int


def seal(
    root: Path, *, keep: int = 60, grace_s: float = 600.0, most: int = 3600, now_ns: Callable
) -> Sealed:
    """
    Seal what is old enough, and delete what was sealed and whose readers have gone.

    Parameters
    ----------
    root : Path
        The archive.
    keep : int
        Newest commits of each writer that stay; those from its oldest kept snapshot on do too.
    grace_s : float, s
        How long a session that was opened before goes on; at least its longest query.
    most : int
        Commits sealed per writer in this call.
    now_ns : callable
        Wall time, UTC ns.

    Raises
    ------
    Busy
        One sentence, when another sealer is at work.
    UsageError, CommitError, pipeline.archive.ArchiveError, pipeline.sealed.SealedError
        One sentence; no row has moved then but in whole runs.
    """
    if keep < 1 or most < 1 or not grace_s >= 0:
        msg = f"keep {keep}, most {most}, grace {grace_s} s: use at least 1, 1 and 0"
        raise UsageError(msg)
    root = archive.existing(root)
    try:
        with locked(root / "sealed" / "lock", wait=False):
            return _seal(root, keep, round(grace_s * NS_PER_S), most, now_ns)
    except BlockingIOError as error:
        msg = f"another sealer is at work in archive {root}; nothing to do here"
        raise Busy(msg) from error
    except OSError as error:
        msg = f"archive {root} could not be sealed: {error}; no row is lost, seal again"
        raise CommitError(msg) from error


def _seal(root: Path, keep: int, grace_ns: int, most: int, now_ns: Callable) -> Sealed:
    _clear(root)
    _show(root, now_ns)
    told = _told(root)
    _expire(root, now_ns() - grace_ns)
    commits, rows, failed = {}, {}, []
    for name in files.writers(root):
        runs = []
        try:
            for run in _seal_writer(root, name, keep, most):
                runs.append(run)  # noqa: PERF402  those before an error count
        except CommitError as error:
            failed.append(error)  # what is damaged there holds up nobody else
        commits[name] = sum(run.rows["commits"] for run in runs)
        rows[name] = sum(sum(run.rows.values()) for run in runs) - commits[name]
    _show(root, now_ns)
    removed = _delete(root, told)
    if failed:
        raise failed[0]
    return Sealed(commits, rows, removed)


def _clear(root: Path) -> None:
    """Remove what a call that died had not put into the manifest."""
    manifest = sealed.read(root)
    listed = {
        sealed.run_path(root, name, run.folder)
        for name, found in manifest.writers.items()
        for run in found.runs
    }
    left = [p for p in (root / "sealed").glob("writer=*/*") if p not in listed]
    for path in [*left, *(root / "tmp").glob("run-*")]:
        shutil.rmtree(path)
    for path in (root / "tmp").glob("bound-*"):
        path.unlink()
    if manifest.generation:  # before the first, `create_layout` may be making one
        for path in (root / "tmp").glob("gen-*"):
            shutil.rmtree(path)


def _seal_writer(root: Path, name: str, keep: int, most: int) -> Iterator[Run]:
    while most > 0 and (taken := _old_enough(root, name, keep, most)):
        manifest = sealed.read(root)
        found = manifest.writers.get(name, Sealing())
        generation = manifest.generation + 1
        folder, rows = write_run(root, name, taken)
        first, last = taken[0].n, taken[-1].n
        run = Run(
            first=first, last=last, folder=folder, generation=generation, rows=rows, format=FORMAT
        )
        empty = files.commit_path(root, files.SCHEMA_WRITER, files.SCHEMA_N)
        sealed.open_generation(root, generation, empty)
        others = {**manifest.writers, name: Sealing(last, (*found.runs, run))}
        sealed.write(root, sealed.Manifest(generation, others, FORMAT))
        most -= len(taken)
        yield run


def _old_enough(root: Path, name: str, keep: int, most: int) -> list[CommitRecord]:
    """Oldest commits above the bound, as many as make a run; never the newest, never a snapshot."""
    newest = files.newest_commit(root, name)
    if newest is None:
        return []
    until = min([newest.n - keep, *(n - 1 for n in newest.snapshots)])
    taken: list[CommitRecord] = []
    size = 0
    for n in files.numbers(root, name)[:most]:
        if n > until:
            break
        record = files.read_commit(files.commit_path(root, name, n))
        size += sum(record.rows.values()) + len(record.archived_until_ns) + len(record.offsets)
        if taken and size > RUN_ROWS:
            break
        taken.append(record)
    return taken


def _show(root: Path, now_ns: Callable) -> None:
    """Publish a catalog of what is sealed, and only then let the grace of new runs begin."""
    manifest = sealed.read(root)
    new = [run for found in manifest.writers.values() for run in found.runs if not run.shown_ns]
    if not new:
        return
    archive.publish(root)
    at_ns = now_ns()
    writers = {
        name: Sealing(
            found.bound,
            tuple(
                run if run.shown_ns else msgspec.structs.replace(run, shown_ns=at_ns)
                for run in found.runs
            ),
        )
        for name, found in manifest.writers.items()
    }
    sealed.write(root, sealed.Manifest(manifest.generation, writers, manifest.format))


def _expire(root: Path, until_ns: int) -> None:
    """Take the zero-row files from sessions that read commits sealed and shown until then."""
    shown = [
        run.generation
        for found in sealed.read(root).writers.values()
        for run in found.runs
        if run.shown_ns and run.shown_ns <= until_ns
    ]
    for generation, path in sealed.generations(root).items():
        if generation < max(shown, default=0):
            shutil.rmtree(path)
    fsync_folder(root / "sealed")


def _told(root: Path) -> dict[str, int]:
    """Writer to the newest commit that no session reads as a commit any more."""
    oldest = min(sealed.generations(root), default=0)
    return {
        name: max((run.last for run in found.runs if run.generation <= oldest), default=-1)
        for name, found in sealed.read(root).writers.items()
    }


def _delete(root: Path, told: dict[str, int]) -> int:
    """Delete commit directories up to there, a fenced writer's late ones too."""
    removed = 0
    for name, last in told.items():
        for n in files.present(root, name):
            if n <= last:
                shutil.rmtree(files.commit_path(root, name, n))
                removed += 1
    return removed
