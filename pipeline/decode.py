"""Bytes to rows of the site's arrays, or a dead letter with its reason; no message raises."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from schemas.events import DeadLetter, GridSignal, WorkloadHint
from schemas.telemetry import Refused, RowRefusal, Slice, parse
from schemas.topics import TELEMETRY, decode
from schemas.topology import Topology

__all__ = ["Cause", "Decoder", "Message", "Rows", "content_type", "dead_letter"]

HEAD_BYTES = 1024
ABSURD = 3.0
"""A power above this many times the node's rating is no measurement; nor such a voltage."""


class Message(NamedTuple):
    """One message as it was received."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    content_type: str = ""


def content_type(headers: Any) -> str:
    """What a message says it is: pairs or a mapping of name to bytes; empty where it does not."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers or ()
    for name, value in pairs:
        if name == "content-type":
            return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return ""


class Rows(NamedTuple):
    """
    A slice whose rows are known: ``power_w[i]`` (row, time) belongs to channel ``index[i]``.

    So does ``voltage_pu[i]``, the share of the channel's nominal voltage, where any was sent.
    """

    piece: Slice
    index: Any
    power_w: Any
    refused: tuple[RowRefusal, ...]
    voltage_pu: Any = None


class _Known(NamedTuple):
    """What a gateway's channel names resolved to the last time."""

    names: tuple[str, ...]
    index: Any
    limit_w: Any
    least_w: float
    """The lowest of the limits: what stays below it needs no look at single rows."""
    nominal_v: Any
    """NaN where the site file names none."""
    unknown: tuple[int, ...]


class Decoder:
    """
    Reads messages against the topologies; remembers resolved channel names by gateway.

    ``elsewhere`` says why a site is not ours though its file is here; None: it is. What it raises
    is no fault of a message, and goes through.
    """

    def __init__(
        self,
        topologies: Mapping[str, Topology],
        elsewhere: Callable[[str], str | None] = lambda _site_id: None,
    ) -> None:
        self._topologies, self._elsewhere = topologies, functools.cache(elsewhere)
        self._known: dict[tuple[str, str], _Known] = {}

    def decode(self, message: Message) -> Rows | Refused:
        """Parse and check one message; a message that cannot be used comes back as `Refused`."""
        try:
            piece = parse(message.value, message.content_type)
            if TELEMETRY.get(piece.level) != message.topic:
                text = f"level {piece.level[:32]!r} does not belong on {message.topic}"
                raise Refused("level", text)
            return self.check(piece)
        except Refused as refused:
            return refused

    def said(self, message: Message) -> WorkloadHint | GridSignal | Refused:
        """Read what the scheduler or the grid said; it must be about a site we know."""
        try:
            record: WorkloadHint | GridSignal = decode(message.topic, message.value or b"")
            self._topology(record.site_id)
            self._ours(record.site_id)
        except Refused as refused:
            return refused
        return record

    def _topology(self, site_id: str) -> Topology:
        topology = self._topologies.get(site_id)
        if topology is None:
            raise Refused("site", f"site {site_id[:64]!r} has no topology here; add its file")
        return topology

    def _ours(self, site_id: str) -> None:
        if (why := self._elsewhere(site_id)) is not None:
            raise Refused("site", why)

    def check(self, piece: Slice) -> Rows:
        """
        Check a parsed slice against its site's topology and find its rows.

        Raises
        ------
        Refused
            ``site``, ``gateway``, ``level`` or ``rate``.
        """
        topology = self._topology(piece.site_id)
        gateway = topology.gateway_by_id.get(piece.gateway_id)
        if gateway is None:
            text = f"gateway {piece.gateway_id[:64]!r} is not in site {piece.site_id}'s topology"
            raise Refused("gateway", text)
        if gateway.level != piece.level:
            text = f"gateway {gateway.id} sends level {gateway.level}, not {piece.level[:32]!r}"
            raise Refused("level", text)
        if gateway.rate != piece.rate:
            text = (
                f"gateway {gateway.id} is declared with {gateway.rate} Hz and sent {piece.rate} Hz"
            )
            raise Refused("rate", text)
        self._ours(piece.site_id)
        return self._rows(piece, topology)

    def _rows(self, piece: Slice, topology: Topology) -> Rows:
        known = self._resolve(piece, topology)
        power_w, refused = piece.power_w, list(piece.refused)
        if not piece.channel_ids:
            return Rows(piece, known.index, power_w, tuple(refused))
        bad = dict.fromkeys(known.unknown, "channel")
        with np.errstate(invalid="ignore"):
            size_w = np.abs(power_w)
            if not np.fmax.reduce(size_w, axis=None, initial=0.0) <= known.least_w:
                top_w = size_w.max(axis=1, initial=0.0, where=~np.isnan(power_w))
                for row in np.flatnonzero(top_w > known.limit_w):
                    bad.setdefault(int(row), "infinite" if np.isinf(top_w[row]) else "rating")
        volts = None
        if piece.voltage_v is not None:
            volts, wrong = _per_unit(piece.voltage_v, known.nominal_v)
            refused += [RowRefusal(piece.channel_ids[row][:64], "voltage") for row in wrong]
        if not bad:
            return Rows(piece, known.index, power_w, tuple(refused), volts)
        refused += [RowRefusal(piece.channel_ids[row][:64], bad[row]) for row in sorted(bad)]  # type: ignore[arg-type]
        keep = np.array([i for i in range(len(piece.channel_ids)) if i not in bad], dtype=np.int64)
        volts = volts if volts is None else volts[keep]
        return Rows(piece, known.index[keep], power_w[keep], tuple(refused), volts)

    def _resolve(self, piece: Slice, topology: Topology) -> _Known:
        key = (piece.site_id, piece.gateway_id)
        known = self._known.get(key)
        same = known is not None and known.names is piece.channel_ids
        if known is None or not (same or known.names == piece.channel_ids):
            known = _look_up(piece, topology)
            self._known[key] = known
        return known


