"""The archive's write path: bulk commits by several writers, and a live lane's flush."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from pipeline import archive, keeper, rows
from pipeline.clock import SystemClock
from pipeline.commit_files import numbers
from pipeline.commits import Writer
from pipeline.publish import window_batch
from pipeline.settings import Archive
from schemas.units import NS_PER_S
from tests.bench.figures import Figure, quantile

__all__ = ["bulk", "day_of_commits", "live"]

BATCH, BATCHES, NODES, TURNS = 200_000, 8, 500, 3
LIVE_ROWS, LIVE_S, LIVE_EVERY_S = 2000, 60, 0.25
DAY_COMMITS = 86_400
PEER = "bare pyarrow, the same encodings, fsynced"


def _batch(site_id: str, number: int, count: int = BATCH) -> pa.RecordBatch:
    """Windows of a second each of `NODES` nodes, ``count`` rows."""
    draw = np.random.default_rng(number)
    names = pa.array([f"pdu-{k:03d}" for k in range(NODES)])
    seconds = np.repeat(np.arange(count // NODES), NODES) + number * (count // NODES)
    mean_w = draw.normal(8e4, 500, count)
    power = {"mean_w": mean_w, "min_w": mean_w - draw.random(count), "max_w": mean_w + 7}
    ramps = {name: draw.random(count) for name in ("ramp_up_w_per_s", "ramp_down_w_per_s")}
    places = pa.array((np.arange(count) % NODES).astype(np.int32))
    return window_batch(
        {
            "site_id": site_id,
            "node_id": pa.DictionaryArray.from_arrays(places, names),
            "level": "pdu",
            "t0_ns": seconds * NS_PER_S,
            "duration_ns": NS_PER_S,
            **power,
            **ramps,
            "valid_share": np.ones(count),
            "produced_ns": (seconds + 1) * NS_PER_S,
            "synchrony": draw.random(count),
        }
    )


def bulk(folder: Path) -> Iterator[Figure]:
    """Window rows a second by 1, 2 and 4 processes, each with a writer of its own."""
    root = folder / "bulk"
    archive.create(root)
    for count in (1, 2, 4):
        names = [f"b{count}{k}" for k in range(count)]
        bare, ours = 0.0, 0.0
        for turn in range(TURNS):
            bare = max(bare, _together([(_bare, folder, f"{n}t{turn}") for n in names]))
            ours = max(ours, _together([(_commits, root, f"{n}t{turn}") for n in names]))
        total = BATCH * BATCHES * count
        note = f"{BATCHES} commits of {BATCH} rows each, best of {TURNS} in turn"
        yield Figure(f"bulk, {count} writers", ours, "window rows/s", note, PEER, bare)
        yield Figure(f"bulk, {count} writers, of the peer", ours / bare, "", f"{total} rows")


def _together(jobs: list[tuple[Any, ...]]) -> float:
    """Rows a second of all processes, from a common start to the last one's end."""
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(len(jobs))
    spans = context.Queue()
    children = [context.Process(target=_timed, args=(job, begin, spans)) for job in jobs]
    for child in children:
        child.start()
    found = [spans.get() for _ in children]
    for child in children:
        child.join()
    wall_s = max(end for _, end in found) - min(begun for begun, _ in found)
    return BATCH * BATCHES * len(jobs) / wall_s


def _timed(job: tuple[Any, ...], begin: Any, spans: Any) -> None:
    run, folder, name = job
    batches = [_batch(name, k) for k in range(BATCHES)]
    rows.write(pa.Table.from_batches(batches[:1]), folder / f"warm-{name}.parquet")
    does = run(folder, name)
    begin.wait()
    begun_s = time.perf_counter()
    for k, batch in enumerate(batches):
        does(k, batch)
    spans.put((begun_s, time.perf_counter()))


