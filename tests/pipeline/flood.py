"""Bad messages of every kind among good ones, with what must become of each."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from schemas.telemetry import ARROW, MAX_BYTES, NDJSON, Slice, encode_arrow, encode_ndjson
from schemas.topics import TELEMETRY
from schemas.units import NS_PER_S, Rate

REPEAT = "repeat"
TOPIC_OF_ANOTHER = {"rack": "pdu", "pdu": "substation", "substation": "rack"}


class Sent(NamedTuple):
    """One message as it is to be sent: topic, bytes, content type, and the reason to expect."""

    topic: str
    value: bytes | None
    content_type: str
    kind: str
    reason: str | None
    """None: it is good. ``repeat``: dropped and counted, without a dead letter."""


Maker = Callable[[Slice, random.Random], tuple[Any, str]]
"""From the gateway's newest good slice to a bad one (a slice or bytes), and its reason."""


_SEQ = itertools.count()
"""A bad message has a number of its own, or it would be a repeat."""


def _with(piece: Slice, **changes: Any) -> Slice:
    return dataclasses.replace(piece, **{"seq": 10**6 + next(_SEQ), **changes})


def _metadata(piece: Slice, **changes: str) -> bytes:
    """Encode a slice, its metadata overwritten."""
    with pa.ipc.open_stream(encode_arrow(piece)) as reader:
        table = reader.read_all()
    fields = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    return _stream(table.replace_schema_metadata({**fields, **changes}))


def _stream(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as out:
        out.write_table(table)
    return bytes(sink.getvalue())


def _table(piece: Slice) -> pa.Table:
    with pa.ipc.open_stream(encode_arrow(piece)) as reader:
        return reader.read_all()


def _one_value(piece: Slice, value_w: float) -> Slice:
    power_w = piece.power_w.copy()
    power_w[0, -1] = value_w
    return _with(piece, power_w=power_w)


def _ragged(piece: Slice, rng: random.Random) -> tuple[bytes, str]:
    """One row shorter than the others (JSON says it easily); the good rows come late."""
    lines = encode_ndjson(_with(piece)).splitlines()
    first = msgspec.json.decode(lines[0])
    first["power_w"].pop()
    if len(lines) == 1:
        lines.append(lines[0])
    return b"\n".join([msgspec.json.encode(first), *lines[1:]]), "length"


def _nested(piece: Slice, rng: random.Random) -> tuple[bytes, str]:
    table = _table(_with(piece))
    deep = pa.array([[[float(x) for x in row]] for row in piece.power_w.tolist()])
    column = table.schema.get_field_index("power_w")
    return _stream(table.set_column(column, "power_w", deep)), "unreadable"


def _late_by(seconds: float) -> Maker:
    return lambda p, _: (_with(p, t0_ns=p.t0_ns - round(seconds * NS_PER_S)), "late")


def _deep(piece: Slice, rng: random.Random) -> tuple[bytes, str]:
    return b'{"power_w":' + b"[" * 5000 + b"]" * 5000 + b"}", "unreadable"


KINDS: dict[str, Maker] = {
    "truncated": lambda p, r: (encode_arrow(p)[: r.randrange(1, 200)], "unreadable"),
    "random bytes": lambda p, r: (r.randbytes(r.randrange(1, 3000)), "unreadable"),
    "empty": lambda p, r: (r.choice([b"", None]), "empty"),
    "oversized": lambda p, r: (encode_arrow(p) + bytes(MAX_BYTES), "oversize"),
    "wrong version": lambda p, r: (_metadata(_with(p), version="2"), "version"),
    "unit mix-up": lambda p, r: (_metadata(_with(p), unit=r.choice(["kW", "MW", "w"])), "unit"),
    "no rate": lambda p, r: (_metadata(_with(p), rate_hz="often"), "rate"),
    "undeclared rate": lambda p, r: (_with(p, rate=Rate(p.rate.samples + 1)), "rate"),
    "too long": lambda p, r: (_with(p, power_w=np.tile(p.power_w, (1, 60))), "length"),
    "one row too short": _ragged,
    "unknown channel": lambda p, r: (
        _with(p, channel_ids=("nobody", *p.channel_ids[1:])), "channel",
    ),
    "another's channel": lambda p, r: (
        _with(p, channel_ids=("cs" if p.level != "substation" else "cp1", *p.channel_ids[1:])),
        "channel",
    ),
    "unknown site": lambda p, r: (_with(p, site_id="nowhere"), "site"),
    "unknown gateway": lambda p, r: (_with(p, gateway_id="gx"), "gateway"),
    "another gateway's level": lambda p, r: (
        _with(p, gateway_id="gs" if p.level == "rack" else "ga"), "level",
    ),
    "infinite": lambda p, r: (_one_value(p, r.choice([np.inf, -np.inf])), "infinite"),
    "clock ahead": lambda p, r: (_with(p, t0_ns=p.t0_ns + 3600 * NS_PER_S), "clock"),
    "clock behind": _late_by(3600),
    "out of order": _late_by(1.5),
    "duplicate": lambda p, r: (dataclasses.replace(p), REPEAT),
    "compressed": lambda p, r: (_stream(_table(_with(p)), compression="zstd"), "unreadable"),
    "nested": _nested,
    "deep JSON": _deep,
    "a number that is none": lambda p, r: (_metadata(_with(p), seq="-1"), "unreadable"),
}  # fmt: skip


def flood(good: Sequence[Slice], count: int, seed: int) -> list[Sent]:
    """
    Good messages in their order, with ``count`` bad ones among them, every kind as often.

    A bad one that speaks of its gateway's time follows a good one of that gateway, so that it can
    never be the first to say something.
    """
    rng, out = random.Random(seed), []
    data = [k for k, piece in enumerate(good) if not piece.end]
    kinds = [*KINDS, "absurd power", "wrong topic"]
    where = sorted(rng.choices(data, k=count))
    todo = [kinds[k % len(kinds)] for k in range(count)]
    rng.shuffle(todo)
    for k, piece in enumerate(good):
        out.append(Sent(TELEMETRY[piece.level], encode_arrow(piece), ARROW, "good", None))
        while where and where[0] == k:
            where.pop(0)
            out.append(_bad(piece, todo.pop(), rng))
    return out


def _bad(piece: Slice, kind: str, rng: random.Random) -> Sent:
    topic = TELEMETRY[piece.level]
    if kind == "wrong topic":
        other = TELEMETRY[TOPIC_OF_ANOTHER[piece.level]]
        return Sent(other, encode_arrow(_with(piece)), ARROW, kind, "level")
    if kind == "absurd power":  # only racks are rated here
        absurd = piece.level == "rack"
        return Sent(
            topic, encode_arrow(_one_value(piece, 1e9)), ARROW, kind, "rating" if absurd else "late"
        )
    value, reason = KINDS[kind](piece, rng)
    json_lines = kind in ("one row too short", "deep JSON")
    if isinstance(value, Slice):
        json_lines = kind == "clock behind"
        value = encode_ndjson(value) if json_lines else encode_arrow(value)
    return Sent(topic, value, NDJSON if json_lines else ARROW, kind, reason)


def expected(sent: Sequence[Sent]) -> dict[tuple[str, int], str]:
    """(topic, offset) of every message that must be dead-lettered, with the reason."""
    found, offsets = {}, Counter[str]()
    for one in sent:
        if one.reason not in (None, REPEAT):
            found[one.topic, offsets[one.topic]] = str(one.reason)
        offsets[one.topic] += 1
    return found
