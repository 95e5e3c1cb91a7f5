"""
The hot path by size: ``make bench-kernels``, or ``python -m tests.bench.kernels``.

Prints a table and adds it to ``build/bench.json`` under ``kernels``. What is counted, and what the
figures were when: docs/performance.md. All is one thread unless ``--threads`` says otherwise, and
CPU time is what is told: other work on the machine shows less in it than in a clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from operators._arrays import narrow
from operators.kernels import Kernels, cpu, reference
from operators.noise import NoiseState
from operators.ramps import RampState
from pipeline.align_state import Block
from pipeline.detect import DetectSettings
from pipeline.device import Device, choose
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from replay.suite.sites import RACKS_PER_PDU, layout_of
from schemas.units import NS_PER_S
from tests.bench.figures import Figure, machine, table
from tests.bench.recompute import Recompute
from tests.operators.test_kernels import site

OUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"
T0_NS = 1_772_546_400 * NS_PER_S
COPY_BYTES = 1 << 28
TICKS, MEMORY_S, HOPS = 10, 60, 10
WARM_S = 120
"""Seconds before the clock runs: until then windows fill, and memory is asked for."""
PLAIN = 10_000
"""Racks up to which a plain recomputation is timed beside it."""


def spent_s(job: Callable[[], Any], *, times: int) -> float:
    """Median CPU time of a job, s; the first run does not count."""
    job()
    taken_s = []
    for _ in range(times):
        begun_s = time.process_time()
        job()
        taken_s.append(time.process_time() - begun_s)
    return statistics.median(taken_s)


def copied() -> Iterator[Figure]:
    """One thread's copy of 256 MiB: bytes read and written a second."""
    a, b = np.zeros(COPY_BYTES // 8), np.ones(COPY_BYTES // 8)
    one_s = spent_s(lambda: np.copyto(a, b), times=7)
    yield Figure("copy", 2 * COPY_BYTES / one_s / 1e9, "GB/s", "one thread, read and written")


def rack_bytes(racks: int, nodes: int) -> dict[str, int]:
    """Bytes that one second of ``racks`` must read or write, each array counted once."""
    return {
        "samples, read": racks * TICKS * 5,
        "the second before, read": racks * TICKS * 5,
        "thresholds and peaks": racks * 16,
        "power, share, change, synchrony of nodes, written": nodes * TICKS * 32,
        "noise memory, read and written once in ten seconds": 3 * racks * MEMORY_S * 4 // HOPS,
    }


def racks(count: int, copy_gbs: float) -> Iterator[Figure]:
    """What every rack costs: sums, masked differences, votes, peaks, the noise memory."""
    plan, kernels = site(count, RACKS_PER_PDU), cpu.KERNELS
    rng = np.random.default_rng(2)
    seconds = [narrow(rng.normal(8e4, 50, (count + 1, TICKS))) for _ in range(2)]
    ok, limits_w = np.ones(seconds[0].shape, bool), np.full(count, 1e4)
    before, noise = seconds[0], [kernels_state(count)]

    def hops(kernels: Kernels = kernels) -> None:
        past = RampState(before, ok)
        peaks = [kernels.frame(seconds[1], ok, past, limits_w, plan).peak_w for _ in range(HOPS)]
        latest_w = np.concatenate(peaks, axis=1)
        noise[0] = kernels.remember(latest_w, latest_w >= 0, noise[0])
        kernels.noise_scale(noise[0])

    moved = rack_bytes(count, len(plan.counts))
    median_s = spent_s(hops, times=max(2, min(20, 200_000 // count)))
    rate, gbs = HOPS * count * TICKS / median_s, HOPS * sum(moved.values()) / median_s / 1e9
    note = f"{sum(moved.values()) / count / TICKS:.0f} B a sample, {gbs / copy_gbs:.0%} of copy"
    yield Figure(f"rack kernels, {count:,} racks x 10 Hz", rate / 1e6, "M samples/s", note)
    if count <= PLAIN:
        slow_s = spent_s(lambda: hops(reference.KERNELS), times=2)
        yield Figure(f"their reference, {count:,} racks", slow_s / median_s, "times as long")


def kernels_state(count: int) -> Any:
    """A full noise memory."""
    peaks_w = np.random.default_rng(1).gamma(4.0, 20.0, (count, MEMORY_S)).astype(np.float32)
    return NoiseState(peaks_w, np.full(count, MEMORY_S))


def blocks(layout: SiteLayout, seconds: int, cut_s: int) -> Iterator[Block]:
    """
    White noise of 50 W on 80 kW a rack, and of as many at the top, in hops of ``cut_s``.

    New each time: what came again would be a line.
    """
    rng, leaves = np.random.default_rng(2), len(layout.leaves)
    for n in range(seconds // cut_s):
        power_w, each = {}, {"rack": 1, "substation": leaves}
        for grid in layout.grids:
            x = rng.standard_normal((grid.channels, grid.rate * cut_s), dtype=np.float32)
            x *= np.float32(50 * each[grid.level] ** 0.5)
            x += np.float32(8e4 * each[grid.level])
            power_w[grid.level] = x
        valid = {level: np.ones(x.shape, bool) for level, x in power_w.items()}
        t0_ns, ticks = T0_NS + n * cut_s * NS_PER_S, cut_s * layout.ticks_per_s
        yield Block(t0_ns, ticks, power_w, valid, {}, restart=False)


def engine(
    layout: SiteLayout, device: Device, *, report: bool, cut_s: int, seconds: int
) -> tuple[float, float, Any]:
    """Wall and CPU time a grid second of a warm engine, s, and its last state."""
    made = Engine(layout, DetectSettings(), device, report=report)
    state, wall_s, cpu_s, done = made.start(), 0.0, 0.0, 0
    for block in blocks(layout, WARM_S + seconds, cut_s):
        wall, used = time.perf_counter(), time.process_time()
        state, _ = made.step(state, block)
        if done >= WARM_S:
            wall_s, cpu_s = wall_s + time.perf_counter() - wall, cpu_s + time.process_time() - used
        done += cut_s
    return wall_s / seconds, cpu_s / seconds, state


def engines(count: int, device: Device, seconds: int) -> Iterator[Figure]:
    """The complete detector set: events alone and with windows and state, by hop."""
    plain = None
    if count <= PLAIN:
        whole = Recompute(count, RACKS_PER_PDU)
        new_w = np.random.default_rng(4).normal(8e4, 50, (count, TICKS))
        plain = spent_s(lambda: whole.hop(new_w), times=3)
    for report in (False, True):
        for cut_s in (1, 10):
            wall_s, cpu_s, state = engine(
                layout_of(count, 30), device, report=report, cut_s=cut_s, seconds=seconds
            )
            what = "all" if report else "events"
            note = f"{cpu_s * 1e3:.2f} ms a grid second, {wall_s * 1e3:.2f} by the clock"
            yield Figure(
                f"engine, {what}, {count:,} racks, {cut_s}-s hops",
                count * TICKS / cpu_s / 1e6, "M samples/s", note,
                "NumPy anew" if plain else "", count * TICKS / plain / 1e6 if plain else None,
            )  # fmt: skip
    yield Figure(f"state, {count:,} racks", _bytes(state) / count, "B a rack", "all of it")


def _bytes(value: Any) -> int:
    """Bytes of all arrays below."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return sum(map(_bytes, vars(value).values())) if hasattr(value, "__dict__") else 0


START = "import time; t = time.perf_counter(); from pipeline.device import choose; "
START += "choose('cpu').kernels(); print(time.perf_counter() - t)"


def start_up() -> Iterator[Figure]:
    """A fresh process until nothing is left to compile or load: cache empty, then warm."""
    with tempfile.TemporaryDirectory(prefix="lockstep-numba-") as folder:
        for what in ("compiling everything", "from the cache"):
            done = subprocess.run(
                [sys.executable, "-c", START], capture_output=True, text=True, check=True,
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
            )  # fmt: skip
            yield Figure(f"kernels ready, {what}", float(done.stdout), "s")


def main() -> int:
    """Run what was asked for; exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kernels", description=__doc__)
    parser.add_argument("--racks", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--engine", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="of the engine; 0: all there are")
    parser.add_argument("--out", type=Path, default=OUT, help="where the JSON goes")
    args = parser.parse_args()
    device, facts = choose("cpu", args.threads), machine()
    for name, value in facts.items():
        print(f"{name:16} {value}")
    figures = list(copied())
    for count in args.racks:
        figures += racks(count, figures[0].value)
    for count in args.engine:
        figures += engines(count, device, args.seconds)
    figures += start_up()
    print("", *table(figures), sep="\n", flush=True)
    told = msgspec.json.decode(args.out.read_bytes()) if args.out.exists() else {}
    told["kernels"] = {"machine": facts, "figures": figures}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
    print(f"\nwritten to {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
