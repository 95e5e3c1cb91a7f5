"""
COMTRADE records (IEEE C37.111-2013, IEC 60255-24): channels of one rate as ``.cfg`` and ``.dat``.

Pure: arrays in, bytes out. Values are stored as whole numbers ``x`` with ``a x + b`` in W, or as
reals with a = 1, b = 0. What was not measured is 99999 in ASCII, the most negative number of the
others. A status channel says while the event was open. Times are UTC, to the microsecond; the
quality of the gateways' clocks is not known and said to be so.

Source: IEEE Std C37.111-2013, clauses 7 and 8.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from schemas.units import Rate

__all__ = ["CODINGS", "Analog", "ComtradeError", "Record", "encode"]

ASCII_MISSING, ASCII_MAX = 99999, 99998
STAMP_MAX = 2**32 - 2
CODINGS = {"ascii": "ASCII", "binary": "BINARY", "binary32": "BINARY32", "float32": "FLOAT32"}
WHOLE: dict[str, tuple[np.dtype, int]] = {
    "binary": (np.dtype("<i2"), 32767),
    "binary32": (np.dtype("<i4"), 2**31 - 1),
}
LOWEST = np.finfo(np.float32).min


class ComtradeError(ValueError):
    """The values do not fit the coding; one sentence."""


class Analog(NamedTuple):
    """
    One channel.

    Attributes
    ----------
    name, node : str
        Metering point and where it meters.
    values : array (time,)
        int64 codes where ``scale_w`` is given, else float32, W.
    valid : array (time,) of bool
        What was measured.
    scale_w, offset_w : float or None
        Power is offset + scale × code.
    """

    name: str
    node: str
    values: Any
    valid: Any
    scale_w: float | None = None
    offset_w: float | None = None

    def real_w(self) -> Any:
        """Power as float32, W, as the archive gives it."""
        if self.scale_w is None:
            return self.values
        return (self.offset_w + self.scale_w * self.values).astype(np.float32)


class Record(NamedTuple):
    """
    Channels of one rate over one stretch of time.

    Attributes
    ----------
    start_ns, trigger_ns : int
        Times of the first sample and of the event's onset, UTC.
    open : array (time,) of bool
        While the event was open.
    """

    station: str
    device: str
    rate: Rate
    start_ns: int
    trigger_ns: int
    channels: tuple[Analog, ...]
    open: Any


def encode(record: Record, coding: str = "auto", line_hz: float = 60.0) -> tuple[bytes, bytes, str]:
    """
    Return the configuration, the data, and the coding that was used.

    Parameters
    ----------
    record : Record
        What to write.
    coding : str
        ascii, binary (16 bit), binary32, float32, or auto: the smallest without loss.
    line_hz : float, Hz
        Nominal frequency of the grid.

    Raises
    ------
    ComtradeError
        One sentence, when the coding cannot hold the values.
    """
    chosen = _smallest(record) if coding == "auto" else coding
    whole = chosen in WHOLE or (chosen == "ascii" and _largest(record) <= ASCII_MAX)
    if chosen in WHOLE and _largest(record) > WHOLE[chosen][1]:
        msg = f"coding {chosen} cannot hold these samples without loss; use auto, ascii or float32"
        raise ComtradeError(msg)
    stamps, mult = _stamps(record)
    values = [c.values if whole else c.real_w() for c in record.channels]
    if chosen == "ascii":
        data = _text(record, values, stamps)
    else:
        kind: np.dtype = WHOLE[chosen][0] if whole else np.dtype("<f4")
        data = _packed(record, values, stamps, kind)
    return _configuration(record, chosen, whole, mult, line_hz), data, chosen


def _largest(record: Record) -> float:
    """Largest absolute code; infinite where a channel has none."""
    if any(c.scale_w is None for c in record.channels):
        return np.inf
    return max((int(np.abs(c.values[c.valid]).max(initial=0)) for c in record.channels), default=0)


def _smallest(record: Record) -> str:
    largest = _largest(record)
    return next((name for name, (_, most) in WHOLE.items() if largest <= most), "float32")


def _stamps(record: Record) -> tuple[Any, int]:
    """Time of each sample after the first in units of µs times the factor, and the factor."""
    k = np.arange(len(record.open), dtype=np.int64)
    rate = record.rate
    after_us = (2 * k * 1_000_000 * rate.seconds + rate.samples) // (2 * rate.samples)
    mult = 1
    while len(k) and after_us[-1] // mult > STAMP_MAX:
        mult *= 10
    return after_us // mult, mult


def _text(record: Record, values: list[Any], stamps: Any) -> bytes:
    columns = [
        [_number(v) if ok else str(ASCII_MISSING) for v, ok in zip(of, c.valid, strict=True)]
        for of, c in zip(values, record.channels, strict=True)
    ]
    status = record.open.astype(int)
    rows = zip(range(1, len(stamps) + 1), stamps, *columns, status, strict=True)
    return "".join(",".join(map(str, row)) + "\r\n" for row in rows).encode("ascii")


def _number(value: Any) -> str:
    return str(value) if isinstance(value, np.integer) else repr(float(value))


def _packed(record: Record, values: list[Any], stamps: Any, kind: np.dtype) -> bytes:
    rows = np.zeros(
        len(stamps),
        [("n", "<u4"), ("t", "<u4"), ("x", kind, (len(values),)), ("d", "<u2")],
    )
    lowest = LOWEST if kind.kind == "f" else np.iinfo(kind).min
    rows["n"], rows["t"] = np.arange(1, len(stamps) + 1), stamps
    for k, (of, channel) in enumerate(zip(values, record.channels, strict=True)):
        rows["x"][:, k] = np.where(channel.valid, of, lowest)
    rows["d"] = record.open
    return rows.tobytes()


def _configuration(record: Record, coding: str, whole: bool, mult: int, line_hz: float) -> bytes:
    n, rate = len(record.channels), record.rate
    lines = [f"{_word(record.station)},{_word(record.device)},2013", f"{n + 1},{n}A,1D"]
    for k, channel in enumerate(record.channels, 1):
        a, b = (channel.scale_w, channel.offset_w) if whole else (1, 0)
        low, high = _range(channel, coding, whole)
        names = f"{k},{_word(channel.name)},,{_word(channel.node)},W"
        lines.append(f"{names},{_exact(a)},{_exact(b)},0,{low},{high},1,1,P")
    lines += [
        f"1,event,,{_word(record.device)},0",
        f"{line_hz:g}",
        "1",
        f"{rate.samples if rate.seconds == 1 else repr(rate.hz)},{len(record.open)}",
        _time(record.start_ns),
        _time(record.trigger_ns),
        CODINGS[coding],
        str(mult),
        "0,0",
        "F,3",
    ]
    return ("\r\n".join(lines) + "\r\n").encode("utf-8")


def _range(channel: Analog, coding: str, whole: bool) -> tuple[Any, Any]:
    """Least and greatest stored value: the coding's for whole numbers, else the channel's own."""
    if whole:
        most = ASCII_MAX if coding == "ascii" else WHOLE[coding][1]
        return -most, most
    known_w = channel.real_w()[channel.valid]
    return (_number(known_w.min()), _number(known_w.max())) if len(known_w) else (0, 0)


def _exact(value: float | None) -> str:
    return "0" if not value else repr(float(value))


def _word(text: str) -> str:
    """Text as a field: no separator, no line break, at most 64 characters."""
    return "".join("_" if c in ",\r\n" else c for c in text)[:64]


def _time(time_ns: int) -> str:
    second, rest_ns = divmod(time_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(second, UTC) + timedelta(microseconds=(rest_ns + 500) // 1000)
    return f"{stamp:%d/%m/%Y,%H:%M:%S.%f}"
