"""``python -m pipeline``: run, check, topics, archive, fleet, sql; an error is one sentence."""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.checks import findings, told
from pipeline.errors import CheckError, LockstepError, UsageError, sentence
from pipeline.settings import Settings, explain, load
from pipeline.sites import topologies

__all__ = ["main", "parser"]

CELL_MAX = 60
Problem = tuple[bool, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code (0 good, 1 failed, 2 wrong usage, 3 `check`)."""
    args = parser().parse_args(argv)
    try:
        return args.does(args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 1
    except Exception as error:
        if not told(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


def parser() -> argparse.ArgumentParser:
    """Build the command line; `tests/test_docs.py` compares it with docs/operating.md."""
    top = argparse.ArgumentParser(prog="python -m pipeline", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--settings", type=Path, metavar="FILE", help="TOML file with settings")
    doors = top.add_subparsers(required=True, metavar="COMMAND")

    run = doors.add_parser("run", parents=[common], help="work until told to stop")
    run.set_defaults(does=_run)

    check = doors.add_parser("check", parents=[common], help="say what is ready and what is not")
    check.add_argument("--json", action="store_true")
    check.set_defaults(does=_check)

    topics = doors.add_parser("topics", parents=[common], help="make or list the topics")
    topics.add_argument("action", choices=["create", "list"])
    topics.add_argument("--partitions", type=int, help="default: kafka.partitions")
    topics.add_argument("--json", action="store_true")
    topics.set_defaults(does=_topics)

    archive = doors.add_parser(
        "archive", parents=[common], help="make, describe or compact the archive"
    )
    archive.add_argument("action", choices=["create", "info", "compact"])
    archive.add_argument("--keep", type=int, default=60, help="compact: newest commits that stay")
    archive.add_argument("--grace-s", type=float, default=600.0, help="compact: for open sessions")
    archive.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    archive.add_argument("--json", action="store_true")
    archive.set_defaults(does=_archive)

    _fleet_door(doors, common)

    sql = doors.add_parser("sql", parents=[common], help="ask the archive, at any time")
    sql.add_argument("query", help="one SELECT, in quotes")
    sql.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
    sql.set_defaults(does=_sql)
    return top


def _fleet_door(doors: Any, common: argparse.ArgumentParser) -> None:
    fleet = doors.add_parser(
        "fleet", parents=[common], help="forecast of several sites together, from the archive"
    )
    fleet.add_argument("sites", help="site ids, with commas")
    fleet.add_argument(
        "--horizon", choices=["fast", "scada", "dispatch", "cop"], default="dispatch"
    )
    fleet.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    fleet.add_argument("--json", action="store_true")
    fleet.set_defaults(does=_fleet)


def _load(args: argparse.Namespace) -> Settings:
    return load(args.settings, os.environ)


# ---- run


def _run(args: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until `serve` has its own
    settings = _load(args)
    sites = topologies(settings)
    from pipeline import lane as lane_  # noqa: PLC0415  what follows takes a second to import
    from pipeline.admin import Cluster  # noqa: PLC0415
    from pipeline.commits import live_writer  # noqa: PLC0415
    from pipeline.crew import OpenLane  # noqa: PLC0415
    from pipeline.device import choose  # noqa: PLC0415
    from pipeline.serve import log, serve  # noqa: PLC0415

    device = choose(settings.device)

    def prepare(cluster: Cluster) -> OpenLane:
        log.info("%s", device.line)
        names = ", ".join(sites) if len(sites) <= 5 else f"{len(sites)} sites"
        log.info("archive: %s  sites: %s", settings.archive.path, names)
        origin = cluster.origin()

        def open_lane(partition: int, of: int) -> lane_.Lane:
            config = lane_.LaneConfig(
                archive=settings.archive.path,
                writer=live_writer(partition, of),
                topologies=sites,
                detect=settings.detect,
                device=device,
                origin=origin,
            )
            return lane_.Lane.open(config)

        return open_lane

    return serve(settings, prepare)


# ---- check


def _check(args: argparse.Namespace) -> int:
    try:
        settings: Settings | None = _load(args)
        found = {"settings": (True, f"{args.settings or 'defaults'} and the environment")}
    except LockstepError as error:
        settings, found = None, {"settings": (False, sentence(error))}
    if settings is not None:
        found |= findings(settings)
    if args.json:
        _dump({name: {"ok": ok, "message": text} for name, (ok, text) in found.items()})
    else:
        if settings is not None:
            _table(("setting", "value"), [*explain(settings)])
        for name, (ok, text) in found.items():
            print(f"{name:10}{'ok  ' if ok else 'PROBLEM  '}{text}")
    return 0 if all(ok for ok, _ in found.values()) else CheckError.exit_code


# ---- topics, archive, sql


def _topics(args: argparse.Namespace) -> int:
    settings = _load(args)
    from pipeline import admin  # noqa: PLC0415

    if args.action == "create":
        partitions = settings.kafka.partitions if args.partitions is None else args.partitions
        if partitions < 1:
            msg = f"--partitions is {partitions}; use at least 1"
            raise UsageError(msg)
        made = admin.create(settings.kafka, partitions)
        if args.json:
            _dump({"created": made, "partitions": partitions})
        else:
            print(f"{len(made)} topics made with {partitions} partitions: {', '.join(made) or '-'}")
        return 0
    there = admin.describe(settings.kafka).topics
    rows = [
        (name, there[name].partitions if name in there else None, carries)
        for name, carries in admin.CARRIES.items()
    ]
    if args.json:
        _dump([{"topic": name, "partitions": count} for name, count, _ in rows])
    else:
        _table(("topic", "partitions", "carries"), rows)
    return 0


def _archive(args: argparse.Namespace) -> int:
    from pipeline import archive  # noqa: PLC0415

    path = args.archive or _load(args).archive.path
    if args.action == "compact":
        return _compact(path, args)
    if args.action == "create":
        archive.create(path)
    found = archive.info(path)
    if args.json:
        _dump(found)
    else:
        _table(("archive", "value"), _flat(found))
    return 0


def _compact(path: Path, args: argparse.Namespace) -> int:
    from pipeline.clock import SystemClock  # noqa: PLC0415
    from pipeline.seal import Busy, seal  # noqa: PLC0415

    now_ns = SystemClock().now_ns
    try:
        found = seal(path, keep=args.keep, grace_s=args.grace_s, now_ns=now_ns)._asdict()
    except Busy as busy:  # a timer that came early is not a failure
        found = {"busy": str(busy)}
    if args.json:
        _dump(found)
    else:
        _table(("sealed", "value"), _flat(found))
    return 0


def _sql(args: argparse.Namespace) -> int:
    from pipeline import archive  # noqa: PLC0415

    columns, rows = archive.query(args.archive or _load(args).archive.path, args.query)
    if args.json:
        _dump([dict(zip(columns, row, strict=True)) for row in rows])
    elif args.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        _table(columns, rows)
    return 0


def _fleet(args: argparse.Namespace) -> int:
    from pipeline.fleet import as_rows, fleet_forecast  # noqa: PLC0415

    root = args.archive or _load(args).archive.path
    rows = as_rows(fleet_forecast(root, args.sites.split(","), args.horizon))
    if args.json:
        _dump(rows)
    else:
        _table(list(rows[0]), [list(row.values()) for row in rows])
    return 0


# ---- printing


def _dump(value: Any) -> None:
    text = msgspec.json.encode(value, enc_hook=str)
    print(json.dumps(msgspec.json.decode(text), indent=2, ensure_ascii=False))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("\n", " ")


def _flat(fields: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", None if value in ({}, []) else value


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    cells = [list(map(str, head)), *([_cell(value) for value in row] for row in rows)]
    cells = [[c if len(c) <= CELL_MAX else f"{c[: CELL_MAX - 1]}…" for c in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
    print()
