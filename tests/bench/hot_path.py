"""
The way a sample goes, at size: ``make bench-hot-path``, or ``python -m tests.bench.hot_path``.

Engine at 100,000 racks x 10 Hz and 1,000 x 100 Hz, spectra beside SciPy's, `replay run` from file
to archive beside the engine alone, and how long a fresh process takes until its first frame. Added
to ``build/bench.json`` under ``hot_path``. CPU time of one thread, as in `tests.bench.kernels`,
where nothing else is said. What the figures were: docs/performance.md.
"""

from __future__ import annotations

import argparse
import ast
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from operators import oscillations
from operators._oscillation_design import PAD
from pipeline.clock import stopwatch
from pipeline.detect import DetectSettings
from pipeline.device import Device, choose
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.broker import open_broker
from replay.cli import DEMO
from replay.live import Worker, prepare
from replay.plan import Plan, Site
from replay.simulate import simulate
from replay.source import open_trace
from replay.suite.sites import RACK_HZ, layout_of
from schemas.topology import Topology
from tests.bench.figures import Figure, machine, table
from tests.bench.kernels import OUT, copied, engine, racks, spent_s

TIMES = 3


def site(count: int, rack_hz: int) -> SiteLayout:
    """The suite's site of so many racks, metered so often."""
    layout = layout_of(count, 30)
    if rack_hz == RACK_HZ:
        return layout
    text = layout.topology.dumps().replace(f"rate_hz = {RACK_HZ}\n", f"rate_hz = {rack_hz}\n")
    return SiteLayout(Topology.parse(text))


def engines(device: Device, sizes: list[tuple[int, int]], seconds: int) -> Iterator[Figure]:
    """All detectors, without and with windows, states and forecasts."""
    for count, rack_hz in sizes:
        layout = site(count, rack_hz)
        for report, what in ((False, "events"), (True, "all")):
            wall_s, cpu_s, _ = engine(layout, device, report=report, cut_s=1, seconds=seconds)
            note = f"{cpu_s * 1e3:.1f} ms a grid second, {wall_s * 1e3:.1f} by the clock"
            name = f"engine, {what}, {count:,} racks x {rack_hz} Hz, 1-s hops"
            yield Figure(name, count * rack_hz / cpu_s / 1e6, "M samples/s", note)


def spectra(count: int, device: Device) -> Iterator[Figure]:
    """What the engine looks at once a second, and SciPy's spectrograms of the same."""
    from scipy import signal

    feeds = Engine(layout_of(count, 30), DetectSettings(), device)._spectra.feeds
    rng, ours_s, theirs_s, rows, looks = np.random.default_rng(3), 0.0, 0.0, 0, 0
    kernels = device.kernels()
    for feed in feeds:
        rows += len(feed.nodes)
        for bank in feed.banks:
            design = bank.plan.design
            x = rng.normal(1e6, 500, (len(feed.nodes), design.window + design.hop))
            state = oscillations.start(x[:, :1], design=design, until_hop=design.hop)
            for k in range(0, design.window, design.hop):
                hop, ok = x[:, k : k + design.hop], np.ones((len(x), design.hop), bool)
                _, state = kernels.periodogram(hop, ok, state, plan=bank.plan)
            hop, ok = x[:, -design.hop :], np.ones((len(x), design.hop), bool)

            def mine(
                hop: Any = hop, ok: Any = ok, state: Any = state, plan: Any = bank.plan
            ) -> Any:
                return kernels.periodogram(hop, ok, state, plan=plan)

            ours_s += spent_s(mine, times=TIMES) / bank.hop_s
            for look in design.looks:
                n, looks = look.samples, looks + 1

                def other(x: Any = x, n: int = n, rate: float = bank.rate_hz) -> Any:
                    return signal.spectrogram(
                        x[:, -n:], rate, window="hann", nperseg=n, noverlap=0,
                        nfft=PAD * n, detrend="constant",
                    )  # fmt: skip

                theirs_s += spent_s(other, times=TIMES) / bank.hop_s
    note = (
        f"{rows} rows, {looks} windows; ours: also levels, thresholds, sums and votes of each bin"
    )
    name = f"spectra of {count:,} racks' PDUs"
    yield Figure(name, ours_s * 1e3, "ms a grid second", note, "SciPy", theirs_s * 1e3)


def trace(folder: Path, count: int, seconds: int) -> Path:
    """A native trace of ``count`` racks in slices of 1 s."""
    pdus = count // 50
    one = Site(id="hot", pdus=pdus, racks_per_pdu=50, rack_gateways=2)
    simulate(folder / "trace", Plan(site=(one,), duration_s=seconds), 0)
    return folder / "trace"


