"""
The sealer: older commits of each writer become sorted files, and these become larger ones.

One call does, each step whole or not at all, and the next call goes on where one died:

1. what an earlier call left half done is cleared, a switch that no catalog shows is shown;
2. sessions whose grace is over are told: their zero-row files go;
3. commits are written as runs, runs that have become many as one; the manifest's rename moves
   their rows over; a catalog shows it;
4. directories whose readers were told long enough ago are deleted.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from pipeline import archive, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError, CommitRecord
from pipeline.durable import fsync_folder, locked
from pipeline.errors import UsageError
from pipeline.runs import merge_runs, write_run
from pipeline.sealed import Manifest, Retired, Run, Sealing
from pipeline.tiers import due
from schemas.tables import FORMAT
from schemas.units import NS_PER_S

__all__ = ["Busy", "Sealed", "Sealer", "seal"]

RUN_ROWS = 1_000_000
"""Rows and marks of all commits of one run, so that a run fits into memory."""
LINGER_NS = 120 * NS_PER_S
"""Between the telling and the deletion, at most: no query that has found its files runs longer."""


class Busy(CommitError):
    """Another sealer is at work."""


class Sealed(NamedTuple):
    """What a call did: commits and rows sealed by writer, runs merged, directories deleted."""

    commits: dict[str, int]
    rows: dict[str, int]
    merged: int
    removed: int


class Sealer(NamedTuple):
    """How an archive is sealed."""

    root: Path
    keep: int
    """Newest commits of each writer that stay."""
    grace_ns: int
    """How long a session that was opened before goes on; at least its longest query."""
    now_ns: Callable[[], int]
    """Wall time, UTC ns."""
    least: int = 1
    """Fewer commits of a writer than these wait for more."""


def seal(
    root: Path, *, keep: int = 60, grace_s: float = 600.0, most: int = 3600, now_ns: Callable
) -> Sealed:
    """
    Seal what is old enough, merge, and delete what was sealed and whose readers have gone.

    Parameters
    ----------
    root : Path
        The archive.
    keep : int
        Newest commits of each writer that stay.
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
    sealer = Sealer(archive.existing(root), keep, round(grace_s * NS_PER_S), now_ns)
    return once(sealer, most=most)


def once(sealer: Sealer, *, most: int) -> Sealed:
    """
    One call under the archive's lock; see `seal`.

    Raises
    ------
    Busy, CommitError, pipeline.archive.ArchiveError, pipeline.sealed.SealedError
    """
    root = sealer.root
    try:
        with locked(root / "sealed" / "lock", wait=False):
            return _once(sealer, most)
    except BlockingIOError as error:
        msg = f"another sealer is at work in archive {root}; nothing to do here"
        raise Busy(msg) from error
    except OSError as error:
        msg = f"archive {root} could not be sealed: {error}; no row is lost, seal again"
        raise CommitError(msg) from error


def _once(sealer: Sealer, most: int) -> Sealed:
    root = sealer.root
    clear(root)
    show(sealer)
    told = sealed.read(root).told  # by an earlier call
    expire(sealer)
    commits: dict[str, int] = dict.fromkeys(files.writers(root), 0)
    rows, merged = dict(commits), 0
    failed: dict[str, CommitError] = {}
    while runs := _seal_round(sealer, {n: most - commits[n] for n in commits}, failed):
        for name, run in runs.items():
            commits[name] += run.rows["commits"]
            rows[name] += run.count - run.rows["commits"]
    while done := _merge_round(sealer, failed):
        merged += done
    show(sealer)
    removed = delete(sealer, told)
    if failed:
        raise next(iter(failed.values()))
    return Sealed(commits, rows, merged, removed)


def clear(root: Path) -> None:
    """Remove what a call that died had not put into the manifest."""
    manifest = sealed.read(root)
    listed = manifest.folders(root)
    left = [p for p in (root / "sealed").glob("writer=*/*") if p not in listed]
    for path in [*left, *(root / "tmp").glob("run-*")]:
        shutil.rmtree(path)
    for path in (root / "tmp").glob("bound-*"):
        path.unlink()
    if manifest.generation:  # before the first, `create_layout` may be making one
        for path in (root / "tmp").glob("gen-*"):
            shutil.rmtree(path)


def switch(root: Path, manifest: Manifest) -> None:
    """Put the next generation's zero-row files and then its manifest in place."""
    empty = files.commit_path(root, files.SCHEMA_WRITER, files.SCHEMA_N)
    sealed.open_generation(root, manifest.generation, empty)
    sealed.write(root, replace(manifest, format=FORMAT))


