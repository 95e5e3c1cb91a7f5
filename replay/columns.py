"""CSV and Parquet files as columns of numbers: time in ns, power in W."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from replay.errors import TraceError
from schemas.units import NS_PER_S

__all__ = ["UNITS", "Column", "read_columns", "read_table", "unit_of", "without_unit"]

UNITS = {"W": 1.0, "kW": 1e3, "MW": 1e6}
"""W in one of each unit a column may be in."""

_WRITTEN = {"W": "W", "w": "W", "kW": "kW", "kw": "kW", "KW": "kW", "MW": "MW", "mw": "MW"}
_NS_OF = {"t_ns": 1, "t_s": NS_PER_S, "relative_time_s": NS_PER_S, "time": 0}
_BLOCK_BYTES = 16 << 20
_LATEST_NS = (1 << 63) - 7200 * NS_PER_S


class Column(NamedTuple):
    """One channel's readings: times (time,), int64 ns, strictly increasing; power (time,), W."""

    name: str
    time_ns: Any
    power_w: Any


def read_table(path: Path) -> pa.Table:
    """
    Read a whole CSV (also ``.gz``; comma, semicolon or tab) or Parquet file.

    Raises
    ------
    TraceError
        One sentence, when the file is missing or is neither.
    """
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        delimiter = pa_csv.ParseOptions(delimiter=_delimiter(path))
        whole_rows = pa_csv.ReadOptions(block_size=_BLOCK_BYTES)
        table = pa_csv.read_csv(path, read_options=whole_rows, parse_options=delimiter)
        return table.rename_columns([name.strip() for name in table.column_names])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        form = "Parquet" if path.suffix == ".parquet" else "CSV"
        text = str(error).partition("\n")[0][:160]
        msg = f"{path}: not readable as {form} ({text}); give a CSV, CSV.gz or Parquet file"
        raise TraceError(msg) from error


def _delimiter(path: Path) -> str:
    with pa.input_stream(str(path), compression="detect") as stream:
        head = stream.read(1 << 16).partition(b"\n")[0]
    return next((d for d in (",", ";", "\t") if d.encode() in head), ",")


def read_columns(table: pa.Table, path: Path, unit: str | None) -> list[Column]:
    """
    Every channel of a table in wide or long form, in the file's order.

    Parameters
    ----------
    table : pyarrow.Table
        Wide: a time column and one column a channel. Long: a time column, ``channel_id`` and one
        column of power.
    path : Path
        Names the file in refusals.
    unit : {"W", "kW", "MW"} or None
        Unit of every column; None: as the column's name says.

    Raises
    ------
    TraceError
        One sentence: no time column, fewer than two rows, time not increasing, no unit, text for
        a number, no finite power.
    """
    clock = next((name for name in _NS_OF if name in table.column_names), None)
    if clock is None:
        known = ", ".join(_NS_OF)
        found = ", ".join(table.column_names[:6])
        msg = f"{path}: no time column among {found!r}; name one of {known}"
        raise TraceError(msg)
    if table.num_rows < 2:
        msg = f"{path}: {table.num_rows} rows; a trace needs at least two"
        raise TraceError(msg)
    time_ns = _time_ns(table.column(clock), clock, path)
    rest = table.drop_columns([clock])
    columns = _long(rest, time_ns, path, unit) if "channel_id" in rest.column_names else None
    columns = _wide(rest, time_ns, path, unit) if columns is None else columns
    if not any(np.isfinite(column.power_w).any() for column in columns):
        msg = f"{path}: no finite power in any of {len(columns)} channels; nothing to replay"
        raise TraceError(msg)
    return columns


