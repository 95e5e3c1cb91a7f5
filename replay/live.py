"""The main job on one machine: a broker, a worker, a trace through both, and the same here."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaConsumer

from pipeline import archive
from pipeline.clock import stopwatch
from pipeline.commits import newest_commit
from pipeline.device import Device
from replay import report
from replay.broker import Broker, open_broker
from replay.child import start_child
from replay.errors import FeedError
from replay.feed import feed
from replay.runner import replay
from replay.score import scored
from replay.source import Trace
from schemas.events import SiteEvent
from schemas.topics import TOPICS
from schemas.units import NS_PER_S

__all__ = ["Worker", "archived", "client_settings", "contents", "demo", "prepare", "wait_archived"]

READY_S = 60.0
DONE_S = 300.0
QUIET_POLLS = 3
CONTENTS = {
    "event_log": "select * from event_log order by updated_ns, event_id",
    "windows": "select * from windows order by t0_ns, node_id, site_id",
    "waveforms": "select * from waveforms order by t0_ns, channel_id, site_id",
}
SQL = """
select kind, node_id, onset_utc, round(depth_w / 1e3) as depth_kw, round(freq_hz, 2) as freq_hz,
       round(amplitude_w / 1e3) as amplitude_kw, state
from events order by onset_ns
"""


def prepare(folder: Path, broker: Broker, trace: Trace, *, partitions: int = 1) -> dict[str, str]:
    """Topics, a folder of site files, and the environment a worker needs to work on them."""
    broker.create_topics({topic.name: partitions for topic in TOPICS})
    sites = folder / "sites"
    sites.mkdir(parents=True, exist_ok=True)
    for site_id, topology in trace.topologies.items():
        (sites / f"{site_id}.toml").write_text(topology.dumps())
    ours = {
        "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
        "LOCKSTEP__ARCHIVE__PATH": str(folder / "archive"),
        "LOCKSTEP__SITES__PATH": str(sites),
        "LOCKSTEP__RUN__HEARTBEAT_S": "5",
        "LOCKSTEP__DETECT__FORECAST_CONSENT": "true",
    }
    if broker.kind == "mock":
        ours |= {"LOCKSTEP__KAFKA__API_VERSION": "2.3"}
    return ours


class Worker:
    """
    One ``python -m pipeline run`` in a process of its own.

    Its output goes to ``log``; a context manager that ends it.
    """

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.process = start_child(
                [sys.executable, "-m", "pipeline", "run"],
                env={**os.environ, **env},
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[1],
            )

    @property
    def text(self) -> str:
        """What it has said since it was started."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until its partitions are assigned."""
        elapsed_s = stopwatch()
        while "ready:" not in self.text:
            if self.process.poll() is not None or elapsed_s() > timeout_s:
                last = self.text.strip().splitlines()[-1:] or ["it said nothing"]
                msg = f"the worker was not ready after {elapsed_s():.0f} s: {last[0]}"
                raise FeedError(msg)
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM, timeout_s: float = 15.0) -> int:
        """Send it a signal and wait; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout_s)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.end(signal.SIGTERM)
        self.process.kill()
        self.process.wait()


def archived(root: Path) -> dict[str, int]:
    """High-water mark of each site in an archive, ns."""
    marks: dict[str, int] = {}
    for folder in (root / "live").glob("writer=*"):
        record = newest_commit(root, folder.name.partition("=")[2])
        for site_id, until_ns in record.archived_until_ns.items() if record else ():
            marks[site_id] = max(until_ns, marks.get(site_id, until_ns))
    return marks


def wait_archived(root: Path, trace: Trace, *, workers: list[Worker], timeout_s: float) -> None:
    """Wait until every site's end of stream is in the archive."""
    elapsed_s = stopwatch()
    end_ns = trace.t0_ns + int(trace.duration_s * NS_PER_S)
    while True:
        marks = archived(root)
        if all(marks.get(site, 0) > end_ns for site in trace.sites):
            return
        dead = [w for w in workers if w.process.poll() is not None]
        if dead or elapsed_s() > timeout_s:
            last = (dead or workers)[0].text.strip().splitlines()[-1:]
            why = "the worker ended" if dead else f"not done after {timeout_s:.0f} s"
            raise FeedError(f"{why}: {last[0] if last else 'it said nothing'}")
        time.sleep(0.1)


def contents(root: Path) -> dict[str, list[str]]:
    """Every row of the archive's events and windows, as text that shows every bit."""
    limits = archive.Limits(rows=10_000_000)
    found = {}
    for table, sql in CONTENTS.items():
        columns, rows = archive.query(root, sql, limits=limits)
        keep = [i for i, name in enumerate(columns) if name not in ("writer", "commit")]
        found[table] = [repr([row[i] for i in keep]) for row in rows]
    return found


