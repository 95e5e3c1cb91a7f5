"""A sealer process that seals over and over, with as little grace as it is told."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.clock import SystemClock
from pipeline.seal import seal


def main(root: str, keep: int, grace_s: float, most: int) -> None:
    """Seal until killed; say what each call did."""
    now_ns = SystemClock().now_ns
    print("ready", flush=True)
    while True:
        done = seal(Path(root), keep=keep, grace_s=grace_s, most=most, now_ns=now_ns)
        print(sum(done.commits.values()), done.removed, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
