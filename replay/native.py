"""The native form of a trace: Parquet rows of telemetry slices, written and surveyed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replay.errors import TraceError
from schemas.telemetry import Slice
from schemas.topology import LEVELS
from schemas.units import NS_PER_S, Rate

__all__ = [
    "COLUMNS",
    "Seen",
    "Written",
    "is_native",
    "scan",
    "slice_end_ns",
    "span_ns",
    "write_native",
]

TEXTS = ("site_id", "gateway_id", "level", "channel_id", "rate_hz")
COLUMNS = (*TEXTS, "seq", "t0_ns", "power_w")
_KEY = ("site_id", "gateway_id", "level", "rate_hz", "seq", "t0_ns")
_SUMMARY = b"lockstep"
_ROWS = 1 << 17
_VALUES = 1 << 20
_SCHEMA = pa.schema(
    [(name, pa.dictionary(pa.int32(), pa.string())) for name in TEXTS]
    + [("seq", pa.int64()), ("t0_ns", pa.int64()), ("power_w", pa.list_(pa.float32()))]
    + [("voltage_v", pa.list_(pa.float32()))]
)


class Written(msgspec.Struct, frozen=True):
    """What a native trace holds; kept in the file, so that opening it reads no power."""

    messages: int
    samples: int
    end_ns: dict[str, int]
    """End of the last sample of each site."""
    ordered: bool
    """Whether the messages stand in the order of replay."""


class Seen(NamedTuple):
    """One message's gateway and rows: what a scan without reading power finds."""

    site_id: str
    gateway_id: str
    level: str
    rate: Rate
    seq: int
    t0_ns: int
    start: int
    stop: int


