"""``python -m pipeline``: run, check, topics, archive, fleet, sql; an error is one sentence."""

from __future__ import annotations

import argparse
import csv
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import archive_cli
from pipeline.checks import findings, told
from pipeline.errors import CheckError, LockstepError, UsageError, sentence
from pipeline.printing import CELL_MAX, dump, table
from pipeline.settings import Settings, explain, load
from pipeline.sites import topologies

__all__ = ["main", "parser"]

VIEW_MAX = 160
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

    archive_cli.add(doors, common)

    _fleet_door(doors, common)

    sql = doors.add_parser("sql", parents=[common], help="ask the archive, at any time")
    sql.add_argument("query", nargs="?", help="one SELECT, in quotes; with --views a view's name")
    sql.add_argument("--views", action="store_true", help="list the views, or describe one")
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
    from pipeline.retain import check_ages  # noqa: PLC0415
    from pipeline.serve import log, serve  # noqa: PLC0415

    check_ages(settings.archive.retain)
    device = choose(settings.device, settings.threads)
    device.kernels().warm()  # before the group is joined: nothing is compiled in the stream

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
                evidence=settings.evidence,
                origin=origin,
                idle_s=settings.run.idle_s,
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
        dump({name: {"ok": ok, "message": text} for name, (ok, text) in found.items()})
    else:
        if settings is not None:
            table(("setting", "value"), [*explain(settings)])
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
            dump({"created": made, "partitions": partitions})
        else:
            print(f"{len(made)} topics made with {partitions} partitions: {', '.join(made) or '-'}")
        return 0
    there = admin.describe(settings.kafka).topics
    rows = [
        (name, there[name].partitions if name in there else None, carries)
        for name, carries in admin.CARRIES.items()
    ]
    if args.json:
        dump([{"topic": name, "partitions": count} for name, count, _ in rows])
    else:
        table(("topic", "partitions", "carries"), rows)
    return 0


def _sql(args: argparse.Namespace) -> int:
    from pipeline import archive  # noqa: PLC0415

    if args.views:
        columns, rows = _views(args.query)
    elif args.query is None:
        msg = "say what to ask: one SELECT in quotes; `sql --views` lists the views"
        raise UsageError(msg)
    else:
        columns, rows = archive.query(args.archive or _load(args).archive.path, args.query)
    if args.json:
        dump([dict(zip(columns, row, strict=True)) for row in rows])
    elif args.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        table(columns, rows, most=VIEW_MAX if args.views else CELL_MAX)
    return 0


def _fleet(args: argparse.Namespace) -> int:
    from pipeline.fleet import as_rows, fleet_forecast  # noqa: PLC0415

    root = args.archive or _load(args).archive.path
    rows = as_rows(fleet_forecast(root, args.sites.split(","), args.horizon))
    if args.json:
        dump(rows)
    else:
        table(list(rows[0]), [list(row.values()) for row in rows])
    return 0


def _views(name: str | None) -> tuple[list[str], list[tuple]]:
    """Every view, or the columns of one, as columns and rows."""
    from pipeline.view_list import described, listed  # noqa: PLC0415

    found = listed() if name is None else described(name)
    return list(found[0]) if found else ["name"], [tuple(row.values()) for row in found]
