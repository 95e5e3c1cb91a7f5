"""Everything that makes an archive, once each; says ``acked`` whenever something is durable."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline import archive, commits, seal, tiers
from pipeline.repartition import repartition
from pipeline.retain import retain
from tests.pipeline.archive_rows import commit_second


def main(root: Path) -> None:
    """Create, commit, seal, merge, thin, move."""
    tiers.FAN = 2
    archive.create(root)
    said("create")
    writer = commits.Writer.claim(root, "live-p0of1")
    said("claim")
    for second in range(12):
        commit_second(writer, second, snapshot=b"s" if second == 5 else None)
        said(f"commit {second}")
    for _ in range(4):
        seal.seal(root, keep=2, most=3, grace_s=0, now_ns=lambda: 10**18)
        said("seal")
    retain(root, {"events": 0}, now_ns=lambda: 10**18)
    said("retain")
    repartition(root, 2)
    said("repartition")


def said(what: str) -> None:
    """Acknowledge."""
    print("acked", what, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
