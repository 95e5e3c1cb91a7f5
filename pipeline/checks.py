"""What ``python -m pipeline check`` looks at, each *ok* or one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.errors import LockstepError, UsageError, sentence
from pipeline.settings import Settings
from pipeline.sites import topologies

__all__ = ["findings", "told"]

Problem = tuple[bool, str]


def findings(settings: Settings) -> dict[str, Problem]:
    """Sites, device, broker, topics and archive: whether good, and a sentence."""
    from pipeline import admin  # noqa: PLC0415
    from pipeline.device import choose  # noqa: PLC0415

    found = {
        "sites": _try(lambda: ", ".join(topologies(settings))),
        "device": _try(lambda: choose(settings.device).line.removeprefix("device: ")),
    }
    try:
        cluster = admin.describe(settings.kafka)
    except LockstepError as error:
        found["broker"] = False, sentence(error)
        found["topics"] = False, "unknown until a broker answers; start it first"
        lanes = None
    else:
        found["broker"] = True, f"{settings.kafka.bootstrap}, cluster {cluster.cluster_id}"
        found["topics"] = _try(lambda: f"{admin.lanes(cluster)} partitions each")
        lanes = admin.lanes(cluster) if found["topics"][0] else None
    found["archive"] = _try(partial(_archive_state, settings.archive.path, lanes))
    return found


def _archive_state(path: Path, lanes: int | None) -> str:
    from pipeline import commits, inventory  # noqa: PLC0415

    if not path.exists():
        parent = next(p for p in path.absolute().parents if p.exists())
        if os.access(parent, os.W_OK):
            return f"{path} will be made by the first run"
        msg = f"archive.path {path} cannot be made in {parent}; choose a folder you may write to"
        raise UsageError(msg)
    if not os.access(path, os.W_OK):
        msg = f"archive.path {path} cannot be written; change its owner or choose another folder"
        raise UsageError(msg)
    if lanes is not None:
        commits.check_partitions(path, lanes)
    found = inventory.info(path)
    return f"{path}, {len(found['writers'])} writers, {found['bytes'] / 1e6:.1f} MB"


def _try(find: Callable[[], str]) -> Problem:
    try:
        return True, find()
    except Exception as error:
        if not told(error):
            raise
        return False, sentence(error)


def told(error: Exception) -> bool:
    """Whether the error's text is a sentence for people."""
    from pipeline.commits import CommitError  # noqa: PLC0415

    return isinstance(error, LockstepError | CommitError)
