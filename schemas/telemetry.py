"""The telemetry message: a gateway's contiguous slice of one level, as Arrow IPC or JSON lines."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from schemas import _arrow, _rows
from schemas.refusal import MAX_NAME, Reason, Refused, RowRefusal
from schemas.units import NS_PER_S, Rate

__all__ = [
    "ARROW",
    "MAX_BYTES",
    "NDJSON",
    "VERSION",
    "Line",
    "Reason",
    "Refused",
    "RowRefusal",
    "Slice",
    "encode_arrow",
    "encode_ndjson",
    "parse",
]

ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
VERSION = "1"
MAX_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Slice:
    """
    What one telemetry message says.

    ``power_w`` is (channel, time) float32, W, NaN where missing; row *i* belongs to
    ``channel_ids[i]``; sample *j* lies at ``t0_ns + round(j * 1e9 / rate)``. ``end`` marks the
    end of a stream (then there are no samples). ``voltage_v``, where any is sent, has the shape of
    ``power_w``: V RMS between phases, of the lowest where several are metered.
    """

    site_id: str
    level: str
    gateway_id: str
    seq: int
    t0_ns: int
    rate: Rate
    channel_ids: tuple[str, ...]
    power_w: np.ndarray[Any, np.dtype[np.float32]]
    end: bool = False
    refused: tuple[RowRefusal, ...] = ()
    voltage_v: np.ndarray[Any, np.dtype[np.float32]] | None = None


class Line(msgspec.Struct, frozen=True):
    """
    One line of the JSON twin: one channel's row with the slice's metadata repeated.

    Fields that are not known here (further quantities) are passed over.
    """

    version: str
    site_id: str
    level: str
    gateway_id: str
    seq: int
    unit: str
    t0_ns: int
    rate_hz: str | int | float
    channel_id: str = ""
    power_w: tuple[float | None, ...] = ()
    voltage_v: tuple[float | None, ...] | None = None
    end: Literal[0, 1] = 0


_LINES = msgspec.json.Decoder(Line)


def encode_arrow(piece: Slice) -> bytes:
    """One complete Arrow IPC stream: schema, one uncompressed record batch, end."""
    rows, count = piece.power_w.shape
    values = pa.array(np.ascontiguousarray(piece.power_w, dtype=np.float32).ravel())
    offsets = pa.array(np.arange(0, rows * count + 1, max(count, 1), dtype=np.int32)[: rows + 1])
    power = pa.ListArray.from_arrays(offsets, values) if rows else pa.array([], _arrow.POWER)
    names = pa.array(piece.channel_ids, pa.string()).dictionary_encode()
    columns = {"channel_id": names, "power_w": power}
    if piece.voltage_v is not None and rows:
        volts = pa.array(np.ascontiguousarray(piece.voltage_v, dtype=np.float32).ravel())
        columns["voltage_v"] = pa.ListArray.from_arrays(offsets, volts)
    schema = pa.schema([(name, c.type) for name, c in columns.items()], _metadata(piece))
    batch = pa.record_batch(list(columns.values()), schema=schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _metadata(piece: Slice) -> dict[str, str]:
    fields = {
        "version": VERSION,
        "site_id": piece.site_id,
        "level": piece.level,
        "gateway_id": piece.gateway_id,
        "seq": str(piece.seq),
        "unit": "W",
        "t0_ns": str(piece.t0_ns),
        "rate_hz": str(piece.rate),
    }
    return {**fields, "end": "1"} if piece.end else fields


def encode_ndjson(piece: Slice) -> bytes:
    """The JSON-lines twin: one line a channel, the same field names; correct, and slow."""
    fields: dict[str, Any] = dict(_metadata(piece))
    fields.update(seq=piece.seq, t0_ns=piece.t0_ns)
    if piece.end:
        return msgspec.json.encode({**fields, "end": 1}) + b"\n"
    lines = [
        {**fields, "channel_id": name, "power_w": _numbers(row)}
        for name, row in zip(piece.channel_ids, piece.power_w, strict=True)
    ]
    if piece.voltage_v is not None:
        for line, row in zip(lines, piece.voltage_v, strict=True):
            line["voltage_v"] = _numbers(row)
    return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)


def _numbers(row: Any) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in row]


_HEAD = ("site_id", "level", "gateway_id", "seq", "t0_ns", "rate_hz")
_SAME = ("version", "unit", *_HEAD)
_rate = functools.lru_cache(64)(Rate.parse)
_WHOLE = re.compile(r"[0-9]{1,19}")
_UNREADABLE = (
    *(pa.ArrowException, msgspec.MsgspecError, ValueError, OverflowError, OSError),
    LookupError,  # pyarrow's word for a type that it reads and cannot wrap
)


def parse(value: bytes | None, content_type: str = "") -> Slice:
    """
    Read one telemetry message.

    The content type decides between Arrow and JSON lines; where it names neither, the first byte
    does. A row of another length than the message's, and a channel's second row, are left out
    and named in ``refused``; what is left has each channel once.

    Raises
    ------
    Refused
        With reason ``empty``, ``oversize``, ``unreadable``, ``version``, ``unit``, ``rate`` or
        ``length``. Nothing else is raised, whatever the bytes.
    """
    if not value:
        raise Refused("empty", "the message has no bytes; send an Arrow stream or JSON lines")
    if len(value) > MAX_BYTES:
        raise Refused("oversize", f"{len(value)} bytes; a message holds at most {MAX_BYTES}")
    kind = content_type.partition(";")[0].strip().lower()
    json_lines = kind == NDJSON or (kind != ARROW and value[:1] == b"{")
    try:
        return _parse_ndjson(value) if json_lines else _parse_arrow(value)
    except Refused:
        raise
    except RecursionError:
        raise Refused("unreadable", "nested too deeply; a line is one flat object") from None
    except _UNREADABLE as error:
        text = str(error).partition("\n")[0][:200]
        form = "JSON lines" if json_lines else "an Arrow stream"
        raise Refused("unreadable", f"not {form} of telemetry: {text}") from error


def _parse_arrow(value: bytes) -> Slice:
    """Read the Arrow form."""
    columns = _arrow.read(value)
    head = _head(columns.fields)
    if columns.fields.get("end", "0") != "0":
        return _end(head, columns.rows)
    if not columns.rows:
        raise Refused("length", "no rows in the message; send one a channel")
    return _with_rows(head, columns)


def _parse_ndjson(value: bytes) -> Slice:
    """Read the JSON-lines form."""
    lines = _LINES.decode_lines(value)
    if not lines:
        raise Refused("empty", "the message has no lines; send one a channel")
    first = lines[0]
    for name in (*_SAME, "end"):
        said = getattr(first, name)
        if any(getattr(line, name) != said for line in lines):
            raise Refused("unreadable", f"lines differ in {name!r}; a message is one slice")
    fields = {name: str(getattr(first, name)) for name in _SAME}
    head = _head(fields)
    if first.end:
        return _end(head, sum(bool(line.channel_id or line.power_w) for line in lines))
    names = _arrow.Names.of(tuple(line.channel_id for line in lines))
    power = _rows.listed([line.power_w for line in lines])
    some = any(line.voltage_v is not None for line in lines)
    volts = _rows.listed([line.voltage_v or () for line in lines]) if some else None
    return _with_rows(
        head, _arrow.Columns(fields, len(lines), names, *power, scaling=None, voltage_v=volts)
    )


class _Head(NamedTuple):
    """The first fields of a `Slice`, in its order."""

    site_id: str
    level: str
    gateway_id: str
    seq: int
    t0_ns: int
    rate: Rate


def _head(fields: dict[str, str]) -> _Head:
    """Read what the metadata say."""
    if fields.get("version") != VERSION:
        said = str(fields.get("version"))[:MAX_NAME]
        raise Refused("version", f"version is {said!r}; this reader knows {VERSION!r}")
    if fields.get("unit") != "W":
        said = str(fields.get("unit"))[:MAX_NAME]
        raise Refused("unit", f"unit is {said!r}; power is sent in 'W'")
    for name in _HEAD:
        if name not in fields:
            raise Refused("unreadable", f"metadata {name!r} is missing; see docs/wire.md")
    try:
        rate = _rate(fields["rate_hz"])
    except ValueError as error:
        raise Refused("rate", str(error)) from error
    seq, t0_ns = _whole(fields, "seq"), _whole(fields, "t0_ns")
    return _Head(fields["site_id"], fields["level"], fields["gateway_id"], seq, t0_ns, rate)


def _whole(fields: dict[str, str], name: str) -> int:
    """Read a whole number that leaves room for the arithmetic on it."""
    text = fields[name]
    number = int(text) if _WHOLE.fullmatch(text) else -1
    if not 0 <= number < (1 << 63) - 3601 * NS_PER_S:
        said = text[:MAX_NAME]
        raise Refused("unreadable", f"{name} is {said!r}; send a whole number 0 to 9.2e18")
    return number


def _end(head: _Head, rows: int) -> Slice:
    """Say that a gateway's stream ends; an end that carries samples would lose them."""
    if rows:
        raise Refused("unreadable", f"end of stream with {rows} rows; send it after the last slice")
    return Slice(*head, (), np.zeros((0, 0), np.float32), end=True)


