"""Which runs of a writer are to become one: tiers, as minutes, hours and days."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from pipeline.sealed import Run

__all__ = ["due"]

FAN = 12
"""Runs of one tier that make one of the next."""
TIER_COMMITS = 32
"""Commits of a run of the lowest tier, about."""
MERGED_ROWS = 1_000_000
MERGED_BYTES = 32 << 20
"""No merge takes more: it happens in memory, beside everything else."""
CROWD = 6 * FAN
"""More unmerged runs than these are merged whatever their tiers."""


def due(runs: Sequence[Run]) -> tuple[Run, ...]:
    """
    Runs, next to each other, that are to be merged now; () while there are none.

    A merge takes runs of one tier, so that a row is written anew once a tier: after a day of a
    commit a second about 3 times. A run near the limits is left as it is.
    """
    stretch: list[Run] = []
    for run in runs:
        if stretch and (_full(run) or _tier(run) != _tier(stretch[0])):
            stretch = []
        if not _full(run):
            stretch.append(run)
        if len(stretch) == FAN and (found := _within(stretch)):
            return found
    return _crowded(runs) if sum(not _full(run) for run in runs) > CROWD else ()


def _crowded(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Of all neighbours that could become one, those with the fewest rows."""
    found = []
    for first in range(len(runs)):
        near = list(itertools.takewhile(lambda run: not _full(run), runs[first : first + FAN]))
        if parts := _within(near):
            found.append(parts)
    longest = max(map(len, found), default=0)
    long = [parts for parts in found if len(parts) == longest]
    return min(long, key=lambda parts: sum(run.count for run in parts), default=())


def _tier(run: Run) -> int:
    commits = max(run.rows.get("commits", 1), 1)
    return max(int(math.log(commits / TIER_COMMITS, FAN) + 0.5), 0)


def _full(run: Run) -> bool:
    return run.count > MERGED_ROWS // 2 or run.bytes > MERGED_BYTES // 2


def _within(stretch: Sequence[Run]) -> tuple[Run, ...]:
    """As many from the first on as stay within the limits; a run alone is not merged."""
    taken: list[Run] = []
    for run in stretch:
        taken.append(run)
        rows, size = sum(r.count for r in taken), sum(r.bytes for r in taken)
        if rows > MERGED_ROWS or size > MERGED_BYTES:
            taken.pop()
            break
    return tuple(taken) if len(taken) > 1 else ()
