"""``python -m replay demo | run | simulate | score | record``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.commits import CommitError
from pipeline.device import choose
from pipeline.errors import LockstepError
from replay import report
from replay.errors import PlanError, ReplayError, TraceError
from replay.feed import feed
from replay.live import demo
from replay.plan import default_plan, load_plan
from replay.record import record
from replay.runner import Result, replay
from replay.score import Score, scored
from replay.simulate import simulate
from replay.source import Trace, load_topologies, open_trace

__all__ = ["DEMO", "main"]

DEMO = Path(__file__).parent / "traces" / "demo"
GOOD, FAILED, USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error is one sentence on standard error."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (TraceError, PlanError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except (ReplayError, CommitError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except LockstepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()
        return FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m replay", description="Recorded and simulated traces through the pipeline."
    )
    verbs = parser.add_subparsers(required=True, metavar="demo | run | simulate | score | record")
    demo = verbs.add_parser("demo", help="the shipped trace: what is in it, what is found")
    demo.add_argument("--live", action="store_true", help="through Kafka and a worker, then here")
    _common(demo)
    demo.set_defaults(run=_demo)
    run = verbs.add_parser("run", help="replay a trace: a folder, or a CSV or Parquet file")
    run.add_argument("trace", type=Path)
    run.add_argument(
        "--to-kafka", action="store_true", help="feed the topics, compute nothing here"
    )
    run.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"))
    run.add_argument("--speed", default="max", help="1, N or max (default)")
    run.add_argument("--piece-s", type=float, default=1.0, help="length of a message, s")
    _trace_form(run)
    _common(run)
    run.set_defaults(run=_run)
    marks = verbs.add_parser("score", help="replay a trace that has a truth.json and count hits")
    marks.add_argument("trace", type=Path)
    _trace_form(marks)
    _common(marks)
    marks.set_defaults(run=_score)
    make = verbs.add_parser("simulate", help="write a campus trace with its truth")
    make.add_argument("folder", type=Path)
    make.add_argument("--plan", type=Path, help="TOML; see replay/traces/demo/plan.toml")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--json", action="store_true")
    make.set_defaults(run=_simulate)
    tape = verbs.add_parser("record", help="live topics to a trace folder")
    tape.add_argument("folder", type=Path)
    tape.add_argument("--sites", type=Path, required=True, help="folder or file of topologies")
    tape.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"))
    tape.add_argument("--duration-s", type=float, default=60.0)
    tape.add_argument("--json", action="store_true")
    tape.set_defaults(run=_record)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archive", type=Path, help="folder of the archive (default: temporary)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _trace_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topology", type=Path, help="site file, where the trace has none")
    parser.add_argument("--level", default="rack", choices=("rack", "pdu", "substation"))
    parser.add_argument("--unit", choices=("W", "kW", "MW"), help="where no column name says it")
    parser.add_argument("--rate", help="samples per second, where the stamps are too uneven")


def _opened(args: argparse.Namespace) -> Trace:
    return open_trace(
        args.trace, level=args.level, unit=args.unit, rate=args.rate, topology=args.topology
    )


@contextlib.contextmanager
def _archive(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        yield Path(folder) / "archive"


def _show(trace: Trace, result: Result, marks: Score | None, as_json: bool) -> None:
    if as_json:
        told = report.as_json(trace, result.run_fields(), result.events, marks)
        print(json.dumps(told))
        return
    for line in report.lines(result.events, marks, t0_ns=trace.t0_ns):
        print(line)
    print(
        f"{trace.samples} samples in {result.wall_s:.1f} s "
        f"({trace.samples / max(result.wall_s, 1e-9):,.0f} samples/s); {result.windows} windows, "
        f"{result.archived} archived; {result.deadletters} dead letters"
    )


def _replayed(args: argparse.Namespace, trace: Trace, speed: float | None = None) -> int:
    device = choose(args.device)
    if not args.json:
        print(f"{device.line}\n{report.head_line(trace)}", flush=True)
    with _archive(args.archive) as archive:
        result = replay(trace, archive, device, speed)
    marks = scored(trace, result.events)
    _show(trace, result, marks, args.json)
    judged = args.run in (_score, _demo)
    good = marks is None or not judged or (marks.hits == marks.truth and not marks.false_alarms)
    return GOOD if good else FAILED


def _demo(args: argparse.Namespace) -> int:
    if args.live:
        return demo(open_trace(DEMO), args.archive, choose(args.device), as_json=args.json)
    return _replayed(args, open_trace(DEMO))


def _run(args: argparse.Namespace) -> int:
    trace, speed = _opened(args), _speed(args.speed)
    if not args.to_kafka:
        return _replayed(args, trace, speed)
    bootstrap = args.bootstrap or "127.0.0.1:9092"
    sent = feed(trace, bootstrap, speed=speed, piece_s=min(args.piece_s, 1.0))
    told: dict[str, Any] = {"trace": str(trace.path), "bootstrap": bootstrap, "messages": sent}
    print(json.dumps(told) if args.json else f"{sent} messages of {trace.name} to {bootstrap}")
    return GOOD


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text.removeprefix("x"))
    except ValueError:
        speed = 0.0
    if not speed > 0:
        msg = f"--speed is {text!r}; use 1, a number above 0, or max"
        raise TraceError(msg)
    return speed


def _score(args: argparse.Namespace) -> int:
    trace = _opened(args)
    if trace.truth is None:
        msg = f"{args.trace} has no truth.json beside it; score needs one"
        raise TraceError(msg)
    return _replayed(args, trace)


def _simulate(args: argparse.Namespace) -> int:
    plan = load_plan(args.plan) if args.plan else default_plan()
    told = simulate(args.folder, plan, args.seed)
    if args.json:
        print(json.dumps(told))
    else:
        print(
            f"{told['folder']}: {told['sites']} sites, {told['channels']} channels, "
            f"{told['samples']} samples, {told['truth']} injected events"
        )
    return GOOD


def _record(args: argparse.Namespace) -> int:
    given = args.sites
    topologies = load_topologies(None, given) if given.is_dir() else load_topologies(given, None)
    told = record(
        args.bootstrap or "127.0.0.1:9092",
        args.folder,
        duration_s=args.duration_s,
        topologies=topologies,
    )
    print(json.dumps(told) if args.json else f"{args.folder}: {told}")
    return GOOD