def _seal_round(
    sealer: Sealer, most: dict[str, int], failed: dict[str, CommitError]
) -> dict[str, Run]:
    """One run of every writer that has one to give, moved over together."""
    root = sealer.root
    manifest = sealed.read(root)
    generation = manifest.generation + 1
    runs, writers = {}, dict(manifest.writers)
    for name in most.keys() - failed.keys():
        try:
            if taken := _old_enough(sealer, name, most[name]):
                run = runs[name] = write_run(root, name, taken, generation)
                found = writers.get(name, Sealing())
                writers[name] = Sealing(run.last, (*found.runs, run))
        except CommitError as error:
            failed[name] = error  # what is damaged there holds up nobody else
    if runs:
        switch(root, replace(manifest, generation=generation, writers=writers))
    return runs


def _old_enough(sealer: Sealer, name: str, most: int) -> list[CommitRecord]:
    """Oldest commits above the bound, as many as make a run; never the newest."""
    numbers = files.numbers(sealer.root, name)
    numbers = [n for n in numbers if n <= numbers[-1] - sealer.keep]
    if len(numbers) < sealer.least:
        return []
    taken: list[CommitRecord] = []
    size = 0
    for n in numbers[:most]:
        record = files.read_commit(files.commit_path(sealer.root, name, n))
        size += sum(record.rows.values()) + len(record.archived_until_ns) + len(record.offsets)
        if taken and size > RUN_ROWS:
            break
        taken.append(record)
    return taken


def _merge_round(sealer: Sealer, failed: dict[str, CommitError]) -> int:
    """One merge of every writer whose runs have become many; how many runs went into them."""
    root = sealer.root
    manifest = sealed.read(root)
    writers, retired, generation = dict(manifest.writers), [], manifest.generation + 1
    for name, found in manifest.writers.items():
        parts = due(found.runs) if name not in failed else ()
        try:
            if parts:
                writers[name] = replaced(found, parts, merge_runs(root, name, parts, generation))
                retired += [Retired(name, part.folder, generation) for part in parts]
        except CommitError as error:
            failed[name] = error
    if retired:
        retired = [*manifest.retired, *retired]
        switch(
            root,
            replace(manifest, generation=generation, writers=writers, retired=tuple(retired)),
        )
    return len(retired)


def replaced(found: Sealing, parts: Sequence[Run], run: Run) -> Sealing:
    """A writer's runs with neighbours ``parts`` become one."""
    at = found.runs.index(parts[0])
    runs = (*found.runs[:at], run, *found.runs[at + len(parts) :])
    return replace(found, runs=runs)


def show(sealer: Sealer) -> None:
    """Publish a catalog of what is sealed, and only then let the grace of older sessions begin."""
    manifest = sealed.read(sealer.root)
    if manifest.generation in manifest.shown or not manifest.generation:
        return
    archive.publish(sealer.root)
    shown = {**manifest.shown, manifest.generation: sealer.now_ns()}
    sealed.write(sealer.root, replace(manifest, shown=shown))


def expire(sealer: Sealer) -> None:
    """Take the zero-row files from sessions that were opened before a switch, their grace over."""
    root, manifest, now_ns = sealer.root, sealed.read(sealer.root), sealer.now_ns()
    over = [g for g, at_ns in manifest.shown.items() if at_ns <= now_ns - sealer.grace_ns]
    newest = max(over, default=0)
    for generation, path in sealed.generations(root).items():
        if generation < newest:
            shutil.rmtree(path)
    fsync_folder(root / "sealed")
    oldest = min(sealed.generations(root), default=0)
    if oldest > max(manifest.told, default=0):
        shown = {g: at_ns for g, at_ns in manifest.shown.items() if g >= oldest}
        told = {**manifest.told, oldest: now_ns}
        sealed.write(root, replace(manifest, shown=shown, told=told))


def delete(sealer: Sealer, told: dict[int, int]) -> int:
    """
    Delete what no session reads any more: sealed commits, retired runs.

    A fenced writer's late directories go too; a kept snapshot's stays.
    """
    root, manifest = sealer.root, sealed.read(sealer.root)
    until_ns = sealer.now_ns() - min(LINGER_NS, sealer.grace_ns)
    gone = max((g for g, at_ns in told.items() if at_ns <= until_ns), default=-1)
    removed = 0
    for name, found in manifest.writers.items():
        moved = [r.last for r in found.runs if _moved(r) <= gone]
        newest = files.newest_commit(root, name) if moved else None
        kept = newest.snapshots if newest else ()
        for n in files.present(root, name):
            if n <= max(moved, default=-1) and n not in kept:
                shutil.rmtree(files.commit_path(root, name, n))
                removed += 1
    over = [one for one in manifest.retired if one.generation <= gone]
    for one in over:
        shutil.rmtree(sealed.run_path(root, one.writer, one.folder), ignore_errors=True)
    later = {g: at_ns for g, at_ns in manifest.told.items() if g >= gone}
    if over or later != manifest.told:
        retired = tuple(one for one in manifest.retired if one not in over)
        sealed.write(root, replace(manifest, retired=retired, told=later))
    return removed


def _moved(run: Run) -> int:
    return run.generation if run.moved is None else run.moved
