"""``python -m pipeline archive``: make, describe, check, mend, thin, copy, export it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import export_cli
from pipeline.clock import SystemClock
from pipeline.errors import UsageError
from pipeline.printing import dump, flat, table
from pipeline.settings import Settings, load

__all__ = ["add"]


def add(doors: Any, common: argparse.ArgumentParser) -> None:
    """Add the command and its options to the door's parser."""
    told = "make, describe, check, mend, compact, thin, move, copy or export the archive"
    archive = doors.add_parser("archive", parents=[common], help=told)
    archive.add_argument("action", choices=[*ACTIONS])
    archive.add_argument("--archive", type=Path, metavar="DIR", help="default: archive.path")
    archive.add_argument("--keep", type=int, help="compact: newest commits that stay")
    archive.add_argument("--grace-s", type=float, help="compact: for open sessions")
    archive.add_argument("--quick", action="store_true", help="verify: look at no row")
    archive.add_argument("--partitions", type=int, help="repartition: the new count")
    archive.add_argument("--to", type=Path, metavar="DIR", help="backup: a new folder")
    archive.add_argument("--json", action="store_true")
    export_cli.add_options(archive)
    archive.set_defaults(does=_archive)


def _archive(args: argparse.Namespace) -> int:
    settings = load(args.settings, os.environ)
    return ACTIONS[args.action](args.archive or settings.archive.path, args, settings)


def _told(args: argparse.Namespace, head: str, found: dict[str, Any]) -> int:
    if args.json:
        dump(found)
    else:
        table((head, "value"), flat(found))
    return 0


def _create(path: Path, args: argparse.Namespace, settings: Settings) -> int:
    from pipeline import archive  # noqa: PLC0415  takes a second to import

    archive.create(path)
    return _info(path, args, settings)


def _info(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    from pipeline import inventory  # noqa: PLC0415

    return _told(args, "archive", inventory.info(path))


def _compact(path: Path, args: argparse.Namespace, settings: Settings) -> int:
    from pipeline.seal import Busy, seal  # noqa: PLC0415

    keep = settings.archive.keep_commits if args.keep is None else args.keep
    grace_s = settings.archive.grace_s if args.grace_s is None else args.grace_s
    try:
        found = seal(path, keep=keep, grace_s=grace_s, now_ns=SystemClock().now_ns)._asdict()
    except Busy as busy:  # a timer that came early is not a failure
        found = {"busy": str(busy)}
    return _told(args, "sealed", found)


def _retain(path: Path, args: argparse.Namespace, settings: Settings) -> int:
    from pipeline.retain import retain  # noqa: PLC0415
    from pipeline.seal import Busy  # noqa: PLC0415

    if not settings.archive.retain:
        msg = "archive.retain names no kind, so every row stays; set e.g. rack_windows = 90 (days)"
        raise UsageError(msg)
    try:
        found = retain(path, settings.archive.retain, now_ns=SystemClock().now_ns)._asdict()
    except Busy as busy:
        found = {"busy": str(busy)}
    return _told(args, "retained", found)


def _verify(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    from pipeline.verify import verify  # noqa: PLC0415

    done = verify(path, deep=not args.quick)
    found = {**done._asdict(), "findings": [finding._asdict() for finding in done.findings]}
    if args.json:
        dump(found)
    else:
        table(("verified", "value"), flat({**found, "findings": len(done.findings)}))
        if done.findings:
            table(("where", "what"), done.findings)
    return 1 if done.findings else 0


def _repair(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    from pipeline.repair import repair  # noqa: PLC0415

    done = repair(path)
    if args.json:
        dump(done._asdict())
    else:
        lines = [("mended", text) for text in done.mended] + [("lost", text) for text in done.lost]
        table(("repair", "what"), lines)
    return 1 if done.lost else 0


def _repartition(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    from pipeline.repartition import repartition  # noqa: PLC0415

    if args.partitions is None:
        msg = "archive repartition needs --partitions N, the topics' new count"
        raise UsageError(msg)
    return _told(args, "repartition", repartition(path, args.partitions)._asdict())


def _backup(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    from pipeline.backup import backup  # noqa: PLC0415

    if args.to is None:
        msg = "archive backup needs --to DIR, a folder for the copy"
        raise UsageError(msg)
    return _told(args, "backup", backup(path, args.to))


def _export(path: Path, args: argparse.Namespace, _settings: Settings) -> int:
    found = export_cli.run(path, args)
    if args.json or "records" not in found:
        return _told(args, args.action, found)
    heads = [name for name in found["records"][0] if name != "dat"]  # beside the cfg
    table(heads, [[record[name] for name in heads] for record in found["records"]], most=160)
    return 0


ACTIONS: dict[str, Callable[[Path, argparse.Namespace, Settings], int]] = {
    "create": _create,
    "info": _info,
    "verify": _verify,
    "repair": _repair,
    "compact": _compact,
    "retain": _retain,
    "repartition": _repartition,
    "backup": _backup,
    "export": _export,
    "plan": _export,
}
