"""What the whole way costs: in this process, and through a broker with one worker."""

from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.clock import stopwatch
from pipeline.detect import DetectSettings
from pipeline.device import Device
from pipeline.lane import Lane, LaneConfig, Message
from replay.broker import open_broker
from replay.feed import feed
from replay.live import Worker, prepare, wait_archived
from replay.plan import Oscillation, Plan, Ramp, Site
from replay.runner import Runner
from replay.simulate import simulate
from replay.source import Trace, open_trace
from schemas.telemetry import ARROW, encode_arrow
from schemas.topics import TELEMETRY
from tests.bench.figures import Figure

__all__ = ["campus", "in_process", "lane_alone", "through_broker"]

LENGTH_S = 120
KAFKA_LENGTH_S = 300
PIECE_S = 0.2
"""As live gateways cut."""
TIMES = 3
WAIT_S = 120.0


def campus(folder: Path, racks: int, length_s: int = LENGTH_S) -> Trace:
    """``racks`` racks at 10 Hz and a substation at 30 Hz, with one ramp and one oscillation."""
    pdus = -(-racks // 20)
    site = Site(
        id=f"bench-{racks}",
        pdus=pdus,
        racks_per_pdu=-(-racks // pdus),
        ramp=(Ramp(onset_s=60, depth=-0.08),),
        oscillation=(Oscillation(onset_s=75, duration_s=30, freq_hz=1.4, amplitude=0.015),),
    )
    plan = Plan(site=(site,), duration_s=length_s, slice_s=PIECE_S)
    simulate(folder / site.id, plan, 1)
    return open_trace(folder / site.id)


def in_process(folder: Path, racks: int, device: Device) -> Iterator[Figure]:
    """`replay run` of a native trace into an archive, best of three."""
    trace = campus(folder, racks)
    walls_s, events = [], 0
    for n in range(TIMES):
        runner = Runner(trace, folder / f"archive-{racks}-{n}", device, DetectSettings())
        result = runner.run()
        walls_s.append(result.wall_s)
        events = len(result.events)
    note = f"{trace.samples} samples, {trace.duration_s:g} s, {events} events, best of {TIMES}"
    what = f"in-process, {trace.channels} channels"
    yield Figure(what, trace.samples / min(walls_s), "samples/s", note)
    yield Figure(f"{what}, times real time", trace.duration_s / min(walls_s), "x")


def lane_alone(folder: Path, racks: int, device: Device) -> Iterator[Figure]:
    """Messages to commits without Kafka: fed two by two, cut every grid second, as live."""
    trace = campus(folder / "lane", racks)
    messages, offsets = [], dict.fromkeys(TELEMETRY.values(), 0)
    for piece in trace.slices(PIECE_S):
        topic = TELEMETRY[piece.level]
        messages.append(Message(topic, 0, offsets[topic], encode_arrow(piece), ARROW))
        offsets[topic] += 1
    root, detect = folder / "lane" / "archive", DetectSettings()
    lane = Lane.open(LaneConfig(root, "live-p0of1", trace.topologies, detect, device))
    elapsed_s, commits = stopwatch(), 0
    for start in range(0, len(messages), 2):
        lane.feed(messages[start : start + 2])
        batch = lane.take()
        if batch is not None:
            lane.commit(batch)
            commits += 1
    wall_s, what = elapsed_s(), f"lane alone, {trace.channels} channels"
    note = f"{len(messages)} messages of {PIECE_S:g} s, {commits} commits, no Kafka"
    yield Figure(what, trace.samples / wall_s, "samples/s", note)
    yield Figure(what, wall_s / len(messages) * 1e6, "us per message")


def through_broker(folder: Path, racks: int) -> Iterator[Figure]:
    """One worker: fed while it works, then a second one on the topics as they lie."""
    trace = campus(folder / "kafka", racks, KAFKA_LENGTH_S)
    what = f"{trace.channels} channels"
    with open_broker() as broker:
        env = prepare(folder / "live", broker, trace)
        with Worker(env, folder / "live.log") as worker:
            worker.wait_ready()
            elapsed_s = stopwatch()
            sent = feed(trace, broker.bootstrap, client=_client(broker))
            fed_s = elapsed_s()
            wait_archived(folder / "live" / "archive", trace, workers=[worker], timeout_s=WAIT_S)
            whole_s = elapsed_s()
        env = prepare(folder / "again", broker, trace)
        with Worker(env, folder / "again.log") as worker:
            worker.wait_ready()
            elapsed_s, before_s = stopwatch(), _cpu_s(worker)
            wait_archived(folder / "again" / "archive", trace, workers=[worker], timeout_s=WAIT_S)
            read_s, cpu_s = elapsed_s(), _cpu_s(worker) - before_s
        kind = broker.kind
    note = f"{sent} messages of {PIECE_S:g} s, {kind} broker on the same machine"
    yield Figure(f"produce, {what}", trace.samples / fed_s, "samples/s", note)
    yield Figure(f"produce, {what}", sent / fed_s, "messages/s")
    rate, note = trace.samples / read_s, "topics filled before; from ready to the last commit"
    yield Figure(f"consume to archive, {what}", rate, "samples/s", note)
    yield Figure(f"consume to archive, {what}", cpu_s / sent * 1e6, "us of CPU per message")
    note = "first message sent to last commit durable"
    yield Figure(f"end to end, {what}", trace.samples / whole_s, "samples/s", note)


def _client(broker: object) -> dict[str, object]:
    settings = broker.client_settings  # type: ignore[attr-defined]
    return {key: value for key, value in settings.items() if key != "bootstrap_servers"}


def _cpu_s(worker: Worker) -> float:
    times = psutil.Process(worker.process.pid).cpu_times()
    return times.user + times.system
