"""Live topics into a trace folder: what was sent, as it was sent, gateway by gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.clock import stopwatch
from replay.errors import FeedError
from replay.native import write_native
from replay.simulate import write_topologies
from schemas.telemetry import Refused, Slice, parse
from schemas.topics import TELEMETRY
from schemas.topology import Topology

__all__ = ["record"]

_POLL_MS = 200


def record(
    bootstrap: str,
    folder: Path | str,
    *,
    duration_s: float,
    topologies: Mapping[str, Topology],
    start: Literal["now", "earliest"] = "now",
    client: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """
    Write the telemetry of the known sites as a native trace folder.

    Ends after ``duration_s``, or when every gateway of every site has ended its stream. A
    message that is repeated is written once; one that cannot be read is counted and left out.

    Parameters
    ----------
    bootstrap : str
        ``host:port``, several with commas.
    folder : Path
        Made where it is missing; a trace in it is replaced.
    duration_s : float
        How long to listen, s.
    topologies : mapping of str to Topology
        Sites to record; written beside the trace.
    start : {"now", "earliest"}
        Listen from now on, or take what the topics still hold as well.
    client : mapping, optional
        Further settings of kafka-python's consumer, such as those of security.

    Returns
    -------
    dict
        ``folder, sites, channels, samples, messages, refused, repeated, foreign``.

    Raises
    ------
    FeedError
        One sentence, when the broker cannot be reached, a topic is missing, or nothing came.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tape = _Tape(topologies)
    try:
        consumer = _consumer(bootstrap, start, client)
        try:
            written = write_native(folder / "trace.parquet", tape.run(consumer, duration_s))
        finally:
            consumer.close()
    except KafkaError as error:
        msg = f"recording from {bootstrap} failed ({type(error).__name__}: {error})"[:240]
        raise FeedError(msg) from error
    if not written.messages:
        (folder / "trace.parquet").unlink()
        msg = f"nothing of {', '.join(topologies)} came in {duration_s:g} s; is it being fed"
        raise FeedError(msg)
    write_topologies(folder, dict(topologies))
    return {
        "folder": str(folder),
        "sites": len(written.end_ns),
        "channels": sum(len(topology.channels) for topology in topologies.values()),
        "samples": written.samples,
        "messages": written.messages,
        **tape.counts,
    }


def _consumer(bootstrap: str, start: str, client: Mapping[str, Any] | None) -> Any:
    ours: dict[str, Any] = {
        "bootstrap_servers": bootstrap.split(","),
        "group_id": None,
        "enable_auto_commit": False,
        "max_partition_fetch_bytes": 4 << 20,
    }
    consumer = KafkaConsumer(**{**ours, **(client or {})})
    parts = [
        TopicPartition(topic, part)
        for topic in TELEMETRY.values()
        for part in sorted(consumer.partitions_for_topic(topic) or ())
    ]
    if not parts:
        consumer.close()
        msg = f"no telemetry topic at {bootstrap}; make them with: python -m pipeline topics"
        raise FeedError(msg)
    consumer.assign(parts)
    seek = consumer.seek_to_beginning if start == "earliest" else consumer.seek_to_end
    seek(*parts)
    for part in parts:
        consumer.position(part)
    return consumer


class _Tape:
    """What runs past while recording."""

    def __init__(self, topologies: Mapping[str, Topology]) -> None:
        self._open = {(s, g) for s, t in topologies.items() for g in t.gateway_by_id}
        self._sites = set(topologies)
        self._newest: dict[tuple[str, str], tuple[int, int]] = {}
        self.counts = {"refused": 0, "repeated": 0, "foreign": 0}

    def run(self, consumer: Any, duration_s: float) -> Iterator[Slice]:
        """Slices as they come, until the time is up or every gateway has ended."""
        elapsed_s = stopwatch()
        while self._open and elapsed_s() < duration_s:
            for messages in consumer.poll(timeout_ms=_POLL_MS).values():
                for message in messages:
                    piece = self._read(message)
                    if piece is not None:
                        yield piece

    def _read(self, message: Any) -> Slice | None:
        headers = dict(message.headers or ())
        try:
            piece = parse(message.value, (headers.get("content-type") or b"").decode("latin-1"))
        except Refused:
            self.counts["refused"] += 1
            return None
        gateway = (piece.site_id, piece.gateway_id)
        if piece.site_id not in self._sites:
            self.counts["foreign"] += 1
            return None
        if piece.end:
            self._open.discard(gateway)
            return None
        if self._newest.get(gateway) == (piece.seq, piece.t0_ns):
            self.counts["repeated"] += 1
            return None
        self._newest[gateway] = (piece.seq, piece.t0_ns)
        return piece
