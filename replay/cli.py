"""``python -m replay demo | run | simulate | score | forecast-score | record``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from pipeline import archive
from pipeline.commits import CommitError
from pipeline.device import choose
from pipeline.errors import LockstepError
from pipeline.settings import load
from pipeline.sites import topologies
from replay import report
from replay.errors import PlanError, ReplayError, TraceError
from replay.plot import plot
from replay.runner import Result, replay
from replay.score import Score, scored
from replay.source import Trace, find_traces, open_trace

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
    verbs = parser.add_subparsers(
        required=True, metavar="demo | run | simulate | score | forecast-score | record"
    )
    demo = verbs.add_parser("demo", help="the shipped trace: what is in it, what is found")
    demo.add_argument("--live", action="store_true", help="through Kafka and a worker, then here")
    _common(demo)
    demo.set_defaults(run=_demo)
    run = verbs.add_parser("run", help="replay a trace: a folder, or a CSV or Parquet file")
    run.add_argument("trace", type=Path)
    run.add_argument(
        "--to-kafka", action="store_true", help="feed the topics, compute nothing here"
    )
    _broker(run)
    run.add_argument("--speed", default="max", help="1, N or max (default)")
    run.add_argument("--piece-s", type=float, default=1.0, help="length of a message, s")
    _trace_form(run)
    _common(run)
    run.set_defaults(run=_run)
    marks = verbs.add_parser("score", help="hits and false alarms: a trace with truth, or a suite")
    marks.add_argument("trace", type=Path, help="a trace, a folder of traces, a suite or its TOML")
    _suite_form(marks)
    _trace_form(marks)
    _common(marks)
    marks.set_defaults(run=_score)
    make = verbs.add_parser("simulate", help="write a campus trace with its truth")
    make.add_argument("folder", type=Path)
    make.add_argument("--plan", type=Path, help="TOML; see replay/traces/demo/plan.toml")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--json", action="store_true")
    make.set_defaults(run=_simulate)
    _forecasts(
        verbs.add_parser("forecast-score", help="forecasts of simulated days against what came")
    )
    _tape(verbs.add_parser("record", help="live topics to a trace folder"))
    return parser


def _forecasts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--hours", type=float, default=24.0, help="of each family (default 24)")
    parser.add_argument("--family", action="append", help="one of them; again for more")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-s", type=int, default=5, help="grid seconds between forecasts")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--plot", type=Path, help="fan chart of the first family, a picture file")
    parser.set_defaults(run=_forecast_score)


def _tape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sites", type=Path, help="folder of site files (default: the settings')")
    _broker(parser)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=_record)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--archive", type=Path, help="folder of the archive (default: temporary)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--plot", type=Path, help="picture of the first site: a .png, .svg or .pdf")


def _broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", help="broker (default: the settings, or the environment)")
    parser.add_argument("--settings", type=Path, help="TOML, as python -m pipeline takes it")


def _trace_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topology", type=Path, help="site file, where the trace has none")
    parser.add_argument("--level", default="rack", choices=("rack", "pdu", "substation"))
    parser.add_argument("--unit", choices=("W", "kW", "MW"), help="where no column name says it")
    parser.add_argument("--rate", help="samples per second, where the stamps are too uneven")


def _suite_form(parser: argparse.ArgumentParser) -> None:
    """What ``score`` takes for a suite and not for a trace."""
    parser.add_argument("--only", help="suite: cases whose name holds or matches this")
    parser.add_argument("--seed", type=int, help="suite: random numbers (default: drawn, printed)")
    parser.add_argument("--jobs", type=int, default=2, help="suite: processes (default 2)")
    parser.add_argument("--keep", type=Path, help="suite: finished pieces stay here, to go on from")
    parser.add_argument("--page", type=Path, help="suite: a page with its marks, to be filled")


def _opened(args: argparse.Namespace, path: Path) -> Trace:
    return open_trace(
        path, level=args.level, unit=args.unit, rate=args.rate, topology=args.topology
    )


def _archive(given: Path | None) -> Path:
    """The archive asked for, or a temporary one, which stays: its path is in the output."""
    return given or Path(tempfile.mkdtemp(prefix="lockstep-")) / "archive"


def _kafka(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Bootstrap address and the client settings that go with it, from the settings and flags."""
    from pipeline.admin import client_settings  # noqa: PLC0415  Kafka takes long to import

    kafka = load(args.settings).kafka
    client = client_settings(kafka)
    del client["bootstrap_servers"]
    return args.bootstrap or kafka.bootstrap, client


