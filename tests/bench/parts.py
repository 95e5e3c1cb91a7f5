"""What single stops cost: parse, commit, engine; beside the bare library where there is one."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import archive
from pipeline.align_state import Block
from pipeline.commits import Writer
from pipeline.decode import Decoder
from pipeline.detect import DetectSettings
from pipeline.device import Device
from pipeline.engine import Engine
from pipeline.layout import SiteLayout
from pipeline.publish import window_batch
from schemas.telemetry import ARROW, NDJSON, Slice, encode_arrow, encode_ndjson, parse
from schemas.topology import Topology
from schemas.units import NS_PER_S, Rate
from tests.bench.figures import Figure, quantile, repeat_s

__all__ = ["commit_cost", "engine_cost", "parse_cost"]

T0_NS = 1_772_546_400 * NS_PER_S
SHAPES = ((48, 2), (1000, 2), (1000, 10), (10_000, 2))
COMMITS = 100
WINDOW_ROWS = 2000
STEPS = {48: 60, 1000: 30, 10_000: 10}
SITE = """
[site]
id = "bench"
[[node]]
id = "poi"
level = "substation"
rating_w = {rating_w}
"""


def parse_cost() -> Iterator[Figure]:
    """Cost of one message: `parse` and the site's checks, against Arrow and JSON by themselves."""
    for rows, samples in SHAPES:
        topology = _site(rows)
        piece = _slice(topology, samples)
        value, decoder = encode_arrow(piece), Decoder({"bench": topology})
        bare_us = _us(lambda value=value: _bare_arrow(value))
        ours_us = _us(lambda value=value: parse(value, ARROW))
        both_us = _us(lambda value=value, d=decoder: d.check(parse(value, ARROW)))
        what, size = f"{rows} channels x {samples}", f"{len(value)} bytes"
        yield Figure(f"parse, {what}", ours_us, "us", size, "bare pyarrow", bare_us)
        yield Figure(f"parse and check, {what}", both_us, "us", size)
    lines = encode_ndjson(_slice(_site(1000), 2))
    bare_us = _us(lambda: [orjson.loads(line) for line in lines.splitlines()], times=30)
    ours_us = _us(lambda: parse(lines, NDJSON), times=30)
    note = f"JSON lines, {len(lines)} bytes"
    yield Figure("parse, 1000 channels x 2", ours_us, "us", note, "bare orjson", bare_us)


def _us(job: Any, times: int = 200) -> float:
    return repeat_s(job, times=times, warm=5)[1] * 1e6


def _bare_arrow(value: bytes) -> Any:
    batch = pa.ipc.open_stream(value).read_next_batch()
    return batch.column("power_w").values.to_numpy(zero_copy_only=True)


