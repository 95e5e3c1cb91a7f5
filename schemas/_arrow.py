"""Arrow bytes to plain columns: names, values, row lengths; types are exact, nothing expands."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schemas._frames import screen
from schemas.refusal import Refused

__all__ = ["POWER", "Columns", "Lists", "Names", "Scaling", "read"]

POWER = pa.list_(pa.float32())
_DOUBLES, _INTEGERS = pa.list_(pa.float64()), pa.list_(pa.int16())
MAX_CHANNELS = 200_000
MAX_COLUMNS = 64


class Names(NamedTuple):
    """Channel of each row, and whether each stands once."""

    texts: tuple[str, ...]
    distinct: bool = True

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> Names:
        """See for yourself whether each stands once."""
        return cls(texts, len(set(texts)) == len(texts))


class Scaling(NamedTuple):
    """What turns ``power_i16`` into W: ``value * scale_w + offset_w``, one of each a row."""

    scale_w: Any
    offset_w: Any


class Lists(NamedTuple):
    """A further quantity: row *i* is ``flat[starts[i] : starts[i] + lengths[i]]``."""

    flat: Any
    lengths: Any
    starts: Any


class Columns(NamedTuple):
    """A batch: row *i* of ``names`` is ``flat[starts[i] : starts[i] + lengths[i]]``."""

    fields: dict[str, str]
    rows: int
    names: Names = Names(())
    flat: Any = None
    lengths: Any = None
    starts: Any = None
    scaling: Scaling | None = None
    voltage_v: Lists | None = None
    """None: nobody sent any. Lengths of -1: what was sent is no list of numbers."""


def read(value: bytes) -> Columns:
    """
    Read one Arrow IPC stream of telemetry.

    Raises
    ------
    Refused, pa.ArrowException, ValueError
        Where the bytes are no such stream.
    """
    try:
        entries = screen(value)
    except (struct.error, IndexError) as error:
        raise Refused("unreadable", "the Arrow stream is cut short or damaged") from error
    with pa.ipc.open_stream(pa.py_buffer(value)) as reader:
        raw, width = reader.schema.metadata or {}, len(reader.schema)
        fields = {k.decode(): v.decode() for k, v in raw.items()}
        if len(fields) != entries:
            raise Refused("unreadable", "a metadata key stands twice in the Arrow schema")
        if width > MAX_COLUMNS:
            raise Refused("unreadable", f"{width} columns; a message holds at most {MAX_COLUMNS}")
        batch = reader.read_next_batch()
    if batch.num_rows > MAX_CHANNELS:
        text = f"{batch.num_rows} channels; a message holds at most {MAX_CHANNELS}"
        raise Refused("oversize", text)
    batch.validate(full=True)
    if not batch.num_rows:
        return Columns(fields, 0)
    names = _names(_column(batch, "channel_id", _is_names, "strings, best dictionary-encoded"))
    column, scaling = _power(batch)
    return Columns(fields, batch.num_rows, names, *_rows(column), scaling, _voltage(batch))


def _column(batch: pa.RecordBatch, name: str, fits: Callable[[Any], bool], use: str) -> pa.Array:
    """Return the one column of this name; its type is looked at before its values."""
    found = batch.schema.names
    if found.count(name) != 1:
        say = "missing" if name not in found else "there twice"
        listed = ", ".join(found[:6])
        raise Refused("unreadable", f"column {name!r} is {say}; the columns are {listed!r}")
    kind = batch.schema.field(found.index(name)).type
    if not fits(kind):
        raise Refused("unreadable", f"{name} is {str(kind)[:64]}; send {use}")
    return batch.column(found.index(name))


def _is_names(kind: Any) -> bool:
    """Strings, or a dictionary of strings."""
    words = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(words) or pa.types.is_large_string(words))


class _Named(NamedTuple):
    """A channel_id column as it came the last time, and what it said."""

    kind: Any
    buffers: tuple[Any, ...]
    names: Names


class _Memory:
    """Columns of names already read, by the sizes and last bytes of their buffers."""

    LIMIT_BYTES = 64 << 20

    def __init__(self) -> None:
        self.known: dict[Any, _Named] = {}
        self.held_bytes = 0

    def find(self, key: Any, column: pa.Array, buffers: list[Any]) -> Names | None:
        """Return the names a column of the very same bytes had."""
        known = self.known.get(key)
        if known is None or known.kind != column.type:
            return None
        for old, new in zip(known.buffers, buffers, strict=True):
            if old is not new and (old is None or new is None or not old.equals(new)):
                return None
        return known.names

    def keep(self, key: Any, column: pa.Array, buffers: list[Any], names: Names) -> None:
        """Keep a copy, never a view: a view would hold the whole message."""
        self.held_bytes += sum(b.size for b in buffers if b) + 64 * len(names.texts) + 1024
        if self.held_bytes > self.LIMIT_BYTES:
            self.known, self.held_bytes = {}, 0
        copies = tuple(b if b is None else pa.py_buffer(b.to_pybytes()) for b in buffers)
        self.known[key] = _Named(column.type, copies, names)


_memory = _Memory()
"""Gateways send the same names in every message: comparing bytes is far faster than reading."""


def _names(column: pa.Array) -> Names:
    """
    Channel names of the rows.

    The strings of a dictionary are shared, so that a long name used often costs nothing; a
    column with the bytes of an earlier one is that column, and gives the very same tuple.
    """
    words = column.dictionary if pa.types.is_dictionary(column.type) else column
    buffers = column.buffers() if words is column else column.buffers() + words.buffers()
    key = (len(column), len(words), *map(_tail, buffers))
    names = _memory.find(key, column, buffers)
    if names is None:
        names = _read_names(column, words)
        _memory.keep(key, column, buffers, names)
    return names


def _tail(buffer: Any) -> tuple[int, bytes] | None:
    """Size and last bytes: enough to tell most columns apart before all bytes are compared."""
    return None if buffer is None else (buffer.size, bytes(memoryview(buffer)[-32:]))


def _read_names(column: pa.Array, words: pa.Array) -> Names:
    """Read the names one by one."""
    if column.null_count or words.null_count:
        raise Refused("unreadable", "channel_id is null in a row; every row names its channel")
    texts = words.to_pylist()
    if words is column:
        return Names.of(tuple(texts))
    return Names.of(tuple(texts[i] for i in column.indices.to_pylist()))


def _power(batch: pa.RecordBatch) -> tuple[pa.Array, Scaling | None]:
    """Return the power column, and what scales it where it is of integers."""
    if "power_w" in batch.schema.names:
        column = _column(batch, "power_w", (POWER, _DOUBLES).__contains__, "list<float32>")
        return (column if column.type == POWER else column.cast(POWER, safe=False)), None
    column = _column(batch, "power_i16", _INTEGERS.__eq__, "list<int16>")
    return column, Scaling(_scale(batch, "scale_w"), _scale(batch, "offset_w"))


def _voltage(batch: pa.RecordBatch) -> Lists | None:
    """Return the voltages where there are any; power is never lost over them."""
    found = [i for i, name in enumerate(batch.schema.names) if name == "voltage_v"]
    if not found:
        return None
    column = batch.column(found[0])
    if len(found) > 1 or column.type not in (POWER, _DOUBLES):
        return Lists(np.zeros(0, np.float32), np.full(len(column), -1), np.zeros(len(column)))
    return Lists(*_rows(column))


def _scale(batch: pa.RecordBatch, name: str) -> Any:
    """Return a column of one finite number a row, float64."""
    column = _column(batch, name, pa.types.is_floating, "a float64 a row")
    if column.null_count:
        raise Refused("unreadable", f"{name} is null in a row; send a float64 a row")
    numbers = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    if not np.isfinite(numbers).all():
        raise Refused("unreadable", f"{name} is not finite; send a float64 a row")
    return numbers


def _rows(column: pa.Array) -> tuple[Any, Any, Any]:
    """Flat values (NaN for null), row lengths (0 for a null row), row starts into the values."""
    offsets = column.offsets.to_numpy()
    lengths = np.diff(offsets)
    if column.null_count:
        lengths = np.where(column.is_valid().to_numpy(zero_copy_only=False), lengths, 0)
    return column.values.to_numpy(zero_copy_only=False), lengths, offsets[:-1]
