"""A trace into live topics, at its own pace, N times as fast, or as fast as the broker takes it."""

from __future__ import annotations

import operator
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError

from pipeline.clock import stopwatch
from replay.errors import FeedError
from replay.native import slice_end_ns
from replay.source import Trace
from schemas.telemetry import ARROW, encode_arrow
from schemas.topics import TELEMETRY
from schemas.units import NS_PER_S

__all__ = ["Progress", "feed"]

Progress = Callable[[float, int], None]
"""Told once a second of the trace: seconds fed so far, messages sent so far."""

_FLUSH_BYTES = 16 << 20
_FLUSH_S = 60
_HEADERS = [("content-type", ARROW.encode())]
_JSON = [("content-type", b"application/json")]
HINTS, SIGNALS = "workload.hint.v1", "grid.signal.v1"


def feed(
    trace: Trace,
    bootstrap: str,
    *,
    speed: float | None = None,
    piece_s: float = 0.2,
    progress: Progress | None = None,
    client: Mapping[str, Any] | None = None,
) -> int:
    """
    Send every slice of a trace, ends of stream included, to the telemetry topic of its level.

    Hints and signals beside the trace go out before the first slice that ends after them.
    The key is the site, the partition Kafka's default (murmur2), so that all levels of a site
    share a partition. Returns when the broker has acknowledged everything.

    Parameters
    ----------
    trace : Trace
        From `replay.source.open_trace`.
    bootstrap : str
        ``host:port``, several with commas.
    speed : float or None
        1: as it was recorded; N: N times as fast; None: as fast as the broker takes it. A slice
        is sent when its last sample is due.
    piece_s : float
        How fine the wide and the long form are cut; live gateways cut 0.1-0.2 s.
    progress : callable, optional
        Told once a second of the trace.
    client : mapping, optional
        Further settings of kafka-python's producer, such as those of security.

    Returns
    -------
    int
        Telemetry messages sent.

    Raises
    ------
    FeedError
        One sentence, when the broker cannot be reached or does not take a message.
    TraceError
        When a slice cannot be used.
    """
    if speed is not None and not speed > 0:
        msg = f"speed is {speed}; use a number above 0, or none for as fast as possible"
        raise FeedError(msg)
    try:
        producer = KafkaProducer(**_settings(bootstrap, client))
    except KafkaError as error:
        msg = f"no broker at {bootstrap} ({_named(error)}); is it running"
        raise FeedError(msg) from error
    try:
        sent = _send_all(trace, producer, (speed, piece_s), progress)
    except KafkaError as error:
        msg = f"the broker at {bootstrap} did not take a message ({_named(error)})"
        raise FeedError(msg) from error
    finally:
        producer.close(timeout=_FLUSH_S)
    return sent


def _settings(bootstrap: str, client: Mapping[str, Any] | None) -> dict[str, Any]:
    ours = {
        "bootstrap_servers": bootstrap.split(","),
        "acks": "all",
        "linger_ms": 5,
        "batch_size": 1 << 18,
        "compression_type": None,
        "max_request_size": 2 << 20,
    }
    return {**ours, **(client or {})}


def _send_all(
    trace: Trace,
    producer: Any,
    pace: tuple[float | None, float],
    progress: Progress | None,
) -> int:
    speed, piece_s = pace
    elapsed_s, failed = stopwatch(), _Failed()
    said = _said(trace)
    sent = waiting_bytes = told_s = 0
    for piece in trace.slices(piece_s):
        due_s = (slice_end_ns(piece) - trace.t0_ns) / NS_PER_S
        if speed is not None:
            time.sleep(max(0.0, due_s / speed - elapsed_s()))
        while said and said[0][0] <= slice_end_ns(piece):
            _, topic, record = said.popleft()
            value = msgspec.json.encode(record)
            told = producer.send(topic, value, key=record.site_id.encode(), headers=_JSON)
            told.add_errback(failed.note)
        value = encode_arrow(piece)
        future = producer.send(
            TELEMETRY[piece.level], value, key=piece.site_id.encode(), headers=_HEADERS
        )
        future.add_errback(failed.note)
        sent, waiting_bytes = sent + 1, waiting_bytes + len(value)
        if waiting_bytes >= _FLUSH_BYTES:
            producer.flush(timeout=_FLUSH_S)
            waiting_bytes = 0
        failed.check()
        if progress is not None and int(due_s) > told_s:
            told_s = int(due_s)
            progress(due_s, sent)
    producer.flush(timeout=_FLUSH_S)
    failed.check()
    return sent


def _said(trace: Trace) -> deque[tuple[int, str, Any]]:
    """Hints and signals with their topics, in the order of their times."""
    hints = [(hint.t_ns, HINTS, hint) for hint in trace.hints]
    signals = [(signal.t_ns, SIGNALS, signal) for signal in trace.signals]
    return deque(sorted([*hints, *signals], key=operator.itemgetter(0, 1)))


class _Failed:
    """The first message the broker did not take; noted by the sender's thread."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def note(self, error: BaseException) -> None:
        self._error = self._error or error

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:160]