def is_native(path: Path) -> bool:
    """Whether a Parquet file has the columns of the native form."""
    try:
        return path.suffix == ".parquet" and set(COLUMNS) <= set(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        text = str(error).partition("\n")[0][:160]
        msg = f"{path}: not readable as Parquet ({text}); give a CSV, CSV.gz or Parquet file"
        raise TraceError(msg) from error


def span_ns(count: int, rate: Rate) -> int:
    """How long ``count`` samples last, ns."""
    return (2 * count * rate.seconds * NS_PER_S + rate.samples) // (2 * rate.samples)


def slice_end_ns(piece: Slice) -> int:
    """End of a slice's last sample, ns."""
    return piece.t0_ns + span_ns(piece.power_w.shape[1], piece.rate)


def write_native(path: Path, slices: Iterable[Slice]) -> Written:
    """
    Write slices as a native trace; ends of stream are left out. The same slices, the same bytes.

    Parameters
    ----------
    path : Path
        The ``trace.parquet`` to write; it is there when it is whole, until then ``.part`` is.
    slices : iterable of Slice
        Read once, held a row group at a time (about a million values).

    Returns
    -------
    Written
        What the file holds.
    """
    order = _Order()
    part = path.with_name(path.name + ".part")
    with pq.ParquetWriter(
        part,
        _SCHEMA,
        compression="zstd",
        compression_level=9,
        use_dictionary=[*TEXTS, "seq", "t0_ns"],
        column_encoding={
            "power_w.list.element": "BYTE_STREAM_SPLIT",
            "voltage_v.list.element": "BYTE_STREAM_SPLIT",
        },
        write_statistics=True,
        store_schema=False,
    ) as writer:
        for group in _groups(slices):
            for piece in group:
                order.add(piece)
            writer.write_table(_table(group), row_group_size=1 << 30)
        written = order.written()
        writer.add_key_value_metadata({_SUMMARY.decode(): msgspec.json.encode(written).decode()})
    part.replace(path)
    return written


def _groups(slices: Iterable[Slice]) -> Iterator[list[Slice]]:
    group: list[Slice] = []
    rows = values = 0
    for piece in slices:
        if piece.end or not piece.power_w.size:
            continue
        group.append(piece)
        rows, values = rows + piece.power_w.shape[0], values + piece.power_w.size
        if rows >= _ROWS or values >= _VALUES:
            yield group
            group, rows, values = [], 0, 0
    if group:
        yield group


def _table(group: list[Slice]) -> pa.Table:
    rows: Any = np.array([len(p.channel_ids) for p in group])
    lengths = np.repeat([p.power_w.shape[1] for p in group], rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = np.concatenate([p.power_w.ravel() for p in group]).astype(np.float32, copy=False)
    texts = {
        "site_id": _repeated([p.site_id for p in group], rows),
        "gateway_id": _repeated([p.gateway_id for p in group], rows),
        "level": _repeated([p.level for p in group], rows),
        "channel_id": _channels(group),
        "rate_hz": _repeated([str(p.rate) for p in group], rows),
    }
    numbers = {
        "seq": pa.array(np.repeat(np.array([p.seq for p in group], np.int64), rows)),
        "t0_ns": pa.array(np.repeat(np.array([p.t0_ns for p in group], np.int64), rows)),
        "power_w": pa.ListArray.from_arrays(offsets, pa.array(values)),
        "voltage_v": _voltages(group, rows, offsets),
    }
    return pa.table({**texts, **numbers}, schema=_SCHEMA)


def _voltages(group: list[Slice], rows: Any, offsets: Any) -> pa.Array:
    """One list a row; null where a slice says none."""
    none = np.repeat([p.voltage_v is None for p in group], rows)
    if none.all():
        return pa.nulls(len(none), pa.list_(pa.float32()))
    blank = (
        np.full(p.power_w.shape, np.nan) if p.voltage_v is None else p.voltage_v for p in group
    )
    values = np.concatenate([v.ravel() for v in blank]).astype(np.float32, copy=False)
    return pa.ListArray.from_arrays(offsets, pa.array(values), mask=pa.array(none))


def _repeated(texts: list[str], rows: Any) -> pa.DictionaryArray:
    index = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    codes = np.repeat(np.array([index[text] for text in texts], np.int32), rows)
    return pa.DictionaryArray.from_arrays(codes, list(index))


def _channels(group: list[Slice]) -> pa.DictionaryArray:
    index: dict[str, int] = {}
    known: dict[tuple[str, ...], Any] = {}
    for piece in group:
        if piece.channel_ids not in known:
            codes = [index.setdefault(name, len(index)) for name in piece.channel_ids]
            known[piece.channel_ids] = np.array(codes, np.int32)
    all_codes = np.concatenate([known[piece.channel_ids] for piece in group])
    return pa.DictionaryArray.from_arrays(all_codes, list(index))


class _Order:
    """Follows slices as they pass: counts, ends, and whether they stand in replay order."""

    def __init__(self) -> None:
        self.messages = self.samples = 0
        self.end_ns: dict[str, int] = {}
        self.ordered = True
        self._last: tuple[Any, ...] = ()
        self._gateway_end_ns: dict[tuple[str, str], int] = {}

    def add(self, piece: Slice) -> None:
        gateway = (piece.site_id, piece.gateway_id)
        end_ns = max(slice_end_ns(piece), self._gateway_end_ns.get(gateway, 0))
        self._gateway_end_ns[gateway] = end_ns
        self.end_ns[piece.site_id] = max(end_ns, self.end_ns.get(piece.site_id, 0))
        rank = LEVELS.index(piece.level) if piece.level in LEVELS else len(LEVELS)
        place = (end_ns, rank, *gateway)
        self.ordered = self.ordered and self._last <= place
        self._last = place
        self.messages += 1
        self.samples += int(np.isfinite(piece.power_w).sum())

    def written(self) -> Written:
        return Written(self.messages, self.samples, self.end_ns, self.ordered)


def scan(file: pq.ParquetFile, path: Path) -> tuple[list[Seen], Written | None]:
    """
    Every message of a native trace, in the file's order, and the file's own summary.

    Rows that stand together and share site, gateway, level, rate, ``seq`` and ``t0_ns`` are one
    message. Power is not read.

    Raises
    ------
    TraceError
        One sentence, when a column has the wrong type, a null or a rate that is none.
    """
    messages: list[Seen] = []
    start = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=list(_KEY))
        found = _messages(table, start, path)
        if messages and found and messages[-1][:6] == found[0][:6]:
            found[0] = found[0]._replace(start=messages.pop().start)
        messages += found
        start += table.num_rows
    summary = (file.metadata.metadata or {}).get(_SUMMARY)
    try:
        return messages, msgspec.json.decode(summary, type=Written) if summary else None
    except msgspec.MsgspecError:
        return messages, None


def _messages(table: pa.Table, start: int, path: Path) -> list[Seen]:
    if not table.num_rows:
        return []
    codes, words = {}, {}
    for name in _KEY:
        column = table.column(name).combine_chunks()
        if column.null_count:
            msg = f"{path}: {name!r} is null in {column.null_count} rows; every slice names it"
            raise TraceError(msg)
        try:
            if name in TEXTS:
                encoded = column if pa.types.is_dictionary(column.type) else _encode(column)
                codes[name] = encoded.indices.to_numpy(zero_copy_only=False)
                words[name] = encoded.dictionary.to_pylist()
            else:
                codes[name] = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            msg = f"{path}: {name!r} is {column.type} ({str(error)[:80]}); see the native form"
            raise TraceError(msg) from error
    change = np.zeros(table.num_rows, bool)
    change[0] = True
    for values in codes.values():
        change[1:] |= values[1:] != values[:-1]
    starts = np.flatnonzero(change)
    stops = np.append(starts[1:], table.num_rows) + start
    rates = _rates(words["rate_hz"], path)
    at = [codes[name][starts].tolist() for name in _KEY]
    site, gateway, level = words["site_id"], words["gateway_id"], words["level"]
    return [
        Seen(site[s], gateway[g], level[lv], rates[r], q, t, a, b)
        for s, g, lv, r, q, t, a, b in zip(
            *at, (starts + start).tolist(), stops.tolist(), strict=True
        )
    ]


def _encode(column: pa.Array) -> pa.DictionaryArray:
    return column.cast(pa.string()).dictionary_encode()


def _rates(words: list[str], path: Path) -> list[Rate]:
    try:
        return [Rate.parse(word) for word in words]
    except ValueError as error:
        msg = f"{path}: {error}"
        raise TraceError(msg) from error