@contextlib.contextmanager
def _watching(broker: Broker, trace: Trace) -> Iterator[dict[str, Any]]:
    """Print events as they open on the topic; keep the newest forecast."""
    seen: dict[str, Any] = {"stop": False, "events": {}, "forecast": None}
    consumer = KafkaConsumer(
        "site.event.v1",
        "grid.forecast.v1",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **broker.client_settings,
    )

    def listen() -> None:
        empty = 0
        while not (seen["stop"] and empty >= QUIET_POLLS):
            polled = consumer.poll(timeout_ms=200)
            empty = 0 if polled else empty + 1
            for batch in polled.values():
                for message in batch:
                    _notice(message, seen, trace)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        seen["stop"] = True
        thread.join(READY_S)
        consumer.close()


def _notice(message: Any, seen: dict[str, Any], trace: Trace) -> None:
    data = json.loads(message.value)["data"]
    if message.topic == "grid.forecast.v1":
        if data["horizon_class"] == "fast":
            seen["forecast"] = data
        return
    event = msgspec.convert(data, SiteEvent)
    if event.event_id not in seen["events"] and not seen.get("quiet"):
        delay_s = (event.opened_ns - event.onset_ns) / NS_PER_S
        line = report.event_line("open", event, t0_ns=trace.t0_ns, delay_s=delay_s)
        print(line, flush=True)
    seen["events"][event.event_id] = event


def _forecast_line(forecast: dict[str, Any] | None, trace: Trace) -> str:
    if forecast is None:
        return "forecast  none"
    when = report.time_text(forecast["issued_ns"] - trace.t0_ns)
    last = forecast["intervals"][-1]
    held = forecast["calibration"][-1]
    quantiles = "  ".join(f"{q} {report.power_text(last[f'{q}_w'])}" for q in ("q05", "q50", "q95"))
    return (
        f"forecast  t={when}  +{held['horizon_s']:g} s  {quantiles}  "
        f"90 % interval held {held.get('coverage', 0):.0%} of {held['n']}"
    )


def demo(trace: Trace, keep: Path | None, device: Device, *, as_json: bool) -> int:
    """The main job with a trace; 0 when live and replay gave the same, and all is found."""
    say = (lambda _text: None) if as_json else (lambda text: print(text, flush=True))
    with contextlib.ExitStack() as stack:
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lockstep-")))
        folder.mkdir(parents=True, exist_ok=True)
        elapsed_s = stopwatch()
        broker = stack.enter_context(open_broker())
        say(f"broker: {broker}  {elapsed_s():.1f} s")
        env = prepare(folder, broker, trace)
        worker = stack.enter_context(Worker(env, folder / "worker.log"))
        worker.wait_ready()
        say(f"worker: ready  {elapsed_s():.1f} s  {device.line}")
        say(report.head_line(trace))
        with _watching(broker, trace) as seen:
            seen["quiet"] = as_json
            fed_s = stopwatch()
            sent = feed(trace, broker.bootstrap, client=client_settings(broker))
            wait_archived(folder / "archive", trace, workers=[worker], timeout_s=DONE_S)
            wall_s = fed_s()
        status = worker.end()
        say(f"live:   {sent} messages, {trace.samples} samples, {wall_s:.1f} s; exit {status}")
        say(_forecast_line(seen["forecast"], trace))
        _say_sql(folder / "archive", say)
        result = replay(trace, folder / "replay", device)
        live, here = contents(folder / "archive"), contents(folder / "replay")
    marks = scored(trace, result.events)
    if as_json:
        told = report.as_json(trace, result.run_fields(), result.events, marks)
        print(json.dumps({**told, "live_wall_s": wall_s, "live_equals_replay": live == here}))
    else:
        _say_verdict(trace, result, marks, live, here)
    good = marks is None or (marks.hits == marks.truth and marks.false_alarms == 0)
    return 0 if good and live == here and status == 0 else 1


def client_settings(broker: Broker) -> dict[str, Any]:
    """What a kafka-python client needs beside the broker's address."""
    return {k: v for k, v in broker.client_settings.items() if k != "bootstrap_servers"}


def _say_sql(root: Path, say: Any) -> None:
    columns, rows = archive.query(root, SQL)
    say("sql:    " + " ".join(SQL.split()))
    say("        " + "  ".join(columns))
    for row in rows:
        say("        " + "  ".join("-" if v is None else f"{v}" for v in row))


def _say_verdict(trace: Trace, result: Any, marks: Any, live: Any, here: Any) -> None:
    for line in report.lines(result.events, marks, t0_ns=trace.t0_ns):
        print(line)
    for table in live:
        same = "the same" if live[table] == here[table] else "NOT the same"
        print(f"live = replay: {table}: {len(live[table])} and {len(here[table])} rows, {same}")
