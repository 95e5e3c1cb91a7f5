"""
Another number of partitions: the sites of ``live-p<k>of<N>`` move to the writers of the new count.

Nobody must write meanwhile. Which partition a site's messages come to is the producers' business,
so every new writer learns how far each site is archived, and a site belongs to the first of them
that archives it. Events that were open are closed, ``state_lost``: offsets and state of the old
topics mean nothing to the new ones.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pipeline import archive
from pipeline import commit_files as files
from pipeline.commits import Writer
from pipeline.durable import fsync_folder
from pipeline.errors import UsageError
from pipeline.owners import live_writer
from pipeline.recovery import lost, open_events

__all__ = ["Moved", "repartition"]

LIVE = re.compile(r"live-p\d+of(\d+)")


class Moved(NamedTuple):
    """What a call did: writers left behind, writers made ready, sites, events closed."""

    left: list[str]
    ready: list[str]
    sites: int
    closed: int


def repartition(root: Path, partitions: int) -> Moved:
    """
    Make the archive ready for another number of partitions; a call that died is done again.

    Raises
    ------
    UsageError, pipeline.commits.CommitError, pipeline.archive.ArchiveError
        One sentence.
    """
    if not 1 <= partitions <= 100_000:
        msg = f"--partitions is {partitions}; use 1 to 100000"
        raise UsageError(msg)
    root = archive.existing(root)
    named = {name: LIVE.fullmatch(name) for name in files.writers(root)}
    old = [name for name, of in named.items() if of and int(of[1]) != partitions]
    old = [n for n in old if (newest := files.newest_commit(root, n)) and not newest.moved]
    if not old:
        return Moved([], [], 0, 0)
    writers = [Writer.claim(root, name) for name in old]  # whoever still writes is fenced
    closed = sum(_close_events(writer) for writer in writers)
    marks: dict[str, int] = {}
    for writer in writers:
        for site_id, until_ns in writer.newest.archived_until_ns.items():
            marks[site_id] = max(until_ns, marks.get(site_id, until_ns))
    ready = [live_writer(k, partitions) for k in range(partitions)]
    for name in ready:
        Writer.claim(root, name, carry=False, marks_ns=marks, origin={})
    for site_id in marks:
        entry = root / "owners" / f"site={site_id}"
        if entry.exists() and entry.read_text() in old:
            entry.unlink()
    fsync_folder(root / "owners")
    for writer in writers:
        writer.leave()
    return Moved(old, ready, len(marks), closed)


def _close_events(writer: Writer) -> int:
    """Close what is open at the end of its site's archive."""
    rows: list[dict[str, Any]] = []
    marks_ns: dict[str, int] = {}
    for event in open_events(writer.root, writer.name):
        end_ns = writer.newest.archived_until_ns[event.site_id] + 1
        marks_ns[event.site_id] = end_ns
        rows.append({**msgspec.to_builtins(lost(event, end_ns)), "produced_ns": end_ns})
    if rows:
        tables = {"events": rows}
        writer.commit(tables, offsets={}, read_offsets={}, archived_until_ns=marks_ns)
    return len(rows)
