"""``python -m pipeline``: run, check, topics, archive, sql; every error is one sentence."""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

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
        if not _told(error):
            raise
        print(f"error: {sentence(error)}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


def _told(error: Exception) -> bool:
    """Whether the error's text is a sentence for people."""
    from pipeline.archive import ArchiveError  # noqa: PLC0415  duckdb only where needed
    from pipeline.commits import CommitError  # noqa: PLC0415

    return isinstance(error, LockstepError | ArchiveError | CommitError)


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

    archive = doors.add_parser("archive", parents=[common], help="make or describe the archive")
    archive.add_argument("action", choices=["create", "info"])
    archive.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    archive.add_argument("--json", action="store_true")
    archive.set_defaults(does=_archive)

    sql = doors.add_parser("sql", parents=[common], help="ask the archive, at any time")
    sql.add_argument("query", help="one SELECT, in quotes")
    sql.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
    sql.set_defaults(does=_sql)
    return top


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
        found |= _findings(settings)
    if args.json:
        _dump({name: {"ok": ok, "message": text} for name, (ok, text) in found.items()})
    else:
        if settings is not None:
            _table(("setting", "value"), [*explain(settings)])
        for name, (ok, text) in found.items():
            print(f"{name:10}{'ok  ' if ok else 'PROBLEM  '}{text}")
    return 0 if all(ok for ok, _ in found.values()) else CheckError.exit_code


def _findings(settings: Settings) -> dict[str, Problem]:
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
    from pipeline import archive, commits  # noqa: PLC0415

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
    found = archive.info(path)
    return f"{path}, {len(found['writers'])} writers, {found['bytes'] / 1e6:.1f} MB"


def _try(find: Callable[[], str]) -> Problem:
    try:
        return True, find()
    except Exception as error:
        if not _told(error):
            raise
        return False, sentence(error)


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
    if args.action == "create":
        archive.create(path)
    found = archive.info(path)
    if args.json:
        _dump(found)
    else:
        _table(("archive", "value"), _flat(found))
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
