"""``replay score SUITE``: a suite from the command line, as a table or as one JSON object."""

from __future__ import annotations

import argparse
import json
import secrets
import time
from pathlib import Path

import numpy as np

from pipeline.clock import SystemClock
from replay.suite.backgrounds import REROLLED
from replay.suite.page import fill
from replay.suite.suite import load_suite, run_suite
from replay.suite.table import lines
from replay.suite.work import Order

__all__ = ["score_suite"]

_SEED_BITS = 31


def score_suite(path: Path, args: argparse.Namespace) -> bool:
    """Run the suite and print its rows; whether all keep their limits."""
    suite = load_suite(path).only(args.only)
    seed = secrets.randbits(_SEED_BITS) if args.seed is None else args.seed
    if not args.json:
        print(f"suite {path.stem}, seed {seed}\nbackgrounds: {REROLLED}", flush=True)
    begin = time.monotonic()
    rows = run_suite(suite, Order(seed, max(args.jobs, 1), keep=args.keep))
    wall_s = round(time.monotonic() - begin, 1)
    ok = all(row.ok for row in rows)
    if args.page:
        day = np.datetime64(SystemClock().now_ns(), "ns").astype("datetime64[D]")
        fill(args.page, path.stem, rows, f"{day}, seed {seed}")
    if args.json:
        told = {"suite": path.stem, "seed": seed, "wall_s": wall_s, "rerolled": REROLLED, "ok": ok}
        print(json.dumps({**told, "rows": [row.as_json() for row in rows]}))
    else:
        print("\n".join([*lines(rows), f"{wall_s:.0f} s"]))
    return ok
