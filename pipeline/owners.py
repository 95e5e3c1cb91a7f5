"""Who may write what: names of writers, owners of sites, the archive's number of partitions."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from pipeline.commit_files import (
    CommitError,
    OtherCount,
    SiteOwned,
    newest_commit,
    writers,
)
from pipeline.durable import fsync_folder, write_durably

__all__ = ["check_partitions", "elsewhere", "live_writer", "own_sites", "replay_writer"]

LIVE = re.compile(r"live-p(\d+)of(\d+)")
SITE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def live_writer(partition: int, partitions: int) -> str:
    """Writer of one Kafka partition."""
    return f"live-p{partition}of{partitions}"


def replay_writer(site_id: str) -> str:
    """Writer of one site's replay."""
    return f"replay-{site_id}"


def own_sites(root: Path, writer: str, site_ids: Iterable[str]) -> None:
    """
    Enter ``writer`` as the owner of the sites, or find that it is already.

    Raises
    ------
    SiteOwned
        One sentence, when a site belongs to another writer.
    CommitError
        One sentence, when a site's name cannot be a file's.
    """
    entries = {site_id: root / "owners" / f"site={site_id}" for site_id in site_ids}
    for site_id in entries:
        if not SITE.fullmatch(site_id):
            msg = f"site_id {site_id[:80]!r} is not [A-Za-z0-9._-], 1-64 long; rename the site"
            raise CommitError(msg)
    new = [entry for entry in entries.values() if not entry.exists()]
    if new:
        draft = root / "tmp" / f"owner-{secrets.token_hex(8)}"
        write_durably(draft, writer.encode())
        for entry in new:
            with contextlib.suppress(FileExistsError):  # another writer was faster
                entry.hardlink_to(draft)
        draft.unlink()
        fsync_folder(root / "owners")
    for site_id, entry in entries.items():
        owner = entry.read_text()
        if owner != writer:
            msg = (
                f"site {site_id} belongs to writer {owner} in archive {root}, not to {writer}; "
                "go on with that writer or use another archive folder"
            )
            raise SiteOwned(msg, owner)


def elsewhere(root: Path, writer: str, site_id: str) -> str | None:
    """
    Enter ``writer`` as the site's owner; says why not where another partition of its topics is.

    Raises
    ------
    SiteOwned
        One sentence, when the site belongs to a replay, or to another number of partitions.
    """
    try:
        own_sites(root, writer, [site_id])
    except SiteOwned as error:
        theirs, ours = LIVE.fullmatch(error.owner), LIVE.fullmatch(writer)
        if not (theirs and ours and theirs[2] == ours[2]):
            raise
        return f"site {site_id} is in partition {theirs[1]}; give all its messages the same key"
    return None


def check_partitions(root: Path, n_partitions: int) -> None:
    """
    Refuse an archive that was written with another number of partitions.

    Raises
    ------
    OtherCount
        One sentence.
    """
    for name in writers(root):
        match = LIVE.fullmatch(name)
        if match and int(match[2]) != n_partitions:
            newest = newest_commit(root, name)
            if newest is None or newest.moved:
                continue
            msg = (
                f"archive {root} was written with {match[2]} partitions (writer {name}), "
                f"the topics have {n_partitions}; stop all workers and run archive repartition "
                f"--partitions {n_partitions}"
            )
            raise OtherCount(msg)
