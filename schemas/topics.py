"""Every topic: what it carries, its key, version, retention and owner, in one table."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec

from schemas import events, forecasts
from schemas.refusal import Refused
from schemas.telemetry import ARROW, NDJSON, Slice, parse
from schemas.units import rfc3339

__all__ = [
    "INPUTS",
    "SAID",
    "TELEMETRY",
    "TOPICS",
    "CloudEvent",
    "Topic",
    "cloud_event",
    "decode",
    "message_type",
    "topic",
]

DAY_S = 86_400
JSON = "application/cloudevents+json"


T = TypeVar("T")


class CloudEvent(msgspec.Struct, Generic[T], frozen=True):
    """The CloudEvents 1.0 envelope; attributes not named here are passed over."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: Literal["application/json"]
    data: T


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic's contract. The key is always ``site_id``."""

    name: str
    carries: str
    record: Any
    owner: Literal["site", "grid", "scheduler", "lockstep"]
    retention_s: int
    content_types: tuple[str, ...]
    version: int = 1
    key: str = "site_id"
    max_message_bytes: int = 1 << 20
    envelope: Literal["none", "cloudevent"] = "none"


def _telemetry(level: str, carries: str, retention_s: int) -> Topic:
    return Topic(
        name=f"telemetry.{level}.v1",
        carries=carries,
        record=Slice,
        owner="site",
        retention_s=retention_s,
        content_types=(ARROW, NDJSON),
    )


def _ours(name: str, carries: str, record: Any, days: int) -> Topic:
    return Topic(
        name=name,
        carries=carries,
        record=record,
        owner="lockstep",
        retention_s=days * DAY_S,
        content_types=(JSON,),
        envelope="cloudevent",
    )


TOPICS: tuple[Topic, ...] = (
    _telemetry("rack", "rack power, typically 10 Hz", DAY_S),
    _telemetry("pdu", "PDU power, typically 100 Hz", DAY_S),
    _telemetry("substation", "substation power, typically 1 kHz", DAY_S),
    Topic(
        name="grid.signal.v1",
        carries="grid to site: frequency, voltage, reserve, price, set-point, emergency",
        record=events.GridSignal,
        owner="grid",
        retention_s=7 * DAY_S,
        content_types=("application/json",),
    ),
    Topic(
        name="workload.hint.v1",
        carries="scheduler to pipeline: job start and stop, checkpoint timer, maintenance",
        record=events.WorkloadHint,
        owner="scheduler",
        retention_s=7 * DAY_S,
        content_types=("application/json",),
    ),
    _ours("site.event.v1", "every event in full, for the site's operators", events.SiteEvent, 30),
    _ours("grid.event.v1", "the same events as the grid may see them", events.GridEvent, 30),
    _ours("grid.state.v1", "the POI once a second", events.SiteState, 7),
    _ours("grid.forecast.v1", "aggregated quantile forecasts", forecasts.Forecast, 7),
    Topic(
        name="telemetry.deadletter.v1",
        carries="what could not be used, with its reason and first KiB",
        record=events.DeadLetter,
        owner="lockstep",
        retention_s=7 * DAY_S,
        content_types=("application/json",),
        key="topic-partition-offset",
    ),
)

TELEMETRY: dict[str, str] = {
    level: f"telemetry.{level}.v1" for level in ("rack", "pdu", "substation")
}
"""The co-partitioned input topic of each level."""


SAID = ("workload.hint.v1", "grid.signal.v1")
"""What the scheduler and the grid say: co-partitioned with the telemetry."""

INPUTS = (*TELEMETRY.values(), *SAID)
"""All topics that are read."""


def topic(name: str) -> Topic:
    """The contract of a topic by its name."""
    return next(t for t in TOPICS if t.name == name)


def cloud_event(name: str, data: Any, *, id_: str, time_ns: int) -> bytes:
    """
    A CloudEvents 1.0 JSON message of one of our topics.

    ``id_`` is what consumers drop repeats by; ``time_ns`` is event time, never the wall clock.
    """
    return msgspec.json.encode(
        CloudEvent(
            specversion="1.0",
            id=id_,
            source=f"/lockstep/{name}/{data.site_id}",
            type=name,
            subject=data.site_id,
            time=rfc3339(time_ns),
            datacontenttype="application/json",
            data=data,
        )
    )


def decode(name: str, value: bytes) -> Any:
    """
    Read a message of a topic into its record; an envelope is taken off.

    Raises
    ------
    Refused
        Where the bytes are not what the topic carries; nothing else, whatever the bytes.
    """
    contract = topic(name)
    if contract.record is Slice:
        return parse(value)
    if len(value) > contract.max_message_bytes:
        text = f"{len(value)} bytes; a message holds at most {contract.max_message_bytes}"
        raise Refused("oversize", text)
    try:
        message = _DECODERS[name].decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused("unreadable", f"not a message of {name}: {error}") from error
    if contract.envelope == "none":
        return message
    if message.type != name:
        raise Refused("unreadable", f"type is {message.type[:64]!r}, the topic {name}")
    return message.data


def message_type(contract: Topic) -> Any:
    """What a message of the topic is, envelope and all."""
    envelope: Any = CloudEvent
    return contract.record if contract.envelope == "none" else envelope[contract.record]


_DECODERS = {
    contract.name: msgspec.json.Decoder(message_type(contract))
    for contract in TOPICS
    if contract.record is not Slice
}