def _look_up(piece: Slice, topology: Topology) -> _Known:
    row_of = {c.id: i for i, c in enumerate(topology.level_channels[piece.level])}
    owner = topology.channel_gateway
    index, limits, nominal, unknown, seen = [], [], [], [], set()
    at_v = {c.id: c.nominal_v or np.nan for c in topology.level_channels[piece.level]}
    for row, name in enumerate(piece.channel_ids):
        mine = name in row_of and owner[name] == piece.gateway_id and name not in seen
        seen.add(name)
        if not mine:
            unknown.append(row)
        index.append(row_of.get(name, 0))
        rating_w = _rating_w(topology, piece.level, row_of.get(name)) if mine else None
        nominal.append(at_v.get(name, np.nan) if mine else np.nan)
        limits.append(np.finfo(np.float32).max if rating_w is None else ABSURD * rating_w)
    rows = np.array(index, dtype=np.int64)
    limits_w, nominal_v = np.array(limits), np.array(nominal)
    least_w = float(min(limits, default=np.inf))
    return _Known(piece.channel_ids, rows, limits_w, least_w, nominal_v, tuple(unknown))


def _per_unit(voltage_v: Any, nominal_v: Any) -> tuple[Any, list[int]]:
    """Voltages as shares of nominal ones, (row, time), and the rows in which one is absurd."""
    with np.errstate(invalid="ignore", over="ignore"):
        volts = (voltage_v / nominal_v[:, None]).astype(np.float32)
        wrong = np.isinf(voltage_v).any(axis=1) | (voltage_v < 0).any(axis=1)
        wrong |= (volts > ABSURD).any(axis=1)
    volts[wrong] = np.nan
    return volts, np.flatnonzero(wrong).tolist()


def _rating_w(topology: Topology, level: str, row: int | None) -> float | None:
    if row is None:
        return None
    channel = topology.level_channels[level][row]
    return topology.node_by_id[channel.node_id].rating_w


class Cause(NamedTuple):
    """Why a message, or a part of it, could not be used."""

    reason: str
    detail: str
    rows: tuple[RowRefusal, ...] = ()
    samples: int | None = None


def dead_letter(message: Message, cause: Cause, site_id: str | None = None) -> DeadLetter:
    """The dead letter of a message: reason, where it stood, its size and first KiB."""
    value = message.value or b""
    return DeadLetter(
        reason=cause.reason,
        detail=cause.detail,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        size=len(value),
        head=value[:HEAD_BYTES],
        site_id=site_id,
        rows=cause.rows[:1000],
        samples=cause.samples,
    )