def _with_rows(head: _Head, columns: _arrow.Columns) -> Slice:
    """Square the rows: the commonest length counts, the longer one of equals, never 0."""
    names, lengths = columns.names.texts, columns.lengths
    count = int(lengths[0])
    equal = bool((lengths == count).all())
    if not equal:
        sizes, tally = np.unique(lengths[lengths > 0], return_counts=True)
        count = int(sizes[np.flatnonzero(tally == tally.max())[-1]])
    if not 0 < count <= head.rate.samples:
        text = f"{count} samples at {head.rate} Hz; a message spans at most 1 s, at least 1 sample"
        raise Refused("length", text)
    refused = {} if equal and columns.names.distinct else _rows.refused(names, lengths, count)
    flat, scaling, start = columns.flat, columns.scaling, int(columns.starts[0])
    keep = np.arange(len(names))
    if refused:
        keep = np.array([i for i in range(len(names)) if i not in refused], dtype=np.int64)
        flat = flat[(columns.starts[keep][:, None] + np.arange(count)).ravel()]
        names, start = tuple(names[i] for i in keep), 0
        scaling = scaling and _arrow.Scaling(scaling.scale_w[keep], scaling.offset_w[keep])
    raw = flat[start : start + len(names) * count].reshape(-1, count)
    told = list(refused.values())
    volts = (
        None
        if columns.voltage_v is None
        else _rows.volts(columns.voltage_v, keep, names, told, count)
    )
    return Slice(*head, names, _rows.watts(raw, scaling), refused=tuple(told), voltage_v=volts)