def _time_ns(column: pa.ChunkedArray, name: str, path: Path) -> Any:
    if column.null_count:
        msg = f"{path}: {name!r} is empty in {column.null_count} rows; every row needs its time"
        raise TraceError(msg)
    try:
        if name == "time":
            stamps = column.cast(pa.timestamp("ns", column.type.tz if _zoned(column) else None))
            time_ns = stamps.cast(pa.int64()).to_numpy()
        elif name == "t_ns":
            time_ns = column.cast(pa.int64()).to_numpy()
        else:
            seconds = column.cast(pa.float64()).to_numpy()
            time_ns = np.rint(seconds * _NS_OF[name])
            if not np.isfinite(time_ns).all() or np.abs(time_ns).max() > _LATEST_NS:
                msg = f"{path}: {name!r} holds times that are no seconds since 1970"
                raise TraceError(msg)
            time_ns = time_ns.astype(np.int64)
    except (pa.ArrowException, ValueError) as error:
        form = "ISO 8601" if name == "time" else "a number"
        msg = f"{path}: {name!r} is not {form} in every row ({str(error)[:120]})"
        raise TraceError(msg) from error
    if time_ns.min() < 0 or time_ns.max() > _LATEST_NS:
        msg = f"{path}: {name!r} lies before 1970 or after 2262; times count from 1970"
        raise TraceError(msg)
    return time_ns


def _zoned(column: pa.ChunkedArray) -> bool:
    return pa.types.is_timestamp(column.type) and column.type.tz is not None


def _wide(rest: pa.Table, time_ns: Any, path: Path, unit: str | None) -> list[Column]:
    if not rest.column_names:
        msg = f"{path}: only a time column; add one column a channel"
        raise TraceError(msg)
    repeated = {name for name in rest.column_names if rest.column_names.count(name) > 1}
    if repeated:
        msg = f"{path}: column {min(repeated)!r} stands twice; channels have names of their own"
        raise TraceError(msg)
    _check_increasing(time_ns, path, "")
    return [
        Column(name, time_ns, _power_w(rest.column(name), name, path, unit))
        for name in rest.column_names
    ]


def _long(rest: pa.Table, time_ns: Any, path: Path, unit: str | None) -> list[Column] | None:
    ids = rest.column("channel_id")
    values = [name for name in rest.column_names if name != "channel_id"]
    if len(values) != 1 or ids.null_count:
        msg = f"{path}: long form is time, channel_id and one power column; found {values[:4]}"
        raise TraceError(msg)
    power_w = _power_w(rest.column(values[0]), values[0], path, unit)
    encoded = ids.cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    names = encoded.dictionary.to_pylist()
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    columns = [
        Column(name, time_ns[rows], power_w[rows])
        for name, rows in zip(names, np.split(order, cuts), strict=True)
    ]
    for column in columns:
        _check_increasing(column.time_ns, path, f" in channel {column.name!r}")
    if max(len(column.time_ns) for column in columns) < 2:
        msg = f"{path}: one row a channel; a trace needs at least two"
        raise TraceError(msg)
    return columns


def _check_increasing(time_ns: Any, path: Path, where: str) -> None:
    back = np.flatnonzero(np.diff(time_ns) <= 0)
    if len(back):
        msg = f"{path}: time is not increasing at row {back[0] + 2}{where}; sort it, one row a time"
        raise TraceError(msg)


def _power_w(column: pa.ChunkedArray, name: str, path: Path, unit: str | None) -> Any:
    scale = UNITS[unit or unit_of(name, path)]
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        msg = f"{path}: column {name!r} holds {kind}, not power; every column but time is a channel"
        raise TraceError(msg)
    values = pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy()
    return values * scale


def unit_of(name: str, path: Path) -> str:
    """
    The unit a column's name says: the first or last word of any part of it.

    ``power_total_W``, ``P_MW|S1_L1``, ``kW_rack1``, ``load [kW]``.

    Raises
    ------
    TraceError
        One sentence, when the name says none, or two that differ.
    """
    found = _units_in(name)
    if len(found) == 1:
        return found.pop()
    problem = "names several units" if found else "names no unit"
    msg = f"{path}: column {name!r} {problem}; end its name in _W, _kW or _MW, or give --unit"
    raise TraceError(msg)


def _units_in(name: str) -> set[str]:
    parts = [re.split(r"[^A-Za-z0-9]|_", part) for part in re.split(r"[|/:;,()\[\]{}\s]+", name)]
    ends = {word for words in parts for word in (words[0], words[-1])}
    return {_WRITTEN[word] for word in ends if word in _WRITTEN}


def without_unit(name: str) -> str:
    """A column's name without its unit at either end: what a topology may call the channel."""
    spelled = "|".join(_WRITTEN)
    return re.sub(rf"^(?:{spelled})[_|\s]+|[_|\s]+[(\[]?(?:{spelled})[)\]]?$", "", name)
