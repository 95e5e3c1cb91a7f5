"""The archive kept fast by whoever runs: small steps of sealing and retention, beside all else."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor

from pipeline import archive
from pipeline.clock import Clock
from pipeline.commit_files import CommitError
from pipeline.errors import LockstepError, sentence
from pipeline.retain import retain
from pipeline.seal import Busy, Sealer, once
from pipeline.settings import Archive
from schemas.units import NS_PER_S

__all__ = ["keep", "step"]

log = logging.getLogger("lockstep")

LEAST = 64
"""Commits of a writer that make a run worth while."""
MOST = 128
"""Commits of a writer sealed in one step, so that a long backlog goes in pieces."""
RETAIN_EVERY = 240
"""Steps between two looks for rows that are past their age."""


async def keep(settings: Archive, io: Executor, clock: Clock) -> None:
    """
    Take a step every ``compact_every_s``, for ever.

    Of all workers on an archive one takes it, the others find it busy. What goes wrong is a
    warning: rows stay where they are, and the next step tries again.
    """
    loop, number = asyncio.get_running_loop(), 0
    while settings.compact_every_s > 0:
        await asyncio.sleep(settings.compact_every_s)
        number += 1
        try:
            await loop.run_in_executor(io, step, settings, clock, number % RETAIN_EVERY == 0)
        except (CommitError, archive.ArchiveError, LockstepError) as error:
            log.warning("archive not compacted: %s", sentence(error))


def step(settings: Archive, clock: Clock, thin: bool = False) -> bool:
    """
    One bounded step; False where another process was at it.

    Parameters
    ----------
    settings : Archive
        Path, grace, and what stays for how long.
    clock : Clock
        Wall time.
    thin : bool
        Look for rows that are past their age as well.

    Raises
    ------
    CommitError, pipeline.archive.ArchiveError, LockstepError
        One sentence.
    """
    grace_ns = round(settings.grace_s * NS_PER_S)
    root = archive.existing(settings.path)
    sealer = Sealer(root, settings.keep_commits, grace_ns, clock.now_ns, LEAST)
    try:
        once(sealer, most=MOST)
        if thin:
            retain(root, settings.retain, most=4, now_ns=clock.now_ns)
    except Busy:
        return False
    return True