def _commits(root: Path, name: str) -> Callable[[int, pa.RecordBatch], Any]:
    writer = Writer.claim(root, f"replay-{name}")

    def commit(k: int, batch: pa.RecordBatch) -> None:
        until_ns = (k + 1) * (BATCH // NODES) * NS_PER_S
        writer.commit(
            {"windows": [batch]}, offsets={}, read_offsets={}, archived_until_ns={name: until_ns}
        )

    return commit


def _bare(folder: Path, name: str) -> Callable[[int, pa.RecordBatch], Any]:
    def write(k: int, batch: pa.RecordBatch) -> None:
        path = folder / f"{name}-{k}.parquet"
        rows.write(pa.Table.from_batches([batch]), path)
        with path.open("rb") as file:
            os.fsync(file.fileno())

    return write


def live(folder: Path) -> Iterator[Figure]:
    """A lane's flush beside the event loop, and when another session sees its rows."""
    root = folder / "flush"
    archive.create(root)
    writer = Writer.claim(root, "live-p0of1")
    context = multiprocessing.get_context("spawn")
    ready, stop, seen = context.Event(), context.Event(), context.Queue()
    watcher = context.Process(target=_watch, args=(root, ready, stop, seen))
    watcher.start()
    ready.wait()
    flush_ms, blocked_ms, closed_s = asyncio.run(_flushes(writer, root))
    stop.wait(1.0)
    stop.set()
    shown_s = seen.get()
    watcher.join()
    seen_ms = [(shown_s[n] - at) * 1e3 for n, at in closed_s.items() if n in shown_s]
    note = f"{len(flush_ms)} commits of {LIVE_ROWS} windows, compaction beside"
    yield Figure("live flush, p50", quantile(flush_ms, 0.5), "ms", note)
    yield Figure("live flush, p99", quantile(flush_ms, 0.99), "ms", note)
    note = "delay of a 1-ms timer while commits are made"
    yield Figure("event loop blocked, p99", quantile(blocked_ms, 0.99), "ms", note)
    note = f"window closed to visible in a plain DuckDB session, {len(seen_ms)} of {len(closed_s)}"
    yield Figure("visible, p50", quantile(seen_ms, 0.5), "ms", note)
    yield Figure("visible, p95", quantile(seen_ms, 0.95), "ms", note)


async def _flushes(writer: Writer, root: Path) -> tuple[list[float], list[float], dict[int, float]]:
    """Commit in a thread, as a worker does; times of commits, of a timer's delay, of closing."""
    loop = asyncio.get_running_loop()
    flush_ms, blocked_ms, closed_s = [], [], {}
    done = asyncio.Event()

    async def tick() -> None:
        while not done.is_set():
            begun_s = time.perf_counter()
            await asyncio.sleep(0.001)
            blocked_ms.append((time.perf_counter() - begun_s - 0.001) * 1e3)

    batches = [_batch("live", k, LIVE_ROWS) for k in range(round(LIVE_S / LIVE_EVERY_S))]
    with ThreadPoolExecutor(4) as io:
        ticker = asyncio.create_task(tick())
        settings = Archive(path=root, compact_every_s=5.0)
        keeping = asyncio.create_task(keeper.keep(settings, io, SystemClock()))
        for k, batch in enumerate(batches):
            due_s = time.perf_counter() + LIVE_EVERY_S
            closed_s[k] = time.perf_counter()
            until_ns = (k + 1) * (LIVE_ROWS // NODES) * NS_PER_S
            await loop.run_in_executor(io, _commit, writer, [batch], until_ns)
            flush_ms.append((time.perf_counter() - closed_s[k]) * 1e3)
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        done.set()
        await ticker
        keeping.cancel()
    return flush_ms, blocked_ms, closed_s


def _commit(writer: Writer, windows: Any, until_ns: int) -> None:
    writer.commit(
        {"windows": windows}, offsets={}, read_offsets={}, archived_until_ns={"live": until_ns}
    )


def _watch(root: Path, ready: Any, stop: Any, seen: Any) -> None:
    """Ask a plain session for the newest window; note when each commit's came into sight."""
    shown_s: dict[int, float] = {}
    ready.set()
    per_commit_ns = LIVE_ROWS // NODES * NS_PER_S
    while not stop.wait(0.02):
        try:
            with duckdb.connect(str(root / "archive.duckdb"), read_only=True) as con:
                [(newest_ns,)] = con.execute("SELECT max(produced_ns) FROM windows").fetchall()
        except duckdb.Error:
            continue
        now_s = time.perf_counter()
        for n in range((newest_ns or 0) // per_commit_ns):
            shown_s.setdefault(n, now_s)
    seen.put(shown_s)


def day_of_commits(folder: Path, commits: int = DAY_COMMITS) -> Iterator[Figure]:
    """A day of a commit a second, made as fast as can be: what compaction leaves of it."""
    root = folder / "day"
    archive.create(root)
    writer, settings = Writer.claim(root, "live-p0of1"), Archive(path=root)
    clock, longest, steps_s = SystemClock(), 0, []
    batch = _batch("live", 0, NODES).slice(0, 20)
    plain = batch.to_pylist()
    for second in range(commits):
        end_ns = (second + 1) * NS_PER_S
        table = [{**row, "t0_ns": end_ns - NS_PER_S, "produced_ns": end_ns} for row in plain]
        _commit(writer, table, end_ns)
        if second % 30 == 0:
            begun_s = time.perf_counter()
            keeper.step(settings, clock)
            steps_s.append(time.perf_counter() - begun_s)
            longest = max(longest, len(numbers(root, "live-p0of1")))
    note = f"{commits} commits of {len(plain)} windows, a step every 30"
    yield Figure("live tail, longest", longest, "commits", note)
    yield Figure("compaction step, p50", quantile(steps_s, 0.5) * 1e3, "ms")
    yield Figure("compaction step, longest", max(steps_s) * 1e3, "ms")
