"""
Retention: rows older than their kind's age leave the sealed files.

Age is event time before the newest that the row's writer has archived, so that an old recording
that was replayed is as old as it was then. A run is written anew, without the kind, once all of
its rows of that kind are past their age; commits that are not sealed yet are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from pipeline import archive, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError
from pipeline.durable import locked
from pipeline.errors import UsageError
from pipeline.kinds import KINDS, young
from pipeline.runs import filtered_run
from pipeline.seal import Busy, Sealer, replaced, show, switch
from pipeline.sealed import Retired, Run
from schemas.units import NS_PER_S

__all__ = ["Retained", "check_ages", "retain"]

DAY_NS = 86_400 * NS_PER_S


class Retained(NamedTuple):
    """What a call did: runs written anew, and rows that left by kind of table."""

    runs: int
    rows: dict[str, int]


def check_ages(ages_days: Mapping[str, float]) -> None:
    """
    Refuse kinds that are none, and ages below zero.

    Raises
    ------
    UsageError
        One sentence.
    """
    for kind, days in ages_days.items():
        if kind not in KINDS:
            msg = f"archive.retain names {kind!r}; use one of {', '.join(KINDS)}"
            raise UsageError(msg)
        if not days >= 0:
            msg = f"archive.retain.{kind} is {days} days; use 0 or more"
            raise UsageError(msg)


def retain(
    root: Path, ages_days: Mapping[str, float], *, most: int = 1000, now_ns: Callable[[], int]
) -> Retained:
    """
    Let rows go that are older than their kind's age.

    Parameters
    ----------
    root : Path
        The archive.
    ages_days : mapping of kind to float, days
        A kind that is not named stays for ever.
    most : int
        Runs written anew in this call.
    now_ns : callable
        Wall time, UTC ns: when sessions are told of the switch.

    Raises
    ------
    pipeline.seal.Busy, UsageError, CommitError
        One sentence.
    """
    check_ages(ages_days)
    root = archive.existing(root)
    if not ages_days:
        return Retained(0, {})
    try:
        with locked(root / "sealed" / "lock", wait=False):
            return _retain(Sealer(root, 1, 0, now_ns), ages_days, most)
    except BlockingIOError as error:
        msg = f"another sealer is at work in archive {root}; nothing to do here"
        raise Busy(msg) from error
    except OSError as error:
        msg = f"archive {root} could not be thinned: {error}; no row is lost, try again"
        raise CommitError(msg) from error


def _retain(sealer: Sealer, ages_days: Mapping[str, float], most: int) -> Retained:
    root, manifest = sealer.root, sealed.read(sealer.root)
    generation = manifest.generation + 1
    writers, retired, left = dict(manifest.writers), [*manifest.retired], 0
    gone: dict[str, int] = {}
    for name, found in manifest.writers.items():
        newest = files.newest_commit(root, name)
        until_ns = max(newest.archived_until_ns.values(), default=0) if newest else 0
        oldest_ns = {kind: until_ns - round(d * DAY_NS) for kind, d in ages_days.items()}
        for run in found.runs:
            if left == most or not _past(run, oldest_ns):
                continue
            limits = {kind: oldest_ns[kind] for kind in _past(run, oldest_ns)}
            thin = filtered_run(root, name, run, partial(young, oldest_ns=limits), generation)
            writers[name] = replaced(writers[name], (run,), thin)
            retired.append(Retired(name, run.folder, generation))
            left += 1
            for table, count in run.rows.items():
                if lost := count - thin.rows.get(table, 0):
                    gone[table] = gone.get(table, 0) + lost
    if left:
        switch(
            root,
            replace(manifest, generation=generation, writers=writers, retired=tuple(retired)),
        )
        show(sealer)
    return Retained(left, gone)


def _past(run: Run, oldest_ns: Mapping[str, int]) -> list[str]:
    """Kinds of which all rows of the run are past their age."""
    return [
        kind for kind, ns in run.newest_ns.items() if kind in oldest_ns and ns <= oldest_ns[kind]
    ]
