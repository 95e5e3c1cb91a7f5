"""A copy of an archive as it stands at one instant, taken while it is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline import archive, formats, sealed
from pipeline import commit_files as files
from pipeline.commit_files import CommitError
from pipeline.durable import fsync_folder, locked
from pipeline.errors import UsageError

__all__ = ["backup"]


def backup(root: Path, target: Path) -> dict[str, int]:
    """
    Copy what the archive holds into a new folder, durably; it is an archive of its own.

    Commits never change once they are there, and nothing is sealed or deleted while the copy is
    made; whatever is committed after it began is not in it.

    Parameters
    ----------
    root : Path
        The archive.
    target : Path
        A folder that is not there yet, or is empty.

    Returns
    -------
    dict
        ``commits, runs, bytes`` copied.

    Raises
    ------
    UsageError, CommitError, pipeline.archive.ArchiveError
        One sentence.
    """
    root, target = archive.existing(root), Path(target).absolute()
    if target.exists() and any(target.iterdir()):
        msg = f"{target} is not empty; name a new folder for the copy"
        raise UsageError(msg)
    try:
        with locked(root / "sealed" / "lock", wait=True):
            done = _copy(root, target)
    except OSError as error:
        msg = f"archive {root} could not be copied to {target}: {error}; make room and try again"
        raise CommitError(msg) from error
    archive.create(target)
    return done


def _copy(root: Path, target: Path) -> dict[str, int]:
    manifest = sealed.read(root)
    newest = files.newest_numbers(root)
    size = commits = 0
    for part in ("live", "owners", "sealed", "tmp"):
        (target / part).mkdir(parents=True)
    folders = list((root / "live" / f"writer={files.SCHEMA_WRITER}").iterdir())
    for name, until in newest.items():
        kept = (files.newest_commit(root, name) or files.CommitRecord(writer=name, n=0)).snapshots
        numbers = {*(n for n in files.numbers(root, name) if n <= until), *kept}
        folders += [files.commit_path(root, name, n) for n in sorted(numbers)]
        commits += len(numbers)
    runs = [
        sealed.run_path(root, name, run.folder)
        for name, found in manifest.writers.items()
        for run in found.runs
    ]
    folders += runs
    folders += [sealed.generations(root)[manifest.generation]]
    for folder in folders:
        size += _copied(folder, target / folder.relative_to(root))
    singles = [root / formats.NAME, root / "sealed" / "bound.json", *(root / "owners").iterdir()]
    for file in singles:
        if file.exists():
            size += _copied(file, target / file.relative_to(root))
    for folder in (target / "live", target / "owners", target / "sealed", target):
        fsync_folder(folder)
    return {"commits": commits, "runs": len(runs), "bytes": size}


def _copied(path: Path, to: Path) -> int:
    """Copy a file or a folder and wait until it is on disk; its bytes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        to.mkdir(exist_ok=True)
        size = sum(_copied(inner, to / inner.name) for inner in sorted(path.iterdir()))
    else:
        shutil.copyfile(path, to)
        with to.open("rb") as file:
            os.fsync(file.fileno())
        size = to.stat().st_size
    fsync_folder(to.parent)
    return size