def _site(racks: int) -> Topology:
    """``racks`` racks at 10 Hz, 20 to a PDU, nothing else metered."""
    pdus = -(-racks // 20)
    text = [SITE.format(rating_w=racks * 130e3)]
    text += [f'[[node]]\nid = "pdu-{p}"\nlevel = "pdu"\nparent = "poi"' for p in range(pdus)]
    for r in range(racks):
        text.append(f'[[node]]\nid = "r{r}"\nlevel = "rack"\nparent = "pdu-{r // 20}"')
        text.append(f'[[channel]]\nid = "r{r}.p"\nnode_id = "r{r}"')
    text.append('[[gateway]]\nid = "gw"\nlevel = "rack"\nrate_hz = "10"\nchannels = ["*"]')
    return Topology.parse("\n".join(text))


def _slice(topology: Topology, samples: int) -> Slice:
    names = tuple(channel.id for channel in topology.channels)
    power_w = np.random.default_rng(1).normal(8e4, 50, (len(names), samples)).astype(np.float32)
    return Slice("bench", "rack", "gw", 1, T0_NS, Rate(10), names, power_w)


def commit_cost(folder: Path) -> Iterator[Figure]:
    """Durable commits of 2,000 windows, against one Parquet file written and fsynced."""
    root = folder / "commits"
    archive.create(root)
    writer = Writer.claim(root, "replay-bench")
    ours_ms, bare_ms = [], []
    for n in range(COMMITS):
        end_ns = T0_NS + (n + 1) * NS_PER_S
        batch = _windows(end_ns)
        begun_s = time.perf_counter()
        writer.commit(
            {"windows": [batch]},
            offsets={"telemetry.rack.v1": n},
            read_offsets={"telemetry.rack.v1": n},
            archived_until_ns={"bench": end_ns},
        )
        ours_ms.append((time.perf_counter() - begun_s) * 1e3)
        bare_ms.append(_bare_parquet(folder / f"{n}.parquet", pa.Table.from_batches([batch])))
    what, peer = f"commit, {WINDOW_ROWS} windows", "bare Parquet file, fsynced"
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours, bare = quantile(ours_ms, share), quantile(bare_ms, share)
        yield Figure(f"{what}, {name}", ours, "ms", f"{COMMITS} commits", peer, bare)


def _windows(end_ns: int) -> pa.RecordBatch:
    values = np.random.default_rng(end_ns % 2**32).normal(8e4, 500, WINDOW_ROWS)
    names = np.array([f"r{k}" for k in range(WINDOW_ROWS)], dtype=object)
    columns = dict.fromkeys(("mean_w", "min_w", "max_w"), values)
    columns |= {name: np.abs(values - 8e4) for name in ("ramp_up_w_per_s", "ramp_down_w_per_s")}
    fixed = {"site_id": "bench", "level": "rack", "t0_ns": end_ns - NS_PER_S}
    more = {"duration_ns": NS_PER_S, "valid_share": 1.0, "produced_ns": end_ns, "node_id": names}
    return window_batch({**columns, **fixed, **more})


def _bare_parquet(path: Path, rows: pa.Table) -> float:
    begun_s = time.perf_counter()
    with path.open("wb") as file:
        pq.write_table(rows, file)
        file.flush()
        os.fsync(file.fileno())
    return (time.perf_counter() - begun_s) * 1e3


def engine_cost(device: Device) -> Iterator[Figure]:
    """One grid second of one site through the engine, and which kernel takes which share."""
    for racks, steps in STEPS.items():
        layout = SiteLayout(_site(racks))
        watched, parts_s = _timed(device)
        engine = Engine(layout, DetectSettings(), watched)
        noise_w = np.random.default_rng(2).normal(8e4, 50, (racks, 10, 2))
        state, spent_s = engine.start(), 0.0
        for n in range(steps + 3):
            block = _block(layout, n, noise_w[:, :, n % 2] + n % 2)
            begun_s = time.perf_counter()
            state, _ = engine.step(state, block)
            spent_s += time.perf_counter() - begun_s
            if n == 2:  # the first seconds allocate
                spent_s, _ = 0.0, parts_s.clear()
        ms = spent_s / steps * 1e3
        share = sum(parts_s.values()) / spent_s
        note = ", ".join(f"{name} {s / spent_s:.0%}" for name, s in parts_s.most_common(4))
        yield Figure(f"engine, {racks} racks x 10 Hz", ms, "ms per grid second", note)
        yield Figure(f"kernels, {racks} racks x 10 Hz", share * 100, "% of the engine")
        yield Figure(f"engine alone, {racks} racks", racks * 10 / ms * 1e3, "samples/s")


def _block(layout: SiteLayout, second: int, power_w: Any) -> Block:
    t0_ns = T0_NS + second * NS_PER_S
    valid = np.ones(power_w.shape, bool)
    ticks = layout.ticks_per_s
    return Block(t0_ns, ticks, {"rack": power_w}, {"rack": valid}, {}, restart=False)


def _timed(device: Device) -> tuple[Device, Counter[str]]:
    """The device with a stopwatch at every kernel, s; none of them calls another."""
    spent_s: Counter[str] = Counter()

    def timed(name: str, job: Any) -> Any:
        def run(*args: Any, **how: Any) -> Any:
            begun_s = time.perf_counter()
            try:
                return job(*args, **how)
            finally:
                spent_s[name] += time.perf_counter() - begun_s

        return run

    plain = device.kernels()
    watched = {
        name: timed(name, job) for name, job in plain._asdict().items() if not isinstance(job, str)
    }
    return device._replace(kernels=lambda: plain._replace(**watched)), spent_s