def _show(trace: Trace, result: Result, marks: Score | None) -> None:
    for line in report.lines(result.events, marks, t0_ns=trace.t0_ns):
        print(line)
    print(
        f"{trace.samples} samples in {result.wall_s:.1f} s "
        f"({trace.samples / max(result.wall_s, 1e-9):,.0f} samples/s); {result.windows} windows, "
        f"{result.archived} archived; {result.deadletters} dead letters\narchive: {result.archive}"
    )


def _replayed(
    args: argparse.Namespace, trace: Trace, speed: float | None = None
) -> tuple[dict[str, Any], Score | None]:
    """Replay one trace; prints it for people, returns it for scripts."""
    device, folder = choose(args.device), _archive(args.archive)
    with ThreadPoolExecutor(1, "archive") as side:  # mostly waiting for DuckDB
        made = side.submit(archive.create, folder)
        device.kernels().warm()
    made.result()
    if not args.json:
        print(f"{device.line}\n{report.head_line(trace)}", flush=True)
    result = replay(trace, folder, device, speed)
    marks = scored(trace, result.events)
    if not args.json:
        _show(trace, result, marks)
    if args.plot:
        plot(args.plot, Path(result.archive), result.events, trace.sites[0])
    return report.as_json(trace, result.run_fields(), result.events, marks), marks


def _verdict(marks: Score | None) -> int:
    return GOOD if marks is None or (marks.misses, marks.false_alarms) == (0, 0) else FAILED


def _demo(args: argparse.Namespace) -> int:
    if args.live:
        from replay.live import demo  # noqa: PLC0415  Kafka takes long to import

        return demo(open_trace(DEMO), args.archive, choose(args.device), as_json=args.json)
    told, marks = _replayed(args, open_trace(DEMO))
    if args.json:
        print(json.dumps(told))
    return _verdict(marks)


def _run(args: argparse.Namespace) -> int:
    trace, speed = _opened(args, args.trace), _speed(args.speed)
    if not args.to_kafka:
        told, _marks = _replayed(args, trace, speed)
        if args.json:
            print(json.dumps(told))
        return GOOD
    from replay.feed import feed  # noqa: PLC0415  Kafka takes long to import

    bootstrap, client = _kafka(args)
    sent = feed(trace, bootstrap, speed=speed, piece_s=min(args.piece_s, 1.0), client=client)
    told = {"trace": str(trace.path), "bootstrap": bootstrap, "messages": sent}
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
    from replay.suite.door import score_suite  # noqa: PLC0415  every case takes long to import
    from replay.suite.suite import find_suite  # noqa: PLC0415

    suite = None if args.trace.is_dir() else find_suite(args.trace)
    if suite is not None:
        return GOOD if score_suite(suite, args) else FAILED
    paths, rows, code = find_traces(args.trace), [], GOOD
    for path in paths:
        trace = _opened(args, path)
        if trace.truth is None:
            msg = f"{path} has no truth.json beside it; score needs one"
            raise TraceError(msg)
        told, marks = _replayed(args, trace)
        rows.append(told)
        code = max(code, _verdict(marks))
    if args.json:
        print(json.dumps({"rows": rows} if paths != [args.trace] else rows[0]))
    return code


def _forecast_score(args: argparse.Namespace) -> int:
    from replay.forecast_cli import score  # noqa: PLC0415  only this verb needs it

    return score(args)


def _simulate(args: argparse.Namespace) -> int:
    from replay.plan import default_plan, load_plan  # noqa: PLC0415
    from replay.simulate import simulate  # noqa: PLC0415  only this verb needs it

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
    from replay.record import record  # noqa: PLC0415  Kafka takes long to import

    settings = load(args.settings)
    if args.sites:
        sites = msgspec.structs.replace(settings.sites, path=args.sites)
        settings = msgspec.structs.replace(settings, sites=sites)
    bootstrap, client = _kafka(args)
    told = record(
        bootstrap,
        args.folder,
        duration_s=args.duration_s,
        topologies=topologies(settings),
        client=client,
    )
    text = f"{told['folder']}: {told['sites']} sites, {told['channels']} channels"
    print(json.dumps(told) if args.json else f"{text}, {told['samples']} samples")
    return GOOD