def replayed(path: Path, folder: Path) -> Iterator[Figure]:
    """`replay run` of a native trace as a process of its own, file to archive, best of three."""
    runs = []
    for n in range(TIMES):
        command = [sys.executable, "-m", "replay", "run", str(path), "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        done = subprocess.run(
            [*command, "--archive", str(folder / f"archive-{n}")], capture_output=True, check=True
        )
        used_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        runs.append((json.loads(done.stdout), used_s))
    told, used_s = min(runs, key=lambda run: run[0]["wall_s"])
    stages = ", ".join(f"{name} {value:.2f}" for name, value in told["stages_s"].items())
    rate = told["samples"] / told["wall_s"] / 1e6
    name = f"replay run, {told['channels']:,} channels, {told['duration_s']:g} s"
    yield Figure(name, rate, "M samples/s", f"{told['wall_s']:.2f} s: {stages}; CPU {used_s:.1f} s")


COLD = """
import sys, time
begun, told = float(sys.argv[1]), []
def at(stage): told.append((stage, time.monotonic() - begun))
def after(owner, name, stage):
    inner = getattr(owner, name)
    def call(*args, **more):
        found = inner(*args, **more)
        at(stage)
        return found
    setattr(owner, name, call)
at("python")
import replay.cli, replay.runner, pipeline.outbox
at("imports")
after(replay.cli, "open_trace", "trace and site file")
laid_out = replay.runner.Runner.__init__
def lay_out(*args):
    at("kernels and catalog")
    laid_out(*args)
    at("site laid out")
replay.runner.Runner.__init__ = lay_out
def first(*args):
    at("first frame")
    print((told, time.process_time()))
    raise KeyboardInterrupt
pipeline.outbox.Outbox.collect = first
replay.cli.main(["run", sys.argv[2], "--json"])
"""


def cold(path: Path, what: str) -> Iterator[Figure]:
    """A fresh `replay run` with compiled kernels on disk, until its first block is computed."""
    runs = []
    for _ in range(TIMES):
        begun = time.clock_gettime(time.CLOCK_MONOTONIC)
        command = [sys.executable, "-c", COLD, str(begun), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs.append(ast.literal_eval(done.stdout))
    told, used_s = min(runs, key=lambda run: run[0][-1][1])
    parts, last = [], 0.0
    for stage, at_s in told:
        parts.append(f"{stage} {at_s - last:.2f}")
        last = at_s
    note = f"{', '.join(parts)}; CPU {used_s:.2f} s"
    yield Figure(f"cold start to first frame, {what}", last, "s", note)


def worker(folder: Path) -> Iterator[Figure]:
    """`pipeline run` of the shipped trace's site, from its start until partitions are assigned."""
    runs_s = []
    with open_broker() as broker:
        env = prepare(folder, broker, open_trace(DEMO))
        for n in range(TIMES):
            elapsed_s = stopwatch()
            with Worker(env, folder / f"worker-{n}.log") as one:
                one.wait_ready()
                runs_s.append(elapsed_s())
        kind = broker.kind
    yield Figure("worker until ready", min(runs_s), "s", f"{kind} broker on the same machine")


def main() -> int:
    """Run everything; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hot_path", description=__doc__)
    parser.add_argument("--racks", type=int, default=10_000, help="of the replay")
    parser.add_argument("--engine", default="100000x10 1000x100", help="racks x Hz, with spaces")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--replay-seconds", type=int, default=300)
    parser.add_argument("--trace", type=Path, help="a native trace there is already")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    args = parser.parse_args()
    device, facts, elapsed_s = choose("cpu"), machine(), stopwatch()
    for name, value in facts.items():
        print(f"{name:16} {value}")
    sizes = [tuple(map(int, size.split("x"))) for size in args.engine.split()]
    figures = list(copied())
    figures += racks(args.racks, figures[0].value)
    figures += engines(device, [(args.racks, RACK_HZ), *sizes], args.seconds)  # type: ignore[list-item]
    figures += spectra(args.racks, device)
    with tempfile.TemporaryDirectory(prefix="lockstep-hot-") as name:
        path = args.trace or trace(Path(name), args.racks, args.replay_seconds)
        figures += replayed(path, Path(name))
        figures += cold(path, f"{args.racks:,} racks")
        figures += cold(DEMO, "the shipped trace")
        figures += worker(Path(name) / "live")
    print("", *table(figures), f"\n{elapsed_s():.0f} s", sep="\n", flush=True)
    told = msgspec.json.decode(args.out.read_bytes()) if args.out.exists() else {}
    told["hot_path"] = {"machine": facts, "figures": figures}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
