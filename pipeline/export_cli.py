"""What ``archive export`` and ``archive plan`` take from the command line, and their progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.clock import SystemClock
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.exports import Scope

__all__ = ["CODINGS", "FORMATS", "INTERVALS_S", "add_options", "run"]

FORMATS = ("parquet", "csv")
CODINGS = ("ascii", "binary", "binary32", "float32")
INTERVALS_S = {"15min": 900, "1h": 3600}

TOLD_EVERY_S = 1.0
SHORT = "no interval of {} was measured for at least half of it; ask for a longer time"
EMPTY = "there is nothing to plan from: no measured second of a grid connection in that time"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of both actions to those of ``archive``."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--table", metavar="NAME", help="export: a table, as it is")
    what.add_argument("--view", metavar="NAME", help="export: a view; `sql --views` lists them")
    what.add_argument("--query", metavar="SQL", help="export: one SELECT")
    what.add_argument("--event", metavar="ID", help="export: raw samples of an event, as COMTRADE")
    parser.add_argument("--from", dest="from_", metavar="UTC", help="export, plan: not before")
    parser.add_argument("--until", metavar="UTC", help="export, plan: before")
    parser.add_argument("--site", metavar="ID", help="export, plan: one site")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="export, plan: file; event: folder"
    )
    parser.add_argument(
        "--format", choices=[*FORMATS, "comtrade"], help="default: by the file's name, else parquet"
    )
    parser.add_argument(
        "--coding", choices=["auto", *CODINGS], default="auto", help="COMTRADE data"
    )
    parser.add_argument(
        "--line-hz", type=float, default=60.0, metavar="HZ", help="COMTRADE: nominal frequency"
    )
    parser.add_argument("--force", action="store_true", help="export, plan: write over files")
    parser.add_argument("--interval", choices=[*INTERVALS_S], default="15min", help="plan")
    parser.add_argument(
        "--scenario", action="append", default=[], metavar="NAME=RATE", help="plan: growth a year"
    )
    parser.add_argument("--scenarios", type=Path, metavar="FILE", help="plan: TOML with scenarios")
    parser.add_argument("--years", type=int, nargs="+", default=[], help="plan: years to grow to")
    parser.add_argument("--base-year", type=int, help="plan: default: the first interval's")


def _export(root: Path, args: argparse.Namespace) -> dict[str, Any]:
    from pipeline.exports import select  # noqa: PLC0415  takes a second to import

    scope = _scope(args)
    if args.event is not None:
        return _export_event(root, args, scope)
    if args.format == "comtrade":
        msg = "COMTRADE holds the samples around one event; say which with --event"
        raise UsageError(msg)
    name = args.table or args.view
    if args.query is not None:
        if any(scope):
            msg = "--query says itself what it takes; leave --from, --until and --site out"
            raise UsageError(msg)
        sql, name = args.query, "query"
    elif name is None:
        msg = "say what to export: --table, --view, --query or --event"
        raise UsageError(msg)
    else:
        sql = select(name, scope)
    return _written(root, args, sql, name)


def _written(root: Path, args: argparse.Namespace, sql: str, name: str) -> dict[str, Any]:
    from pipeline.exports import refuse_existing, write  # noqa: PLC0415

    out = args.out or Path(f"{name}.{args.format or FORMATS[0]}")
    form = args.format or (out.suffix.removeprefix(".") if out.suffix else FORMATS[0])
    if form not in FORMATS:
        msg = f"{out} is neither .parquet nor .csv; name one of them, or say --format"
        raise UsageError(msg)
    refuse_existing(out, force=args.force)
    return write(root, sql, out, form, _progress(name))


def _export_event(root: Path, args: argparse.Namespace, scope: Scope) -> dict[str, Any]:
    from pipeline.event_export import Shape, export_event  # noqa: PLC0415

    if args.format not in {None, "comtrade"} or any(scope):
        msg = "an event is written as COMTRADE, whole; for others use --view event_evidence"
        raise UsageError(msg)
    folder = args.out or Path()
    if not folder.is_dir():
        msg = f"folder {folder} does not exist; make it first"
        raise UsageError(msg)
    shape = Shape(args.coding, args.line_hz, args.force)
    return export_event(root, args.event, folder, shape)


def _plan(root: Path, args: argparse.Namespace) -> dict[str, Any]:
    from pipeline import archive  # noqa: PLC0415
    from pipeline.planning import plan_sql, scenarios  # noqa: PLC0415

    named, scope = scenarios(args.scenario, args.scenarios), _scope(args)
    growing = [name for name, scenario in named.items() if scenario.growth_per_year is not None]
    if growing and not args.years:
        msg = f"scenario {growing[0]} grows a year at a time; say to which --years"
        raise UsageError(msg)
    interval_s = INTERVALS_S[args.interval]
    base = args.base_year or _first_year(root, scope)
    sql = plan_sql(interval_s, scope, named, args.years, base)
    done = _written(root, args, sql, f"plan-{args.interval}")
    if not done["rows"]:
        Path(done["file"]).unlink()
        raise archive.QueryError(SHORT.format(args.interval))
    return {**done, "interval_s": interval_s, "base_year": base, "scenarios": sorted(named)}


def _first_year(root: Path, scope: Scope) -> int:
    from pipeline import archive  # noqa: PLC0415
    from pipeline.exports import select  # noqa: PLC0415

    sql = select("poi_seconds", scope)
    _, rows = archive.query(root, f"SELECT year(make_timestamp_ns(min(t0_ns))) FROM ({sql})")  # noqa: S608
    if rows[0][0] is None:
        raise archive.QueryError(EMPTY)
    return int(rows[0][0])


def _scope(args: argparse.Namespace) -> Scope:
    from pipeline.exports import Scope, instant  # noqa: PLC0415

    return Scope(instant("--from", args.from_), instant("--until", args.until), args.site)


def _progress(name: str) -> Callable[[int], None]:
    """Rows so far on standard error, at most once a second."""
    now_s = SystemClock().monotonic_s
    last_s = now_s()

    def told(rows: int) -> None:
        nonlocal last_s
        if now_s() - last_s >= TOLD_EVERY_S:
            last_s = now_s()
            sys.stderr.write(f"{name}: {rows:,} rows\n")
            sys.stderr.flush()

    return told


def run(root: Path, args: argparse.Namespace) -> dict[str, Any]:
    """
    Do what ``args.action`` says; return what was written.

    Raises
    ------
    UsageError
        One sentence: what was asked cannot be.
    pipeline.archive.QueryError, pipeline.event_export.EventError
        One sentence: it could not be answered.
    """
    return _export(root, args) if args.action == "export" else _plan(root, args)
